//! A server dies during a migration, before or after each of its calls to Stripe takes effect. Another server
//! continues, and in the end every org is billed as without a crash.

use std::sync::{Arc, Mutex};

use axum::http::Method;
use serde_json::{Value, json};
use stripe_sandbox::{Action, Rule};
use tier::domain::{Generation, GenerationSetting};
use tokio::task::JoinSet;

use super::{counts, customer, day, ended, model, plans, pro, subscribe, with};
use crate::harness::{DAY, START, Settings, TestApp};

/// The number of parallel runs.
const WORKERS: usize = 8;

/// The call at which the server dies, counted from the beginning of the migration, and whether that call takes effect.
#[derive(Clone, Copy, Debug)]
struct Death {
    call: u32,
    after: bool,
}

const ORGS: [&str; 3] = ["org:a", "org:trial", "org:later"];

/// Where the orgs move: to a plan of the same generation, or to a plan on meters.
#[derive(Clone, Copy, Debug)]
enum To {
    Same,
    Meters,
}

/// Moves all orgs. If the server dies, another server continues. Returns what orgs are billed in the end, the number of
/// calls, and whether the server died.
async fn run(to: To, at: &str, death: Option<Death>) -> (Value, u64, bool) {
    let mortal = Settings {
        retries: usize::from(death.is_none()),
        ..Settings::default()
    };
    let app = TestApp::with(mortal).await;
    let mut classic = model();
    if let To::Meters = to {
        let plans = classic["plans"].as_object_mut().expect("plans");
        let on_meters = plans.remove("plan:pro@2");
        let meters = app.second_server_with(&Settings {
            generation: GenerationSetting::Fixed(Generation::Meters),
            ..Settings::default()
        });
        meters
            .push(&json!({"plans": {"plan:pro@2": on_meters}}))
            .await;
    }
    app.push(&classic).await;
    subscribe(&app, ORGS[0], json!([{"features": ["plan:pro@1"]}])).await;
    app.report(ORGS[0], "feature:calls", 7).await;
    let trial = json!([{"features": ["plan:pro@1"], "trial": true}, {"features": ["plan:pro@1"], "effective": day(14)}]);
    subscribe(&app, ORGS[1], trial).await;
    let later =
        json!([{"features": ["plan:pro@1"]}, {"features": ["plan:addon@1"], "effective": day(45)}]);
    subscribe(&app, ORGS[2], later).await;
    app.advance(2 * DAY);
    app.forget_calls();
    if let Some(Death { call, after }) = death {
        let rule = |at| Rule::new("*", "/v1/*", Action::Drop).skipping(at);
        let at = rule(call).times(1);
        app.sandbox().add_fault(if after { at.after() } else { at });
        // No later call of this server reaches Stripe.
        app.sandbox().add_fault(rule(call));
    }
    let request = with(pro(), "at", json!(at));
    let ask = async |app: &TestApp| {
        let call = app
            .request(Method::POST, "/v1/migrate")
            .body(request.to_string());
        call.header("idempotency-key", "one").send().await
    };
    let begun = ask(&app).await;
    app.settled().await;
    let calls = app.stripe_calls();
    let is_cut = app.sandbox().fault_hits() > 0;
    app.sandbox().clear_faults();
    let other = app.second_server();
    // A caller without an answer repeats the request with the same key.
    let id = if begun.status == 200 {
        begun
    } else {
        ask(&other).await.ok()
    };
    let id = json!({"id": id.json()["id"]});
    let begun = other.post_json("/v1/migrate", &id).await.ok().json();
    let done = ended(&other, &begun).await;
    assert_eq!(counts(&done), ("done", 3, 3, 0), "{death:?}");
    for (days, of) in [(3, 0..2), (33, 0..3), (47, 0..2)] {
        other.set_clock(START + days * 86_400);
        for org in &ORGS[of] {
            other.limits(org).await;
            other.settled().await;
            if days > 3 || at == "now" {
                assert_eq!(
                    plans(&other, org).await,
                    json!(["plan:pro@2"]),
                    "{death:?} {org} {days}"
                );
            }
        }
    }
    assert_eq!(plans(&other, ORGS[2]).await, json!(["plan:addon@1"]));
    let mut billed = Vec::new();
    for org in ORGS {
        let id = customer(&other, org).await;
        let invoices = other
            .stripe_get(&format!("/v1/invoices?customer={id}&limit=100"))
            .await;
        let invoices = invoices["data"].as_array().expect("a list").iter();
        let sums: Vec<Value> = invoices
            .map(|one| json!([one["created"], one["total"], one["status"]]))
            .collect();
        let balance = other.stripe_get(&format!("/v1/customers/{id}")).await["balance"].clone();
        billed.push(json!([org, sums, balance]));
    }
    (billed.into(), calls, is_cut)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_server_completes_the_migration_wherever_one_dies() {
    for (to, at) in [
        (To::Same, "now"),
        (To::Same, "period_end"),
        (To::Meters, "period_end"),
    ] {
        let (expected, calls, _) = run(to, at, None).await;
        let calls = u32::try_from(calls).expect("not so many");
        let deaths = (0..calls).flat_map(|call| [false, true].map(|after| Death { call, after }));
        // Stripe's state before a call equals its state after the previous call, so one of the variants is enough to
        // show that.
        let is_shown = |death: &Death| death.after || matches!(to, To::Same);
        let deaths: Vec<Death> = deaths.filter(is_shown).collect();
        let (deaths, expected) = (Arc::new(Mutex::new(deaths)), Arc::new(expected));
        let mut workers = JoinSet::new();
        for _ in 0..WORKERS {
            let (deaths, expected) = (Arc::clone(&deaths), Arc::clone(&expected));
            workers.spawn(async move {
                let next = || deaths.lock().expect("no worker panics with it").pop();
                while let Some(death) = next() {
                    let (billed, _, is_cut) = run(to, at, Some(death)).await;
                    assert!(is_cut, "{to:?} {at} {death:?}");
                    assert_eq!(billed, *expected, "{to:?} {at} {death:?}");
                }
            });
        }
        while let Some(worker) = workers.join_next().await {
            worker.expect("every run ends as without a crash");
        }
    }
}
