//! Meter events: acceptance, processing lag, and cancellation.

use serde_json::json;

use super::super::billing::DAY;
use super::{APRIL, Metered, meter};

#[tokio::test]
async fn an_event_is_accepted_and_known_after_the_lag() {
    let metered = Metered::new().await;
    let api = &metered.world.api;
    let customer = &metered.customer;
    let form = format!(
        "event_name=calls&identifier=one&payload[stripe_customer_id]={customer}&payload[value]=2.5"
    );
    let event = api.post("/v1/billing/meter_events", &form).await.ok();
    let now = api.sandbox().clock().unix();
    assert_eq!(
        event,
        json!({
            "object": "billing.meter_event",
            "created": now,
            "event_name": "calls",
            "identifier": "one",
            "livemode": false,
            "payload": {"stripe_customer_id": customer, "value": "2.5"},
            // The customer's time, which is that of the test clock.
            "timestamp": APRIL,
        })
    );
    assert_eq!(metered.summary(APRIL, APRIL + DAY).await, json!(0));
    metered.process();
    assert_eq!(metered.summary(APRIL, APRIL + DAY).await, json!(2.5));
    metered.report("1.5").await;
    metered.process();
    assert_eq!(metered.summary(APRIL, APRIL + DAY).await, json!(4));
    // The end is exclusive.
    assert_eq!(metered.summary(APRIL - DAY, APRIL).await, json!(0));
}

#[tokio::test]
async fn an_identifier_is_unique_for_a_day() {
    let metered = Metered::new().await;
    let api = &metered.world.api;
    let form = format!(
        "event_name=calls&identifier=one&payload[stripe_customer_id]={}&payload[value]=1",
        metered.customer
    );
    api.post("/v1/billing/meter_events", &form).await.ok();
    let again = api
        .once("another-key")
        .post("/v1/billing/meter_events", &form)
        .await;
    assert_eq!(
        again.refused(400),
        (
            "An event already exists with identifier one.".to_owned(),
            String::new(),
            String::new()
        )
    );
    // The idempotency key repeats the answer, regardless of the identifier.
    let (once, second) = (api.once("key"), form.replace("one", "two"));
    let first = once.post("/v1/billing/meter_events", &second).await.ok();
    let replayed = once.post("/v1/billing/meter_events", &second).await.ok();
    assert_eq!(replayed, first);
    let clock = api.sandbox().clock();
    clock.set(clock.unix() + DAY - 1);
    api.post("/v1/billing/meter_events", &form).await.error(400);
    clock.set(clock.unix() + 1);
    api.post("/v1/billing/meter_events", &form).await.ok();
    metered.process();
    assert_eq!(metered.summary(APRIL, APRIL + DAY).await, json!(3));
    // Events without an identifier get one each.
    metered.report("1").await;
    metered.report("1").await;
    metered.process();
    assert_eq!(metered.summary(APRIL, APRIL + DAY).await, json!(5));
}

#[tokio::test]
async fn bad_events_are_refused_at_once() {
    let metered = Metered::new().await;
    let customer = &metered.customer;
    let payload = format!("payload[stripe_customer_id]={customer}&payload[value]=1");
    let path = "/v1/billing/meter_events";
    for (form, message) in [
        (
            format!("event_name=none&{payload}"),
            "No active meter found for event name none.",
        ),
        (payload.clone(), "Missing required param: event_name."),
        (
            "event_name=calls".to_owned(),
            "Missing required param: payload.",
        ),
        (
            format!("event_name=calls&{payload}&identifier={}", "x".repeat(101)),
            "Invalid string: it must be at most 100 characters.",
        ),
        (
            format!(
                "event_name=calls&{payload}&timestamp={}",
                APRIL - 35 * DAY - 1
            ),
            "The timestamp is too far in the past: an event must be within the past 35 calendar days.",
        ),
        (
            format!("event_name=calls&{payload}&timestamp={}", APRIL + 301),
            "The timestamp is in the future: an event can be at most 5 minutes ahead.",
        ),
    ] {
        let refused = metered.world.api.post(path, &form).await.refused(400);
        assert_eq!(refused.0, message);
    }
    for at in [APRIL - 35 * DAY, APRIL + 300] {
        metered.report_at("1", at).await;
    }
    let meter = &metered.meter;
    let off = format!("/v1/billing/meters/{meter}/deactivate");
    metered.world.api.post(&off, "").await.ok();
    let refused = metered
        .world
        .api
        .post(path, &format!("event_name=calls&{payload}"))
        .await;
    assert_eq!(
        refused.refused(400).0,
        "No active meter found for event name calls."
    );
}

