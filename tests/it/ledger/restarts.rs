//! Restarts with a ledger: without Stripe, without the file, and with a wrong clock.

use super::*;

#[tokio::test]
async fn a_key_counts_once_across_a_restart_and_not_for_another_report() {
    let app = WithLedger::start().await;
    let report = |app: TestApp, n: i64| async move {
        let body = json!({"org": "org:a", "feature": "feature:calls", "n": n}).to_string();
        let call = app.request(axum::http::Method::POST, "/v1/report");
        call.header("idempotency-key", "key-1")
            .body(body)
            .send()
            .await
    };
    report(app.app.clone(), 5).await.ok();
    report(app.app.clone(), 5).await.ok();
    let refused = report(app.app.clone(), 6).await;
    assert_eq!(refused.status, 400);
    assert!(refused.body.contains("use a new key"), "{}", refused.body);
    assert_eq!(app.used("feature:calls").await, 5);
    let WithLedger { app, folder } = app;
    let other_server = app.second_server();
    drop(app);
    let app = other_server
        .with_ledger(&folder.path().join("tier.db"))
        .await;
    report(app.clone(), 5).await.ok();
    assert_eq!(report(app.clone(), 6).await.status, 400);
    let app = WithLedger { app, folder };
    assert_eq!(app.used("feature:calls").await, 5);
    app.deliver_all().await;
    assert_eq!(app.upcoming().await, 10);
    assert!(app.file().exists());
}

#[tokio::test]
async fn without_stripe_usage_is_accepted_and_the_plan_cannot_change() {
    let app = WithLedger::start().await;
    assert_eq!(app.used("feature:calls").await, 0);
    make_stripe_unreachable(&app);
    app.advance(MINUTE);
    app.add(json!({"feature": "feature:calls", "n": 8}))
        .await
        .ok();
    let limits = app.get("/v1/limits?org=org:a").await.ok();
    assert_eq!(limits.header("tier-stale"), "stripe-unavailable");
    assert_eq!(app.used("feature:calls").await, 8);
    let delivered = app.domain().deliver().await.expect("a ledger");
    assert_eq!((delivered.delivered, delivered.refused), (0, 0));
    app.sandbox().clear_faults();
    let records = Rule::new(
        "POST",
        "/v1/subscription_items/*",
        Action::Status(503, None),
    );
    app.sandbox().add_fault(records);
    app.advance(MINUTE);
    let change = json!({"org": "org:a", "phases": [{"features": ["plan:free@1"]}]});
    let refused = app.post_json("/v1/subscribe", &change).await;
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert_eq!(refused.header("retry-after"), "1");
    app.sandbox().clear_faults();
    let phase = app.get("/v1/phase?org=org:a").await.ok().json();
    assert_eq!(phase["plans"], json!(["plan:pro@1"]));
    app.post_json("/v1/subscribe", &change).await.ok();
    app.settled().await;
    let invoices = app.stripe_get("/v1/invoices").await;
    let invoices = invoices["data"].as_array().expect("a list").iter();
    let billed: i64 = invoices
        .map(|one| one["total"].as_i64().expect("cents"))
        .sum();
    assert_eq!(billed, 16);
}

#[tokio::test]
async fn usage_is_recorded_at_stripes_time_despite_a_wrong_local_clock() {
    let WithLedger { app, folder } = WithLedger::start().await;
    let file = folder.path().join("tier.db");
    let stripe = app.second_server();
    stripe.advance(DAY);
    drop(app);
    let mut first: Option<i64> = None;
    for (units, off) in [(1, -600), (2, 600)] {
        let clock = Clock::manual(stripe.sandbox().clock().unix() + off);
        let app = stripe.with_clock(clock.clone()).with_ledger(&file).await;
        app.report("org:a", "feature:calls", 1).await;
        for _ in 0..3 {
            stripe.advance(31 * SECOND);
            clock.set(clock.unix() + 31);
            app.domain().deliver().await.expect("a ledger");
        }
        assert_eq!(ledger_metric(&app, "parked").await, 0, "off by {off} s");
        assert_eq!(
            ledger_metric(&app, "undelivered").await,
            0,
            "off by {off} s"
        );
        let records = stripe.sent("POST /v1/subscription_items/:id/usage_records");
        let last = records.last().expect("a set");
        assert_eq!(last["quantity"], units.to_string());
        let recorded_at = last["timestamp"].as_str().expect("a time");
        let recorded_at: i64 = recorded_at.parse().expect("seconds");
        let chosen = *first.get_or_insert(recorded_at);
        assert_eq!(recorded_at, chosen, "the second that was chosen first");
        let now = stripe.sandbox().clock().unix();
        assert!((recorded_at - now).abs() < 200, "{recorded_at}, {now}");
    }
}

