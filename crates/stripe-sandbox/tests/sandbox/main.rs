//! The sandbox over HTTP, as Stripe clients use it.

mod bad_input;
mod billing;
mod catalogue;
mod clocks;
mod customer_balance;
mod customers;
mod discounts;
mod endpoints;
mod events;
mod expansion;
mod faults;
mod idempotency;
mod lists;
mod meters;
mod payments;
mod sequences;
mod transport;
mod unmodelled;
mod versions;
mod viewer;
mod web_pages;
mod webhooks;

use std::sync::Arc;

use clock::Clock;
use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::Value;
use stripe_sandbox::{Options, Sandbox};

use testing::observed::{self, Observed};

/// The time of manual clocks: 2019-12-31T00:00Z.
pub(crate) const START: i64 = 1_577_750_400;

/// A client of a sandbox with a key. Parameters are given in wire format.
#[derive(Clone)]
pub(crate) struct Api {
    http: reqwest::Client,
    running: Arc<Observed>,
    headers: Vec<(&'static str, String)>,
}

/// An answer.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Reply {
    /// The body of a 200.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }

    /// The error of an answer with this status.
    #[track_caller]
    pub(crate) fn error(mut self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        let error = self.body["error"].take();
        assert!(
            error["message"].is_string() && error["type"].is_string(),
            "{error}"
        );
        error
    }

    /// The error's `message`, `code` (or empty) and `param` (or empty).
    #[track_caller]
    pub(crate) fn refused(self, status: u16) -> (String, String, String) {
        let error = self.error(status);
        let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
        (text("message"), text("code"), text("param"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().expect("an ASCII header"))
    }
}

impl Api {
    /// A client of a new sandbox with a manual clock at [`START`] and a search without lag.
    pub(crate) async fn start() -> Self {
        Self::with(Options {
            search_lag: std::time::Duration::ZERO,
            ..with_manual_clock()
        })
        .await
    }

    pub(crate) async fn with(options: Options) -> Self {
        // This fails if another test has already installed a provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let running = observed::start(options).await;
        Self {
            http: reqwest::Client::builder()
                .no_proxy()
                .build()
                .expect("a client"),
            running: Arc::new(running),
            headers: vec![("authorization", "Bearer sk_test_one".to_owned())],
        }
    }

    /// The same client with another header value.
    pub(crate) fn header(&self, name: &'static str, value: &str) -> Self {
        let mut other = self.clone();
        other.headers.retain(|(known, _)| *known != name);
        other.headers.push((name, value.to_owned()));
        other
    }

    /// The same client without a key, as a browser.
    pub(crate) fn without_key(&self) -> Self {
        let mut other = self.clone();
        other.headers.retain(|(known, _)| *known != "authorization");
        other
    }

    /// The same client with another key.
    pub(crate) fn key(&self, key: &str) -> Self {
        self.header("authorization", &format!("Bearer {key}"))
    }

    /// The same client with an idempotency key.
    pub(crate) fn once(&self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    pub(crate) fn sandbox(&self) -> &Sandbox {
        self.running.sandbox()
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.running.url()));
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        request
    }

    /// Sends a form in the body, with any method.
    pub(crate) async fn send(&self, method: &str, path: &str, form: &str) -> Reply {
        let request = self.request(method, path);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        read(request.body(form.to_owned()))
            .await
            .expect("an answer")
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        read(self.request("GET", path)).await.expect("an answer")
    }

    pub(crate) async fn post(&self, path: &str, form: &str) -> Reply {
        self.send("POST", path, form).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        read(self.request("DELETE", path)).await.expect("an answer")
    }

    /// Creates an object and returns its id.
    #[track_caller]
    pub(crate) fn create(&self, path: &str, form: &str) -> impl Future<Output = String> {
        let (api, path, form) = (self.clone(), path.to_owned(), form.to_owned());
        async move {
            let made = api.post(&path, &form).await.ok();
            made["id"].as_str().expect("an id").to_owned()
        }
    }

    /// The ids of a list, in order.
    pub(crate) async fn ids(&self, path: &str) -> Vec<String> {
        let list = self.get(path).await.ok();
        let data = list["data"].as_array().expect("a list");
        let id = |object: &Value| object["id"].as_str().expect("an id").to_owned();
        data.iter().map(id).collect()
    }
}

pub(crate) async fn read(request: reqwest::RequestBuilder) -> reqwest::Result<Reply> {
    let response = request.send().await?;
    let (status, headers) = (response.status(), response.headers().clone());
    let body = response.bytes().await?;
    Ok(Reply {
        status,
        headers,
        body: serde_json::from_slice(&body).expect("a JSON body"),
    })
}

/// Options with a manual clock at [`START`].
pub(crate) fn with_manual_clock() -> Options {
    Options {
        clock: Clock::manual(START),
        ..Options::default()
    }
}

#[test]
fn the_readme_has_the_test_of_a_shop() {
    let (readme, test) = (include_str!("../../README.md"), include_str!("../shop.rs"));
    assert!(readme.contains(&format!("```rust\n{test}```\n")));
}
