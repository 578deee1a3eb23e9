//! The record of a migration in Stripe, in the metadata of its own product.

use super::{Exchange, Migrate, MigrateAt, MigrationState};
use serde::Serialize;

use crate::billing::{Metadata, NewProduct};
use crate::domain::{Domain, Error, Result};

/// The prefix of the product's id. The rest is the migration's id without its own prefix.
const PRODUCT: &str = "tier__migration-";

/// The prefix of a migration's id.
const PREFIX: &str = "mig_";

/// How many characters of a list one metadata value holds.
const CHUNK: usize = 480;

/// The maximum number of values for the lists.
const MAX_CHUNKS: usize = 40;

const FROM: &str = "tier.from";
const TO: &str = "tier.to";
const AT: &str = "tier.at";
const CLOCK: &str = "tier.clock";
const ORGS: &str = "tier.orgs";
/// The plans that are exchanged for plans on meters, in place of `FROM` and `TO`.
const COPIES: &str = "tier.copies";
const TOTAL: &str = "tier.total";
const DONE: &str = "tier.done";

/// A migration, as it is stored.
#[derive(Clone, Debug)]
pub(super) struct MigrationRecord {
    /// `mig_…`.
    pub(super) id: String,
    pub(super) request: Migrate,
    /// The test clock of its orgs.
    pub(super) clock: Option<String>,
    /// The number of orgs, and of those that were moved, once it has ended.
    ended: Option<(usize, usize)>,
}

impl MigrationRecord {
    pub(super) fn new(id: String, request: Migrate, clock: Option<&str>) -> Self {
        Self {
            id,
            request,
            clock: clock.map(str::to_owned),
            ended: None,
        }
    }

    /// Its final state, if it has ended.
    pub(super) fn finished(&self) -> Option<MigrationState> {
        let (total, done) = self.ended?;
        Some(MigrationState {
            id: self.id.clone(),
            is_done: true,
            total,
            done,
            failed: Vec::new(),
        })
    }

    fn metadata(&self) -> Result<Metadata> {
        let Migrate { exchange, at, orgs } = &self.request;
        let at = match at {
            MigrateAt::Now => "now".to_owned(),
            MigrateAt::PeriodEnd => "period_end".to_owned(),
            MigrateAt::Time(at) => at.to_string(),
        };
        let mut metadata = Metadata::from([(AT.to_owned(), at)]);
        let mut chunks = 0;
        match exchange {
            Exchange::Plan { from, to } => {
                metadata.insert(FROM.to_owned(), from.to_string());
                metadata.insert(TO.to_owned(), to.to_string());
            }
            Exchange::ToMeters(copies) => chunks += add_list(&mut metadata, COPIES, copies),
        }
        if let Some(clock) = &self.clock {
            metadata.insert(CLOCK.to_owned(), clock.clone());
        }
        if let Some(orgs) = orgs {
            chunks += add_list(&mut metadata, ORGS, orgs);
        }
        if chunks > MAX_CHUNKS {
            return Err(Error::Invalid(format!(
                "too many orgs or plans: their names together must not exceed {} characters; name fewer orgs, or none \
                 for all",
                CHUNK * MAX_CHUNKS
            )));
        }
        Ok(metadata)
    }

    /// Reads the record from a product's metadata. None if that is not a migration's.
    fn read(id: &str, metadata: &Metadata) -> Option<Self> {
        let at = match metadata.get(AT)?.as_str() {
            "now" => MigrateAt::Now,
            "period_end" => MigrateAt::PeriodEnd,
            time => MigrateAt::Time(time.parse().ok()?),
        };
        let list = |name: &str| {
            let chunks = metadata.iter().filter(|(key, _)| key.starts_with(name));
            let text: String = chunks.map(|(_, chunk)| chunk.as_str()).collect();
            Some(text).filter(|text| !text.is_empty())
        };
        let orgs = match list(ORGS) {
            None => None,
            Some(orgs) => Some(serde_json::from_str(&orgs).ok()?),
        };
        let exchange = match list(COPIES) {
            None => Exchange::Plan {
                from: metadata.get(FROM)?.parse().ok()?,
                to: metadata.get(TO)?.parse().ok()?,
            },
            Some(copies) => Exchange::ToMeters(serde_json::from_str(&copies).ok()?),
        };
        let count = |key| metadata.get(key)?.parse::<usize>().ok();
        Some(Self {
            id: id.to_owned(),
            request: Migrate { exchange, at, orgs },
            clock: metadata.get(CLOCK).cloned(),
            ended: count(TOTAL).zip(count(DONE)),
        })
    }
}

