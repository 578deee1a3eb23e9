//! Plan changes of orgs that are billed by meters.

use serde_json::json;
use tier::domain::{Generation, GenerationSetting};

use super::orgs::{MINUTE, app, used};
use crate::checkout::pay;
use crate::harness::{DAY, Settings};

#[tokio::test]
async fn what_was_used_before_a_change_is_billed_at_its_own_price() {
    let app = app().await;
    app.subscribe("org:a", &["plan:a@1"]).await;
    app.report("org:a", "feature:x", 20).await;
    app.report("org:a", "feature:seats", 4).await;
    app.advance(10 * DAY);
    app.subscribe("org:a", &["plan:b@1"]).await;
    assert_eq!(
        used(&app.limits("org:a").await),
        [("feature:base", 1), ("feature:seats", 4), ("feature:x", 20)]
    );
    app.report("org:a", "feature:x", 3).await;
    let limits = app.limits("org:a").await;
    assert_eq!(used(&limits)[2], ("feature:x", 23));
    app.advance(10 * DAY);
    // A change to the old plan and back bills all usage.
    app.subscribe("org:a", &["plan:a@1"]).await;
    app.report("org:a", "feature:x", 1).await;
    assert_eq!(used(&app.limits("org:a").await)[4], ("feature:x", 24));
    app.subscribe("org:a", &["plan:b@1"]).await;
    assert_eq!(used(&app.limits("org:a").await)[2], ("feature:x", 24));
    app.advance(12 * DAY);
    assert_eq!(used(&app.limits("org:a").await)[2], ("feature:x", 0));
    let bills = app.bills("org:a").await;
    assert_eq!(bills.len(), 2, "{bills:?}");
    let of = |feature: &str| -> i64 {
        let lines = bills[1].0.iter().filter(|(name, _)| name == feature);
        lines.map(|(_, quantity)| quantity).sum()
    };
    assert_eq!(of("feature:x@plan:a@1"), 21);
    assert_eq!(of("feature:x@plan:b@1"), 3);
    // A level is billed once, by the plan in force at the end of the period.
    assert_eq!(of("feature:seats@plan:a@1"), 0);
    assert_eq!(of("feature:seats@plan:b@1"), 4);
}

#[tokio::test]
async fn a_cancellation_bills_what_was_used() {
    let app = app().await;
    app.subscribe("org:a", &["plan:b@1"]).await;
    app.report("org:a", "feature:x", 7).await;
    app.advance(DAY);
    app.subscribe("org:a", &[]).await;
    let bills = app.bills("org:a").await;
    assert!(
        bills[1].0.contains(&("feature:x@plan:b@1".to_owned(), 7)),
        "{bills:?}"
    );
    assert!(app.limits("org:a").await.is_empty());
    let report = json!({ "org": "org:a", "feature": "feature:x", "n": 1 });
    let refused = app.post_json("/v1/report", &report).await;
    refused.fails(400, "feature_not_found");
}

#[tokio::test]
async fn a_scheduled_change_bills_each_part() {
    let app = app().await;
    let phases = json!({ "org": "org:a", "phases": [
        { "features": ["plan:a@1"] },
        { "features": ["plan:b@1"], "effective": "2023-01-20T00:00:00Z" },
        { "features": [], "effective": "2023-03-01T00:00:00Z" },
    ] });
    app.post_json("/v1/subscribe", &phases).await.ok();
    app.report("org:a", "feature:x", 20).await;
    app.advance(25 * DAY);
    app.report("org:a", "feature:x", 3).await;
    assert_eq!(used(&app.limits("org:a").await)[2], ("feature:x", 23));
    app.advance(10 * DAY);
    app.report("org:a", "feature:x", 5).await;
    app.advance(40 * DAY);
    let bills = app.bills("org:a").await;
    let of = |feature: &str| -> Vec<i64> {
        let each = bills.iter().map(|(lines, _)| {
            let lines = lines.iter().filter(|(name, _)| name == feature);
            lines.map(|(_, quantity)| quantity).sum()
        });
        each.filter(|sum| *sum > 0).collect()
    };
    assert_eq!(of("feature:x@plan:a@1"), [20], "{bills:?}");
    assert_eq!(of("feature:x@plan:b@1"), [3, 5], "{bills:?}");
    assert!(app.limits("org:a").await.is_empty());
}

