//! A busy account does not block other accounts.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

use reqwest::Response;
use testing::time::{TIMEOUT, until};
use tokio::task::JoinSet;

use crate::store::accounts::LockedAccount;
use crate::{Options, Running, Sandbox};

const JANUARY: i64 = 1_767_225_600;

const FEBRUARY: i64 = 1_769_904_000;

/// A client with one key.
#[derive(Clone)]
struct Client {
    http: reqwest::Client,
    url: String,
    key: &'static str,
    account: String,
}

impl Client {
    fn new(running: &Running, key: &'static str) -> Self {
        // This fails if another test has already installed a provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            http: reqwest::Client::builder()
                .no_proxy()
                .build()
                .expect("a client"),
            url: running.url().to_owned(),
            key,
            account: String::new(),
        }
    }

    async fn send(&self, method: &str, path: &str, form: &str) -> Response {
        let method = method.parse().expect("a method");
        let call = self.http.request(method, format!("{}{path}", self.url));
        let call = call
            .bearer_auth(self.key)
            .header("stripe-account", &self.account)
            .header("content-type", "application/x-www-form-urlencoded");
        let answer = call.body(form.to_owned()).send().await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
        answer
    }

    async fn create(&self, path: &str, form: &str) -> serde_json::Value {
        let answer = self.send("POST", path, form).await;
        let body = answer.bytes().await.expect("a body");
        serde_json::from_slice(&body).expect("JSON")
    }
}

/// Holds an account's lock, as long work would, until the result is dropped.
fn hold(account: &Arc<LockedAccount>) -> Sender<()> {
    let (held, is_held) = channel();
    let (release, released) = channel();
    let account = account.clone();
    std::thread::spawn(move || {
        let _account = account.account();
        held.send(()).expect("the test waits for it");
        // This ends when the test drops its end, or by the time-out if the test itself is blocked.
        let _ = released.recv_timeout(TIMEOUT);
    });
    is_held.recv().expect("the thread has the lock");
    release
}

/// One thread serves all calls, so a call that waits for a lock must not block it.
#[tokio::test]
async fn a_long_advance_does_not_block_other_accounts() {
    let running = Sandbox::start(Options::default()).await.expect("a port");
    let a = Client::new(&running, "sk_test_a");
    let b = Client::new(&running, "sk_test_b");
    let form = format!("frozen_time={JANUARY}");
    let clock = a.create("/v1/test_helpers/test_clocks", &form).await;
    let connected = a.create("/v1/accounts", "type=standard").await;
    let connected = Client {
        account: connected["id"].as_str().expect("an id").to_owned(),
        ..a.clone()
    };
    let session = "mode=setup&success_url=http://localhost/done";
    let session = b.create("/v1/checkout/sessions", session).await;

    let sandbox = running.sandbox();
    let of_a = sandbox.0.accounts.existing(&sandbox.account_id(a.key));
    let of_a = of_a.expect("its first call created it");
    let release = hold(&of_a);
    let path = format!(
        "/v1/test_helpers/test_clocks/{}/advance",
        clock["id"].as_str().expect("an id")
    );
    let form = format!("frozen_time={FEBRUARY}");
    let mut calls = JoinSet::new();
    let advancing = a.clone();
    calls.spawn(async move { advancing.send("POST", &path, &form).await });
    until("the advance has the turn", async || {
        of_a.free_turn().is_none().then_some(())
    })
    .await;
    calls.spawn(async move { a.send("GET", "/v1/customers", "").await });

    b.send("GET", "/v1/customers", "").await;
    connected.send("GET", "/v1/customers", "").await;
    let c = Client::new(&running, "sk_test_c");
    c.send("GET", "/v1/account", "").await;
    let page = session["url"].as_str().expect("a link");
    let page = page
        .strip_prefix(running.url())
        .expect("it is the sandbox's");
    b.send("GET", page, "").await;
    let overview = b.http.get(format!("{}/", b.url)).send().await;
    let overview = overview.expect("an answer").text().await.expect("a page");
    let of_b = sandbox.account_id(b.key);
    assert!(overview.contains(&of_b) && overview.contains("A long call is running"));
    assert!(calls.try_join_next().is_none(), "the account was not busy");

    drop(release);
    assert_eq!(calls.join_all().await.len(), 2);
}
