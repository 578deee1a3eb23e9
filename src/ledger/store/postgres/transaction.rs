//! One transaction: lock, read, apply, write, commit.

use std::collections::{BTreeSet, HashSet};

use futures::future::{try_join, try_join3};
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::super::super::state::{Batch, Recalled, State, Stored};
use super::super::super::transactor::{Answers, Figures, Request, Transacted};
use super::super::super::values::{Org, PlanNumber, ReservationId, Time};
use super::super::super::view::{all_figures, changed_figures};
use super::super::{Names, StoreError, known};
use super::failure::Failure;
use super::mirror::{Concerned, Mirror};
use super::table::{ENTRIES, Parameter, RESERVATIONS, TOTALS, records};

/// The lock time-out is longer than a process that hangs in a transaction can hold a lock. The isolation level is given
/// because the database may have another default.
pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; \
     SET LOCAL lock_timeout = '7s'; SET LOCAL statement_timeout = '9s'; \
     SET LOCAL idle_in_transaction_session_timeout = '5s'";

/// A commit that waits for a synchronous standby must not be cut short: the server would report success.
pub(super) const COMMIT: &str = "SET LOCAL statement_timeout = 0; COMMIT";

/// How many numbers each transaction has for its entries and totals.
const NUMBERS: usize = 16_384;

/// A transaction whose commit was sent and whose outcome is unknown.
#[derive(Debug)]
pub(super) struct Sent {
    number: i64,
    orgs: BTreeSet<Org>,
    answers: Vec<Answers>,
}

/// The result of a transaction.
pub(super) struct Done {
    pub(super) transacted: Transacted,
    /// The orgs that it has locked, with their versions now.
    pub(super) orgs: Vec<(Org, i64)>,
    /// Their records now.
    pub(super) stored: Stored,
    /// The numbers of their plans.
    pub(super) plans: Vec<(Org, PlanNumber)>,
    /// The time of the database.
    pub(super) now: Time,
}

pub(super) struct Transaction<'a> {
    pub(super) client: &'a Client,
    pub(super) mirror: &'a Mirror,
    /// Whether events have the database's time.
    pub(super) has_clock: bool,
    /// The name of this process.
    pub(super) writer: &'a str,
}

/// The locks of a transaction.
struct Locked {
    /// The orgs, with their stored versions.
    orgs: Vec<(Org, i64)>,
    /// The numbers of their plans.
    plans: Vec<(Org, PlanNumber)>,
    /// The number of this transaction.
    number: i64,
    /// The time of the database once it has the locks.
    now: Time,
    /// The number of the last committed transaction of this process.
    last: Option<i64>,
}

