//! The controls under `/_sandbox/`: for tests in any language, and for people.

use std::time::Duration;

use serde_json::{Value, json};

use super::fault::{Action, Amount, Rule, When};
use super::limit;
use crate::Sandbox;
use crate::error::{Error, Result};
use crate::params::Params;
use crate::store::ids::Id;

/// Answers a call to a control; `account` is the caller's, if a key was sent.
pub(crate) fn answer(
    sandbox: &Sandbox,
    method: &str,
    path: &str,
    account: Option<&Id>,
    params: &Params<'_>,
) -> Result<Value> {
    let id = account.map(|id| &**id);
    match (method, path) {
        ("POST", "/_sandbox/reset") => {
            params.finish()?;
            sandbox.reset_only(account);
            Ok(json!({}))
        }
        ("GET", "/_sandbox/requests") => {
            params.finish()?;
            Ok(json!({"requests": sandbox.requests(id), "counts": sandbox.counts(id)}))
        }
        ("DELETE", "/_sandbox/requests") => {
            params.finish()?;
            crate::store::locked(&sandbox.0.record).clear(id);
            Ok(json!({}))
        }
        ("GET", "/_sandbox/faults") => {
            params.finish()?;
            Ok(json!({"faults": sandbox.faults_json(id)}))
        }
        ("POST", "/_sandbox/faults") => {
            let mut rule = rule(params)?;
            params.finish()?;
            rule.account = rule.account.or_else(|| id.map(str::to_owned));
            sandbox.add_fault(rule);
            Ok(json!({"faults": sandbox.faults_json(id)}))
        }
        ("DELETE", "/_sandbox/faults") => {
            params.finish()?;
            crate::store::locked(&sandbox.0.faults).clear(id);
            Ok(json!({}))
        }
        _ => Err(Error::invalid(format!(
            "Unrecognized control ({method}: {path}). There are: POST /_sandbox/reset, GET and DELETE /_sandbox/requests, GET, POST and DELETE /_sandbox/faults."
        ))
        .status(404)),
    }
}

/// Reads a rule from a form: `method`, `path`, `action` (`delay`, a status, `drop`, `cut_body`, `garbage` or
/// `html`), `delay_ms`, `reason` (of a 429), `when`, `count` or `probability`, `seed`.
fn rule(params: &Params<'_>) -> Result<Rule> {
    let action = match params.required("action")? {
        "delay" => {
            let millis = params.integer_from("delay_ms", 0)?;
            let millis = millis.ok_or_else(|| params.missing("delay_ms"))?;
            Action::Delay(Duration::from_millis(millis.unsigned_abs().min(600_000)))
        }
        "drop" => Action::Drop,
        "cut_body" => Action::CutBody,
        "garbage" => Action::GarbageJson,
        "html" => Action::HtmlPage,
        status => match status.parse() {
            Ok(status @ (409 | 429 | 500..=599)) => {
                Action::Status(status, params.string("reason")?.map(str::to_owned))
            }
            _ => {
                return Err(Error::malformed(
                    "action",
                    "Invalid action: must be one of delay, 409, 429, 500 to 599, drop, cut_body, garbage, html.",
                ));
            }
        },
    };
    let count = params.integer_from("count", 1)?;
    let amount = match (count, params.decimal("probability")?) {
        (Some(count), None) => Amount::Count(u32::try_from(count).unwrap_or(u32::MAX)),
        (None, Some(probability)) => Amount::Probability(probability.try_into().unwrap_or(1.0)),
        (None, None) => Amount::Always,
        (Some(_), Some(_)) => {
            return Err(Error::malformed(
                "count",
                "Give `count` or `probability`, not both.",
            ));
        }
    };
    let when = params.one_of("when", &["before", "after"])?;
    Ok(Rule {
        method: params.string("method")?.unwrap_or("*").to_owned(),
        path: params.string("path")?.unwrap_or("*").to_owned(),
        action,
        when: if when == Some("after") {
            When::After
        } else {
            When::Before
        },
        amount,
        seed: params.integer_from("seed", 0)?.map(i64::unsigned_abs),
        account: None,
    })
}

/// What most faults say.
const ASKED_FOR: &str = "An unknown error occurred: this is a fault that was asked for.";

/// The error answer that a fault stands for.
pub(crate) fn fault_error(status: u16, reason: Option<&str>) -> Error {
    match status {
        429 => limit::limited(reason),
        409 => Error::invalid("The request conflicts with another request (perhaps due to using the same idempotent key).")
            .status(409),
        400 => Error::invalid(ASKED_FOR),
        _ => Error::invalid(ASKED_FOR).kind("api_error").status(status),
    }
}
