//! `tier doctor`: the checks of the key and the account.

use clock::Clock;
use serde_json::Value;
use stripe_sandbox::{Action, Options, Rule};
use tier::billing::{CLASSIC, WITH_METERS};

use super::{KEY, PRICING, Place, json};
use crate::harness::START;
use crate::shop;

/// The findings that are not ok, as `verdict check`.
fn faults(findings: &Value) -> Vec<String> {
    let findings = findings.as_array().expect("a list").iter();
    let text = |finding: &Value, key: &str| finding[key].as_str().expect("a text").to_owned();
    let faults = findings.filter(|finding| finding["verdict"] != "ok");
    faults
        .map(|finding| {
            assert!(!text(finding, "found").is_empty() && !text(finding, "remedy").is_empty());
            format!("{} {}", text(finding, "verdict"), text(finding, "check"))
        })
        .collect()
}

#[tokio::test]
async fn a_key_that_may_do_everything_needs_a_webhook() {
    let place = Place::pushed().await;
    place.sandbox().sandbox().clear_requests();
    let found = json(&place.tier(&["doctor", "--json"]).ok().await);
    assert_eq!(faults(&found), ["advice webhooks"]);
    let answered = place.sandbox().sandbox().requests(None);
    let writes = answered
        .iter()
        .filter(|call| !call.endpoint.starts_with("GET "));
    assert!(writes.clone().count() > 5);
    assert!(
        writes.clone().all(|call| (400..500).contains(&call.status)),
        "doctor changes nothing"
    );

    let endpoint = ["webhook", "create", "https://tier.example"];
    place.tier(&endpoint).ok().await;
    let text = place.tier(&["doctor", "--probe"]).ok().await;
    assert!(text.lines().all(|line| line.starts_with("ok")), "{text}");
    assert!(
        text.contains("the account takes both generations"),
        "{text}"
    );
    // The price that `doctor` creates to probe the key is archived.
    assert_eq!(place.tier(&["ls"]).ok().await.matches("probe").count(), 0);
}

#[tokio::test]
async fn what_a_restricted_key_lacks_is_named() {
    let place = Place::pushed().await;
    for (method, path) in [
        ("POST", "/v1/prices/*"),
        ("POST", "/v1/billing/meter_events"),
        ("GET", "/v1/events"),
    ] {
        let refusal = Action::Status(403, None);
        let rule = Rule::new(method, path, refusal);
        place.sandbox().sandbox().add_fault(rule);
    }
    let run = place.tier(&["doctor", "--json"]).end().await;
    assert_eq!(run.code, Some(1));
    let found = json(&run.stdout);
    let expected = [
        "wrong Prices (write)",
        "wrong Billing Meter Events (write)",
        "wrong Events (read)",
        "advice webhooks",
    ];
    assert_eq!(faults(&found), expected);
    let prices = found.as_array().expect("a list").iter();
    let mut prices = prices.filter(|finding| finding["check"] == "Prices (write)");
    let prices = prices.next().expect("the check");
    let said = prices["found"].as_str().expect("a text");
    assert!(
        said.contains("needed for push, pull and every change of plan"),
        "{said}"
    );
}

/// No program listens at the webhook's URL, and Stripe's clock is years away from this machine's.
#[tokio::test]
async fn events_that_do_not_arrive_and_a_wrong_clock_are_found() {
    let clock = Clock::manual(START);
    let options = Options {
        clock: clock.clone(),
        ..Options::default()
    };
    let place = Place::with(options).await;
    let endpoint = ["webhook", "create", "http://127.0.0.1:1"];
    place.tier(&endpoint).ok().await;
    let faults = async || {
        let run = place.tier(&["doctor", "--json"]).end().await;
        faults(&json(&run.stdout))
    };
    assert_eq!(faults().await, ["wrong clock"]);
    place.write("pricing.json", PRICING);
    place.tier(&["push", "pricing.json"]).ok().await;
    let subscribe = ["subscribe", "org:acme", "plan:free@1"];
    place.tier(&subscribe).ok().await;
    assert_eq!(faults().await, ["wrong clock"], "they may be on their way");
    clock.set(START + 20 * 60);
    assert_eq!(faults().await, ["wrong clock", "advice webhooks"]);
}

