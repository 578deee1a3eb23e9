//! Reads an org at the servers and at Stripe, and compares the result with the model.

use std::collections::BTreeMap;

use serde_json::Value;

use super::model::{Org, Period};
use super::plans;
use super::run::{Outcome, World};
use crate::harness::{START, STRIPE_KEY, TestApp};
use tier::billing::{CLASSIC, WITH_METERS};

/// Makes the server read from Stripe, so that the answer includes another server's changes.
const FRESH: [(&str, &str); 1] = [("cache-control", "no-cache")];

/// A subscription item with usage.
#[derive(Debug)]
struct Metered {
    item: String,
    /// The full name of the item's feature.
    full: String,
    customer: String,
    /// The meter of the item's price, if it has one.
    meter: Option<String>,
}

/// What the servers and Stripe show of an org at one time.
#[derive(Debug)]
pub(super) struct Seen {
    known: bool,
    /// How many subscriptions may bill the org.
    live: usize,
    /// The time of the read.
    now: i64,
    /// The present billing period, as Stripe has it. The model computes the usage in it.
    pub(super) period: Period,
    /// The rows of `/v1/limits`: feature, used, limit.
    limits: Vec<(String, i64, i64)>,
    /// The full names of the current phase's features. None without a current phase.
    features: Option<Value>,
    /// The items that have usage.
    metered: Vec<Metered>,
}

impl Seen {
    /// Reads the org at two servers and at Stripe, after all background work is done.
    pub(super) async fn of(
        world: &World,
        name: &str,
        [one, other]: [&TestApp; 2],
        now: i64,
    ) -> Outcome<Self> {
        let mut seen = Self {
            known: false,
            live: 0,
            now,
            period: Period {
                start: now,
                end: i64::MAX,
            },
            limits: Vec::new(),
            features: None,
            metered: Vec::new(),
        };
        let path = format!("/v1/phase?org={name}");
        let phase = other.get_with(&path, &FRESH).await;
        match phase.status.as_u16() {
            200 => seen.features = Some(phase.json()["features"].clone()),
            404 => {}
            400 if phase.json()["code"] == "org_not_found" => return Ok(seen),
            _ => return Err(format!("phase: {phase:?}")),
        }
        seen.known = true;
        seen.limits = limits(one, name).await?;
        one.settled().await;
        other.settled().await;
        let live = live_subscriptions(world, name).await?;
        seen.live = live.len();
        if let Some(subscription) = live.first() {
            let second = |key: &str| subscription[key].as_i64().ok_or("no period");
            seen.period = Period {
                start: second("current_period_start")?,
                end: second("current_period_end")?,
            };
            let items = subscription["items"]["data"].as_array().ok_or("no items")?;
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let metered = items
                .iter()
                .filter(|item| item["price"]["recurring"]["usage_type"] == "metered");
            seen.metered = metered
                .map(|item| {
                    let feature = &item["price"]["metadata"]["tier.feature"];
                    Metered {
                        item: text(&item["id"]),
                        full: text(feature),
                        customer: text(&subscription["customer"]),
                        meter: item["price"]["recurring"]["meter"]
                            .as_str()
                            .map(str::to_owned),
                    }
                })
                .collect();
        }
        Ok(seen)
    }

    /// Compares what was read with `state`. The error says what is different.
    pub(super) fn compare(&self, state: &Org) -> Outcome {
        let expected = |what: &str, expected: &dyn std::fmt::Debug| {
            Err(format!("{what}: expected {expected:?}, seen {self:?}"))
        };
        if self.known != state.known {
            return expected("known", &state.known);
        }
        if !self.known {
            return Ok(());
        }
        let current = state.current();
        if self.live != usize::from(current.is_some()) {
            return expected("live subscriptions", &current);
        }
        let limits = self.claimed(state);
        if self.limits != limits {
            return expected("limits", &limits);
        }
        let features = current.map(|current| serde_json::json!(plans::features(current)));
        if self.features != features {
            return expected("phase", &features);
        }
        Ok(())
    }

    /// The expected rows of `/v1/limits`. Usage that the model cannot predict is taken from the answer.
    fn claimed(&self, state: &Org) -> Vec<(String, i64, i64)> {
        let mut expected = state.limits(self.now, self.period.start);
        for (feature, used, _) in &mut expected {
            let row = self.limits.iter().find(|(name, ..)| name == feature);
            if let Some(row) = row.filter(|_| !state.claims(feature, self.period.start)) {
                *used = row.1;
            }
        }
        expected
    }

