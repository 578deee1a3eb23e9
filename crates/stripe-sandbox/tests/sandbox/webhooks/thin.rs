//! Event destinations, and the thin events by which meters report dropped events.

use clock::Clock;
use serde_json::{Value, json};
use stripe_sandbox::{Action, Rule};
use testing::receiver::{Receiver, Webhook};
use testing::time::until;

use super::super::{Api, Reply, START, read};
use super::{BACKOFF, check_signature, sandbox};

const DESTINATIONS: &str = "/v2/core/event_destinations";

const METER_ERRORS: &str = "v1.billing.meter.error_report_triggered";

/// Sends JSON.
async fn post(api: &Api, path: &str, body: Value) -> Reply {
    let request = api.request("POST", path);
    let request = request.header("content-type", "application/json");
    let answer = read(request.body(body.to_string())).await;
    answer.expect("an answer")
}

/// A sandbox in the version with meters, whose clock the test sets.
async fn world() -> (Api, Clock) {
    let (api, clock) = sandbox().await;
    (api.header("stripe-version", "2026-10-28.endive"), clock)
}

fn new_destination(url: &str) -> Value {
    json!({
        "name": "Tests",
        "type": "webhook_endpoint",
        "event_payload": "thin",
        "enabled_events": [METER_ERRORS],
        "webhook_endpoint": {"url": url},
        "include": ["webhook_endpoint.signing_secret", "webhook_endpoint.url"],
    })
}

async fn destination(api: &Api, url: &str) -> Value {
    post(api, DESTINATIONS, new_destination(url)).await.ok()
}

fn id(object: &Value) -> &str {
    object["id"].as_str().expect("an id")
}

/// Creates the meter of `calls`, and returns its id.
async fn meter(api: &Api) -> String {
    let form = "display_name=Calls&event_name=calls&default_aggregation[formula]=sum";
    api.create("/v1/billing/meters", form).await
}

async fn report(api: &Api, customer: &str, value: &str, identifier: &str) {
    let form = format!(
        "event_name=calls&payload[stripe_customer_id]={customer}&payload[value]={value}&identifier={identifier}"
    );
    api.post("/v1/billing/meter_events", &form).await.ok();
}

#[tokio::test]
async fn a_destination_is_created_changed_and_deleted() {
    let (api, clock) = world().await;
    let made = destination(&api, "https://example.com/thin").await;
    assert!(id(&made).starts_with("ed_test_"));
    let secret = made["webhook_endpoint"]["signing_secret"].as_str();
    assert!(secret.is_some_and(|secret| secret.starts_with("whsec_")));
    assert_eq!(made["webhook_endpoint"]["url"], "https://example.com/thin");
    assert_eq!(made["created"], "2019-12-31T00:00:00.000Z");
    let path = format!("{DESTINATIONS}/{}", id(&made));
    let seen = api.get(&path).await.ok();
    assert_eq!(seen["webhook_endpoint"], json!({}));
    assert_eq!(seen["events_from"], json!(["@self"]));
    clock.set(START + 5);
    let change = json!({"name": "Others", "description": "D", "metadata": {"a": "b"},
        "webhook_endpoint": {"url": "https://example.com/other"}, "include": ["webhook_endpoint.url"]});
    let changed = post(&api, &path, change).await.ok();
    assert_eq!(
        (&changed["name"], &changed["description"]),
        (&json!("Others"), &json!("D"))
    );
    assert_eq!(
        changed["webhook_endpoint"],
        json!({"url": "https://example.com/other"})
    );
    assert_eq!(changed["updated"], "2019-12-31T00:00:05.000Z");
    let off = api.post(&format!("{path}/disable"), "").await.ok();
    assert_eq!(
        (&off["status"], &off["status_details"]["disabled"]["reason"]),
        (&json!("disabled"), &json!("user"))
    );
    let on = api.post(&format!("{path}/enable"), "").await.ok();
    assert_eq!(
        (&on["status"], &on["status_details"]),
        (&json!("enabled"), &Value::Null)
    );
    // Webhook endpoints and destinations are not listed together.
    let endpoints = api.get("/v1/webhook_endpoints").await.ok();
    assert_eq!(endpoints["data"], json!([]));
    api.get(&format!("/v1/webhook_endpoints/{}", id(&made)))
        .await
        .error(404);
    let gone = api.delete(&path).await.ok();
    assert_eq!(
        gone,
        json!({"id": id(&made), "object": "v2.core.event_destination"})
    );
    let missing = api.get(&path).await.refused(404);
    assert_eq!(missing.1, "not_found");
}

