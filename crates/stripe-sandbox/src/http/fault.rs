//! The active fault rules, and their matching with calls and webhooks.

use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::rule::{Action, Frequency, Rule, When};
use crate::store::ids::mix;

/// The active rules.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<ActiveRule>);

#[derive(Debug)]
struct ActiveRule {
    rule: Rule,
    random: u64,
    /// How many matches it has skipped.
    passed: u32,
    hits: u64,
    /// Cancelled when the rule is deleted.
    deleted: CancellationToken,
    _on_drop: DropGuard,
}

impl Faults {
    pub(crate) fn add(&mut self, rule: Rule, seed: u64) {
        let random = mix(rule.seed.unwrap_or(seed));
        let deleted = CancellationToken::new();
        self.0.push(ActiveRule {
            rule,
            random,
            passed: 0,
            hits: 0,
            _on_drop: deleted.clone().drop_guard(),
            deleted,
        });
    }

    pub(crate) fn clear(&mut self, account: Option<&str>) {
        self.0
            .retain(|active| account.is_some() && active.rule.account.as_deref() != account);
    }

    /// The faults of a call: all delays, and the first other fault.
    pub(crate) fn match_call(&mut self, account: &str, method: &str, path: &str) -> MatchedFaults {
        let mut matched = MatchedFaults::default();
        for active in &mut self.0 {
            let delay = matches!(active.rule.action, Action::Delay(_));
            let skipped = matched.fault.is_some() && !delay;
            if skipped || !active.rule.is_for_call(account, method, path) || !active.hit() {
                continue;
            }
            match active.rule.action.clone() {
                Action::Delay(time) => matched.delays.push((time, active.deleted.clone())),
                Action::Double | Action::Shuffle(_) => {}
                action => matched.fault = Some((action, active.rule.when)),
            }
        }
        matched
    }

    /// The delay of each copy of an event's webhook to one endpoint, in milliseconds. Empty if the webhook is dropped.
    pub(crate) fn match_webhook(&mut self, account: &str, kind: &str) -> Vec<i64> {
        let mut waits = vec![0_i64];
        for active in &mut self.0 {
            if !active.rule.is_for_webhook(account, kind) || !active.hit() {
                continue;
            }
            match active.rule.action {
                Action::Drop => return Vec::new(),
                Action::Double => waits.extend_from_within(..),
                Action::Delay(time) => {
                    for wait in &mut waits {
                        *wait = wait.saturating_add(millis(time));
                    }
                }
                Action::Shuffle(window) => {
                    for wait in &mut waits {
                        *wait = wait.saturating_add(active.below(millis(window)));
                    }
                }
                Action::Status(..) | Action::CutBody | Action::GarbageJson | Action::HtmlPage => {}
            }
        }
        waits
    }

    /// How many calls and webhooks the rules have applied to.
    pub(crate) fn hits(&self) -> u64 {
        self.0.iter().map(|active| active.hits).sum()
    }

    pub(crate) fn to_json(&self, account: Option<&str>) -> Value {
        let of = |active: &&ActiveRule| {
            account.is_none_or(|_| active.rule.account.as_deref() == account)
        };
        let active = self.0.iter().filter(of);
        active
            .map(|active| active.rule.to_json(active.hits))
            .collect()
    }
}

/// See [`Faults::match_call`].
#[derive(Debug, Default)]
pub(crate) struct MatchedFaults {
    /// Each delay with the token that ends it early.
    delays: Vec<(Duration, CancellationToken)>,
    pub(crate) fault: Option<(Action, When)>,
}

impl MatchedFaults {
    /// Waits for all delays.
    pub(crate) async fn wait(&self) {
        for (time, deleted) in &self.delays {
            deleted.run_until_cancelled(tokio::time::sleep(*time)).await;
        }
    }
}