#[tokio::test]
async fn a_clock_that_jumps_while_the_server_runs_loses_and_doubles_nothing() {
    let WithLedger { app, folder } = WithLedger::start().await;
    let file = folder.path().join("tier.db");
    let stripe = app.second_server();
    stripe.advance(10 * DAY);
    drop(app);
    let right = || stripe.sandbox().clock().unix();
    let clock = Clock::manual(right());
    let app = WithLedger {
        app: stripe.with_clock(clock.clone()).with_ledger(&file).await,
        folder,
    };
    let hour = 3_600;
    let mut expected = 0;
    for off in [0, -hour, 2 * hour, -600, 48 * hour, -48 * hour, 0] {
        clock.set(right() + off);
        app.add(json!({"feature": "feature:calls", "n": 3}))
            .await
            .ok();
        let reserve = json!({"org": "org:a", "feature": "feature:calls", "n": 2, "ttl": "60s"});
        let held = app.post_json("/v1/reserve", &reserve).await.ok().json();
        app.domain().expire_reservations().await.expect("a ledger");
        let commit = json!({"id": held["id"]});
        app.post_json("/v1/reserve/commit", &commit).await.ok();
        expected += 5;
        assert_eq!(app.used("feature:calls").await, expected, "off by {off} s");
        for _ in 0..3 {
            stripe.advance(31 * SECOND);
            clock.set(clock.unix() + 31);
            app.domain().deliver().await.expect("a ledger");
        }
        assert_eq!(
            ledger_metric(&app, "undelivered").await,
            0,
            "off by {off} s"
        );
        assert_eq!(ledger_metric(&app, "parked").await, 0, "off by {off} s");
        assert_eq!(app.upcoming().await, 2 * expected, "off by {off} s");
    }
    // A time before the subscription is in no period, so nothing is counted.
    clock.set(right() - 20 * 24 * hour);
    app.add(json!({"feature": "feature:calls", "n": 3}))
        .await
        .fails(400, "invalid_request");
    // A reservation that expired during a clock jump stays expired.
    clock.set(right());
    let reserve = json!({"org": "org:a", "feature": "feature:calls", "n": 2, "ttl": "60s"});
    let held = app.post_json("/v1/reserve", &reserve).await.ok().json();
    clock.set(right() + hour);
    app.domain().expire_reservations().await.expect("a ledger");
    clock.set(right());
    app.post_json("/v1/reserve/commit", &json!({"id": held["id"]}))
        .await
        .fails(409, "reservation_expired");
    assert_eq!(app.used("feature:calls").await, expected);
}

#[tokio::test]
async fn a_server_started_without_stripe_uses_the_ledgers_snapshots() {
    let WithLedger { app, folder } = WithLedger::start().await;
    let file = folder.path().join("tier.db");
    app.report("org:a", "feature:calls", 3).await;
    let beside = app.second_server_with(&classic());
    drop(app);
    make_stripe_unreachable(&beside);
    beside.advance(30 * MINUTE);
    let app = WithLedger {
        app: beside.with_ledger(&file).await,
        folder,
    };
    app.add(json!({"feature": "feature:calls", "n": 4}))
        .await
        .ok();
    let limits = app.get("/v1/limits?org=org:a").await.ok();
    assert_eq!(limits.header("tier-stale"), "stripe-unavailable");
    assert_eq!(app.used("feature:calls").await, 7);
    app.get("/v1/limits?org=org:b")
        .await
        .fails(502, "stripe_unavailable");
    app.advance(31 * MINUTE);
    app.get("/v1/limits?org=org:a")
        .await
        .fails(502, "stripe_unavailable");
    app.sandbox().clear_faults();
    app.deliver_all().await;
    assert_eq!(app.upcoming().await, 14);
}

#[tokio::test]
async fn a_new_key_needs_stripe_before_usage_is_accepted() {
    let WithLedger { app, folder } = WithLedger::start().await;
    let file = folder.path().join("tier.db");
    let other = app.second_server_with(&Settings {
        stripe_key: "sk_test_rolled".to_owned(),
        ..classic()
    });
    drop(app);
    make_stripe_unreachable(&other);
    let ledger = LedgerHandle::new(
        crate::harness::ledgers::place(&file),
        LedgerSettings::default(),
    )
    .expect("a ledger");
    let other = other.with_open_ledger(ledger);
    let unasked = other
        .domain()
        .open_ledger()
        .await
        .expect_err("Stripe is away");
    assert!(matches!(unasked, Error::Unavailable { .. }), "{unasked}");
    let report = json!({"org": "org:a", "feature": "feature:calls", "n": 1});
    let refused = other.post_json("/v1/report", &report).await;
    refused.fails(503, "ledger_unavailable");
    other.sandbox().clear_faults();
    // In the sandbox, every key has an account of its own.
    let refused = other
        .domain()
        .open_ledger()
        .await
        .expect_err("of another account");
    assert!(
        refused.to_string().contains("the ledger belongs to"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_deleted_file_acknowledges_nothing() {
    let app = WithLedger::start().await;
    app.add(json!({"feature": "feature:calls", "n": 5}))
        .await
        .ok();
    let away = app.folder.path().join("away.db");
    std::fs::rename(app.file(), &away).expect("a file");
    let refused = app.add(json!({"feature": "feature:calls", "n": 7})).await;
    let refused = refused.fails(503, "ledger_unavailable");
    assert!(
        refused.body.contains("no longer where it was"),
        "{}",
        refused.body
    );
    assert_eq!(app.used("feature:calls").await, 5);
    std::fs::rename(&away, app.file()).expect("a file");
    app.add(json!({"feature": "feature:calls", "n": 7}))
        .await
        .ok();
    assert_eq!(app.used("feature:calls").await, 12);
}

/// The new ledger numbers its sets from one again, and Stripe remembers keys for a day.
#[tokio::test]
async fn a_new_ledger_in_place_of_a_lost_one_delivers_at_once() {
    let app = WithLedger::start().await;
    app.add(json!({"feature": "feature:calls", "n": 5}))
        .await
        .ok();
    app.deliver_all().await;
    let WithLedger { app, folder } = app;
    let lost = folder.path().join("tier.db");
    drop(folder);
    assert!(!lost.exists());
    let folder = tempfile::tempdir().expect("a folder");
    let other_server = app.second_server();
    drop(app);
    let app = other_server
        .with_ledger(&folder.path().join("tier.db"))
        .await;
    let app = WithLedger { app, folder };
    app.add(json!({"feature": "feature:calls", "n": 2}))
        .await
        .ok();
    app.deliver_all().await;
    assert_eq!(app.upcoming().await, 2 * 7);
}
