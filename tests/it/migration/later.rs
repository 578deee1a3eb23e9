//! Migrations of future phases, and migrations at a later time.

use serde_json::{Value, json};

use super::{counts, day, migrate, plans, pro, start, subscribe, with};
use crate::harness::{DAY, START};

#[tokio::test]
async fn future_phases_are_moved_too() {
    let app = start().await;
    let later =
        json!([{"features": ["plan:free@1"]}, {"features": ["plan:pro@1"], "effective": day(10)}]);
    subscribe(&app, "org:later", later).await;
    let waiting = json!([{"features": ["plan:pro@1"], "effective": day(20)}]);
    subscribe(&app, "org:waiting", waiting).await;
    app.advance(DAY);
    for at in ["now", "period_end"] {
        let request = with(with(pro(), "dry_run", json!(true)), "at", json!(at));
        let plan = app.post_json("/v1/migrate", &request).await.ok().json();
        let orgs = plan["orgs"].as_array().expect("a list").iter();
        let effective: Vec<_> = orgs.map(|one| one["effective"].clone()).collect();
        assert_eq!(effective, [json!(day(10)), json!(day(20))], "{at}");
    }
    assert_eq!(counts(&migrate(&app, &pro()).await), ("done", 2, 2, 0));
    assert_eq!(plans(&app, "org:later").await, json!(["plan:free@1"]));
    app.advance(25 * DAY);
    assert_eq!(plans(&app, "org:later").await, json!(["plan:pro@2"]));
    assert_eq!(plans(&app, "org:waiting").await, json!(["plan:pro@2"]));
}

#[tokio::test]
async fn at_a_time_or_at_the_end_of_each_period() {
    let app = start().await;
    subscribe(&app, "org:a", json!([{"features": ["plan:pro@1"]}])).await;
    app.advance(5 * DAY);
    subscribe(
        &app,
        "org:b",
        json!([{"features": ["plan:pro@1"]}, {"effective": day(50)}]),
    )
    .await;
    app.advance(DAY);
    let planned = migrate(&app, &with(pro(), "at", json!("period_end"))).await;
    assert_eq!(counts(&planned), ("done", 2, 2, 0));
    let starts = async |org: &str| -> Vec<Value> {
        let phases = app.get(&format!("/v1/phases?org={org}")).await.ok().json();
        let phases = phases["phases"].as_array().expect("phases");
        phases
            .iter()
            .map(|phase| json!([phase["effective"], phase["plans"]]))
            .collect()
    };
    let moved = [
        json!([day(0), ["plan:pro@1"]]),
        json!([day(31), ["plan:pro@2"]]),
    ];
    assert_eq!(starts("org:a").await, moved);
    let moved = [
        json!([day(5), ["plan:pro@1"]]),
        json!([day(36), ["plan:pro@2"]]),
        json!([day(50), null]),
    ];
    assert_eq!(starts("org:b").await, moved);
    // An org whose move is scheduled is not migrated again, even if other changes are scheduled.
    assert_eq!(
        counts(&migrate(&app, &with(pro(), "at", json!("period_end"))).await),
        ("done", 0, 0, 0)
    );
    let back = json!({"org": "org:a", "phases": [{"features": ["plan:pro@1"]}]});
    app.post_json("/v1/subscribe", &back).await.ok();
    let again = migrate(&app.second_server(), &json!({"id": planned["id"]})).await;
    assert_eq!(counts(&again), ("done", 2, 2, 0));
    assert_eq!(plans(&app, "org:a").await, json!(["plan:pro@1"]));
    let timed = migrate(&app, &with(pro(), "at", json!(day(9)))).await;
    assert_eq!(counts(&timed), ("done", 2, 2, 0));
    app.set_clock(START + 9 * 86_400 + 1);
    assert_eq!(plans(&app, "org:a").await, json!(["plan:pro@2"]));
}