impl Domain {
    /// Stores a record. Returns the existing one with its id, if there is one.
    pub(super) async fn store_record(
        &self,
        record: &MigrationRecord,
    ) -> Result<Option<MigrationRecord>> {
        let name = match &record.request.exchange {
            Exchange::Plan { from, to } => format!("Migration from {from} to {to}"),
            Exchange::ToMeters(_) => "Migration to billing meters".to_owned(),
        };
        let id = product_id(&record.id).ok_or_else(|| unknown(&record.id))?;
        let create = self.billing().create_product(NewProduct {
            id: &id,
            name: &name,
            active: false,
            metadata: &record.metadata()?,
        });
        match create
            .key(format!("migration:{}", record.id))
            .send_detecting_replay()
            .await
        {
            Ok(created) if !created.replayed => Ok(None),
            Ok(_) => self.migration_record(&record.id).await.map(Some),
            Err(error) if error.already_exists() || error.is_idempotency_conflict() => {
                self.migration_record(&record.id).await.map(Some)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Reads a record.
    pub(super) async fn migration_record(&self, id: &str) -> Result<MigrationRecord> {
        let product = product_id(id).ok_or_else(|| unknown(id))?;
        match self.billing().product(&product).await {
            Ok(product) => MigrationRecord::read(id, &product.metadata).ok_or_else(|| unknown(id)),
            Err(error) if error.is_missing() => Err(unknown(id)),
            Err(error) => Err(error.into()),
        }
    }

    /// Notes that all orgs of a migration were tried.
    pub(super) async fn note_end_of_migration(&self, state: &MigrationState) -> Result<()> {
        let Some(product) = product_id(&state.id) else {
            return Ok(());
        };
        let metadata = Metadata::from([
            (TOTAL.to_owned(), state.total.to_string()),
            (DONE.to_owned(), state.done.to_string()),
        ]);
        self.billing()
            .set_product_metadata(&product, &metadata)
            .send()
            .await?;
        Ok(())
    }
}

/// Adds a list as JSON, split into as many values as it needs. Returns their number.
fn add_list(metadata: &mut Metadata, name: &str, list: &impl Serialize) -> usize {
    let text = serde_json::to_string(list).expect("names are text");
    let text: Vec<char> = text.chars().collect();
    let chunks = text.chunks(CHUNK);
    let count = chunks.len();
    for (i, chunk) in chunks.enumerate() {
        metadata.insert(format!("{name}.{i:02}"), chunk.iter().collect());
    }
    count
}

fn unknown(id: &str) -> Error {
    Error::Invalid(format!("no such migration: {id:?}"))
}

fn product_id(id: &str) -> Option<String> {
    let rest = id.strip_prefix(PREFIX)?;
    let is_id =
        !rest.is_empty() && rest.len() <= 64 && rest.bytes().all(|b| b.is_ascii_alphanumeric());
    is_id.then(|| format!("{PRODUCT}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::refs::OrgName;

    #[test]
    fn a_stored_record_is_read_back() {
        let orgs: std::collections::BTreeSet<OrgName> = (0..300)
            .map(|i| format!("org:\"ö\\ {i}").parse().expect("a name"))
            .collect();
        let plan = |name: &str| name.parse().expect("a plan");
        let one = || Exchange::Plan {
            from: plan("plan:a@1"),
            to: plan("plan:a@2"),
        };
        let copies = (0..100).map(|i| {
            let name = |version| plan(&format!("plan:p{i}@{version}"));
            (name(1), name(2))
        });
        for (exchange, at, orgs) in [
            (one(), MigrateAt::Now, None),
            (one(), MigrateAt::PeriodEnd, Some([].into())),
            (one(), MigrateAt::Time(1_700_000_000), Some(orgs.clone())),
            (
                Exchange::ToMeters(copies.collect()),
                MigrateAt::PeriodEnd,
                Some(orgs),
            ),
        ] {
            let request = Migrate { exchange, at, orgs };
            let record = MigrationRecord::new("mig_1".to_owned(), request, Some("clock_1"));
            let metadata = record.metadata().expect("it fits");
            assert!(metadata.values().all(|value| value.chars().count() <= 500));
            assert!(metadata.len() <= 48);
            let read = MigrationRecord::read("mig_1", &metadata).expect("a migration");
            assert_eq!((read.request, read.clock), (record.request, record.clock));
        }
    }

    #[test]
    fn an_id_is_not_a_path() {
        assert_eq!(
            product_id("mig_12ab").as_deref(),
            Some("tier__migration-12ab")
        );
        for id in ["", "mig_", "12ab", "mig_../prices", "mig_1 2"] {
            assert_eq!(product_id(id), None, "{id}");
        }
    }
}
