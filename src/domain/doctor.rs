//! Checks for problems with an API key or its account, with remedies.

use serde::Serialize;

use super::{Domain, Error, Result};
use crate::billing::{Access, CLASSIC, Generation, PERMISSIONS, Permission};

/// The age at which an event should have been delivered, in seconds.
const DELIVERED_AFTER: i64 = 10 * 60;

/// A day, in seconds.
const DAY: i64 = 24 * 60 * 60;

/// The maximum difference between this machine's clock and Stripe's, in seconds. Stripe refuses usage that is more than
/// 5 minutes ahead.
const MAX_SKEW: i64 = 60;

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It works.
    Ok,
    /// It works, but could be improved.
    Advice,
    /// Something does not work.
    Wrong,
}

/// The outcome of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was checked.
    pub check: String,
    /// How serious it is.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do about it; `None` if it works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Finding {
    fn ok(check: &str, found: impl Into<String>) -> Self {
        Self {
            check: check.to_owned(),
            verdict: Verdict::Ok,
            found: found.into(),
            remedy: None,
        }
    }

    fn advice(check: &str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Advice,
            remedy: Some(remedy.into()),
            ..Self::ok(check, found)
        }
    }

    fn wrong(check: &str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Wrong,
            ..Self::advice(check, found, remedy)
        }
    }

    fn unknown(check: &str, error: &Error) -> Self {
        let remedy = "try again; if it stays so, see status.stripe.com";
        Self::wrong(check, format!("Stripe does not tell: {error}"), remedy)
    }
}

impl Domain {
    /// Checks the API key and the account. `webhook_path` is the path of the server's webhook receiver. Nothing is
    /// changed, except that with `probes` a price is created and archived to find out whether the account takes classic
    /// prices.
    ///
    /// # Errors
    /// If the key does not work at all.
    pub async fn examine(&self, webhook_path: &str, probes: bool) -> Result<Vec<Finding>> {
        let account = self.billing().account().await?;
        let mut findings = vec![Finding::ok("key", format!("works for {}", account.id))];
        findings.push(self.examine_clock());
        for permission in &PERMISSIONS {
            findings.push(self.examine_permission(permission).await);
        }
        findings.push(self.examine_search().await);
        findings.push(self.examine_webhooks(webhook_path).await);
        findings.push(self.examine_generation(probes).await);
        Ok(findings)
    }

    fn examine_clock(&self) -> Finding {
        let check = "clock";
        let Some(stripe_time) = self.stripe().server_time() else {
            return Finding::advice(
                check,
                "Stripe's answers have no date",
                "check what is between this machine and Stripe",
            );
        };
        let skew = self.account.clock.unix() - stripe_time;
        let found = format!("{skew} s from Stripe's");
        if skew.abs() <= MAX_SKEW {
            return Finding::ok(check, found);
        }
        let remedy = "set this machine's clock, for example with NTP: usage would be billed in the wrong period";
        Finding::wrong(check, found, remedy)
    }

    async fn examine_permission(&self, permission: &Permission) -> Finding {
        let access = match permission.access() {
            Access::Read => "read",
            Access::Write => "write",
        };
        let check = format!("{} ({access})", permission.resource);
        match self.billing().refusal_of(permission).await {
            Ok(None) => Finding::ok(&check, "permitted"),
            Ok(Some(refusal)) => Finding::wrong(
                &check,
                format!(
                    "not permitted, and needed for {}: {refusal}",
                    permission.needed_for
                ),
                format!(
                    "give the key the permission {}: {access}, in Stripe's dashboard under Developers, API keys",
                    permission.resource
                ),
            ),
            Err(error) => Finding::unknown(&check, &error.into()),
        }
    }

    async fn examine_search(&self) -> Finding {
        let check = "search";
        let found = self
            .billing()
            .search_customers(("tier.org", "org:doctor"), None);
        match found.await {
            Ok(_) => Finding::ok(check, "finds customers"),
            Err(error) if error.is_search_unavailable() => Finding::advice(
                check,
                "Stripe does not search the customers of this account",
                "nothing: all customers are listed once instead, which takes a call for each hundred",
            ),
            Err(error) => Finding::unknown(check, &error.into()),
        }
    }