/// Stripe answers 200 even to events that it drops later.
#[tokio::test]
async fn what_cannot_be_counted_is_dropped_silently() {
    let metered = Metered::new().await;
    let customer = &metered.customer;
    for payload in [
        "payload[value]=1".to_owned(),
        "payload[stripe_customer_id]=cus_none&payload[value]=1".to_owned(),
        format!("payload[stripe_customer_id]={customer}"),
        format!("payload[stripe_customer_id]={customer}&payload[value]=many"),
        format!("payload[stripe_customer_id]={customer}&payload[value]=1.1234567890123"),
    ] {
        let form = format!("event_name=calls&{payload}");
        let api = &metered.world.api;
        api.post("/v1/billing/meter_events", &form).await.ok();
    }
    metered.process();
    assert_eq!(metered.summary(APRIL, APRIL + DAY).await, json!(0));
}

#[tokio::test]
async fn an_event_is_canceled_within_a_day() {
    let metered = Metered::new().await;
    let api = &metered.world.api;
    let event = |id: &str| {
        format!(
            "event_name=calls&identifier={id}&payload[stripe_customer_id]={}&payload[value]=3",
            metered.customer
        )
    };
    for id in ["one", "two"] {
        api.post("/v1/billing/meter_events", &event(id)).await.ok();
    }
    let path = "/v1/billing/meter_event_adjustments";
    let cancel = "event_name=calls&type=cancel&cancel[identifier]=one";
    let adjusted = api.post(path, cancel).await.ok();
    assert_eq!(
        adjusted,
        json!({
            "object": "billing.meter_event_adjustment",
            "cancel": {"identifier": "one"},
            "event_name": "calls",
            "livemode": false,
            "status": "complete",
            "type": "cancel",
        })
    );
    metered.process();
    assert_eq!(metered.summary(APRIL, APRIL + DAY).await, json!(3));
    // It is canceled only once, and its identifier stays in use.
    api.post(path, cancel).await.ok();
    assert_eq!(metered.summary(APRIL, APRIL + DAY).await, json!(3));
    api.post("/v1/billing/meter_events", &event("one"))
        .await
        .error(400);
    api.post(path, "event_name=calls&type=cancel&cancel[identifier]=none")
        .await
        .error(400);
    api.post(path, "event_name=other&type=cancel&cancel[identifier]=two")
        .await
        .error(400);
    api.post(path, "event_name=calls&type=cancel")
        .await
        .error(400);
    let clock = api.sandbox().clock();
    clock.set(clock.unix() + DAY);
    api.post(path, "event_name=calls&type=cancel&cancel[identifier]=two")
        .await
        .error(400);
}

#[tokio::test]
async fn formulas_and_windows_aggregate() {
    for (formula, total) in [("sum", 6), ("count", 3), ("last", 1)] {
        let metered = Metered::with(formula).await;
        for (value, at) in [("2", 10), ("3", 20), ("1", 30)] {
            metered.report_at(value, APRIL + at).await;
        }
        metered.process();
        assert_eq!(
            metered.summary(APRIL, APRIL + 60).await,
            json!(total),
            "{formula}"
        );
    }
    let metered = Metered::new().await;
    let form = "display_name=Name&event_name=levels&default_aggregation[formula]=sum&event_time_window=hour";
    let levels = metered.world.api.create("/v1/billing/meters", form).await;
    for (value, at) in [(5, 10), (7, 20), (2, 3600)] {
        let at = format!("timestamp={}", APRIL - DAY + at);
        metered.send_event("levels", &value.to_string(), &at).await;
    }
    metered.process();
    let path = format!(
        "/v1/billing/meters/{levels}/event_summaries?customer={}&start_time={}&end_time={}",
        metered.customer,
        APRIL - DAY,
        APRIL
    );
    let list = metered.world.api.get(&path).await.ok();
    assert_eq!(list["data"][0]["aggregated_value"], 9);
    let hours = metered
        .world
        .api
        .get(&format!("{path}&value_grouping_window=hour"))
        .await
        .ok();
    let hours = hours["data"].as_array().expect("a list");
    let hours: Vec<_> = hours
        .iter()
        .map(|hour| {
            (
                hour["start_time"].as_i64(),
                hour["aggregated_value"].as_i64(),
            )
        })
        .collect();
    assert_eq!(
        hours,
        [
            (Some(APRIL - DAY + 3600), Some(2)),
            (Some(APRIL - DAY), Some(7))
        ]
    );
}

