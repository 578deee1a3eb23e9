//! The size of the memory, and who gets the answers in it.

use serde_json::json;
use stripe_sandbox::{Action, Rule};

use super::{SECOND, calls, freshness, memory, start, start_with, used};
use crate::harness::Settings;

#[tokio::test]
async fn the_number_of_cached_orgs_is_limited() {
    const ROOM: usize = 4;
    let app = start_with(Settings {
        max_orgs: ROOM,
        ..Settings::remembering()
    })
    .await;
    let beside = app.second_server();
    let orgs: Vec<String> = (0..3 * ROOM).map(|n| format!("org:{n}")).collect();
    for org in &orgs {
        beside.subscribe(org, &["plan:free@1"]).await;
    }
    let read = async |org: &str| {
        let limits = app.get(&format!("/v1/limits?org={org}")).await.ok();
        assert_eq!(used(&limits, "feature:calls"), Some(0), "{org}");
        freshness(&limits).0
    };
    for org in &orgs {
        assert_eq!(read(org).await, "stripe", "{org}");
        assert_eq!(read(org).await, "memory", "{org}");
    }
    let mut remembered = 0;
    for org in &orgs {
        remembered += usize::from(read(org).await == "memory");
    }
    assert!(remembered <= ROOM, "{remembered} of {}", orgs.len());
}

#[tokio::test]
async fn a_cached_absence_of_a_phase_expires() {
    let app = start().await;
    app.post_json("/v1/subscribe", &json!({"org": "org:new", "info": {}}))
        .await
        .ok();
    app.settled().await;
    app.forget_calls();
    let phase = app.get("/v1/phase?org=org:new").await;
    assert_eq!(freshness(&phase), ("memory".to_owned(), 0, None));
    phase.fails(404, "not_found");
    assert_eq!(app.stripe_calls(), 0);
    app.advance(SECOND);
    let phase = app.get("/v1/phase?org=org:new").await;
    assert_eq!(freshness(&phase), ("stripe".to_owned(), 0, None));
}

#[tokio::test]
async fn a_revoked_key_gets_no_cached_answers() {
    let app = start().await;
    calls(&app).await;
    let revoked = Action::Status(401, None);
    for method in ["GET", "POST"] {
        app.sandbox()
            .add_fault(Rule::new(method, "/v1/*", revoked.clone()));
    }
    app.advance(9 * SECOND);
    assert_eq!(calls(&app).await, memory(0, 9));
    app.settled().await;
    app.advance(SECOND);
    let refused = app.get("/v1/limits?org=org:a").await;
    refused.fails(401, "invalid_api_key");
}
