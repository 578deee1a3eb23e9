//! Fault rules: the fault, the calls or webhooks that it applies to, how often, and whether before or after the call
//! takes effect.

use std::time::Duration;

use serde_json::{Value, json};

use crate::resource::json::merged;

/// The fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The answer is delayed by this time, or until the rule is deleted. A webhook is sent this much later by the
    /// sandbox's clock, or when rules are deleted.
    Delay(Duration),
    /// An error answer: 409, 429 (with the header `Stripe-Rate-Limited-Reason`, if a reason is given) or 5xx.
    Status(u16, Option<String>),
    /// The connection closes without an answer. A webhook is never sent.
    Drop,
    /// The connection closes in the middle of the answer's body.
    CutBody,
    /// The answer is a complete 200, but its body is half a JSON text.
    GarbageJson,
    /// The answer is a 502 page in HTML, as from a proxy.
    HtmlPage,
    /// A webhook is sent twice.
    Double,
    /// Webhooks within this time are sent in another order: each is delayed by a random part of this time, which
    /// depends on the seed.
    Shuffle(Duration),
}

/// The calls or webhooks that a rule applies to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Calls. [`Action::Double`] and [`Action::Shuffle`] have no effect on them.
    Calls {
        /// The method, or `*`.
        method: String,
        /// The path, in which a `*` stands for any text.
        path: String,
    },
    /// Webhooks for events of this type, in which a `*` stands for any text. Only [`Action::Drop`], [`Action::Double`],
    /// [`Action::Delay`] and [`Action::Shuffle`] have an effect on them.
    Webhooks(String),
}

/// Whether the call takes effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum When {
    /// The call does not take effect, and its idempotency key stays unused.
    #[default]
    Before,
    /// The call takes effect, but the client does not see the answer. With [`Action::Status`], the error is kept under
    /// the idempotency key; with the other actions, the real answer.
    After,
}

/// How often a rule applies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Frequency {
    /// To this many matches, the next ones.
    Count(u32),
    /// To each match with this probability (0 to 1), which depends on the seed.
    Probability(f64),
    /// To every match.
    Always,
}

/// A fault rule. A call gets all delays that match, and the first other fault; a webhook gets all faults that match.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// The calls or webhooks that it applies to.
    pub subject: Subject,
    /// The fault.
    pub action: Action,
    /// Whether the fault comes before or after the call takes effect. Irrelevant for delays and webhooks.
    pub when: When,
    /// How many matches pass before it applies for the first time.
    pub skip: u32,
    /// How often it applies.
    pub frequency: Frequency,
    /// The seed of the probability; by default, the sandbox's.
    pub seed: Option<u64>,
    /// The account that it applies to (`acct_…`); by default, all.
    pub account: Option<String>,
}

impl Rule {
    /// A rule for every call with this method and path, before the effect, on all accounts.
    pub fn new(method: &str, path: &str, action: Action) -> Self {
        let (method, path) = (method.to_owned(), path.to_owned());
        Self::of(Subject::Calls { method, path }, action)
    }

    /// A rule for every webhook of an event of this type (`*` stands for any text), on all accounts. It is applied when
    /// the event happens.
    pub fn webhook(kind: &str, action: Action) -> Self {
        Self::of(Subject::Webhooks(kind.to_owned()), action)
    }

    fn of(subject: Subject, action: Action) -> Self {
        Self {
            subject,
            action,
            when: When::Before,
            skip: 0,
            frequency: Frequency::Always,
            seed: None,
            account: None,
        }
    }

    /// Applies only to the next `count` matches.
    #[must_use]
    pub fn times(mut self, count: u32) -> Self {
        self.frequency = Frequency::Count(count);
        self
    }

    /// Lets the first `count` matches pass.
    #[must_use]
    pub fn skipping(mut self, count: u32) -> Self {
        self.skip = count;
        self
    }

    /// Applies after the effect.
    #[must_use]
    pub fn after(mut self) -> Self {
        self.when = When::After;
        self
    }
}

impl Rule {
    /// Whether the rule matches a call.
    pub(super) fn is_for_call(&self, account: &str, method: &str, path: &str) -> bool {
        let Subject::Calls {
            method: methods,
            path: paths,
        } = &self.subject
        else {
            return false;
        };
        self.is_for_account(account)
            && (methods == "*" || methods.eq_ignore_ascii_case(method))
            && glob(paths, path)
    }

    /// Whether the rule matches the webhooks of an event.
    pub(super) fn is_for_webhook(&self, account: &str, kind: &str) -> bool {
        matches!(&self.subject, Subject::Webhooks(kinds) if glob(kinds, kind))
            && self.is_for_account(account)
    }

    fn is_for_account(&self, account: &str) -> bool {
        self.account.as_deref().is_none_or(|of| of == account)
    }

    /// The rule as [`control`](crate::http::control) shows it. `hits` is how often it has applied.
    pub(super) fn to_json(&self, hits: u64) -> Value {
        let (count, probability) = match self.frequency {
            Frequency::Count(count) => (Some(count), None),
            Frequency::Probability(probability) => (None, Some(probability)),
            Frequency::Always => (None, None),
        };
        let subject = match &self.subject {
            Subject::Calls { method, path } => json!({
                "method": method,
                "path": path,
                "when": match self.when { When::Before => "before", When::After => "after" },
            }),
            Subject::Webhooks(kind) => json!({"webhook": kind}),
        };
        let rest = json!({
            "action": self.action.name(),
            "skip": self.skip,
            "count": count,
            "probability": probability,
            "seed": self.seed,
            "account": self.account,
            "hits": hits,
        });
        merged([subject, rest])
    }
}

impl Action {
    /// The action's name, as [`control`](crate::http::control) reads it.
    fn name(&self) -> String {
        match self {
            Self::Delay(time) => format!("delay {} ms", time.as_millis()),
            Self::Status(status, _) => status.to_string(),
            Self::Drop => "drop".to_owned(),
            Self::CutBody => "cut_body".to_owned(),
            Self::GarbageJson => "garbage".to_owned(),
            Self::HtmlPage => "html".to_owned(),
            Self::Double => "double".to_owned(),
            Self::Shuffle(window) => format!("shuffle {} ms", window.as_millis()),
        }
    }
}

/// Whether the text matches the pattern, in which `*` stands for any text.
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
}
