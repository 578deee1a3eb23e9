//! `tier dev`: a server whose sandbox follows the changes of a pricing.json.

use serde_json::Value;
use testing::time::until;

use super::{PRICING, Place, json};
use crate::binary::Server;

/// Starts the server without a Stripe account.
async fn dev(place: &Place) -> Server {
    let args = [
        "dev",
        "--addr",
        "127.0.0.1:0",
        "--sandbox-addr",
        "127.0.0.1:0",
    ];
    place.tier(&args).without("STRIPE_API_KEY").started().await
}

#[tokio::test]
async fn the_sandbox_has_the_plans_of_the_file() {
    let place = Place::offline();
    place.write("pricing.json", PRICING);
    let server = dev(&place).await;
    let url = server.url();
    let pulled = async || -> Value {
        let run = place.tier(&["pull", "--base-url", &url]);
        json(&run.ok().await)["plans"].clone()
    };
    let shows = async |plan: &str, feature: &str, base: i64| {
        let pushed =
            async || (pulled().await[plan]["features"][feature]["base"] == base).then_some(());
        until("the model is pushed", pushed).await;
    };
    shows("plan:pro@1", "feature:base", 1000).await;
    let org = ["--base-url", &url, "subscribe", "org:acme", "plan:free@1"];
    place.tier(&org).ok().await;

    // A new plan keeps everything else in the sandbox.
    let more = PRICING.replacen(
        "\"plans\": {",
        "\"plans\": {\"plan:max@1\": {\"features\": {\"feature:base\": {\"base\": 9}}},",
        1,
    );
    place.write("pricing.json", &more);
    shows("plan:max@1", "feature:base", 9).await;
    let whois = ["--base-url", &url, "whois", "org:acme"];
    place.tier(&whois).ok().await;

    // An invalid file changes nothing. A changed plan resets the sandbox.
    place.write("pricing.json", "{");
    place.write("pricing.json", &more.replace("1000", "1200"));
    shows("plan:pro@1", "feature:base", 1200).await;
    let gone = place.tier(&whois).fault().await;
    assert!(gone.contains("org not found"), "{gone}");
    let ended = server.stop("-TERM").await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("is reset"), "{ended:?}");
}

#[tokio::test]
async fn dev_waits_for_a_missing_file() {
    let place = Place::offline();
    let server = dev(&place).await;
    let url = server.url();
    place.tier(&["init"]).ok().await;
    let pull = ["pull", "--base-url", &url];
    let pushed = async || {
        place
            .tier(&pull)
            .ok()
            .await
            .contains("plan:pro@0")
            .then_some(())
    };
    until("the model is pushed", pushed).await;
    drop(server);
    let refused = place.tier(&["dev", "--cloud"]).misused().await;
    assert!(refused.contains("tier serve --sandbox"), "{refused}");
}
