//! `tier connect`, against a dashboard that the test serves.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use serde_json::json as object;

use super::{Place, Web, json};

/// A dashboard that grants access at the third poll.
async fn dashboard() -> Web {
    Web::knowing_itself(|url| {
        let poll_url = format!("{url}/poll");
        let auth = post(move |body: String| async move {
            assert!(body.starts_with("device_name="), "{body}");
            axum::Json(object!({
                "browser_url": "https://dashboard.example/confirm?t=1",
                "poll_url": poll_url,
                "verification_code": "excels-win-bright",
            }))
        });
        let poll = get(|State(asked): State<Arc<AtomicUsize>>| async move {
            axum::Json(match asked.fetch_add(1, Ordering::SeqCst) {
                0 => object!({ "redeemed": false }),
                _ => object!({
                    "redeemed": true,
                    "account_id": "acct_1",
                    "account_display_name": "Acme",
                    "livemode_key_secret": "rk_live_secret",
                    "livemode_key_publishable": "pk_live_1",
                    "testmode_key_secret": "rk_test_secret",
                    "testmode_key_publishable": "pk_test_1",
                }),
            })
        });
        Router::new()
            .route("/stripecli/auth", auth)
            .route("/poll", poll)
            .with_state(Arc::default())
    })
    .await
}

#[tokio::test]
async fn connect_saves_the_keys() {
    let place = Place::start().await;
    let web = dashboard().await;
    let run = place.tier(&["connect"]).without("STRIPE_API_KEY");
    let said = run.env("TIER_DASHBOARD_URL", web.url()).ok().await;
    assert_eq!(
        said,
        "1. Open https://dashboard.example/confirm?t=1 in your browser.\n\
         2. Check that it shows the code: excels-win-bright\n\
         3. Allow access; tier waits here.\n\
         Connected to Acme (acct_1).\n"
    );
    let path = place.path().join(".config/tier/config.json");
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    let profile = &json(&place.read(".config/tier/config.json"))["profiles"]["tier"];
    assert_eq!(profile["testmode_key_secret"], "rk_test_secret");
    assert_eq!(profile["redeemed"], true);
    // The stored keys are used.
    let who = place
        .tier(&["whoami", "--json"])
        .without("STRIPE_API_KEY")
        .ok()
        .await;
    assert_eq!(json(&who)["key_source"], path.display().to_string());

    let again = place
        .tier(&["connect", "--json"])
        .env("TIER_DASHBOARD_URL", web.url())
        .end()
        .await;
    assert_eq!(json(&again.stdout)["account_id"], "acct_1", "{again:?}");
    assert!(again.stderr.contains("excels-win-bright"), "{again:?}");
}

#[tokio::test]
async fn connect_keeps_a_file_that_it_cannot_read() {
    let place = Place::offline();
    let web = dashboard().await;
    place.write(
        ".config/tier/config.json",
        r#"{"profiles":"sk_test_secret"}"#,
    );
    let run = place
        .tier(&["connect"])
        .env("TIER_DASHBOARD_URL", web.url());
    let fault = run.fault().await;
    assert!(
        fault.contains("config.json is not what tier wrote"),
        "{fault}"
    );
    place.write(".config/tier/config.json", "{ broken");
    let fault = place
        .tier(&["connect"])
        .env("TIER_DASHBOARD_URL", web.url())
        .fault()
        .await;
    assert!(
        fault.contains("config.json is not valid JSON (line 1, column"),
        "{fault}"
    );
    assert_eq!(place.read(".config/tier/config.json"), "{ broken");
}

#[tokio::test]
async fn connect_reports_failures_of_the_dashboard() {
    let place = Place::offline();
    let web = Web::start(Router::new()).await;
    let fault = place
        .tier(&["connect"])
        .env("TIER_DASHBOARD_URL", web.url())
        .fault()
        .await;
    assert!(
        fault.contains("cannot ask Stripe's dashboard for access: HTTP 404"),
        "{fault}"
    );
    let web = Web::knowing_itself(|url| {
        let links = object!({
            "browser_url": "https://dashboard.example/", "poll_url": format!("{url}/poll"), "verification_code": "a",
        });
        Router::new()
            .route("/stripecli/auth", post(|| async move { axum::Json(links) }))
            .route(
                "/poll",
                get(|| async { (StatusCode::FORBIDDEN, "rk_test_secret") }),
            )
    })
    .await;
    let ended = place
        .tier(&["connect"])
        .env("TIER_DASHBOARD_URL", web.url())
        .end()
        .await;
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.contains("did not grant access: HTTP 403"),
        "{ended:?}"
    );
    assert!(!place.path().join(".config").exists());
}
