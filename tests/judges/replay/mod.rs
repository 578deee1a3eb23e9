//! Repeats the recorded calls, in order. Each case runs on a new sandbox whose clock shows the recorded time. A
//! difference in status, error, shape, amounts or times is a disagreement.

mod catalogue;
mod compare;
mod recording;

use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;

use self::compare::Comparison;
use self::recording::{Call, account_of};
use crate::listed::Found;
use crate::names::{self, Names};
use crate::openapi::{Document, FIRST, LAST};
use crate::stripe::{Param, Stripe};

/// How many calls agree, differ, or cannot be made.
#[derive(Debug, Default)]
struct Tally {
    agree: usize,
    differ: usize,
    unplayed: usize,
}

/// Repeats all recorded calls.
pub(crate) async fn run(folder: &Path) -> anyhow::Result<Found> {
    let cases = recording::read(folder)?;
    let catalogue = catalogue::shown(cases.iter().flatten());
    let judge = Judge {
        catalogue,
        first: Document::read(folder, FIRST)?,
        last: Document::read(folder, LAST)?,
    };
    let mut found = Found::default();
    let mut tally = Tally::default();
    for case in &cases {
        let played = judge.replay(case, &mut found, &mut tally).await;
        played.with_context(|| case[0].case.clone())?;
    }
    let Tally {
        agree,
        differ,
        unplayed,
    } = tally;
    found.summary = format!(
        "{} calls: {agree} agree, {differ} differ in something, {unplayed} cannot be played",
        agree + differ + unplayed
    );
    Ok(found)
}

struct Judge {
    /// The prices and coupons that existed before the recording.
    catalogue: Vec<Value>,
    first: Document,
    last: Document,
}

impl Judge {
    async fn replay(
        &self,
        case: &[Call],
        found: &mut Found,
        tally: &mut Tally,
    ) -> anyhow::Result<()> {
        let stripe = Stripe::new(1_500_000_000);
        let mut names = Names::default();
        for account in recording::accounts(case) {
            let params = [("type", "standard"), ("business_profile[name]", "Judged")];
            let params = params.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let (status, made) = stripe.send("post", "/v1/accounts", &params, None).await?;
            anyhow::ensure!(status == 200, "no account: {made}");
            names.relate(account, made["id"].as_str().unwrap_or_default());
        }
        let subscribes = case.iter().find(|call| call.path() == "/v1/subscriptions");
        let seller = subscribes.and_then(|call| account_of(case, call));
        let seller = seller.map(|account| names.translate(account));
        let is_old = case[0].version == "2022-11-15";
        catalogue::prepare(
            &self.catalogue,
            is_old,
            seller.as_deref(),
            &stripe,
            &mut names,
        )
        .await?;
        for (index, call) in case.iter().enumerate() {
            let differences = self.play(case, call, &stripe, &mut names).await?;
            match &differences {
                Ok(none) if none.is_empty() => tally.agree += 1,
                Ok(_) => tally.differ += 1,
                Err(_) => tally.unplayed += 1,
            }
            let place = format!(
                "{} call {}: {} {}",
                call.case,
                index + 1,
                call.method,
                call.path()
            );
            let differences = differences.unwrap_or_else(|unplayed| vec![unplayed]);
            for difference in differences {
                found.add(difference, &place);
            }
        }
        Ok(())
    }

    /// How the answers differ, or why the call cannot be made.
    async fn play(
        &self,
        case: &[Call],
        call: &Call,
        stripe: &Stripe,
        names: &mut Names,
    ) -> anyhow::Result<Result<Vec<String>, String>> {
        if let Some(time) = call.time() {
            stripe.pass_time(time);
        }
        let endpoint = self.endpoint(call);
        let (path, params) = match translated(call, names) {
            Ok(translated) => translated,
            Err(unknown) => {
                let kind = names::prefix(&unknown);
                let why = format!("cannot be played, as there is no {kind}_… yet");
                return Ok(Err(format!("{endpoint}: {why}")));
            }
        };
        let account = account_of(case, call).map(|account| names.translate(account));
        let (status, answer) = stripe
            .send(&call.method, &path, &params, account.as_deref())
            .await?;
        if status != call.status {
            let said = |answer: &Value| match &answer["error"]["message"] {
                Value::String(message) => format!(" {:?}", names::without_ids(message)),
                _ => String::new(),
            };
            let (then, now) = (said(&call.answer), said(&answer));
            return Ok(Err(format!(
                "{endpoint}: recorded {}{then}, here {status}{now}",
                call.status
            )));
        }
        let is_old = call.version == "2022-11-15";
        let mut comparison = Comparison::new(names, &self.last, is_old.then_some(&self.first));
        comparison.answers(&call.answer, &answer);
        Ok(Ok(comparison.found))
    }

    fn endpoint(&self, call: &Call) -> String {
        let path = self.last.path_of(call.path()).unwrap_or(call.path());
        format!("{} {path}", call.method.to_uppercase())
    }
}

/// The path and the parameters with the sandbox's names, or else a name that has no counterpart yet.
fn translated(call: &Call, names: &Names) -> Result<(String, Vec<Param>), String> {
    let known = |text: &str| match names.unknown(text) {
        Some(unknown) => Err(unknown.to_owned()),
        None => Ok(names.translate(text)),
    };
    let path = known(call.path())?;
    let params = call.params().into_iter();
    let params = params.map(|(name, value)| known(&value).map(|value| (name, value)));
    let params: Result<Vec<Param>, String> = params.collect();
    Ok((path, params?))
}
