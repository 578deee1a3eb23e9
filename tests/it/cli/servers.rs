//! Starts and stops `serve` and `sandbox`, as SDKs and process managers do.

use tokio::net::TcpListener;

use super::{KEY, Place, json};
use testing::time::until;

#[tokio::test]
async fn a_server_says_where_it_listens_and_ends_when_told() {
    let place = Place::start().await;
    for (args, signal) in [
        // The npm package starts the server like this.
        (&["-v", "serve", "--addr", "127.0.0.1:0"][..], "-TERM"),
        (&["serve", "-addr", "127.0.0.1:0"], "-INT"),
        (&["sandbox", "--addr", "localhost:0"], "-TERM"),
    ] {
        let server = place.tier(args).started().await;
        let ended = server.stop(signal).await;
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(0), ""),
            "{args:?}: {ended:?}"
        );
    }
}

#[tokio::test]
async fn a_server_logs_to_stderr_and_never_a_key() {
    let place = Place::start().await;
    let server = place.tier(&["serve", "--addr", "127.0.0.1:0"]);
    let server = server.env("TIER_API_KEY", "server-secret").started().await;
    let who = place.tier(&["whoami", "--base-url", &server.url()]);
    who.env("TIER_API_KEY", "server-secret").ok().await;
    place
        .tier(&["whoami", "--base-url", &server.url()])
        .fault()
        .await;
    let ended = server.stop("-TERM").await;
    let endpoints = ended.stderr.matches("/v1/whoami").count();
    assert!(endpoints >= 2, "{ended:?}");
    assert!(!super::shows_a_key(&ended.stderr), "{ended:?}");
}

#[tokio::test]
async fn a_taken_port_is_reported() {
    let place = Place::start().await;
    let held = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = held.local_addr().unwrap().to_string();
    for command in ["serve", "sandbox"] {
        let fault = place.tier(&[command, "--addr", &taken]).fault().await;
        assert!(
            fault.starts_with(&format!("tier: cannot listen on {taken}: ")),
            "{fault}"
        );
    }
    drop(held);
}

#[tokio::test]
async fn serve_can_embed_a_sandbox() {
    let place = Place::offline();
    let args = [
        "serve",
        "--sandbox",
        "--addr",
        "127.0.0.1:0",
        "--sandbox-url",
        "http://pay.example",
    ];
    // A live key would be refused if it were read.
    let run = place.tier(&args).env("STRIPE_API_KEY", "sk_live_secret");
    let server = run.started().await;
    let url = server.url();
    let who = place
        .tier(&["whoami", "--json", "--base-url", &url])
        .ok()
        .await;
    assert_eq!(json(&who)["key_source"], "sandbox");
    let checkout = [
        "subscribe",
        "--checkout",
        "https://example.com",
        "org:acme",
        "--base-url",
        &url,
    ];
    let link = place.tier(&checkout).ok().await;
    assert!(link.starts_with("http://pay.example/"), "{link}");
    let ended = server.stop("-TERM").await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[tokio::test]
async fn a_sandbox_on_another_port_says_where_it_listens() {
    let place = Place::offline();
    let note = "port 12111 is taken; the sandbox listens on 127.0.0.1:";
    until("the port is taken while a server starts", async || {
        // If another process has taken the port, it may release the port too early, so the test tries again.
        let held = TcpListener::bind("127.0.0.1:12111").await;
        let server = place.tier(&["serve", "--sandbox", "--addr", "127.0.0.1:0"]);
        let ended = server.started().await.stop("-TERM").await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let noted = ended.stderr.contains(note);
        assert!(noted || held.is_err(), "{ended:?}");
        noted.then_some(())
    })
    .await;
}

#[tokio::test]
async fn any_stripe_client_can_use_the_sandbox() {
    let place = Place::offline();
    let sandbox = place
        .tier(&["sandbox", "--addr", "127.0.0.1:0"])
        .started()
        .await;
    let run = place.tier(&["whoami", "--json"]);
    let who = run.env("STRIPE_BASE_API_URL", &sandbox.url()).ok().await;
    assert_eq!(json(&who)["key_source"], "STRIPE_API_KEY");
    let run = place
        .tier(&["push", "--sandbox", "-"])
        .stdin(super::PRICING);
    let pushed = run.env("TIER_SANDBOX_URL", &sandbox.url()).ok().await;
    assert_eq!(pushed.matches("[created]").count(), 3);
}

#[tokio::test]
async fn a_server_works_in_the_account_of_its_directory() {
    let place = Place::start().await;
    place.tier(&["switch", "-c"]).ok().await;
    let server = place
        .tier(&["serve", "--addr", "127.0.0.1:0"])
        .started()
        .await;
    let who = place
        .tier(&["whoami", "--json", "--base-url", &server.url()])
        .ok()
        .await;
    assert_eq!(json(&who)["id"], json(&place.read("tier.state"))["ID"]);
    assert_ne!(json(&who)["id"], place.sandbox().sandbox().account_id(KEY));
}
