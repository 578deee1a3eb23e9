//! `tier listen`, which delivers the sandbox's events to a program on this machine.

use testing::receiver::Receiver;
use testing::time::until;

use super::{Place, json};

#[tokio::test]
async fn events_are_forwarded_until_it_ends() {
    let place = Place::pushed().await;
    let receiver = Receiver::start().await;
    let url = receiver.url();

    let listen = ["listen", "--forward-to", url];
    let mut listening = place
        .tier(&listen)
        .started_with("STRIPE_WEBHOOK_SECRET=whsec_")
        .await;
    place
        .tier(&["subscribe", "org:acme", "plan:pro@1"])
        .ok()
        .await;
    let first = until("an event arrives", async || {
        receiver.webhooks().into_iter().next()
    })
    .await;
    assert!(first.header("stripe-signature").contains("v1="));
    assert_eq!(first.event()["type"], "customer.created");
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
    for elsewhere in [
        "https://app.example/webhook",
        "http://192.168.0.7:3000",
        "http://127.0.0.1.example",
    ] {
        let listen = place.tier(&["listen", "--forward-to", elsewhere]);
        let refused = listen.misused().await;
        assert!(refused.contains("on this machine"), "{refused}");
        assert!(refused.contains("webhook create"), "{refused}");
    }
    let refused = place
        .tier(&["listen", "--forward-to", "ftp://x"])
        .misused()
        .await;
    assert!(refused.contains("http://"), "{refused}");
}