#[tokio::test]
async fn summaries_begin_and_end_on_minutes() {
    let metered = Metered::new().await;
    let base = format!("/v1/billing/meters/{}/event_summaries", metered.meter);
    let customer = &metered.customer;
    for (query, param) in [
        (
            format!("start_time={APRIL}&end_time={}", APRIL + 60),
            "customer",
        ),
        (
            format!("customer={customer}&end_time={APRIL}"),
            "start_time",
        ),
        (
            format!(
                "customer={customer}&start_time={}&end_time={}",
                APRIL + 1,
                APRIL + 60
            ),
            "start_time",
        ),
        (
            format!(
                "customer={customer}&start_time={APRIL}&end_time={}",
                APRIL + 61
            ),
            "end_time",
        ),
        (
            format!("customer={customer}&start_time={APRIL}&end_time={APRIL}"),
            "start_time",
        ),
        (
            format!(
                "customer={customer}&start_time={}&end_time={}&value_grouping_window=day",
                APRIL + 3600,
                APRIL + DAY
            ),
            "start_time",
        ),
    ] {
        let refused = metered.world.api.get(&format!("{base}?{query}")).await;
        assert_eq!(refused.refused(400).2, param, "{query}");
    }
}

#[tokio::test]
async fn version_two_takes_json_and_writes_times_as_text() {
    let metered = Metered::new().await;
    let api = &metered.world.api;
    let post = |path: &str, body: serde_json::Value| {
        let request = api
            .request("POST", path)
            .header("content-type", "application/json");
        super::super::read(request.body(body.to_string()))
    };
    let body = json!({
        "event_name": "calls",
        "identifier": "one",
        "payload": {"stripe_customer_id": metered.customer, "value": "4"},
        "timestamp": "2020-04-01T00:00:30Z",
    });
    let event = post("/v2/billing/meter_events", body.clone())
        .await
        .expect("an answer")
        .ok();
    assert_eq!(event["object"], "v2.billing.meter_event");
    assert_eq!(event["timestamp"], "2020-04-01T00:00:30.000Z");
    assert_eq!(event["payload"], body["payload"]);
    let again = post("/v2/billing/meter_events", body)
        .await
        .expect("an answer");
    assert_eq!(
        again.refused(400).0,
        "An event already exists with identifier one."
    );
    metered.process();
    assert_eq!(metered.summary(APRIL, APRIL + 60).await, json!(4));
    let cancel = json!({"event_name": "calls", "type": "cancel", "cancel": {"identifier": "one"}});
    let adjusted = post("/v2/billing/meter_event_adjustments", cancel)
        .await
        .expect("an answer")
        .ok();
    assert_eq!(adjusted["object"], "v2.billing.meter_event_adjustment");
    assert_eq!(adjusted["created"], "2019-12-31T00:00:01.000Z");
    assert_eq!(metered.summary(APRIL, APRIL + 60).await, json!(0));
    // A form is not JSON.
    let form = api
        .post("/v2/billing/meter_events", "event_name=calls")
        .await;
    form.error(400);
}

#[tokio::test]
async fn two_meters_count_apart() {
    let metered = Metered::new().await;
    let other = meter(&metered.world, "other", "sum").await;
    metered.report("3").await;
    metered.process();
    let path = format!(
        "/v1/billing/meters/{other}/event_summaries?customer={}&start_time={APRIL}&end_time={}",
        metered.customer,
        APRIL + 60
    );
    let list = metered.world.api.get(&path).await.ok();
    assert_eq!(list["data"][0]["aggregated_value"], 0);
}