#[tokio::test]
async fn destinations_are_listed_in_pages() {
    let (api, _) = world().await;
    let mut ids = Vec::new();
    for number in 0..5 {
        let made = destination(&api, &format!("https://example.com/{number}")).await;
        ids.insert(0, id(&made).to_owned());
    }
    let mut page = api.get(&format!("{DESTINATIONS}?limit=2")).await.ok();
    assert_eq!(page["previous_page_url"], Value::Null);
    let mut pages = vec![page.clone()];
    while let Some(next) = page["next_page_url"].as_str() {
        page = api.get(next).await.ok();
        pages.push(page.clone());
    }
    let listed = |page: &Value| {
        let data = page["data"].as_array().expect("a list").iter();
        data.map(|one| id(one).to_owned()).collect::<Vec<_>>()
    };
    let sizes: Vec<usize> = pages.iter().map(|page| listed(page).len()).collect();
    assert_eq!(sizes, [2, 2, 1]);
    assert_eq!(pages.iter().flat_map(listed).collect::<Vec<_>>(), ids);
    let back = pages[2]["previous_page_url"].as_str().expect("a URL");
    assert_eq!(listed(&api.get(back).await.ok()), ids[2..4]);
}

#[tokio::test]
async fn what_a_destination_cannot_be_is_refused() {
    let (api, _) = world().await;
    for (field, value, param) in [
        ("name", Value::Null, "name"),
        ("type", json!("amazon_eventbridge"), "type"),
        ("event_payload", json!("snapshot"), "event_payload"),
        ("enabled_events", json!(["*"]), "enabled_events[0]"),
        (
            "enabled_events",
            json!(["v1.customer.created"]),
            "enabled_events[0]",
        ),
        (
            "webhook_endpoint",
            json!({"url": "nothing"}),
            "webhook_endpoint[url]",
        ),
        ("webhook_endpoint", json!({}), "webhook_endpoint[url]"),
        (
            "events_from",
            json!(["@organization_members"]),
            "events_from",
        ),
        ("include", json!(["webhook_endpoint"]), "include[0]"),
        ("color", json!("red"), "color"),
    ] {
        let mut body = new_destination("https://example.com");
        body[field] = value;
        let refused = post(&api, DESTINATIONS, body).await.refused(400);
        assert_eq!(refused.2, param, "{refused:?}");
    }
    // Older versions have neither destinations nor thin events.
    let older = api.header("stripe-version", "2022-11-15");
    older.get(DESTINATIONS).await.error(404);
}

#[tokio::test]
async fn a_meter_reports_what_it_drops_in_ten_seconds() {
    let (api, clock) = world().await;
    let receiver = Receiver::start().await;
    let made = destination(&api, receiver.url()).await;
    let meter = meter(&api).await;
    let customer = api.create("/v1/customers", "name=Ann").await;
    report(&api, &customer, "1", "good").await;
    report(&api, "cus_none", "1", "nobody").await;
    report(&api, &customer, "1234567890123456", "long").await;
    for number in 0..6 {
        report(&api, &customer, "x", &format!("text-{number}")).await;
    }
    for payload in [
        "payload[value]=1",
        &format!("payload[stripe_customer_id]={customer}"),
    ] {
        let form = format!("event_name=calls&{payload}");
        api.post("/v1/billing/meter_events", &form).await.ok();
    }
    // The report covers ten seconds, and is sent at their end.
    let list = "/v2/core/events?object_id=";
    let listed = api.get(&format!("{list}{meter}")).await.ok();
    assert_eq!(listed["data"], json!([]));
    clock.set(START + 10);
    api.sandbox().deliveries_settled().await;
    let [webhook] = &receiver.webhooks()[..] else {
        panic!("{:?}", receiver.types());
    };
    let secret = made["webhook_endpoint"]["signing_secret"].as_str();
    check_signature(webhook, secret.expect("a secret"), START + 10);
    let sent = webhook.event();
    let related =
        json!({"id": meter, "type": "billing.meter", "url": format!("/v1/billing/meters/{meter}")});
    assert_eq!(
        sent,
        json!({"id": id(&sent), "object": "v2.core.event", "type": METER_ERRORS, "livemode": false,
            "created": "2019-12-31T00:00:10.000Z", "related_object": related})
    );
    let mut event = api
        .get(&format!("/v2/core/events/{}", id(&sent)))
        .await
        .ok();
    let listed = api
        .get(&format!("{list}{meter}&types[0]={METER_ERRORS}"))
        .await
        .ok();
    assert_eq!(listed["data"], json!([event]));
    let data = event["data"].take();
    assert_eq!(
        data["developer_message_summary"],
        "There are 10 invalid events"
    );
    assert_eq!(data["validation_start"], "2019-12-31T00:00:00.000Z");
    assert_eq!(data["validation_end"], "2019-12-31T00:00:10.000Z");
    assert_eq!(data["reason"]["error_count"], 10);
    let kinds = data["reason"]["error_types"]
        .as_array()
        .expect("kinds")
        .iter();
    let kinds: Vec<_> = kinds
        .map(|kind| {
            let samples = kind["sample_errors"].as_array().expect("samples");
            let first = samples[0]["request"]["identifier"].as_str().expect("text");
            let code = kind["code"].as_str().expect("a code");
            (
                code,
                kind["error_count"].as_u64().expect("a number"),
                samples.len(),
                first.len(),
            )
        })
        .collect();
    assert_eq!(
        kinds,
        [
            ("meter_event_customer_not_found", 1, 1, "nobody".len()),
            ("meter_event_value_too_many_digits", 1, 1, "long".len()),
            ("meter_event_invalid_value", 6, 5, "text-0".len()),
            ("meter_event_no_customer_defined", 1, 1, 36),
            ("meter_event_value_not_found", 1, 1, 36),
        ]
    );
    let first = &data["reason"]["error_types"][3]["sample_errors"][0]["error_message"];
    assert_eq!(
        first,
        "Customer mapping key stripe_customer_id not found in payload."
    );
    // The next ten seconds have a report of their own.
    report(&api, "cus_none", "1", "later").await;
    clock.set(START + 20);
    api.sandbox().deliveries_settled().await;
    assert_eq!(receiver.webhooks().len(), 2);
}

