//! Faults on demand: what goes wrong, for which calls, how often, and before or after the call had its effect.

use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::store::ids::mix;

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The answer takes this much longer, or until the rule is deleted.
    Delay(Duration),
    /// An error answer: 409, 429 (with the header `Stripe-Rate-Limited-Reason`, if a reason is given) or 5xx.
    Status(u16, Option<String>),
    /// The connection closes without an answer.
    Drop,
    /// The connection closes in the middle of the answer's body.
    CutBody,
    /// The answer is 200 with half a JSON text, complete as HTTP goes.
    GarbageJson,
    /// The answer is a proxy's 502 page in HTML.
    HtmlPage,
}

/// Whether the call takes effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum When {
    /// It does not: the error comes first, and an idempotency key stays unused.
    #[default]
    Before,
    /// It does, and the client does not learn of it. An error answer is kept under the idempotency key; if
    /// the connection is what breaks, the real answer is.
    After,
}

/// How often.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// The next so many matching calls.
    Count(u32),
    /// Each matching call with this probability (0 to 1), by the sandbox's seed.
    Probability(f64),
    /// Every matching call.
    Always,
}

/// A rule: the first one that matches a call and has not run out applies.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// The method, or `*`.
    pub method: String,
    /// The path, in which a `*` stands for any text.
    pub path: String,
    /// What happens.
    pub action: Action,
    /// Before or after the effect; of no meaning to a delay.
    pub when: When,
    /// How often it happens.
    pub amount: Amount,
    /// The seed of a probability; by default, the sandbox's.
    pub seed: Option<u64>,
    /// The account that it is for (`acct_…`), or all.
    pub account: Option<String>,
}

impl Rule {
    /// Every call with this method and path, before the effect, on all accounts.
    pub fn new(method: &str, path: &str, action: Action) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            action,
            when: When::Before,
            amount: Amount::Always,
            seed: None,
            account: None,
        }
    }

    /// Only the next so many calls.
    #[must_use]
    pub fn times(mut self, count: u32) -> Self {
        self.amount = Amount::Count(count);
        self
    }

    /// After the effect.
    #[must_use]
    pub fn after(mut self) -> Self {
        self.when = When::After;
        self
    }
}

/// The rules in force.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Active>);

#[derive(Debug)]
struct Active {
    rule: Rule,
    random: u64,
    hits: u64,
    /// Cancelled when the rule is deleted.
    deleted: CancellationToken,
    _on_drop: DropGuard,
}

impl Faults {
    pub(crate) fn add(&mut self, rule: Rule, seed: u64) {
        let random = mix(rule.seed.unwrap_or(seed));
        let deleted = CancellationToken::new();
        self.0.push(Active {
            rule,
            random,
            hits: 0,
            _on_drop: deleted.clone().drop_guard(),
            deleted,
        });
    }

    pub(crate) fn clear(&mut self, account: Option<&str>) {
        self.0
            .retain(|active| account.is_some() && active.rule.account.as_deref() != account);
    }

    /// What this call meets: any delays, and the first other fault.
    pub(crate) fn meet(&mut self, account: &str, method: &str, path: &str) -> Met {
        let mut met = Met::default();
        for active in &mut self.0 {
            let delay = matches!(active.rule.action, Action::Delay(_));
            if (met.fault.is_some() && !delay) || !active.applies(account, method, path) {
                continue;
            }
            active.hits += 1;
            match active.rule.action.clone() {
                Action::Delay(time) => met.delays.push((time, active.deleted.clone())),
                action => met.fault = Some((action, active.rule.when)),
            }
        }
        met
    }

    /// How many calls the rules have applied to.
    pub(crate) fn hits(&self) -> u64 {
        self.0.iter().map(|active| active.hits).sum()
    }

    pub(crate) fn to_json(&self, account: Option<&str>) -> Value {
        let of =
            |active: &&Active| account.is_none_or(|_| active.rule.account.as_deref() == account);
        self.0.iter().filter(of).map(Active::to_json).collect()
    }
}

