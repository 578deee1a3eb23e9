//! "Did you mean": suggests the existing name that is closest to the one that was typed.

use std::time::Duration;

use super::client::Client;
use super::error::{CliError, LIST_ADVICE};
use crate::domain::refs::PlanName;

/// How long the search for a suggestion may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A name may have one typo per this many characters.
const CHARS_PER_TYPO: usize = 4;

/// The closest name. None if the name was typed correctly, or if no name is close.
pub(super) fn nearest(typed: &str, names: &[String]) -> Option<String> {
    let typos = |name: &str| strsim::damerau_levenshtein(typed, name);
    let nearest = names.iter().min_by_key(|name| typos(name))?;
    let allowed = (nearest.chars().count() / CHARS_PER_TYPO).max(1);
    (1..=allowed)
        .contains(&typos(nearest))
        .then(|| nearest.clone())
}

/// The names of all plans, and of their features. A suggestion is worth one call, but not a long wait. If the call
/// fails, the list is empty.
async fn references(client: &Client) -> Vec<String> {
    let model = tokio::time::timeout(TIMEOUT, client.model()).await;
    let model = model.ok().and_then(Result::ok).unwrap_or_default();
    let plans = model.plans.keys().map(ToString::to_string);
    let features = model.features().map(|(name, ..)| name.to_string());
    plans.chain(features).collect()
}

/// Adds a suggestion to an error about a plan or feature.
pub(super) async fn for_references(
    client: &Client,
    typed: &[String],
    error: anyhow::Error,
) -> anyhow::Error {
    let failure = match error.downcast::<CliError>() {
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
        // With other errors, the names may be correct.
        None => failure.into(),
    }
}

/// Adds a suggestion to an error about a malformed reference. It pulls the model only for a plan without a version.
async fn for_malformed(client: &Client, typed: &str, failure: CliError) -> CliError {
    let with_kind = format!("plan:{typed}");
    if !typed.contains(':') && with_kind.parse::<PlanName>().is_ok() {
        return failure.advise(did_you_mean(&with_kind));
    }
    let failure = failure.advise(LIST_ADVICE);
    let with_version = format!("{}@1", typed.trim_end_matches('@'));
    if with_version.parse::<PlanName>().is_err() {
        return failure;
    }
    let names = references(client).await;
    advise(failure, &[typed.to_owned()], &names)
}

/// Like [`for_references`], for a feature that the org should have.
pub(super) async fn for_feature(
    client: &Client,
    org: &str,
    typed: &str,
    error: anyhow::Error,
) -> anyhow::Error {
    let failure = match error.downcast::<CliError>() {
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

fn advise(failure: CliError, typed: &[String], names: &[String]) -> CliError {
    let suggestions = typed.iter().filter_map(|typed| nearest(typed, names));
    let suggestions: Vec<String> = suggestions.collect();
    if suggestions.is_empty() {
        return failure;
    }
    failure.advise(did_you_mean(&suggestions.join(" and ")))
}

fn did_you_mean(names: &str) -> String {
    format!("did you mean {names}?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_name_is_suggested() {
        let names = ["plan:free@1", "plan:pro@1", "feature:convert@plan:pro@1"].map(str::to_owned);
        let meant = |typed| nearest(typed, &names);
        assert_eq!(meant("plan:pr@1").as_deref(), Some("plan:pro@1"));
        assert_eq!(meant("plan:free").as_deref(), Some("plan:free@1"));
        assert_eq!(meant("plan:free@1"), None, "typed correctly");
        assert_eq!(meant("plan:por@1").as_deref(), Some("plan:pro@1"));
        assert_eq!(meant("plan:zzz@7"), None, "too far");
        assert_eq!(nearest("plan:a", &[]), None);
    }
}