impl Transaction<'_> {
    /// Runs the transaction. `sent` is an earlier attempt that may have been committed. After an error, `sent` is the
    /// attempt that may have been committed, if any.
    pub(super) async fn run(
        &self,
        requests: &[Request],
        concerned: Concerned,
        sent: &mut Option<Sent>,
    ) -> Result<Done, Failure> {
        let orgs = self.begin(concerned, sent.as_ref()).await?;
        let Locked {
            orgs,
            plans,
            number,
            now,
            last,
        } = self.lock(&orgs).await?;
        let is_outdated = |(org, version): &&(Org, i64)| !self.mirror.has(org, *version);
        let (outdated, known): (Vec<_>, Vec<_>) = orgs.iter().partition(is_outdated);
        let names = Names::of(requests);
        let outdated: Vec<&str> = outdated.iter().map(|(org, _)| org.as_str()).collect();
        let (mut stored, recalled) =
            try_join(load(self.client, &outdated), recall(self.client, &names)).await?;
        for (org, _) in known {
            self.mirror.copy(org, &mut stored);
        }
        (stored.last_total, stored.last_entry) = (number.cast_unsigned(), number.cast_unsigned());
        let mut state = State::load(stored);
        // The earlier attempt held the same locks, so it has ended.
        if let Some(earlier) = &*sent
            && last == Some(earlier.number)
        {
            let answers = earlier.answers.clone();
            self.client.batch_execute(COMMIT).await?;
            *sent = None;
            return Ok(Done::new(
                answers,
                all_figures(&state),
                orgs,
                plans,
                state,
                now,
            ));
        }
        *sent = None;
        state.recall(recalled);
        state.know_plans(plans.clone());
        let answers = state.apply_all(requests, self.has_clock.then_some(now));
        let figures = if outdated.is_empty() {
            changed_figures(&state)
        } else {
            all_figures(&state)
        };
        let pending = state.pending();
        if pending.is_empty() {
            self.client.batch_execute(COMMIT).await?;
            return Ok(Done::new(answers, figures, orgs, plans, state, now));
        }
        let changed = changed_orgs(&state);
        *sent = Some(Sent {
            number,
            orgs: orgs.iter().map(|(org, _)| org.clone()).collect(),
            answers: answers.clone(),
        });
        if let Err(failure) = self.write(&pending, &changed, number).await {
            if !matches!(failure, Failure::Lost(_)) {
                *sent = None;
            }
            return Err(failure);
        }
        *sent = None;
        state.commit();
        let new = orgs.into_iter().map(|(org, version)| {
            let is_changed = changed.contains(&org);
            (org, if is_changed { number } else { version })
        });
        Ok(Done::new(
            answers,
            figures,
            new.collect(),
            plans,
            state,
            now,
        ))
    }

    /// Begins, and finds the orgs to lock.
    async fn begin(
        &self,
        concerned: Concerned,
        earlier: Option<&Sent>,
    ) -> Result<BTreeSet<Org>, Failure> {
        let mut orgs = concerned.orgs;
        orgs.extend(earlier.into_iter().flat_map(|sent| sent.orgs.clone()));
        let begun = self.client.batch_execute(BEGIN);
        if concerned.totals.is_empty() && concerned.reservations.is_empty() {
            begun.await?;
            return Ok(orgs);
        }
        // An org of a total or reservation never changes.
        let sql = "SELECT org FROM totals WHERE id = ANY($1) \
             UNION SELECT org FROM reservations WHERE id = ANY($2)";
        let ids: [Parameter<'_>; 2] = [
            (&concerned.totals, Type::INT8_ARRAY),
            (&concerned.reservations, Type::TEXT_ARRAY),
        ];
        let found = self.client.query_typed(sql, &ids);
        let ((), found) = try_join(begun, found).await?;
        for row in found {
            orgs.insert(row.try_get::<_, &str>(0)?.into());
        }
        Ok(orgs)
    }

    /// Locks the orgs in the order of their names. The statements are sent together.
    async fn lock(&self, orgs: &BTreeSet<Org>) -> Result<Locked, Failure> {
        let names: Vec<&str> = orgs.iter().map(Org::as_str).collect();
        let new = orgs.iter().filter(|org| !self.mirror.knows(org));
        let new: Vec<&str> = new.map(Org::as_str).collect();
        let insert = "INSERT INTO orgs (org, version, changed_at) SELECT org, 0, 0 \
             FROM unnest($1) AS org ORDER BY org ON CONFLICT DO NOTHING";
        let insert = async {
            if new.is_empty() {
                return Ok(0);
            }
            let new: [Parameter<'_>; 1] = [(&new, Type::TEXT_ARRAY)];
            self.client.execute_typed(insert, &new).await
        };
        let lock =
            "SELECT org, version, plan FROM orgs WHERE org = ANY($1) ORDER BY org FOR UPDATE";
        let names: [Parameter<'_>; 1] = [(&names, Type::TEXT_ARRAY)];
        let lock = self.client.query_typed(lock, &names);
        // The number is taken under the locks, so numbers ascend for every org.
        let number = "SELECT nextval('transactions'), ledger_now(), \
             (SELECT last_transaction FROM writers WHERE writer = $1)";
        let writer: [Parameter<'_>; 1] = [(&self.writer, Type::TEXT)];
        let number = self.client.query_typed(number, &writer);
        let (_, locked, number) = try_join3(insert, lock, number).await?;
        let number = number.first().ok_or_else(no_row)?;
        let (mut orgs, mut plans) = (Vec::new(), Vec::new());
        for row in &locked {
            let org = Org::from(row.try_get::<_, &str>(0)?);
            orgs.push((org.clone(), row.try_get(1)?));
            plans.push((org, PlanNumber(row.try_get(2)?)));
        }
        Ok(Locked {
            orgs,
            plans,
            number: number.try_get(0)?,
            now: Time::from_millis(number.try_get(1)?),
            last: number.try_get(2)?,
        })
    }

    /// Writes the changes and commits. The statements are sent together: after an error the server commits nothing.
    async fn write(
        &self,
        pending: &Batch<'_>,
        changed: &HashSet<Org>,
        number: i64,
    ) -> Result<(), Failure> {
        let needed = pending.entries.len().max(pending.totals.len());
        if needed >= NUMBERS {
            return Err(Failure::Store(StoreError::Database(
                "one commit cannot have so many entries".into(),
            )));
        }
        let totals = TOTALS.upsert(pending.totals.iter().copied());
        let entries = ENTRIES.insert(pending.entries);
        let reservations = RESERVATIONS.upsert(pending.reservations.iter().copied());
        let records = try_join3(
            totals.execute(self.client),
            entries.execute(self.client),
            reservations.execute(self.client),
        );
        let changed: Vec<&str> = changed.iter().map(Org::as_str).collect();
        let version: [Parameter<'_>; 2] = [(&changed, Type::TEXT_ARRAY), (&number, Type::INT8)];
        let version = self.client.execute_typed(VERSION, &version);
        let last: [Parameter<'_>; 2] = [(&self.writer, Type::TEXT), (&number, Type::INT8)];
        let last = self.client.execute_typed(LAST, &last);
        let commit = self.client.batch_execute(COMMIT);
        try_join(records, try_join3(version, last, commit)).await?;
        Ok(())
    }
}

impl Done {
    fn new(
        answers: Vec<Answers>,
        figures: Figures,
        orgs: Vec<(Org, i64)>,
        plans: Vec<(Org, PlanNumber)>,
        state: State,
        now: Time,
    ) -> Self {
        Self {
            transacted: Transacted { answers, figures },
            orgs,
            stored: state.into_stored(),
            plans,
            now,
        }
    }
}

fn changed_orgs(state: &State) -> HashSet<Org> {
    let uses = state.changed_uses().into_iter();
    uses.map(|(org, _)| org).collect()
}

pub(super) fn no_row() -> Failure {
    Failure::Store(StoreError::Database("the database gave no row".into()))
}

/// The records of these orgs that can still change.
pub(super) async fn load(client: &Client, orgs: &[&str]) -> Result<Stored, Failure> {
    if orgs.is_empty() {
        return Ok(Stored::default());
    }
    // The two newest totals of each feature are needed, settled or not.
    let totals = format!(
        "SELECT {} FROM (SELECT *, row_number() OVER \
         (PARTITION BY org, feature ORDER BY period_start DESC, id DESC) AS age \
         FROM totals WHERE org = ANY($1)) AS totals WHERE settled IS NULL OR age <= 2",
        TOTALS.selected()
    );
    let held = format!(
        "SELECT {} FROM reservations WHERE org = ANY($1) AND state = 'held'",
        RESERVATIONS.selected()
    );
    let orgs: [Parameter<'_>; 1] = [(&orgs, Type::TEXT_ARRAY)];
    let totals = client.query_typed(&totals, &orgs);
    let (totals, held) = try_join(totals, client.query_typed(&held, &orgs)).await?;
    Ok(Stored {
        totals: records(&totals)?,
        reservations: records(&held)?,
        ..Stored::default()
    })
}

/// The stored keys and reservations with these names.
pub(super) async fn recall(client: &Client, names: &Names) -> Result<Recalled, Failure> {
    let keys = async {
        if names.keys.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT {} FROM unnest($1, $2) AS named (key, org) \
             JOIN entries ON entries.key = named.key AND entries.key_org = named.org",
            ENTRIES.selected()
        );
        let (orgs, keys): (Vec<&str>, Vec<&str>) = names
            .keys
            .iter()
            .map(|(org, key)| (org.as_str(), &**key))
            .unzip();
        let wanted: [Parameter<'_>; 2] = [(&keys, Type::TEXT_ARRAY), (&orgs, Type::TEXT_ARRAY)];
        client.query_typed(&sql, &wanted).await
    };
    let reservations = async {
        if names.reservations.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT {} FROM reservations WHERE id = ANY($1)",
            RESERVATIONS.selected()
        );
        let ids = names.reservations.iter();
        let ids: Vec<&str> = ids.map(ReservationId::as_str).collect();
        client.query_typed(&sql, &[(&ids, Type::TEXT_ARRAY)]).await
    };
    let (keys, reservations) = try_join(keys, reservations).await?;
    Ok(Recalled {
        keys: records(&keys)?.into_iter().filter_map(known).collect(),
        reservations: records(&reservations)?,
    })
}

const VERSION: &str = "UPDATE orgs SET version = $2, changed_at = ledger_now() WHERE org = ANY($1)";
const LAST: &str = "INSERT INTO writers (writer, last_transaction, written_at) \
     VALUES ($1, $2, ledger_now()) ON CONFLICT (writer) DO UPDATE \
     SET last_transaction = excluded.last_transaction, written_at = excluded.written_at";
