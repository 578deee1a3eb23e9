//! Names of orgs, plans and features: whatever is accepted is written as it was read.
#![no_main]

use std::fmt::Display;
use std::str::FromStr;

use libfuzzer_sys::fuzz_target;
use tier::domain::refs::{FeatureName, FeaturePlan, OrgName, PlanName, Reference};

fn round_trip<T: FromStr + Display>(text: &str) -> Option<T> {
    let name: T = text.parse().ok()?;
    assert_eq!(name.to_string(), text);
    Some(name)
}

fuzz_target!(|text: &str| {
    round_trip::<OrgName>(text);
    round_trip::<FeatureName>(text);
    round_trip::<Reference>(text);
    if let Some(plan) = round_trip::<PlanName>(text) {
        assert_eq!(text, format!("plan:{}@{}", plan.name(), plan.version()));
        assert!(plan.product_id().bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)));
    }
    if let Some(name) = round_trip::<FeaturePlan>(text) {
        assert_eq!(name.feature().on(&name.plan()), name);
    }
});
