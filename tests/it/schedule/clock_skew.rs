//! A server whose clock differs from Stripe's decides changes by Stripe's time.

use axum::http::Method;
use clock::Clock;
use serde_json::json;

use super::{schedule, start};
use crate::harness::{START, TestApp};

/// The plans, and a server whose clock is `seconds` ahead of Stripe's.
async fn apart(seconds: i64) -> TestApp {
    start().await.with_clock(Clock::manual(START + seconds))
}

async fn plans(app: &TestApp) -> serde_json::Value {
    super::phase(app).await.ok().json()["plans"].clone()
}

#[tokio::test]
async fn a_plan_may_change_again_in_the_second_in_which_its_phase_began() {
    for seconds in [-30, -1, 0, 1, 5, 30] {
        let app = apart(seconds).await;
        for plan in ["plan:free@1", "plan:pro@1", "plan:free@1"] {
            schedule(&app, json!([{"features": [plan]}])).await.ok();
            assert_eq!(plans(&app).await, json!([plan]), "{seconds} s ahead");
        }
    }
}

#[tokio::test]
async fn a_plan_may_be_appended_in_that_second() {
    for seconds in [-30, -1, 0, 1, 30] {
        let app = apart(seconds).await;
        for plan in ["plan:pro@1", "plan:free@1"] {
            let body = json!({"org": "org:a", "plan": plan});
            let call = app.request(Method::POST, "/api/v1/append");
            call.body(body.to_string()).send().await.ok();
            assert_eq!(plans(&app).await, json!([plan]), "{seconds} s ahead");
        }
    }
}

#[tokio::test]
async fn orgs_may_be_moved_in_that_second() {
    for seconds in [-30, 0, 1, 30] {
        let app = apart(seconds).await;
        schedule(&app, json!([{"features": ["plan:free@1"]}]))
            .await
            .ok();
        let body = json!({"from": "plan:free@1", "to": "plan:pro@1", "at": "now"});
        let moved = app.post_json("/v1/migrate", &body).await.ok().json();
        let id = moved["id"].clone();
        let done = testing::time::until("all orgs are moved", async || {
            let path = format!("/v1/migrate?id={}", id.as_str().expect("an id"));
            let state = app.get(&path).await.ok().json();
            (state["state"] == "done").then_some(state)
        });
        let done = done.await;
        assert_eq!(done["failed"], json!([]), "{seconds} s ahead: {done}");
        assert_eq!(
            plans(&app).await,
            json!(["plan:pro@1"]),
            "{seconds} s ahead"
        );
    }
}