    async fn examine_webhooks(&self, path: &str) -> Finding {
        let check = "webhooks";
        let create = "tier webhook create URL, and set STRIPE_WEBHOOK_SECRET of the server: until then, what others \
                      change is seen after --max-age";
        let endpoints = match self.webhooks().await {
            Ok(endpoints) => endpoints,
            Err(error) => return Finding::unknown(check, &error),
        };
        let ours: Vec<_> = endpoints
            .iter()
            .filter(|endpoint| endpoint.url.ends_with(path))
            .collect();
        let Some(first) = ours.first() else {
            return Finding::advice(check, "no endpoint delivers to a server of Tier's", create);
        };
        if let Some(off) = ours.iter().find(|endpoint| endpoint.status != "enabled") {
            return Finding::wrong(
                check,
                format!("{} ({}) is {}", off.id, off.url, off.status),
                "enable it in Stripe's dashboard: Stripe disables endpoints that do not answer",
            );
        }
        let expected = Some(CLASSIC.0);
        if let Some(other) = ours
            .iter()
            .find(|endpoint| endpoint.api_version.as_deref() != expected)
        {
            return Finding::advice(
                check,
                format!("{} has another API version than {}", other.id, CLASSIC.0),
                format!("tier webhook delete {}, and create it again", other.id),
            );
        }
        let mut advice = self.advice_on_meter_errors(check, path).await;
        if advice.is_none() {
            advice = self.advice_on_deliveries(check).await;
        }
        let delivers = || Finding::ok(check, format!("{} delivers to {}", first.id, first.url));
        advice.unwrap_or_else(delivers)
    }

    /// Advice if events of the last day have not been delivered. Stripe does not say to which endpoint.
    async fn advice_on_deliveries(&self, check: &str) -> Option<Finding> {
        let now = self.at_stripe(self.account.clock.unix());
        let undelivered = self
            .billing()
            .undelivered_event(now - DAY, now - DELIVERED_AFTER);
        // The permission to read events has its own check.
        let event = undelivered.await.ok()??;
        Some(Finding::advice(
            check,
            format!(
                "{} ({}) has not arrived at each endpoint that wants it",
                event.id, event.kind
            ),
            "look at the endpoint's deliveries in Stripe's dashboard: the server must answer at that address, with the secret of that \
             endpoint in STRIPE_WEBHOOK_SECRET",
        ))
    }

    /// Advice if meters' error reports are not delivered to the server.
    async fn advice_on_meter_errors(&self, check: &str, path: &str) -> Option<Finding> {
        if !matches!(self.generation().await, Ok(Generation::Meters)) {
            return None;
        }
        let mut destinations = match self.event_destinations().await {
            Ok(destinations) => destinations.into_iter(),
            Err(error) => {
                return Some(Finding::advice(
                    check,
                    format!("the event destinations cannot be read: {error}"),
                    "nothing: what Stripe drops of meters is found when a period is settled",
                ));
            }
        };
        if destinations
            .any(|destination| destination.url.ends_with(path) && destination.status == "enabled")
        {
            return None;
        }
        Some(Finding::advice(
            check,
            "no event destination delivers meters' reports of dropped usage to a server of Tier's",
            "delete the endpoint with tier webhook delete, and create it again, which also creates the destination: \
             until then, what Stripe drops is found when a period is settled",
        ))
    }

    async fn examine_generation(&self, probes: bool) -> Finding {
        let check = "metered prices";
        let created = match self.generation().await {
            Ok(generation) => generation,
            Err(error) => return Finding::unknown(check, &error),
        };
        let pushes = format!("a push creates {} ones", created.as_str());
        if !probes {
            return Finding::ok(
                check,
                format!("{pushes} (--probe asks what the account takes)"),
            );
        }
        match self.billing().accepts_classic_prices().await {
            Ok(true) => Finding::ok(
                check,
                format!("{pushes}; the account takes both generations"),
            ),
            Ok(false) if created == Generation::Meters || self.may_use_meters() => Finding::ok(
                check,
                "the account takes only those with meters, which a push creates",
            ),
            Ok(false) => Finding::wrong(
                check,
                "the account takes only those with meters, and a push creates classic ones",
                "push with --stripe-generation meters, or set TIER_STRIPE_GENERATION=meters",
            ),
            Err(error) => Finding::unknown(check, &error.into()),
        }
    }
}
