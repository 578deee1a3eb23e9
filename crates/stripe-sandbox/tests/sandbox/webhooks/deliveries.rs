//! Deliveries: their order, their signatures, and their retries.

use testing::receiver::Receiver;
use testing::time::until;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;

use super::super::START;
use super::{BACKOFF, check_signature, endpoint, sandbox};

#[tokio::test]
async fn an_event_is_delivered_and_signed() {
    let (api, _) = sandbox().await;
    let receiver = Receiver::start().await;
    let endpoint = endpoint(&api, receiver.url(), &["*"]).await;
    let secret = endpoint["secret"].as_str().expect("a secret");
    assert!(secret.starts_with("whsec_") && secret.len() == 38);
    api.once("key-1")
        .post("/v1/customers", "name=Ann")
        .await
        .ok();
    api.sandbox().deliveries_settled().await;

    let [webhook] = &receiver.webhooks()[..] else {
        panic!("{:?}", receiver.types());
    };
    check_signature(webhook, secret, START);
    for (name, value) in [
        ("content-type", "application/json; charset=utf-8"),
        (
            "user-agent",
            "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        ),
    ] {
        assert_eq!(webhook.header(name), value);
    }
    let mut delivered = webhook.event();
    assert_eq!(delivered["type"], "customer.created");
    assert_eq!(delivered["data"]["object"]["name"], "Ann");
    assert_eq!(delivered["request"]["idempotency_key"], "key-1");
    assert_eq!(delivered["pending_webhooks"], 1);
    delivered["pending_webhooks"] = 0.into();
    let path = format!("/v1/events/{}", delivered["id"].as_str().expect("an id"));
    assert_eq!(api.get(&path).await.ok(), delivered);
    let counts = api.sandbox().deliveries();
    assert_eq!((counts.delivered, counts.failed_tries), (1, 0));
}

/// Some receivers compare header names case-sensitively.
#[tokio::test]
async fn headers_are_written_as_stripe_writes_them() {
    let (api, _) = sandbox().await;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await;
    let listener = listener.expect("a loopback port");
    let address = listener.local_addr().expect("it is bound");
    endpoint(&api, &format!("http://{address}/"), &["*"]).await;
    api.post("/v1/customers", "").await.ok();
    let (stream, _) = listener.accept().await.expect("a connection");
    let mut lines = BufReader::new(stream).lines();
    let mut names = Vec::new();
    while let Ok(Some(line)) = lines.next_line().await
        && !line.is_empty()
    {
        names.extend(line.split_once(": ").map(|(name, _)| name.to_owned()));
    }
    for name in ["Stripe-Signature", "User-Agent", "Content-Type"] {
        assert!(names.iter().any(|one| one == name), "{names:?}");
    }
}

#[tokio::test]
async fn an_endpoint_gets_what_it_wants() {
    let (api, _) = sandbox().await;
    let (all, some, off) = futures::join!(Receiver::start(), Receiver::start(), Receiver::start());
    endpoint(&api, all.url(), &["*"]).await;
    endpoint(&api, some.url(), &["customer.deleted", "product.created"]).await;
    let off_id = endpoint(&api, off.url(), &["*"]).await;
    let path = format!(
        "/v1/webhook_endpoints/{}",
        off_id["id"].as_str().expect("an id")
    );
    api.post(&path, "disabled=true").await.ok();
    let customer = api.create("/v1/customers", "").await;
    api.post("/v1/products", "name=A").await.ok();
    api.delete(&format!("/v1/customers/{customer}")).await.ok();
    api.key("sk_test_two")
        .post("/v1/products", "name=B")
        .await
        .ok();
    api.sandbox().deliveries_settled().await;
    assert_eq!(
        all.types(),
        ["customer.created", "product.created", "customer.deleted"]
    );
    assert_eq!(some.types(), ["product.created", "customer.deleted"]);
    assert_eq!(off.types(), Vec::<String>::new());
    // Two endpoints were subscribed to it.
    assert_eq!(some.webhooks()[0].event()["data"]["object"]["name"], "A");

    api.post(&path, "disabled=false&enabled_events[]=product.created")
        .await
        .ok();
    api.post("/v1/products", "name=C").await.ok();
    api.post("/v1/customers", "").await.ok();
    api.sandbox().deliveries_settled().await;
    assert_eq!(off.types(), ["product.created"]);
    api.delete(&path).await.ok();
    api.post("/v1/products", "name=D").await.ok();
    api.sandbox().deliveries_settled().await;
    assert_eq!(off.types(), ["product.created"]);
}

#[tokio::test]
async fn a_failed_delivery_is_tried_again_three_times() {
    let (api, clock) = sandbox().await;
    let receiver = Receiver::start().await;
    let made = endpoint(&api, receiver.url(), &["customer.created"]).await;
    receiver.answer(&[500, 302, 404, 503]);
    api.post("/v1/customers", "").await.ok();
    let event = api.ids("/v1/events").await.remove(0);
    let mut at = START;
    for (tries, wait) in [(1, BACKOFF), (2, 2 * BACKOFF), (3, 4 * BACKOFF)] {
        let failed = async || (api.sandbox().deliveries().failed_tries == tries).then_some(());
        until("a try has failed", failed).await;
        // There is no retry before it is due.
        clock.set(at + wait - 1);
        api.get("/v1/customers").await.ok();
        assert_eq!(receiver.webhooks().len() as u64, tries);
        at += wait;
        clock.set(at);
    }
    api.sandbox().deliveries_settled().await;
    let webhooks = receiver.webhooks();
    assert_eq!(webhooks.len(), 4);
    let secret = made["secret"].as_str().expect("a secret");
    check_signature(&webhooks[3], secret, START + 7 * BACKOFF);
    assert!(
        webhooks
            .iter()
            .all(|webhook| webhook.event()["id"] == event)
    );
    let counts = api.sandbox().deliveries();
    assert_eq!((counts.delivered, counts.given_up), (0, 1));
    let after = api.get(&format!("/v1/events/{event}")).await.ok();
    assert_eq!(after["pending_webhooks"], 1);
    // No endpoint was subscribed to the product's event.
    api.post("/v1/products", "name=A").await.ok();
    assert_eq!(api.ids("/v1/events?delivery_success=false").await, [event]);
    assert_eq!(api.ids("/v1/events?delivery_success=true").await.len(), 1);
}

#[tokio::test]
async fn a_failing_delivery_does_not_block_others() {
    let (api, clock) = sandbox().await;
    let receiver = Receiver::start().await;
    endpoint(&api, receiver.url(), &["*"]).await;
    receiver.answer(&[500]);
    api.post("/v1/customers", "").await.ok();
    api.post("/v1/products", "name=A").await.ok();
    until("both were tried", async || {
        (receiver.webhooks().len() == 2).then_some(())
    })
    .await;
    clock.set(START + BACKOFF);
    api.sandbox().deliveries_settled().await;
    assert_eq!(
        receiver.types(),
        ["customer.created", "product.created", "customer.created"]
    );
    assert_eq!(api.sandbox().deliveries().delivered, 2);
}

#[tokio::test]
async fn calls_do_not_wait_for_endpoints() {
    let (api, _) = sandbox().await;
    let receiver = Receiver::start().await;
    receiver.answer(&[0]);
    endpoint(&api, receiver.url(), &["*"]).await;
    // Nobody listens there.
    endpoint(&api, "http://127.0.0.1:9/", &["*"]).await;
    api.post("/v1/customers", "").await.ok();
    until("the first hangs", async || {
        (receiver.webhooks().len() == 1).then_some(())
    })
    .await;
    api.post("/v1/customers", "").await.ok();
    assert!(api.sandbox().deliveries().unsettled >= 2);
    // A reset ends deliveries in progress.
    api.post("/_sandbox/reset", "").await.ok();
    api.sandbox().deliveries_settled().await;
    assert_eq!(receiver.webhooks().len(), 1);
}

#[tokio::test]
async fn a_program_gives_an_account_an_endpoint_that_outlives_resets() {
    let receiver = Receiver::start().await;
    let mut runs = Vec::new();
    for wired in [true, false, true] {
        let (api, _) = sandbox().await;
        let wire = || {
            let sandbox = api.sandbox();
            sandbox.webhook_endpoint("sk_test_one", receiver.url(), &["customer.created"])
        };
        let secret = wired.then(|| wire().expect("a good endpoint"));
        let customer = api.create("/v1/customers", "").await;
        if wired {
            api.sandbox().reset();
            api.post("/v1/customers", "").await.ok();
            api.sandbox().deliveries_settled().await;
            let list = api.get("/v1/webhook_endpoints").await.ok();
            assert_eq!(list["data"][0]["url"], receiver.url());
        }
        runs.push((customer, secret));
    }
    // The endpoint does not change the ids of other objects.
    assert_eq!(runs[0].0, runs[1].0);
    assert_eq!(runs[0], runs[2]);
    let webhooks = receiver.webhooks();
    assert_eq!(webhooks.len(), 4);
    let secret = runs[0].1.as_deref().expect("a secret");
    check_signature(&webhooks[3], secret, START);

    let (api, _) = sandbox().await;
    let bad = api
        .sandbox()
        .webhook_endpoint("sk_test_one", "localhost", &["*"]);
    let bad = bad.expect_err("it has no scheme").to_string();
    assert!(bad.starts_with("Invalid URL"), "{bad}");
}

#[tokio::test]
async fn a_disabled_or_deleted_endpoint_gets_no_other_try() {
    let (api, clock) = sandbox().await;
    for (change, back_in_time, tries) in [
        ("disabled=true", false, 1),
        ("disabled=true", true, 2),
        ("", false, 1),
    ] {
        let receiver = Receiver::start().await;
        let made = endpoint(&api, receiver.url(), &["customer.created"]).await;
        let path = format!(
            "/v1/webhook_endpoints/{}",
            made["id"].as_str().expect("an id")
        );
        receiver.answer(&[500]);
        let failed = api.sandbox().deliveries().failed_tries;
        api.post("/v1/customers", "").await.ok();
        until("the first try has failed", async || {
            (api.sandbox().deliveries().failed_tries > failed).then_some(())
        })
        .await;
        if change.is_empty() {
            api.delete(&path).await.ok();
        } else {
            api.post(&path, change).await.ok();
        }
        if back_in_time {
            api.post(&path, "disabled=false").await.ok();
        }
        clock.set(clock.unix() + BACKOFF);
        api.sandbox().deliveries_settled().await;
        assert_eq!(receiver.webhooks().len(), tries);
        api.sandbox().reset();
    }
}

#[tokio::test]
async fn deliveries_to_deleted_endpoints_do_not_pile_up() {
    let (api, _) = sandbox().await;
    let receiver = Receiver::start().await;
    for round in 1..=5 {
        receiver.answer(&[500]);
        let made = endpoint(&api, receiver.url(), &["customer.created"]).await;
        api.post("/v1/customers", "").await.ok();
        until("the try has failed", async || {
            (api.sandbox().deliveries().failed_tries == round).then_some(())
        })
        .await;
        let id = made["id"].as_str().expect("an id");
        api.delete(&format!("/v1/webhook_endpoints/{id}"))
            .await
            .ok();
    }
    let counts = api.sandbox().deliveries();
    assert_eq!((counts.given_up, counts.unsettled), (4, 1));
}

#[tokio::test]
async fn events_of_connected_accounts_go_to_endpoints_for_them() {
    let (api, _) = sandbox().await;
    let [own, platforms, connecteds] = [
        Receiver::start().await,
        Receiver::start().await,
        Receiver::start().await,
    ];
    endpoint(&api, own.url(), &["customer.created"]).await;
    let form = format!(
        "url={}&enabled_events[]=customer.created&connect=true",
        platforms.url()
    );
    api.post("/v1/webhook_endpoints", &form).await.ok();
    let account = api.create("/v1/accounts", "type=standard").await;
    let connected = api.header("stripe-account", &account);
    endpoint(&connected, connecteds.url(), &["*"]).await;

    api.post("/v1/customers", "name=Own").await.ok();
    connected.post("/v1/customers", "name=Connected").await.ok();
    api.sandbox().deliveries_settled().await;
    for (receiver, name, shown) in [
        (&own, "Own", None),
        (&platforms, "Connected", Some(&*account)),
        (&connecteds, "Connected", None),
    ] {
        let [webhook] = &receiver.webhooks()[..] else {
            panic!("{name}: {:?}", receiver.types());
        };
        let event = webhook.event();
        assert_eq!(event["data"]["object"]["name"], name);
        assert_eq!(event.get("account").and_then(|id| id.as_str()), shown);
    }
    let event = &connected.get("/v1/events").await.ok()["data"][0];
    assert_eq!(event["pending_webhooks"], 0);
    // Both the platform's endpoint and the account's own were subscribed to it.
    let first = platforms.webhooks()[0].event()["pending_webhooks"].as_u64();
    let second = connecteds.webhooks()[0].event()["pending_webhooks"].as_u64();
    assert!(first.max(second) == Some(2), "{first:?} {second:?}");
}

#[tokio::test]
async fn deliveries_end_with_the_sandbox() {
    let (api, _) = sandbox().await;
    let receiver = Receiver::start().await;
    endpoint(&api, receiver.url(), &["*"]).await;
    receiver.answer(&[0]);
    api.post("/v1/customers", "").await.ok();
    api.post("/v1/customers", "").await.ok();
    until("the first hangs", async || {
        (receiver.webhooks().len() == 1).then_some(())
    })
    .await;
    let sandbox = api.sandbox().clone();
    drop(api);
    sandbox.deliveries_settled().await;
    assert_eq!(receiver.webhooks().len(), 1);
}

#[tokio::test]
async fn a_full_queue_drops_and_counts() {
    let (api, _) = sandbox().await;
    let receiver = Receiver::start().await;
    endpoint(&api, receiver.url(), &["product.*", "product.updated"][1..]).await;
    let product = api.create("/v1/products", "name=0").await;
    let held = stripe_sandbox::Action::Delay(std::time::Duration::from_secs(1));
    // Fourteen doubling rules make 2^14 copies of each event.
    for _ in 0..14 {
        let double = stripe_sandbox::Rule::webhook("*", stripe_sandbox::Action::Double);
        api.sandbox().add_fault(double);
    }
    api.sandbox()
        .add_fault(stripe_sandbox::Rule::webhook("*", held));
    api.post(&format!("/v1/products/{product}"), "name=1")
        .await
        .ok();
    let counts = api.sandbox().deliveries();
    assert_eq!(counts.unsettled, 10_000);
    assert_eq!(counts.overflowed, (1 << 14) - 10_000);
    // No call waits for the queue.
    api.sandbox().clear_faults();
    api.sandbox().reset();
    api.sandbox().deliveries_settled().await;
}

#[tokio::test]
async fn whoever_waits_for_one_endpoint_does_not_wait_for_another() {
    let (api, _) = sandbox().await;
    let (fails, works) = (Receiver::start().await, Receiver::start().await);
    endpoint(&api, fails.url(), &["*"]).await;
    endpoint(&api, works.url(), &["*"]).await;
    fails.answer(&[500]);
    api.post("/v1/customers", "").await.ok();
    api.sandbox().deliveries_settled_at(works.url()).await;
    assert_eq!(works.types(), ["customer.created"]);
    api.sandbox()
        .deliveries_settled_at("http://localhost/none")
        .await;
    assert_eq!(api.sandbox().deliveries().unsettled, 1);
}
