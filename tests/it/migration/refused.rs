//! Refused migrations, and refused changes of single orgs.

use serde_json::{Value, json};
use stripe_sandbox::{Action, Rule};

use super::{counts, customer, day, ended, migrate, plans, pro, start, subscribe, with};
use crate::harness::DAY;

/// Invalid requests, each with its code and message.
#[rustfmt::skip]
fn invalid_requests() -> Vec<(Value, &'static str, &'static str)> {
    let to = |to: &str| json!({"from": "plan:pro@1", "to": to});
    vec![
        (to("plan:pro@1"), "invalid_request", "from and to are the same plan: \"plan:pro@1\""),
        (to("plan:pro@3"), "TERR1020", "feature or plan not found: \"plan:pro@3\""),
        (json!({"from": "plan:no@1", "to": "plan:pro@2"}), "TERR1020", "feature or plan not found: \"plan:no@1\""),
        (to("plan:free@1"), "plan_archived", "plan is archived: \"plan:free@1\""),
        (to("plan:yen@1"), "invalid_request", "the currency of a subscription cannot change: from is in usd, and to in jpy"),
        (to("plan:pro"), "invalid_request", "plan must have version: \"plan:pro\""),
        (json!({"to": "plan:pro@2"}), "invalid_request", "plan name must start with 'plan:': \"\""),
        (json!({}), "invalid_request", "plan name must start with 'plan:': \"\""),
        (with(pro(), "at", json!(day(0))), "invalid_request", "at must not be in the past"),
        (with(pro(), "at", json!("soon")), "invalid_request", "at must be now, period_end or an RFC 3339 time like 2030-01-31T12:00:00Z, not \"soon\""),
        (with(pro(), "at", json!(5)), "invalid_request", "at must be a string, not a number"),
        (with(pro(), "orgs", json!(["a"])), "invalid_request", "org must be prefixed with \"org:\""),
        (with(pro(), "orgs", json!("org:a")), "invalid_request", "orgs must be a list, not a string"),
        (with(pro(), "limit", json!(0)), "invalid_request", "limit must be a number from 1 to 1000, not 0"),
        (with(pro(), "x", json!(0)), "invalid_request", "unknown field \"x\""),
        (json!({"id": "mig_none"}), "invalid_request", "no such migration: \"mig_none\""),
        (json!({"id": "mig_../x"}), "invalid_request", "no such migration: \"mig_../x\""),
        (with(pro(), "id", json!("mig_none")), "invalid_request", "id names a migration that goes on, and nothing else is said of it"),
    ]
}

#[tokio::test]
async fn invalid_requests_are_refused() {
    let app = start().await;
    subscribe(&app, "org:a", json!([{"features": ["plan:pro@1"]}])).await;
    app.post_json("/v1/archive", &json!({"plan": "plan:free@1"}))
        .await
        .ok();
    app.advance(DAY);
    for (request, code, message) in invalid_requests() {
        for dry_run in [false, true] {
            let mut request = request.clone();
            if dry_run && request.get("id").is_none() {
                request["dry_run"] = json!(true);
            }
            let answer = app.post_json("/v1/migrate", &request).await;
            let body = answer.fails(400, code).json();
            assert_eq!(body["message"], message, "{request}");
        }
    }
    for query in ["", "?id=", "?id=mig_none", "?id=tier__plan-pro-1"] {
        app.get(&format!("/v1/migrate{query}"))
            .await
            .fails(400, "invalid_request");
    }
    assert_eq!(plans(&app, "org:a").await, json!(["plan:pro@1"]));
    let orgs: Vec<String> = (0..3000).map(|i| format!("org:{i:010}")).collect();
    app.post_json("/v1/migrate", &with(pro(), "orgs", json!(orgs)))
        .await
        .fails(400, "invalid_request");
    // A request without a time means now.
    let unset = with(
        with(pro(), "at", json!("0001-01-01T00:00:00Z")),
        "orgs",
        Value::Null,
    );
    assert_eq!(counts(&migrate(&app, &unset).await), ("done", 1, 1, 0));
}

#[tokio::test]
async fn an_archived_plan_can_be_left() {
    let app = start().await;
    subscribe(
        &app,
        "org:a",
        json!([{"features": ["plan:pro@1", "plan:addon@1"]}]),
    )
    .await;
    app.advance(DAY);
    for plan in ["plan:pro@1", "plan:addon@1"] {
        app.post_json("/v1/archive", &json!({"plan": plan}))
            .await
            .ok();
    }
    let planned = migrate(&app, &with(pro(), "at", json!("period_end"))).await;
    assert_eq!(counts(&planned), ("done", 1, 1, 0));
    app.advance(31 * DAY);
    assert_eq!(
        plans(&app, "org:a").await,
        json!(["plan:addon@1", "plan:pro@2"])
    );
}

#[tokio::test]
async fn a_failure_of_one_org_does_not_stop_the_others() {
    let app = start().await;
    for org in ["org:a", "org:b", "org:c"] {
        subscribe(&app, org, json!([{"features": ["plan:pro@1"]}])).await;
    }
    app.advance(DAY);
    // Stripe refuses the change of one org.
    let failing = customer(&app, "org:b").await;
    let path = format!("/v1/subscription_schedules?customer={failing}");
    let schedule = app.stripe_get(&path).await["data"][0]["id"].clone();
    let path = format!(
        "/v1/subscription_schedules/{}",
        schedule.as_str().expect("an id")
    );
    app.sandbox()
        .add_fault(Rule::new("POST", &path, Action::Status(500, None)));
    let begun = app.post_json("/v1/migrate", &pro()).await.ok().json();
    let ended_with = ended(&app, &begun).await;
    assert_eq!(counts(&ended_with), ("done", 3, 2, 1));
    assert_eq!(ended_with["failed"][0]["org"], "org:b");
    assert_eq!(ended_with["failed"][0]["code"], "stripe_unavailable");
    app.sandbox().clear_faults();
    let again = migrate(&app, &json!({"id": begun["id"]})).await;
    assert_eq!(counts(&again), ("done", 3, 3, 0));
    assert_eq!(plans(&app, "org:b").await, json!(["plan:pro@2"]));
}