/// See [`Faults::meet`].
#[derive(Debug, Default)]
pub(crate) struct Met {
    /// Each with the token that ends it early.
    delays: Vec<(Duration, CancellationToken)>,
    pub(crate) fault: Option<(Action, When)>,
}

impl Met {
    /// Waits as long as the delays say.
    pub(crate) async fn wait(&self) {
        for (time, deleted) in &self.delays {
            deleted.run_until_cancelled(tokio::time::sleep(*time)).await;
        }
    }
}

impl Active {
    fn applies(&mut self, account: &str, method: &str, path: &str) -> bool {
        let rule = &self.rule;
        if rule.account.as_deref().is_some_and(|of| of != account)
            || (rule.method != "*" && !rule.method.eq_ignore_ascii_case(method))
            || !glob(&rule.path, path)
        {
            return false;
        }
        match rule.amount {
            Amount::Always => true,
            Amount::Count(count) => self.hits < u64::from(count),
            Amount::Probability(probability) => {
                self.random = mix(self.random);
                // 53 bits are what a double holds exactly.
                #[expect(clippy::cast_precision_loss, reason = "53 bits are exact in an f64")]
                let drawn = (self.random >> 11) as f64 / (1_u64 << 53) as f64;
                drawn < probability
            }
        }
    }

    fn to_json(&self) -> Value {
        let rule = &self.rule;
        let (count, probability) = match rule.amount {
            Amount::Count(count) => (Some(count), None),
            Amount::Probability(probability) => (None, Some(probability)),
            Amount::Always => (None, None),
        };
        json!({
            "method": rule.method,
            "path": rule.path,
            "when": match rule.when { When::Before => "before", When::After => "after" },
            "action": rule.action.name(),
            "count": count,
            "probability": probability,
            "seed": rule.seed,
            "account": rule.account,
            "hits": self.hits,
        })
    }
}

impl Action {
    /// As [`control`](crate::http::control) reads it.
    fn name(&self) -> String {
        match self {
            Self::Delay(time) => format!("delay {} ms", time.as_millis()),
            Self::Status(status, _) => status.to_string(),
            Self::Drop => "drop".to_owned(),
            Self::CutBody => "cut_body".to_owned(),
            Self::GarbageJson => "garbage".to_owned(),
            Self::HtmlPage => "html".to_owned(),
        }
    }
}

/// Whether the text is like the pattern, in which `*` is any text.
fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_are_any_text() {
        for (pattern, text, like) in [
            ("/v1/customers", "/v1/customers", true),
            ("/v1/customers", "/v1/customers/x", false),
            ("/v1/*", "/v1/customers/x", true),
            (
                "*/usage_records",
                "/v1/subscription_items/si_1/usage_records",
                true,
            ),
            ("/v1/*/x/*", "/v1/a/x/b", true),
            ("/v1/*a", "/v1/", false),
            ("*", "", true),
        ] {
            assert_eq!(glob(pattern, text), like, "{pattern} {text}");
        }
    }

    #[test]
    fn counts_run_out_and_probabilities_repeat_with_the_seed() {
        let mut faults = Faults::default();
        faults.add(Rule::new("POST", "/v1/*", Action::Drop).times(2), 0);
        let hit = |faults: &mut Faults| faults.meet("acct", "POST", "/v1/x").fault.is_some();
        assert_eq!(
            [hit(&mut faults), hit(&mut faults), hit(&mut faults)],
            [true, true, false]
        );
        let draw = |seed| {
            let mut faults = Faults::default();
            let mut rule = Rule::new("*", "*", Action::Drop);
            rule.amount = Amount::Probability(0.5);
            faults.add(rule, seed);
            (0..64).map(|_| hit(&mut faults)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert!(draw(1).contains(&true) && draw(1).contains(&false));
    }
}