impl ActiveRule {
    /// Whether a matching rule applies this time. Counts the hit.
    fn hit(&mut self) -> bool {
        if self.passed < self.rule.skip {
            self.passed += 1;
            return false;
        }
        let applies = match self.rule.frequency {
            Frequency::Always => true,
            Frequency::Count(count) => self.hits < u64::from(count),
            Frequency::Probability(probability) => {
                self.random = mix(self.random);
                // An f64 holds 53 bits exactly.
                #[expect(clippy::cast_precision_loss, reason = "53 bits are exact in an f64")]
                let drawn = (self.random >> 11) as f64 / (1_u64 << 53) as f64;
                drawn < probability
            }
        };
        self.hits += u64::from(applies);
        applies
    }

    /// A random number from 0 up to but not including `end`; 0 if that is empty.
    fn below(&mut self, end: i64) -> i64 {
        self.random = mix(self.random);
        let drawn = self.random.checked_rem(end.unsigned_abs()).unwrap_or(0);
        i64::try_from(drawn).unwrap_or(0)
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::rule::{Frequency, Rule};

    #[test]
    fn counts_run_out_and_probabilities_repeat_with_the_seed() {
        let mut faults = Faults::default();
        faults.add(Rule::new("POST", "/v1/*", Action::Drop).times(2), 0);
        let hit = |faults: &mut Faults| faults.match_call("acct", "POST", "/v1/x").fault.is_some();
        assert_eq!(
            [hit(&mut faults), hit(&mut faults), hit(&mut faults)],
            [true, true, false]
        );
        let draw = |seed| {
            let mut faults = Faults::default();
            let mut rule = Rule::new("*", "*", Action::Drop);
            rule.frequency = Frequency::Probability(0.5);
            faults.add(rule, seed);
            (0..64).map(|_| hit(&mut faults)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert!(draw(1).contains(&true) && draw(1).contains(&false));
    }

    #[test]
    fn a_rule_can_let_the_first_matches_pass() {
        let mut faults = Faults::default();
        let rule = Rule::new("POST", "/v1/*", Action::Drop);
        faults.add(rule.skipping(2).times(1), 0);
        let hits = ["POST", "GET", "POST", "POST", "POST"];
        let hits = hits.map(|method| {
            let matched = faults.match_call("acct", method, "/v1/x");
            matched.fault.is_some()
        });
        assert_eq!(hits, [false, false, false, true, false]);
    }

    #[test]
    fn rules_for_webhooks_add_up() {
        let second = Duration::from_secs(1);
        let mut faults = Faults::default();
        faults.add(Rule::webhook("customer.*", Action::Delay(second)), 0);
        faults.add(Rule::webhook("*.created", Action::Double).times(2), 0);
        faults.add(Rule::webhook("*", Action::Status(500, None)), 0);
        faults.add(Rule::new("*", "*", Action::Drop), 0);
        assert_eq!(faults.match_webhook("acct", "product.created"), [0, 0]);
        assert_eq!(
            faults.match_webhook("acct", "customer.created"),
            [1000, 1000]
        );
        assert_eq!(faults.match_webhook("acct", "customer.created"), [1000]);
        faults.add(Rule::webhook("customer.deleted", Action::Drop).times(1), 0);
        assert_eq!(faults.match_webhook("acct", "customer.deleted"), [0; 0]);
        assert_eq!(faults.match_webhook("acct", "customer.deleted"), [1000]);
        faults.add(Rule::webhook("product.*", Action::Shuffle(second)), 0);
        let mut waits = (0..64).flat_map(|_| faults.match_webhook("acct", "product.deleted"));
        assert!(waits.all(|wait| (0..1000).contains(&wait)));
        let [first, second] = [(); 2].map(|()| faults.match_webhook("acct", "product.updated"));
        assert_ne!(first, second);
        faults.add(Rule::webhook("*", Action::Shuffle(Duration::ZERO)), 0);
        assert_eq!(faults.match_webhook("acct", "price.created"), [0]);
    }
}
