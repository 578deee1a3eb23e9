//! "Did you mean": the name that is there and is nearest to the one that was typed.

use std::time::Duration;

use super::client::Client;
use super::failure::{Failure, LIST};
use crate::domain::refs::PlanName;

/// How long somebody waits for advice.
const PATIENCE: Duration = Duration::from_secs(2);

/// One slip is forgiven for each so many characters of a name.
const CHARS_PER_SLIP: usize = 4;

/// The nearest of the names, unless all are too far, or it was typed rightly.
pub(super) fn nearest(typed: &str, names: &[String]) -> Option<String> {
    let slips = |name: &str| strsim::damerau_levenshtein(typed, name);
    let nearest = names.iter().min_by_key(|name| slips(name))?;
    let allowed = (nearest.chars().count() / CHARS_PER_SLIP).max(1);
    (1..=allowed)
        .contains(&slips(nearest))
        .then(|| nearest.clone())
}

/// What there is to subscribe to: plans, and features of plans. Advice is worth one more call, but no long wait, and no other
/// error than the one that it is about.
async fn references(client: &Client) -> Vec<String> {
    let model = tokio::time::timeout(PATIENCE, client.model()).await;
    let model = model.ok().and_then(Result::ok).unwrap_or_default();
    let plans = model.plans.keys().map(ToString::to_string);
    let features = model.features().map(|(name, ..)| name.to_string());
    plans.chain(features).collect()
}

/// Adds to what the API refused the plan or feature that may have been meant.
pub(super) async fn for_references(
    client: &Client,
    typed: &[String],
    error: anyhow::Error,
) -> anyhow::Error {
    let failure = match error.downcast::<Failure>() {
        Ok(failure) => failure,
        Err(other) => return other,
    };
    if failure.has_code("TERR1020") {
        let names = references(client).await;
        return advise(failure, typed, &names).into();
    }
    let malformed = typed.iter().find(|name| failure.is_about(name));
    match malformed.filter(|_| failure.has_code("invalid_request")) {
        Some(name) => for_malformed(client, name, failure).await.into(),
        // Whatever else is wrong with a request, the names in it may be right.
        None => failure.into(),
    }
}

/// Likewise, for what is no reference. Stripe is asked only for the versions of a plan: nothing else was named.
async fn for_malformed(client: &Client, typed: &str, failure: Failure) -> Failure {
    let with_kind = format!("plan:{typed}");
    if !typed.contains(':') && with_kind.parse::<PlanName>().is_ok() {
        return failure.advise(did_you_mean(&with_kind));
    }
    let failure = failure.advise(LIST);
    let with_version = format!("{}@1", typed.trim_end_matches('@'));
    if with_version.parse::<PlanName>().is_err() {
        return failure;
    }
    let names = references(client).await;
    advise(failure, &[typed.to_owned()], &names)
}

/// As [`for_references`], for a feature that the org should have.
pub(super) async fn for_feature(
    client: &Client,
    org: &str,
    typed: &str,
    error: anyhow::Error,
) -> anyhow::Error {
    let failure = match error.downcast::<Failure>() {
        Ok(failure) if failure.has_code("feature_not_found") => failure,
        Ok(failure) => return failure.into(),
        Err(other) => return other,
    };
    let names = match client.get("/v1/limits", &[("org", org)]).await {
        Ok(answer) => answer
            .decode::<super::usage::LimitsAnswer>()
            .map(super::usage::LimitsAnswer::features),
        Err(_) => Ok(Vec::new()),
    };
    advise(failure, &[typed.to_owned()], &names.unwrap_or_default()).into()
}

fn advise(failure: Failure, typed: &[String], names: &[String]) -> Failure {
    let meant = typed.iter().filter_map(|typed| nearest(typed, names));
    let meant: Vec<String> = meant.collect();
    if meant.is_empty() {
        return failure;
    }
    failure.advise(did_you_mean(&meant.join(" and ")))
}

fn did_you_mean(names: &str) -> String {
    format!("did you mean {names}?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_meant() {
        let names = ["plan:free@1", "plan:pro@1", "feature:convert@plan:pro@1"].map(str::to_owned);
        let meant = |typed| nearest(typed, &names);
        assert_eq!(meant("plan:pr@1").as_deref(), Some("plan:pro@1"));
        assert_eq!(meant("plan:free").as_deref(), Some("plan:free@1"));
        assert_eq!(meant("plan:free@1"), None, "typed rightly");
        assert_eq!(meant("plan:por@1").as_deref(), Some("plan:pro@1"));
        assert_eq!(meant("plan:zzz@7"), None, "too far");
        assert_eq!(nearest("plan:a", &[]), None);
    }
}
