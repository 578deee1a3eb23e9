//! The API of 2022, as its published clients call it. `tests/clients/node` tests the npm client itself.

mod account;
mod login;
mod pricing;
mod schedule;
mod setup;
mod usage;

use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Answer, Settings, TestApp};

const SECOND: Duration = Duration::from_secs(1);

/// A server, and the folder of its ledger if it has one.
struct Server {
    app: TestApp,
    has_ledger: bool,
    _folder: TempDir,
}

impl std::ops::Deref for Server {
    type Target = TestApp;

    fn deref(&self) -> &TestApp {
        &self.app
    }
}

/// A server that reads from Stripe every time, a server that answers from memory, and a server with a ledger. Each has
/// the plans of the documentation of 2022.
async fn servers() -> Vec<Server> {
    let mut servers = Vec::new();
    for (settings, has_ledger) in [
        (Settings::default(), false),
        (Settings::remembering(), false),
        (Settings::remembering(), true),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut app = TestApp::with(settings).await;
        if has_ledger {
            app = app.with_ledger(&folder.path().join("tier.db")).await;
        }
        app.post_json("/api/v1/push", &model()).await.ok();
        servers.push(Server {
            app,
            has_ledger,
            _folder: folder,
        });
    }
    servers
}

async fn server() -> TestApp {
    let app = TestApp::start().await;
    app.post_json("/api/v1/push", &model()).await.ok();
    app
}

fn model() -> Value {
    json!({"plans": {
        "plan:free@1": {"title": "Free", "features": {
            "feature:convert": {"type": "graduated", "reset": "@monthly", "tiers": [{"upto": 10}]},
            "feature:none": {"tiers": []},
            "feature:seat": {"base": 100},
        }},
        "plan:paid@24": {"title": "Paid", "features": {
            "feature:convert": {"reset": "@monthly", "tiers": [{"upto": 100, "price": 1}, {"price": 2}]},
            "feature:peak": {"aggregate": "max", "tiers": [{"upto": 5, "price": 1}]},
            "feature:level": {"reset": "@never", "tiers": [{}]},
        }},
        "plan:bulk@1": {"features": {"feature:convert": {"tiers": [{"upto": 500}]}}},
        "plan:enterprise@custom-for-acme-signed-2022-05-13": {"features": {"feature:convert": {"tiers": [{}]}}},
    }})
}

async fn append(app: &TestApp, org: &str, plan: &str, effective: Option<i64>) -> Answer {
    let body = json!({"org": org, "plan": plan, "effective": effective.map(time)});
    app.post_json("/api/v1/append", &body).await
}

/// A Unix time as JavaScript writes it.
fn time(unix: i64) -> String {
    let time = chrono::DateTime::from_timestamp(unix, 0).expect("a time");
    time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

fn now(app: &TestApp) -> i64 {
    app.sandbox().clock().unix()
}

/// Sends a GET as the Go client does, with a JSON body.
async fn get_as_go(app: &TestApp, path: &str) -> Answer {
    let call = app.request(Method::GET, path).body("null");
    call.header("content-type", "application/json").send().await
}