#[tokio::test]
async fn an_org_moves_between_generations_at_once() {
    let app = app().await;
    let classic = app.second_server_with(&Settings {
        generation: GenerationSetting::Fixed(Generation::Classic),
        ..Settings::default()
    });
    let old = json!({ "plans": { "plan:old@1": { "features": { "feature:x": { "tiers": [{ "price": 7 }] } } } } });
    classic.push(&old).await;
    app.subscribe("org:a", &["plan:old@1"]).await;
    app.report("org:a", "feature:x", 2).await;
    app.advance(DAY);
    app.subscribe("org:a", &["plan:b@1"]).await;
    app.report("org:a", "feature:x", 5).await;
    assert_eq!(used(&app.limits("org:a").await)[2], ("feature:x", 5));
    app.advance(DAY);
    app.subscribe("org:a", &["plan:old@1"]).await;
    app.report("org:a", "feature:x", 4).await;
    assert_eq!(used(&app.limits("org:a").await), [("feature:x", 4)]);
    app.advance(32 * DAY);
    let mut billed: Vec<(String, i64)> = Vec::new();
    for (lines, _) in app.bills("org:a").await {
        billed.extend(
            lines
                .into_iter()
                .filter(|(name, _)| name.starts_with("feature:x")),
        );
    }
    assert_eq!(
        billed,
        [
            ("feature:x@plan:old@1".to_owned(), 2),
            ("feature:x@plan:b@1".to_owned(), 5),
            ("feature:x@plan:old@1".to_owned(), 4),
        ]
    );
    let live = app.stripe_get("/v1/subscriptions").await;
    assert_eq!(live["data"].as_array().expect("it is well formed").len(), 1);
}

#[tokio::test]
async fn a_plan_without_metered_features_is_followed_by_one_on_meters() {
    let app = app().await;
    // This server learns the generation from the prices that it reads.
    let app = app.second_server_with(&Settings::default());
    app.subscribe("org:a", &["plan:free@1"]).await;
    app.subscribe("org:a", &["plan:b@1"]).await;
    app.report("org:a", "feature:x", 5).await;
    app.advance(MINUTE);
    app.subscribe("org:a", &["plan:free@1"]).await;
    app.advance(MINUTE);
    app.subscribe("org:a", &["plan:b@1"]).await;
    assert_eq!(used(&app.limits("org:a").await)[2], ("feature:x", 5));
    let all = app.stripe_get("/v1/subscriptions?status=all").await;
    assert_eq!(all["data"].as_array().expect("it is well formed").len(), 1);
}

#[tokio::test]
async fn a_person_buys_a_plan_on_meters() {
    let app = app().await;
    let body =
        json!({ "org": "org:a", "success_url": "https://example.com", "features": ["plan:b@1"] });
    let answer = app.post_json("/v1/checkout", &body).await.ok();
    pay(&app, &answer).await;
    app.report("org:a", "feature:x", 2).await;
    assert_eq!(used(&app.limits("org:a").await)[2], ("feature:x", 2));
    app.advance(5 * DAY);
    app.subscribe("org:a", &["plan:a@1"]).await;
    assert_eq!(used(&app.limits("org:a").await)[4], ("feature:x", 2));
}

#[tokio::test]
async fn a_migration_moves_orgs_between_plans_on_meters() {
    let app = app().await;
    for org in ["org:now", "org:later"] {
        app.subscribe(org, &["plan:a@1"]).await;
        app.report(org, "feature:x", 20).await;
    }
    app.advance(10 * DAY);
    for (org, at) in [("org:now", "now"), ("org:later", "period_end")] {
        let body = json!({ "from": "plan:a@1", "to": "plan:b@1", "at": at, "orgs": [org] });
        app.post_json("/v1/migrate", &body).await.ok();
        app.settled().await;
        app.report(org, "feature:x", 3).await;
    }
    assert_eq!(used(&app.limits("org:now").await)[2], ("feature:x", 23));
    assert_eq!(used(&app.limits("org:later").await)[4], ("feature:x", 23));
    app.advance(25 * DAY);
    for (org, expected) in [("org:now", [20, 3]), ("org:later", [23, 0])] {
        assert_eq!(used(&app.limits(org).await)[2], ("feature:x", 0), "{org}");
        let bills = app.bills(org).await;
        let of = |plan: &str| -> i64 {
            let lines = bills.iter().flat_map(|(lines, _)| lines);
            let own = lines.filter(|(name, _)| *name == format!("feature:x@{plan}"));
            own.map(|(_, quantity)| quantity).sum()
        };
        assert_eq!(
            [of("plan:a@1"), of("plan:b@1")],
            expected,
            "{org}: {bills:?}"
        );
    }
}

