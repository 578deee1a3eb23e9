//! "Did you mean": the name that is there and is nearest to the one that was typed.

use super::client::Client;
use super::failure::Failure;

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

/// What there is to subscribe to: plans, and features of plans.
async fn references(client: &Client) -> Vec<String> {
    // Advice is worth one more call, but no other error than the one that it is about.
    let model = client.model().await.unwrap_or_default();
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
    // Whatever else is wrong with a request, the names in it may be right; and to look for others takes a while.
    let typed: Vec<String> = if failure.has_code("TERR1020") {
        typed.to_vec()
    } else if failure.has_code("invalid_request") {
        let is_named = |name: &&String| failure.is_about(name);
        typed.iter().filter(is_named).cloned().collect()
    } else {
        Vec::new()
    };
    if typed.is_empty() {
        return failure.into();
    }
    let names = references(client).await;
    advise(failure, &typed, &names).into()
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
            .decode::<super::usage::Limits>()
            .map(super::usage::Limits::features),
        Err(_) => Ok(Vec::new()),
    };
    advise(failure, &[typed.to_owned()], &names.unwrap_or_default()).into()
}

/// The plan that may be meant by a name without its kind.
fn plan(typed: &str, names: &[String]) -> Option<String> {
    if typed.contains("plan:") {
        return None;
    }
    let plan = format!("plan:{typed}");
    if names.contains(&plan) {
        return Some(plan);
    }
    nearest(&plan, names)
}

fn advise(failure: Failure, typed: &[String], names: &[String]) -> Failure {
    let meant = typed.iter().filter_map(|typed| {
        let nearest_plan = || plan(typed, names);
        nearest(typed, names).or_else(nearest_plan)
    });
    let meant: Vec<String> = meant.collect();
    if meant.is_empty() {
        return failure;
    }
    failure.advise(format!("did you mean {}?", meant.join(" and ")))
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
        assert_eq!(plan("free@1", &names).as_deref(), Some("plan:free@1"));
        assert_eq!(plan("fre@1", &names).as_deref(), Some("plan:free@1"));
        assert_eq!(plan("convert", &names), None);
    }
}
