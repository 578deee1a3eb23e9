//! Other servers' changes become visible within the promised time, whatever happens to Stripe's events. With `--
//! --nocapture`, the tests print how many calls that takes.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use stripe_sandbox::{Action, Rule};
use tier::api::{WEBHOOK_PATH, WebhookSecrets};
use tokio::task::JoinSet;

use super::{SECOND, start_with};
use crate::harness::{STRIPE_KEY, Settings, TestApp};
use testing::time::until;

/// How old answers may be while events arrive.
const WITH_EVENTS: Duration = Duration::from_secs(300);

/// A step of another server.
#[derive(Clone, Copy, Debug)]
enum Step {
    Subscribe(&'static str),
    Cancel,
    Report(u16),
    Wait(u16),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        prop_oneof![Just("plan:free@1"), Just("plan:pro@1")].prop_map(Step::Subscribe),
        Just(Step::Cancel),
        (1..50_u16).prop_map(Step::Report),
        (1..200_u16).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 1..12)
}

/// A server that receives events from its sandbox over HTTP.
async fn start() -> (TestApp, JoinSet<()>) {
    let app = start_with(Settings::remembering()).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("an address");
    let url = format!("http://{address}{WEBHOOK_PATH}");
    let secret = app.sandbox().webhook_endpoint(STRIPE_KEY, &url, &["*"]);
    let secrets = vec![secret.expect("a URL").into()];
    let clock = app.sandbox().clock().clone();
    let app = app.adjusted(|app| app.webhook = WebhookSecrets::new(secrets, clock));
    let router = app.router();
    let mut server = JoinSet::new();
    server.spawn(async move { axum::serve(listener, router).await.expect("it serves") });
    (app, server)
}

async fn shown(app: &TestApp) -> (serde_json::Value, String) {
    let limits = app.get("/v1/limits?org=org:a").await.ok().json();
    let phase = app.get("/v1/phase?org=org:a").await;
    // Each answer has its own age. Everything else must be equal.
    (limits, phase.body)
}

async fn carry_out(other: &TestApp, step: Step) {
    match step {
        Step::Subscribe(plan) => other.subscribe("org:a", &[plan]).await,
        Step::Cancel => {
            let cancel = json!({"org": "org:a", "phases": [{"features": []}]});
            other.post_json("/v1/subscribe", &cancel).await.ok();
        }
        Step::Report(n) => {
            let report = json!({"org": "org:a", "feature": "feature:calls", "n": n});
            // After a cancellation nothing is granted, so this report may be refused.
            other.post_json("/v1/report", &report).await;
        }
        Step::Wait(seconds) => other.advance(Duration::from_secs(seconds.into())),
    }
}

/// Waits until every event is delivered or lost. A busy machine may not accept an event in time, and the sandbox then
/// retries by its own clock.
async fn delivered(app: &TestApp) {
    let mut failed = 0;
    until("every event has been delivered", async || {
        let deliveries = app.sandbox().deliveries();
        if deliveries.failed_tries > failed {
            failed = deliveries.failed_tries;
            app.advance(Duration::from_secs(2 * 60 * 60));
        }
        (deliveries.unsettled == 0).then_some(())
    })
    .await;
}

/// Carries out `steps` at another server. Within the time `within`, this server must give the same answers. Returns the
/// number of calls that its reads made.
async fn run(fault: Option<&Action>, steps: &[Step], within: Duration) -> u64 {
    let (app, _server) = start().await;
    if let Some(action) = fault {
        app.sandbox().add_fault(Rule::webhook("*", action.clone()));
    }
    let other = app.second_server_with(&Settings::default());
    shown(&app).await;
    let mut calls = 0;
    for step in steps {
        carry_out(&other, *step).await;
        other.settled().await;
        app.forget_calls();
        shown(&app).await;
        calls += app.stripe_calls();
    }
    app.advance(within);
    delivered(&app).await;
    app.settled().await;
    assert_eq!(shown(&app).await, shown(&other).await, "{steps:?}");
    calls
}

#[expect(clippy::print_stdout, reason = "the figure is for whoever asks for it")]
fn check(name: &str, fault: Option<&Action>, within: Duration) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime");
    let (mut lists, mut calls) = (0, 0);
    let mut runner = TestRunner::new(Config {
        cases: 24,
        failure_persistence: None,
        ..Config::default()
    });
    let counted = std::cell::RefCell::new((&mut lists, &mut calls));
    let outcome = runner.run(&steps(), |steps| {
        let spent = runtime.block_on(run(fault, &steps, within));
        let (lists, calls) = &mut *counted.borrow_mut();
        **lists += steps.len();
        **calls += spent;
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{name}: {failure}"));
    println!("events {name}: {calls} calls for the reads after {lists} steps");
}

#[test]
fn all_arrive() {
    check("all there", None, WITH_EVENTS);
}

#[test]
fn all_are_lost() {
    check("all lost", Some(&Action::Drop), 10 * SECOND);
}

#[test]
fn all_arrive_twice() {
    check("all twice", Some(&Action::Double), WITH_EVENTS);
}

#[test]
fn all_arrive_in_another_order() {
    let minutes = Action::Shuffle(Duration::from_secs(180));
    check("shuffled by minutes", Some(&minutes), WITH_EVENTS);
}