#[tokio::test]
async fn a_trial_is_not_billed() {
    let app = app().await;
    let phases = json!([
        { "features": ["plan:b@1"], "trial": true },
        { "features": ["plan:b@1"], "effective": "2023-01-15T00:00:00Z" },
    ]);
    let body = json!({ "org": "org:a", "phases": phases });
    app.post_json("/v1/subscribe", &body).await.ok();
    app.report("org:a", "feature:x", 9).await;
    assert_eq!(used(&app.limits("org:a").await)[2], ("feature:x", 9));
    app.advance(15 * DAY);
    assert_eq!(used(&app.limits("org:a").await)[2], ("feature:x", 0));
    app.report("org:a", "feature:x", 2).await;
    app.advance(32 * DAY);
    let bills = app.bills("org:a").await;
    let totals: Vec<i64> = bills.iter().map(|(_, total)| *total).collect();
    assert_eq!(totals, [0, 3000, 3000 + 2 * 2], "{bills:?}");
}

/// Flexible billing keeps the period unless the request says otherwise.
#[tokio::test]
async fn a_plan_of_another_interval_begins_a_period() {
    let app = app().await;
    let yearly = json!({ "plans": { "plan:y@1": { "interval": "@yearly", "features": {
        "feature:base": { "base": 9000 }, "feature:x": { "tiers": [{ "price": 1 }] },
    } } } });
    app.push(&yearly).await;
    let period = async |org: &str| {
        let phase = app.get(&format!("/v1/phase?org={org}")).await.ok().json();
        let day = |name: &str| {
            phase["current"][name]
                .as_str()
                .map(|at| at[..10].to_owned())
        };
        (day("effective"), day("end"))
    };
    let days = |from: &str, to: &str| (Some(from.to_owned()), Some(to.to_owned()));
    app.subscribe("org:now", &["plan:a@1"]).await;
    app.subscribe("org:trial", &["plan:a@1"]).await;
    let later = json!({ "org": "org:later", "phases": [
        { "features": ["plan:a@1"] },
        { "features": ["plan:y@1"], "effective": "2023-01-20T00:00:00Z" },
    ] });
    app.post_json("/v1/subscribe", &later).await.ok();
    app.report("org:now", "feature:x", 20).await;
    app.advance(10 * DAY);
    app.subscribe("org:now", &["plan:y@1"]).await;
    assert_eq!(period("org:now").await, days("2023-01-11", "2024-01-11"));
    let bills = app.bills("org:now").await;
    let used = ("feature:x@plan:a@1".to_owned(), 20);
    let billed = bills.iter().filter(|(lines, _)| {
        let of_feature = lines.iter().filter(|(name, _)| *name == used.0);
        of_feature.map(|(_, n)| n).sum::<i64>() == used.1
    });
    assert_eq!(billed.count(), 1, "{bills:?}");
    let trial = json!({ "org": "org:trial", "phases": [
        { "features": ["plan:y@1"], "trial": true },
        { "features": ["plan:y@1"], "effective": "2023-01-15T00:00:00Z" },
    ] });
    app.post_json("/v1/subscribe", &trial).await.ok();
    app.advance(10 * DAY);
    assert_eq!(period("org:trial").await, days("2023-01-15", "2024-01-15"));
    assert_eq!(period("org:later").await, days("2023-01-20", "2024-01-20"));
    // A change back to the monthly plan begins a period, too.
    app.subscribe("org:now", &["plan:a@1"]).await;
    assert_eq!(period("org:now").await, days("2023-01-21", "2023-02-21"));
}

/// Usage of an item that was removed during a trial is on the next invoice, without a charge.
#[tokio::test]
async fn what_was_used_in_a_trial_counts_after_a_change() {
    let app = app().await;
    let trial = async |plan: &str| {
        let phase = json!({"features": [plan], "trial": true});
        let request = json!({"org": "org:a", "phases": [phase]});
        app.post_json("/v1/subscribe", &request).await.ok();
        app.advance(MINUTE);
    };
    let used_x = async || {
        let limits = app.limits("org:a").await;
        let row = used(&limits)
            .into_iter()
            .find(|(name, _)| *name == "feature:x");
        row.expect("it is granted").1
    };
    trial("plan:a@1").await;
    app.report("org:a", "feature:x", 6).await;
    trial("plan:b@1").await;
    assert_eq!(used_x().await, 6);
    app.report("org:a", "feature:x", 2).await;
    trial("plan:a@1").await;
    assert_eq!(used_x().await, 8);
    // Usage begins at zero once the trial ends.
    app.subscribe("org:a", &["plan:a@1"]).await;
    assert_eq!(used_x().await, 0);
    app.report("org:a", "feature:x", 1).await;
    assert_eq!(used_x().await, 1);
}
