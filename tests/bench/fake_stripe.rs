//! A cheap fake of Stripe for benchmarks. Every org has a customer with a subscription to five metered features.
//!
//! Ids are as long as Stripe's, since their length decides how much memory an org takes.

use std::collections::HashMap;

use axum::Router;
use axum::extract::Query;
use axum::http::Uri;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

/// A fake Stripe, which answers on a thread of its own.
pub(crate) struct Stripe {
    pub(crate) url: String,
    runtime: tokio::runtime::Handle,
}

impl Stripe {
    pub(crate) fn start() -> Self {
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
                let address = listener.local_addr().expect("an address");
                let runtime = tokio::runtime::Handle::current();
                tell.send((address, runtime)).expect("somebody waits");
                let router = Router::new()
                    .route("/v1/customers/search", get(search))
                    .route("/v1/customers", get(|| async { list("") }))
                    .route("/v1/prices", get(|| async { list("") }))
                    .route("/v1/subscription_schedules", get(|| async { list("") }))
                    .route("/v1/subscriptions", get(subscriptions))
                    .route("/v1/invoices/upcoming/lines", get(lines))
                    .fallback(|uri: Uri| async move { json(customer(org_of(uri.path()))) });
                axum::serve(listener, router).await.expect("it serves");
            });
        });
        let (address, runtime) = told.recv().expect("it starts");
        Self {
            url: format!("http://{address}"),
            runtime,
        }
    }

    /// Runs `measure` on the thread of this Stripe.
    pub(crate) fn run(&self, measure: fn() -> f64) -> f64 {
        let (tell, told) = std::sync::mpsc::channel();
        self.runtime.spawn(async move { tell.send(measure()) });
        told.recv().expect("it runs")
    }
}

type Parameters = Query<HashMap<String, String>>;

/// Finds the customer of an org. The org's name is in the query's last quotes.
async fn search(Query(parameters): Parameters) -> impl IntoResponse {
    let org = parameters["query"].rsplit('\'').nth(1);
    list(&customer(&org.expect("an org")[4..]))
}

/// The customer's only subscription.
async fn subscriptions(Query(parameters): Parameters) -> impl IntoResponse {
    list(&subscription(org_of(&parameters["customer"])))
}

/// What the customer's next invoice will charge.
async fn lines(Query(parameters): Parameters) -> impl IntoResponse {
    let org = org_of(&parameters["customer"]);
    let line = |n: u32| {
        let item = item_id(org, n);
        format!(r#"{{"id":"il_{n}","amount":0,"subscription_item":"{item}","quantity":{n}}}"#)
    };
    let lines: Vec<String> = (0..5).map(line).collect();
    list(&lines.join(","))
}

/// The org of an id. An id ends with its org's name, and is filled up to the length of Stripe's ids.
fn org_of(id: &str) -> &str {
    let (_, name) = id.rsplit_once('_').expect("an id");
    name.trim_start_matches('x')
}

fn item_id(org: &str, n: u32) -> String {
    format!("si_{:x>14}", format!("{n}x{org}"))
}

fn list(data: &str) -> impl IntoResponse + use<> {
    json(format!(
        r#"{{"object":"list","data":[{data}],"has_more":false}}"#
    ))
}

fn customer(org: &str) -> String {
    format!(
        r#"{{"id":"cus_{org:x>14}","object":"customer","created":1672531200,"metadata":{{"tier.org":"org:{org}"}}}}"#
    )
}

/// A subscription to five metered features.
fn subscription(org: &str) -> String {
    let item = |n: u32| {
        let id = item_id(org, n);
        format!(
            r#"{{"id":"{id}","price":{{"id":"price_{n:024}","metadata":{{"tier.feature":"feature:{n}@plan:p@1",
            "tier.limit":"1000"}},"recurring":{{"interval":"month","usage_type":"metered"}}}}}}"#
        )
    };
    let items: Vec<String> = (0..5).map(item).collect();
    format!(
        r#"{{"id":"sub_{org:x>24}","status":"active","metadata":{{"tier.subscription":"default"}},
        "current_period_start":1,"current_period_end":9999999999,"items":{{"data":[{}]}}}}"#,
        items.join(",")
    )
}

fn json(body: String) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], body)
}
