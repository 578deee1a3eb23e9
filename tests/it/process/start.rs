//! How settings are read, and which warnings are logged at the start.

use super::*;

#[tokio::test]
async fn likely_mistakes_are_warned_about() {
    let place = Place::offline();
    place.write("keys", "one\n");
    let loopback = ["--addr", "127.0.0.1:0"];
    let every = ["--addr", "0.0.0.0:0"];
    for (flags, warning) in [
        (
            [&loopback[..], &["--api-key-file", "keys"]].concat(),
            "--api-key-file keys can be read by other users",
        ),
        (
            [&loopback[..], &["--admin-addr", "0.0.0.0:0"]].concat(),
            "--admin-addr 0.0.0.0:0 shows /metrics without a key",
        ),
        ([&every[..], &["--cloud"]].concat(), "without TLS"),
    ] {
        let ended = start(&place, &flags).await.stop("-TERM").await;
        let warned = ended
            .stderr
            .lines()
            .filter(|line| line.contains("\"WARN\""));
        let warned: Vec<_> = warned.collect();
        assert!(
            warned.len() == 1 && warned[0].contains(warning),
            "{flags:?}: {warned:?}"
        );
    }
}

#[tokio::test]
async fn sending_a_live_key_unencrypted_is_warned_about() {
    let place = Place::offline();
    let run = place.tier(&["serve", "--addr", "127.0.0.1:0", "--live"]);
    let run = run
        .env("STRIPE_API_KEY", "sk_live_one")
        .env("STRIPE_BASE_API_URL", "http://stripe.internal");
    let ended = run.started().await.stop("-TERM").await;
    let warned =
        |line: &str| line.contains("STRIPE_BASE_API_URL begins with http://: the live key");
    assert!(ended.stderr.lines().any(warned), "{}", ended.stderr);
}

/// Some editors begin a file with a byte order mark.
#[tokio::test]
async fn a_key_file_may_begin_with_a_byte_order_mark() {
    let place = Place::offline();
    place.write("keys", "\u{feff}one\r\nfront:read:two\r\n");
    let server = start(&place, &["--addr", "127.0.0.1:0", "--api-key-file", "keys"]).await;
    assert_eq!(status(server.address(), "/v1/whoami", "one").await, 200);
    assert_eq!(status(server.address(), "/v1/whoami", "two").await, 200);
    assert_eq!(status(server.address(), "/v1/whoami", "three").await, 401);
}

/// A change in the sandbox becomes visible in the server's next answer.
#[tokio::test]
async fn the_embedded_sandbox_sends_its_events_to_the_server() {
    let place = Place::offline();
    let server = start(&place, &["--addr", "127.0.0.1:0"]).await;
    let host = server.address().to_owned();
    let post = async |path: &str, body: &str| {
        let (to, length) = (&host, body.len());
        let head = format!("POST {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n");
        exchange(to, &format!("{head}Content-Length: {length}\r\n\r\n{body}")).await
    };
    let model = r#"{"plans":{"plan:p@1":{"features":{"feature:f":{}}}}}"#;
    assert_eq!(status_of(&post("/v1/push", model).await), 200);
    let subscribe = r#"{"org":"org:a","phases":[{"features":["plan:p@1"]}]}"#;
    assert_eq!(status_of(&post("/v1/subscribe", subscribe).await), 200);
    until("its events arrive", async || {
        let shown = get(&host, "/metrics", "x").await;
        let none = shown.contains("tier_stripe_events_total 0\n");
        (!none && shown.contains("tier_stripe_events_total ")).then_some(())
    })
    .await;
    let unsigned = post("/v1/stripe/webhook", "{}").await;
    assert_eq!(status_of(&unsigned), 400, "{unsigned}");

    let limits = async || status(&host, "/v1/limits?org=org:a", "x").await;
    assert_eq!(limits().await, 200);
    let checkout = r#"{"org":"org:a","success_url":"http://127.0.0.1/"}"#;
    let page = post("/v1/checkout", checkout).await;
    let page = page.split("http://").nth(1).expect("a page of the sandbox");
    let sandbox = page.split('/').next().expect("its address");
    let reset = format!(
        "POST /_sandbox/reset HTTP/1.1\r\nHost: {sandbox}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    );
    assert_eq!(status_of(&exchange(sandbox, &reset).await), 200);
    assert_eq!(limits().await, 400, "the reset leaves nothing behind");
    assert_eq!(server.stop("-TERM").await.code, Some(0));
}

#[tokio::test]
async fn cloud_mode_refuses_a_webhook_secret() {
    let place = Place::offline();
    let cloud = place.tier(&["serve", "--cloud", "--addr", "127.0.0.1:0"]);
    let said = cloud.env("STRIPE_WEBHOOK_SECRET", "whsec_x").fault().await;
    assert!(said.contains("STRIPE_WEBHOOK_SECRET"), "{said}");
}

#[tokio::test]
async fn link_secrets_that_are_short_or_in_cloud_mode_are_refused() {
    let place = Place::offline();
    let long = "x".repeat(32);
    for (flags, secret) in [(&["--cloud"][..], &*long), (&["--sandbox"], &long[1..])] {
        let args = [&["serve", "--addr", "127.0.0.1:0"], flags].concat();
        let said = place
            .tier(&args)
            .env("TIER_LINK_SECRET", secret)
            .fault()
            .await;
        assert!(said.contains("TIER_LINK_SECRET"), "{said}");
    }
}
