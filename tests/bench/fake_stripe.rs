//! A Stripe for benchmarks, which costs little: every org has a customer with a subscription to five metered features.

use std::collections::HashMap;

use axum::Router;
use axum::extract::Query;
use axum::http::Uri;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

/// It answers on a thread of its own.
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
                    .route("/v1/subscriptions", get(|| async { list(&subscription()) }))
                    .route(
                        "/v1/invoices/upcoming/lines",
                        get(|| async { list(&lines()) }),
                    )
                    .fallback(|uri: Uri| async move { json(customer(&uri.path()[18..])) });
                axum::serve(listener, router).await.expect("it serves");
            });
        });
        let (address, runtime) = told.recv().expect("it starts");
        Self {
            url: format!("http://{address}"),
            runtime,
        }
    }

    /// Runs `measure` on its thread.
    pub(crate) fn run(&self, measure: fn() -> f64) -> f64 {
        let (tell, told) = std::sync::mpsc::channel();
        self.runtime.spawn(async move { tell.send(measure()) });
        told.recv().expect("it runs")
    }
}

/// Finds the customer of the org that is searched for, by its name in the last quotes.
async fn search(Query(parameters): Query<HashMap<String, String>>) -> impl IntoResponse {
    let org = parameters["query"].rsplit('\'').nth(1);
    list(&customer(&org.expect("an org")[4..]))
}

fn list(data: &str) -> impl IntoResponse + use<> {
    json(format!(
        r#"{{"object":"list","data":[{data}],"has_more":false}}"#
    ))
}

fn customer(org: &str) -> String {
    format!(
        r#"{{"id":"cus_{org}","object":"customer","created":1672531200,"metadata":{{"tier.org":"org:{org}"}}}}"#
    )
}

/// A subscription to five metered features.
fn subscription() -> String {
    let item = |n: u32| {
        format!(
            r#"{{"id":"si_{n}","price":{{"id":"price_{n}","metadata":{{"tier.feature":"feature:{n}@plan:p@1",
            "tier.limit":"1000"}},"recurring":{{"interval":"month","usage_type":"metered"}}}}}}"#
        )
    };
    let items: Vec<String> = (0..5).map(item).collect();
    format!(
        r#"{{"id":"sub_1","status":"active","metadata":{{"tier.subscription":"default"}},
        "current_period_start":1,"current_period_end":9999999999,"items":{{"data":[{}]}}}}"#,
        items.join(",")
    )
}

/// What its next invoice will charge.
fn lines() -> String {
    let line = |n: u32| {
        format!(r#"{{"id":"il_{n}","amount":0,"subscription_item":"si_{n}","quantity":{n}}}"#)
    };
    let lines: Vec<String> = (0..5).map(line).collect();
    lines.join(",")
}

fn json(body: String) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], body)
}