#[tokio::test]
async fn a_deactivated_meter_drops_what_it_has_not_processed() {
    let (api, clock) = world().await;
    let receiver = Receiver::start().await;
    destination(&api, receiver.url()).await;
    let meter = meter(&api).await;
    let customer = api.create("/v1/customers", "name=Ann").await;
    report(&api, &customer, "3", "processed").await;
    clock.set(START + 1);
    report(&api, &customer, "4", "dropped").await;
    api.post(&format!("/v1/billing/meters/{meter}/deactivate"), "")
        .await
        .ok();
    clock.set(START + 10);
    api.sandbox().deliveries_settled().await;
    let sent = receiver.webhooks()[0].event();
    let event = api
        .get(&format!("/v2/core/events/{}", id(&sent)))
        .await
        .ok();
    assert_eq!(
        event["data"]["reason"],
        json!({"error_count": 1, "error_types": [{"code": "archived_meter", "error_count": 1,
            "sample_errors": [{"error_message": "The meter is archived.", "request": {"identifier": "dropped"}}]}]})
    );
    let summaries = format!(
        "/v1/billing/meters/{meter}/event_summaries?customer={customer}&start_time={START}&end_time={}",
        START + 60
    );
    assert_eq!(
        api.get(&summaries).await.ok()["data"][0]["aggregated_value"],
        3
    );
}

#[tokio::test]
async fn thin_events_are_tried_again_and_follow_rules() {
    let (api, clock) = world().await;
    let receiver = Receiver::start().await;
    let made = destination(&api, receiver.url()).await;
    let ping = format!("{DESTINATIONS}/{}/ping", id(&made));
    receiver.answer(&[500]);
    let pinged = api.post(&ping, "").await.ok();
    assert_eq!(pinged["type"], "v2.core.event_destination.ping");
    assert_eq!(pinged["related_object"]["id"], made["id"]);
    let failed = async || (api.sandbox().deliveries().failed_tries == 1).then_some(());
    until("the first try has failed", failed).await;
    clock.set(START + BACKOFF);
    api.sandbox().deliveries_settled().await;
    let arrived: Vec<Value> = receiver.webhooks().iter().map(Webhook::event).collect();
    assert_eq!(arrived, [pinged.clone(), pinged]);
    api.sandbox()
        .add_fault(Rule::webhook("v1.billing.meter.*", Action::Drop));
    meter(&api).await;
    report(&api, "cus_none", "1", "nobody").await;
    api.sandbox().deliveries_settled().await;
    assert_eq!(api.sandbox().deliveries().dropped, 1);
    assert_eq!(receiver.webhooks().len(), 2);
}

/// A destination that the embedding program has created survives a reset.
#[tokio::test]
async fn a_program_makes_a_destination() {
    let (api, clock) = world().await;
    let receiver = Receiver::start().await;
    let sandbox = api.sandbox();
    let secret = sandbox.event_destination("sk_test_one", receiver.url(), &[METER_ERRORS]);
    let secret = secret.expect("a URL and a type");
    sandbox.reset();
    meter(&api).await;
    report(&api, "cus_none", "1", "nobody").await;
    clock.set(START + 10);
    sandbox.deliveries_settled().await;
    check_signature(&receiver.webhooks()[0], &secret, START + 10);
    assert!(
        sandbox
            .event_destination("sk_test_one", receiver.url(), &["*"])
            .is_err()
    );
}