#[tokio::test]
async fn a_search_that_stripe_does_not_have_is_told() {
    let place = Place::pushed().await;
    let gone = Action::Status(400, None);
    let rule = Rule::new("GET", "/v1/customers/search", gone);
    place.sandbox().sandbox().add_fault(rule);
    let found = json(&place.tier(&["doctor", "--json"]).end().await.stdout);
    let faults = faults(&found);
    assert!(
        faults.iter().any(|fault| fault.ends_with(" search")),
        "{faults:?}"
    );
}

#[tokio::test]
async fn an_account_that_takes_only_meters_is_told() {
    let options = Options {
        meters_only: true,
        ..Options::default()
    };
    let place = Place::with(options).await;
    let probe = ["doctor", "--probe", "--json"];
    let found = json(&place.tier(&probe).ok().await);
    assert_eq!(faults(&found), ["advice webhooks"]);
    let classic = place.tier(&probe).env("TIER_STRIPE_GENERATION", "classic");
    let run = classic.end().await;
    assert_eq!(run.code, Some(1));
    let found = json(&run.stdout);
    assert_eq!(faults(&found), ["advice webhooks", "wrong metered prices"]);
}

#[tokio::test]
async fn a_key_that_does_not_work_is_an_error() {
    let place = Place::offline();
    let told = place.tier(&["doctor"]).fault().await;
    assert!(told.contains("Stripe is unavailable"), "{told}");
}

/// Each fault of a webhook endpoint is reported with its remedy.
#[tokio::test]
async fn an_endpoint_that_is_off_or_of_another_version_is_told() {
    let place = Place::pushed().await;
    let create = ["webhook", "create", "--json", "https://tier.example"];
    let created = json(&place.tier(&create).ok().await);
    let id = created["id"].as_str().expect("an id");
    let webhooks = async || {
        let run = place.tier(&["doctor", "--json"]).end().await;
        let findings = json(&run.stdout);
        let mut findings = findings.as_array().expect("a list").iter();
        let found = findings.find(|one| one["check"] == "webhooks").cloned();
        let found = found.expect("the check");
        let part = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
        (run.code, part("verdict"), part("found"), part("remedy"))
    };
    assert_eq!(webhooks().await.1, "ok");

    let stripe = shop::client(place.sandbox(), KEY, 0);
    let path = ("/v1/webhook_endpoints/*", id);
    let off = stripe.post(CLASSIC, path).param("disabled", "true");
    let _: Value = off.send().await.expect("an answer");
    let (code, verdict, found, remedy) = webhooks().await;
    assert_eq!((code, &*verdict), (Some(1), "wrong"));
    assert!(found.ends_with("is disabled"), "{found}");
    assert!(remedy.starts_with("enable it"), "{remedy}");

    place.tier(&["webhook", "delete", id]).ok().await;
    let url = created["url"].as_str().expect("a URL");
    let later = stripe.post(CLASSIC, "/v1/webhook_endpoints");
    let later = later
        .param("url", url)
        .param("enabled_events[]", "*")
        .param("api_version", WITH_METERS.0);
    let _: Value = later.send().await.expect("an answer");
    let (code, verdict, found, remedy) = webhooks().await;
    assert_eq!((code, &*verdict), (Some(0), "advice"));
    assert!(found.contains("another API version"), "{found}");
    assert!(remedy.starts_with("tier webhook delete we_"), "{remedy}");
}

/// Stripe reports the events that meters drop only to event destinations.
#[tokio::test]
async fn an_account_on_meters_needs_an_event_destination() {
    let place = Place::pushed().await;
    let create = ["webhook", "create", "--json", "https://tier.example"];
    let created = json(&place.tier(&create).ok().await);
    let destination = created["event_destination"]["id"].as_str().expect("an id");
    let doctor = async |generation: &str| {
        let run = place.tier(&["doctor", "--json"]);
        let run = run.env("TIER_STRIPE_GENERATION", generation);
        faults(&json(&run.ok().await))
    };
    assert_eq!(doctor("meters").await, [""; 0]);
    place.tier(&["webhook", "delete", destination]).ok().await;
    assert_eq!(doctor("meters").await, ["advice webhooks"]);
    assert_eq!(doctor("classic").await, [""; 0]);
}
