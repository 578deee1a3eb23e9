//! The recorded calls.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value;

use crate::stripe::Param;

/// A recorded call of the client, and Stripe's answer.
#[derive(Debug, Deserialize)]
pub(super) struct Call {
    /// The client's test that made the call.
    pub(super) case: String,
    /// The API version of the call and of the answer.
    pub(super) version: String,
    pub(super) method: String,
    /// The path with the query.
    path: String,
    /// The decoded form in the body.
    request: String,
    pub(super) status: u16,
    pub(super) answer: Value,
}

/// The connected account of the recording, and the part of its id that the ids of its objects contain.
const CONNECTED: (&str, &str) = ("acct_1ISuLNQK2ZHS99Rk", "QK2ZHS99Rk");

impl Call {
    /// The path without the query.
    pub(super) fn path(&self) -> &str {
        self.path.split('?').next().unwrap_or_default()
    }

    /// The parameters in the query and the body.
    pub(super) fn params(&self) -> Vec<Param> {
        let query = self.path.split_once('?').map_or("", |(_, query)| query);
        let query = form_urlencoded::parse(query.as_bytes()).into_owned();
        let body = self
            .request
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                (name.to_owned(), value.to_owned())
            });
        query.chain(body).collect()
    }

    /// The time of the call, as far as the answer shows it: the latest time in the answer at which something happened.
    pub(super) fn time(&self) -> Option<i64> {
        latest(&self.answer)
    }

    /// The customer that the call makes or is about.
    fn customer(&self) -> Option<&str> {
        let answer = &self.answer;
        let id = if answer["object"] == "customer" {
            &answer["id"]
        } else {
            &answer["customer"]
        };
        id.as_str()
    }

    fn is_connected(&self) -> bool {
        // The account's own id also appears in answers to calls from outside the account.
        let text = self.answer.to_string().replace(CONNECTED.0, "");
        text.contains(CONNECTED.1)
    }
}

/// The connected account on which a call of the case was made. The recording has no headers, but the ids of that
/// account's objects show it, except for customers.
pub(super) fn account_of(case: &[Call], call: &Call) -> Option<&'static str> {
    let same_customer =
        |other: &&Call| call.customer().is_some() && other.customer() == call.customer();
    let mut related = case.iter().filter(same_customer);
    (call.is_connected() || related.any(Call::is_connected)).then_some(CONNECTED.0)
}

/// The connected accounts that the calls of the case name or use, and the account that makes the recorded account a
/// platform in every case.
pub(super) fn accounts(case: &[Call]) -> BTreeSet<&str> {
    let params = case.iter().flat_map(|call| call.request.split(['=', '&']));
    let named = params.filter(|value| value.starts_with("acct_"));
    let acting = case.iter().filter_map(|call| account_of(case, call));
    named.chain(acting).chain([CONNECTED.0]).collect()
}

/// All calls, in one list for each case.
pub(super) fn read(folder: &Path) -> anyhow::Result<Vec<Vec<Call>>> {
    let path = folder.join("recorded.jsonl");
    let text = std::fs::read_to_string(&path);
    let text = text.with_context(|| format!("cannot read {}", path.display()))?;
    let mut cases: Vec<Vec<Call>> = Vec::new();
    for line in text.lines() {
        let call: Call = serde_json::from_str(line).context("a recorded call cannot be read")?;
        match cases.last_mut().filter(|calls| calls[0].case == call.case) {
            Some(calls) => calls.push(call),
            None => cases.push(vec![call]),
        }
    }
    Ok(cases)
}

/// Objects that existed before the recording began.
pub(super) const STANDING: [&str; 4] = ["price", "plan", "product", "coupon"];

/// The latest time at which something happened.
fn latest(answer: &Value) -> Option<i64> {
    const PAST: [&str; 6] = [
        "created",
        "canceled_at",
        "finalized_at",
        "paid_at",
        "current_period_start",
        "start_date",
    ];
    match answer {
        Value::Object(fields) => {
            let stands = STANDING
                .iter()
                .any(|object| fields.get("object").is_some_and(|name| name == object));
            let own = fields
                .iter()
                .filter(|(name, _)| !stands && PAST.contains(&name.as_str()));
            let own = own.filter_map(|(_, value)| value.as_i64());
            own.chain(fields.values().filter_map(latest)).max()
        }
        Value::Array(elements) => elements.iter().filter_map(latest).max(),
        _ => None,
    }
}
