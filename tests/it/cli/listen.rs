//! The sandbox's events, delivered to a program on this machine.

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{Place, json};

#[tokio::test]
async fn events_are_forwarded_until_it_ends() {
    let place = Place::pushed().await;
    let (sender, mut received) = mpsc::unbounded_channel();
    let take = move |headers: HeaderMap, body: String| {
        let signed = headers.contains_key("stripe-signature");
        let sent = sender.send((signed, json(&body)["type"].clone()));
        async move { sent.expect("somebody waits") }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/events", listener.local_addr().unwrap());
    let app = Router::new().route("/events", post(take));
    let mut server = JoinSet::new();
    server.spawn(async move { axum::serve(listener, app).await });

    let listen = ["listen", "--forward-to", &url];
    let mut listening = place
        .tier(&listen)
        .started_with("STRIPE_WEBHOOK_SECRET=whsec_")
        .await;
    place
        .tier(&["subscribe", "org:acme", "plan:pro@1"])
        .ok()
        .await;
    let (signed, kind) = received.recv().await.expect("an event");
    assert!(signed);
    assert_eq!(kind, "customer.created");
    let line = listening.line().await;
    assert!(line.starts_with("customer.created\tevt_"), "{line}");

    let ended = listening.stop("-INT").await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let left = place.tier(&["webhook", "list", "--json"]).ok().await;
    assert_eq!(json(&left).as_array().map(Vec::len), Some(0));
}

#[tokio::test]
async fn stripe_cannot_reach_this_machine() {
    let place = Place::offline();
    let listen = place.tier(&["listen", "--forward-to", "http://127.0.0.1:3000"]);
    let listen = listen.env("STRIPE_BASE_API_URL", "https://stripe.example");
    let refused = listen.misused().await;
    assert!(refused.contains("stripe listen"), "{refused}");
    let refused = place
        .tier(&["listen", "--forward-to", "ftp://x"])
        .misused()
        .await;
    assert!(refused.contains("http://"), "{refused}");
}
