//! The controls under `/_sandbox/`: reset, recorded requests, endpoints, faults and webhook counts.

use std::time::Duration;

use serde_json::{Value, json};

use super::limit;
use super::rule::{Action, Frequency, Rule};
use crate::error::{Error, Result};
use crate::params::Params;
use crate::sandbox::Sandbox;
use crate::store::ids::Id;
use crate::version::{ApiVersion, UnknownVersion};

/// Answers a call to a control. `account` is the caller's account, if a key was sent.
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
            let named = params.string("account")?;
            params.finish()?;
            let named = named.map(|id| {
                let found = sandbox.0.accounts.existing(id).map(|found| found.id.clone());
                found.ok_or_else(|| Error::no_such("account", id, "account"))
            });
            let named = named.transpose()?;
            sandbox.reset_only(account.or(named.as_ref()));
            Ok(json!({}))
        }
        ("GET", "/_sandbox/requests") => {
            params.finish()?;
            Ok(json!({"requests": sandbox.requests(id), "counts": sandbox.counts(id)}))
        }
        ("GET", "/_sandbox/endpoints") => {
            let version = api_version(params)?;
            params.finish()?;
            let version = version.unwrap_or(sandbox.0.options.api_version);
            Ok(json!({"endpoints": sandbox.endpoints(version)}))
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
            sandbox.clear_faults_of(id);
            Ok(json!({}))
        }
        ("GET", "/_sandbox/webhooks") => {
            params.finish()?;
            Ok(json!({"webhooks": sandbox.deliveries()}))
        }
        _ => Err(Error::invalid(format!(
            "Unrecognized control ({method}: {path}). The controls are: POST /_sandbox/reset, /_sandbox/advance and /_sandbox/next_payment, GET and DELETE /_sandbox/requests, GET /_sandbox/endpoints, GET, POST and DELETE /_sandbox/faults, GET /_sandbox/webhooks."
        ))
        .status(404)),
    }
}

fn api_version(params: &Params<'_>) -> Result<Option<ApiVersion>> {
    let given = params.string("api_version")?.map(str::parse);
    given.transpose().map_err(|error: UnknownVersion| {
        Error::malformed("api_version", format!("Invalid api_version: {error}."))
    })
}

/// Reads a rule from a form: `method` and `path` of calls, or the type of a `webhook`'s events; `action`; `skip`;
/// `count` or `probability`, `seed`; and for calls, `when`.
fn rule(params: &Params<'_>) -> Result<Rule> {
    let mut rule = if let Some(kind) = params.string("webhook")? {
        Rule::webhook(kind, webhook_action(params)?)
    } else {
        let text = |key| Ok(params.string(key)?.unwrap_or("*"));
        let rule = Rule::new(text("method")?, text("path")?, call_action(params)?);
        match params.one_of("when", &["before", "after"])? {
            Some("after") => rule.after(),
            _ => rule,
        }
    };
    let skip = params.integer_from("skip", 0)?.unwrap_or(0);
    rule.skip = u32::try_from(skip).unwrap_or(u32::MAX);
    rule.frequency = frequency(params)?;
    rule.seed = params.integer_from("seed", 0)?.map(i64::unsigned_abs);
    Ok(rule)
}

/// Reads the action of a rule for calls: `delay` (by `delay_ms`), a status (429 with a `reason`), `drop`, `cut_body`,
/// `garbage` or `html`.
fn call_action(params: &Params<'_>) -> Result<Action> {
    Ok(match params.required("action")? {
        "delay" => Action::Delay(time(params, "delay_ms")?.min(Duration::from_secs(600))),
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
    })
}

/// Reads the action of a rule for webhooks: `drop`, `double`, `delay` (by `delay_ms`) or `shuffle` (within
/// `window_ms`).
fn webhook_action(params: &Params<'_>) -> Result<Action> {
    Ok(match params.required("action")? {
        "drop" => Action::Drop,
        "double" => Action::Double,
        "delay" => Action::Delay(time(params, "delay_ms")?),
        "shuffle" => Action::Shuffle(time(params, "window_ms")?),
        _ => {
            return Err(Error::malformed(
                "action",
                "Invalid action: must be one of drop, double, delay, shuffle for a webhook.",
            ));
        }
    })
}

fn time(params: &Params<'_>, key: &str) -> Result<Duration> {
    let millis = params.integer_from(key, 0)?;
    let millis = millis.ok_or_else(|| params.missing(key))?;
    Ok(Duration::from_millis(millis.unsigned_abs()))
}

fn frequency(params: &Params<'_>) -> Result<Frequency> {
    let count = params.integer_from("count", 1)?;
    match (count, params.decimal("probability")?) {
        (Some(count), None) => Ok(Frequency::Count(u32::try_from(count).unwrap_or(u32::MAX))),
        (None, Some(probability)) => Ok(Frequency::Probability(
            probability.try_into().unwrap_or(1.0),
        )),
        (None, None) => Ok(Frequency::Always),
        (Some(_), Some(_)) => Err(Error::malformed(
            "count",
            "Give `count` or `probability`, not both.",
        )),
    }
}

/// The message of most faults.
const FAULT_MESSAGE: &str = "An unknown error occurred: a fault rule of the sandbox caused it.";

/// The error answer of a fault.
pub(crate) fn fault_error(status: u16, reason: Option<&str>) -> Error {
    match status {
        429 => limit::limited(reason),
        409 => Error::invalid("The request conflicts with another request (perhaps due to using the same idempotent key).")
            .status(409),
        400 => Error::invalid(FAULT_MESSAGE),
        _ => Error::invalid(FAULT_MESSAGE).kind("api_error").status(status),
    }
}
