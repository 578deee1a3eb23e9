//! The newest version of each plan, chosen as the published clients choose it.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::{Model, Plan};
use crate::domain::refs::PlanName;

impl Model {
    /// The newest version of each plan, sorted by plan name. Whole numbers are compared as numbers, and other versions
    /// as English text. A mix of both has no consistent order, so the result then depends on the sequence, which is
    /// that of [`to_json`](Self::to_json).
    pub fn latest(&self) -> Vec<(&PlanName, &Plan)> {
        let mut latest: BTreeMap<&str, (&PlanName, &Plan)> = BTreeMap::new();
        for (name, plan) in &self.plans {
            let newest = latest.entry(name.name()).or_insert((name, plan));
            if is_newer(name.version(), newest.0.version()) {
                *newest = (name, plan);
            }
        }
        latest.into_values().collect()
    }
}

fn is_newer(version: &str, than: &str) -> bool {
    let order = match (is_number(version), is_number(than)) {
        (true, true) => (version.len(), version).cmp(&(than.len(), than)),
        _ => compare_in_english(version, than),
    };
    order == Ordering::Greater
}

/// Whether the version is a whole number as JavaScript prints it.
fn is_number(version: &str) -> bool {
    let all_digits = version.bytes().all(|byte| byte.is_ascii_digit());
    all_digits && (version == "0" || !version.starts_with('0'))
}

/// Compares letters, digits and hyphens as JavaScript's `localeCompare` does in English: hyphens come before digits,
/// and digits before letters. Case matters only between texts that are equal otherwise; capitals come last.
fn compare_in_english(a: &str, b: &str) -> Ordering {
    let folded = |text: &str| text.to_ascii_lowercase();
    folded(a).cmp(&folded(b)).then_with(|| {
        let is_capital = |byte: u8| byte.is_ascii_uppercase();
        a.bytes().map(is_capital).cmp(b.bytes().map(is_capital))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latest(versions: &[&str]) -> String {
        let plan = |version: &&str| {
            let features = serde_json::json!({"feature:x": {}});
            let plan = serde_json::json!({ "features": features });
            (format!("plan:p@{version}"), plan)
        };
        let plans: serde_json::Map<_, _> = versions.iter().map(plan).collect();
        let model = serde_json::json!({ "plans": plans }).to_string();
        let model = Model::parse(&model).expect("a model");
        let latest = model.latest();
        assert_eq!(latest.len(), 1);
        latest[0].0.version().to_owned()
    }

    /// Each row is what `pullLatest` of npm's `tier` 5.10.0 returns.
    #[test]
    fn the_newest_version_is_the_one_that_clients_take() {
        for (versions, newest) in [
            (&["9", "10"][..], "10"),
            (&["0", "1"], "1"),
            (&["9", "10", "20test"], "9"),
            (&["10", "20test"], "20test"),
            (&["9", "010"], "9"),
            (&["a", "B"], "B"),
            (&["a", "A"], "A"),
            (&["Ab", "aC"], "aC"),
            (&["a-b", "ab"], "ab"),
            (&["a-b", "a1"], "a1"),
            (&["1-rc", "1"], "1-rc"),
            (&["2022-05-13", "2022-06-01"], "2022-06-01"),
            (&["18446744073709551616", "99"], "18446744073709551616"),
        ] {
            assert_eq!(latest(versions), newest, "{versions:?}");
        }
    }

    #[test]
    fn each_plan_name_has_one_newest_version() {
        let model = r#"{"plans":{"plan:b@1":{"features":{"feature:x":{}}},"plan:a@2":{"features":{"feature:x":{}}},
            "plan:a@1":{"features":{"feature:x":{}}},"plan:a:c@1":{"features":{"feature:x":{}}}}}"#;
        let model = Model::parse(model).expect("a model");
        let latest = model.latest();
        let names: Vec<_> = latest.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["plan:a@2", "plan:a:c@1", "plan:b@1"]);
    }
}
