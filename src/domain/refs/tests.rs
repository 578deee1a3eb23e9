//! Tests of parsing and displaying names.

use super::*;
use proptest::prelude::*;

fn fault<T: FromStr<Err = RefError>>(text: &str) -> String {
    text.parse::<T>()
        .err()
        .expect("the text must be refused")
        .to_string()
}

#[test]
fn orgs() {
    for good in ["org:a", "org:org:a", "org:a b'\\\"", "org:é"] {
        assert_eq!(good.parse::<OrgName>().unwrap().as_str(), good);
    }
    for bad in ["org", "org:", "Org:a", "user:a", " org:a"] {
        assert_eq!(fault::<OrgName>(bad), r#"org must be prefixed with "org:""#);
    }
    assert_eq!(
        fault::<OrgName>(""),
        r#"org is required: org must be prefixed with "org:""#
    );
    let longest = format!("org:{}", "é".repeat(496));
    assert!(longest.parse::<OrgName>().is_ok());
    assert_eq!(
        fault::<OrgName>(&format!("{longest}x")),
        "org must not exceed 500 characters"
    );
}

#[test]
fn plans() {
    let plan: PlanName = "plan:pro:eu@trial-23".parse().unwrap();
    assert_eq!((plan.name(), plan.version()), ("pro:eu", "trial-23"));
    assert_eq!(plan.product_id(), "tier__plan-pro-eu-trial_2d23");
    for (text, message) in [
        ("", r#"plan name must start with 'plan:': """#),
        ("free@1", r#"plan name must start with 'plan:': "free@1""#),
        ("plan:free", r#"plan must have version: "plan:free""#),
        (
            "plan:@1",
            r#"plan name must match [a-zA-Z0-9:-]+: "plan:@1""#,
        ),
        (
            "plan:é@1",
            r#"plan name must match [a-zA-Z0-9:-]+: "plan:é@1""#,
        ),
        (
            "plan:a_b@1",
            r#"plan name must match [a-zA-Z0-9:-]+: "plan:a_b@1""#,
        ),
        ("plan:", r#"plan must have version: "plan:""#),
        ("plan:a@", r#"plan must have version: "plan:a@""#),
        (
            "plan:a@!",
            r#"plan version must match [a-zA-Z0-9-]+: "plan:a@!""#,
        ),
        (
            "plan:a@1:2",
            r#"plan version must match [a-zA-Z0-9-]+: "plan:a@1:2""#,
        ),
        (
            "plan:a@1@2",
            r#"plan version must match [a-zA-Z0-9-]+: "plan:a@1@2""#,
        ),
        (
            "feature:x",
            r#"plan name must start with 'plan:': "feature:x""#,
        ),
        (
            "feature:x!",
            r#"feature name must match [a-zA-Z0-9:-]+: "feature:x!""#,
        ),
        (
            "feature:x@plan:a",
            r#"feature plan version must match [a-zA-Z0-9-]+ or be a valid plan: "feature:x@plan:a""#,
        ),
    ] {
        assert_eq!(fault::<PlanName>(text), message);
    }
}

#[test]
fn features() {
    let feature: FeatureName = "feature:feature-id".parse().unwrap();
    assert_eq!(feature.name(), "feature-id");
    for (text, message) in [
        ("x", r#"feature name must start with 'feature:': "x""#),
        (
            "feature:",
            r#"feature name must match [a-zA-Z0-9:-]+: "feature:""#,
        ),
        (
            "feature:x@plan:a@1",
            r#"feature name must match [a-zA-Z0-9:-]+: "feature:x@plan:a@1""#,
        ),
        ("plan:x", r#"plan must have version: "plan:x""#),
        (
            "plan:x@1",
            r#"feature name must start with 'feature:': "plan:x@1""#,
        ),
    ] {
        assert_eq!(fault::<FeatureName>(text), message);
    }
}

#[test]
fn feature_plans() {
    let full: FeaturePlan = "feature:x:y@plan:a-b@1".parse().unwrap();
    assert_eq!(full.feature().as_str(), "feature:x:y");
    assert_eq!(full.plan().as_str(), "plan:a-b@1");
    assert_eq!(full.lookup_key(), "tier__feature-x-y-plan-a_2db-1");
    assert_eq!(full.feature().on(&full.plan()), full);
    let version_only = "feature plan version must match [a-zA-Z0-9-]+ or be a valid plan";
    for (text, message) in [
        (
            "x",
            r#"feature plan must start with 'feature:': "x""#.to_owned(),
        ),
        (
            "feature:x",
            r#"feature plan must have version: "feature:x""#.to_owned(),
        ),
        (
            "feature:@plan:a@1",
            r#"feature plan name must match [a-zA-Z0-9:-]+: "feature:@plan:a@1""#.to_owned(),
        ),
        ("feature:x@", format!("{version_only}: \"feature:x@\"")),
        (
            "feature:x@plan:a",
            format!("{version_only}: \"feature:x@plan:a\""),
        ),
        ("feature:x@1", format!("{version_only}: \"feature:x@1\"")),
        ("plan:x", r#"plan must have version: "plan:x""#.to_owned()),
    ] {
        assert_eq!(fault::<FeaturePlan>(text), message);
    }
}

#[test]
fn references() {
    let parse = |text: &str| text.parse::<Reference>();
    assert_eq!(
        parse("plan:a@1"),
        Ok(Reference::Plan("plan:a@1".parse().unwrap()))
    );
    assert_eq!(
        parse("feature:x@plan:a@1"),
        Ok(Reference::Feature("feature:x@plan:a@1".parse().unwrap()))
    );
    assert_eq!(
        parse("feature:x@v2"),
        Ok(Reference::FeatureVersion("feature:x@v2".into()))
    );
    assert_eq!(
        fault::<Reference>("free"),
        r#"plan name must start with 'plan:': "free""#
    );
    for text in ["free@1", "", "feature", "org:acme"] {
        let message = format!("plan name must start with 'plan:': {text:?}");
        assert_eq!(fault::<Reference>(text), message);
    }
    assert_eq!(
        fault::<Reference>("plan:free@"),
        r#"plan must have version: "plan:free@""#
    );
    assert_eq!(
        fault::<Reference>("plan:free"),
        r#"plan must have version: "plan:free""#
    );
}

#[test]
fn a_long_text_is_shortened_in_errors() {
    let message = fault::<PlanName>(&"é".repeat(10_000));
    assert!(message.chars().count() < 200, "{message}");
    assert!(message.ends_with("…\""));
}

#[test]
fn names_are_strings_in_json() {
    let json = r#"["plan:a@1","feature:x@plan:a@1"]"#;
    let list: Vec<Reference> = serde_json::from_str(json).unwrap();
    assert_eq!(serde_json::to_string(&list).unwrap(), json);
    let error = serde_json::from_str::<PlanName>(r#""plan:a""#).unwrap_err();
    assert!(error.to_string().starts_with("plan must have version"));
}

prop_compose! {
    fn feature_plan()(
        feature in "[a-zA-Z0-9:-]{1,12}",
        plan in "[a-zA-Z0-9:-]{1,12}",
        version in "[a-zA-Z0-9-]{1,4}",
    ) -> String {
        format!("feature:{feature}@plan:{plan}@{version}")
    }
}

/// Names of an alphabet in which collisions are likely.
fn confusable() -> impl Strategy<Value = String> {
    ("[a:-]{1,4}", "[a:-]{1,4}", "[a-]{1,3}")
        .prop_map(|(f, p, v)| format!("feature:{f}@plan:{p}@{v}"))
}

proptest! {
    #[test]
    fn a_name_displays_as_it_was_parsed(text in feature_plan()) {
        let full: FeaturePlan = text.parse().unwrap();
        prop_assert_eq!(full.to_string(), text);
        prop_assert_eq!(full.feature().to_string().parse::<FeatureName>().unwrap(), full.feature());
        prop_assert_eq!(full.plan().to_string().parse::<PlanName>().unwrap(), full.plan());
        prop_assert_eq!(full.feature().on(&full.plan()), full);
    }

    #[test]
    fn any_text_is_refused_or_preserved(text in any::<String>()) {
        let kept = text.parse::<Reference>().map(|r| r.to_string());
        prop_assert!(kept.is_err() || kept == Ok(text));
    }

    /// The lookup keys of the original cannot distinguish `:plan:` inside a name from `@plan:`, so validation refuses
    /// such a pair. No other two names may share a key.
    #[test]
    fn lookup_keys_are_distinct(a in confusable(), b in confusable()) {
        let (a, b): (FeaturePlan, FeaturePlan) = (a.parse().unwrap(), b.parse().unwrap());
        prop_assert_eq!(a.lookup_key() == b.lookup_key(), a == b);
        let (p, q) = (a.plan(), b.plan());
        prop_assert_eq!(p.product_id() == q.product_id(), p == q);
    }
}