    /// The usage of the items over all periods, as Stripe has it.
    pub(super) async fn usage(&self, world: &World) -> Outcome<BTreeMap<String, i64>> {
        let mut totals = BTreeMap::new();
        for one in &self.metered {
            let full = &one.full;
            if let Some(meter) = &one.meter {
                let counted = self.counted(world, meter, &one.customer).await?;
                totals.insert(full.clone(), counted);
                continue;
            }
            let item = &one.item;
            let path = format!("/v1/subscription_items/{item}/usage_record_summaries?limit=100");
            let periods = stripe(world, &path).await?;
            let total = periods
                .iter()
                .filter_map(|period| period["total_usage"].as_i64())
                .sum();
            totals.insert(full.clone(), total);
        }
        Ok(totals)
    }

    /// The usage of a customer that a meter has counted until now.
    async fn counted(&self, world: &World, meter: &str, customer: &str) -> Outcome<i64> {
        let start = START - START.rem_euclid(60);
        let end = self.now - self.now.rem_euclid(60) + 600;
        let path = format!(
            "/v1/billing/meters/{meter}/event_summaries?customer={customer}&start_time={start}&end_time={end}"
        );
        let summaries = stripe(world, &path).await?;
        let totals = summaries.iter();
        let totals = totals.map(|one| one["aggregated_value"].as_i64());
        let total: Option<i64> = totals.sum();
        total.ok_or_else(|| "no total".to_owned())
    }
}

/// Compares sums over all periods with the acknowledged usage. Skips features of removed items on meters, since a meter
/// also has the usage of the earlier item.
pub(super) fn compare_usage(
    usage: &BTreeMap<String, i64>,
    state: &Org,
    on_meters: bool,
) -> Outcome {
    let comparable = |full: &str| !on_meters || !state.is_gone(full);
    for (full, total) in usage.iter().filter(|(full, _)| comparable(full)) {
        if let Some(expected) = state.summed(full).filter(|expected| expected != total) {
            return Err(format!(
                "{full}: {total} in Stripe, {expected} acknowledged"
            ));
        }
    }
    Ok(())
}

async fn limits(app: &TestApp, name: &str) -> Outcome<Vec<(String, i64, i64)>> {
    let path = format!("/v1/limits?org={name}");
    let answer = app.get_with(&path, &FRESH).await;
    if answer.status != 200 {
        return Err(format!("limits: {answer:?}"));
    }
    let answer = answer.json();
    let rows = answer["usage"].as_array().ok_or("no usage")?.iter();
    let row = |row: &Value| {
        let feature = row["feature"].as_str()?.to_owned();
        Some((feature, row["used"].as_i64()?, row["limit"].as_i64()?))
    };
    rows.map(row)
        .collect::<Option<_>>()
        .ok_or_else(|| format!("limits: {answer}"))
}

/// Reads a list from Stripe.
async fn stripe(world: &World, path: &str) -> Outcome<Vec<Value>> {
    let url = format!("{}{path}", world.stripe_url());
    let request = world.http().get(url).bearer_auth(STRIPE_KEY);
    let version = if path.starts_with("/v1/billing/") {
        WITH_METERS
    } else {
        CLASSIC
    };
    let request = request.header("stripe-version", version.0);
    let answer = request.send().await.map_err(|error| error.to_string())?;
    let text = answer.text().await.map_err(|error| error.to_string())?;
    let list: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    list["data"].as_array().cloned().ok_or(text)
}

/// The subscriptions that may still bill the org. Fails unless the org has exactly one customer.
async fn live_subscriptions(world: &World, name: &str) -> Outcome<Vec<Value>> {
    let customers = stripe(world, "/v1/customers?limit=100&expand[]=data.subscriptions").await?;
    let mut own = customers
        .iter()
        .filter(|customer| customer["metadata"]["tier.org"] == name);
    match (own.next(), own.next()) {
        (Some(customer), None) => {
            let live = customer["subscriptions"]["data"].as_array();
            Ok(live.ok_or("no subscriptions")?.clone())
        }
        _ => Err(format!("not one customer for {name}: {customers:?}")),
    }
}
