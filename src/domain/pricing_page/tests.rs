//! Tests of pricing pages and bills.

use super::{Bill, PricedPlan, PricingPage, PricingPages};
use crate::domain::pricing::Model;
use crate::domain::refs::PlanName;

const MODEL: &str = r#"{"plans":{
    "plan:free@1":{"features":{"feature:convert":{"tiers":[{"upto":10}]}}},
    "plan:pro@3":{"title":"Pro","features":{
        "feature:seat":{"title":"Seats","base":1000},"feature:support":{"base":500},
        "feature:convert":{"tiers":[{"upto":1000},{"price":0.5}]}}},
    "plan:pro@10":{"interval":"@yearly","features":{"feature:seat":{"base":9900}}},
    "plan:custom-for-acme@1":{"features":{"feature:seat":{}}}}}"#;

fn model() -> Model {
    Model::parse(MODEL).expect("a model")
}

fn page(definition: &str) -> PricingPage {
    let pages = format!(r#"{{"pages":{{"default":{definition}}}}}"#);
    let pages = PricingPages::parse(&pages).expect("a definition");
    pages.page("default", &model()).expect("it is listed")
}

fn plans(page: &PricingPage) -> Vec<&str> {
    page.plans.iter().map(|plan| plan.id.as_str()).collect()
}

#[test]
fn a_page_has_the_listed_plans_in_order() {
    let page = page(
        r#"{"title":"Plans","signup_url":"/signup","plans":["plan:pro@3","plan:free","plan:pro","plan:none"],
            "promoted":"plan:pro","features":["feature:convert","feature:seat"]}"#,
    );
    assert_eq!(plans(&page), ["plan:pro@3", "plan:free@1", "plan:pro@10"]);
    let promoted: Vec<bool> = page.plans.iter().map(|plan| plan.promoted).collect();
    assert_eq!(promoted, [false, false, true]);
    let text = |plan: &PricedPlan| {
        let features = plan.features.iter();
        let features = features.map(|feature| format!("{}: {}", feature.title, feature.text));
        let features: Vec<String> = features.collect();
        format!("{}, {}; {}", plan.title, plan.text, features.join("; "))
    };
    let texts: Vec<String> = page.plans.iter().map(text).collect();
    assert_eq!(
        texts,
        [
            "Pro, $15.00 a month; convert: 1,000 included, then $0.005 each; Seats: $10.00",
            "free, Free; convert: 10 included",
            "pro, $99.00 a year; seat: $99.00",
        ]
    );
}

#[test]
fn the_default_page_has_the_newest_plans() {
    let newest = PricingPage::with_newest_plans(&model());
    let expected = ["plan:custom-for-acme@1", "plan:free@1", "plan:pro@10"];
    assert_eq!(plans(&newest), expected);
}

#[test]
fn customers_sign_up_for_a_plan() {
    for (url, expected) in [
        ("/signup", "/signup?plan=plan:free@1"),
        (
            "https://app.example/?a=b#top",
            "https://app.example/?a=b&plan=plan:free@1#top",
        ),
    ] {
        let page = page(&format!(
            r#"{{"signup_url":"{url}","plans":["plan:free"]}}"#
        ));
        let url = page.signup_url(&page.plans[0].id);
        assert_eq!(url.as_deref(), Some(expected));
    }
}

#[test]
fn a_definition_with_a_fault_is_refused() {
    for (text, fault) in [
        ("", "EOF"),
        ("{}", "missing field `pages`"),
        (r#"{"pages":{"a b":{"plans":[]}}}"#, "a page's name"),
        (r#"{"pages":{"a":{}}}"#, "missing field `plans`"),
        (r#"{"pages":{"a":{"plans":[],"x":1}}}"#, "unknown field `x`"),
        (
            r#"{"pages":{"a":{"plans":["pro"]}}}"#,
            "plan name must start with",
        ),
        (
            r#"{"pages":{"a":{"plans":["plan:pro@"]}}}"#,
            "plan must have version",
        ),
        (
            r#"{"pages":{"a":{"plans":[],"features":["x"]}}}"#,
            "feature name must",
        ),
        (
            r#"{"pages":{"a":{"plans":[],"signup_url":"javascript:alert(1)"}}}"#,
            "signup_url must begin",
        ),
        (
            r#"{"pages":{"a":{"plans":[],"signup_url":"//evil.example"}}}"#,
            "signup_url must begin",
        ),
    ] {
        let refused = PricingPages::parse(text).expect_err(text).to_string();
        assert!(refused.contains(fault), "{text}: {refused}");
    }
}

#[test]
fn a_bill_has_a_line_for_each_feature() {
    let model = model();
    let id: PlanName = "plan:pro@3".parse().expect("a plan");
    let plan = &model.plans[&id];
    let Bill {
        amount,
        text,
        lines,
    } = PricedPlan::bill(plan, |_| 1500);
    assert_eq!((amount, text.as_str()), (1750, "$17.50"));
    let lines = lines
        .iter()
        .map(|line| (line.feature.as_str(), line.used, line.text.as_str()));
    assert_eq!(
        lines.collect::<Vec<_>>(),
        [
            ("feature:convert", 1500, "$2.50"),
            ("feature:seat", 1, "$10.00"),
            ("feature:support", 1, "$5.00"),
        ]
    );
}
