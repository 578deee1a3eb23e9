//! A handler that panics fails only its own call.

use reqwest::StatusCode;
use serde_json::Value;

use crate::{Options, Sandbox};

const KEY: &str = "sk_test_panics";

struct Reply {
    status: StatusCode,
    is_replay: bool,
    body: Value,
}

async fn post(url: &str, form: &str, idempotency_key: &str) -> Reply {
    let client = reqwest::Client::builder().no_proxy().build();
    let call = client.expect("a client").post(url).bearer_auth(KEY);
    let call = call
        .header("content-type", "application/x-www-form-urlencoded")
        .header("idempotency-key", idempotency_key);
    let answer = call.body(form.to_owned()).send().await;
    let answer = answer.expect("an answer");
    let body = |text: String| serde_json::from_str(&text).expect("JSON");
    Reply {
        status: answer.status(),
        is_replay: answer.headers().contains_key("idempotent-replayed"),
        body: body(answer.text().await.expect("a body")),
    }
}

/// Like Stripe, the sandbox keeps the answer 500 under the idempotency key.
#[tokio::test]
async fn the_answer_of_a_call_that_panicked_is_kept() {
    // This fails if another test has already installed a provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let running = Sandbox::start(Options::default()).await.expect("a port");
    let create = async |path: &str, form: &str| {
        let made = post(&format!("{}{path}", running.url()), form, "").await;
        assert_eq!(made.status, 200, "{}", made.body);
        made.body["id"].as_str().expect("an id").to_owned()
    };
    let customer = create("/v1/customers", "").await;
    let price = "currency=usd&unit_amount=0&recurring[interval]=month&product_data[name]=Name";
    let price = create("/v1/prices", price).await;
    let form = format!("customer={customer}&items[0][price]={price}");
    let subscription = create("/v1/subscriptions", &form).await;

    // A subscription without its price cannot be shown.
    let sandbox = running.sandbox();
    let account = sandbox.0.accounts.existing(&sandbox.account_id(KEY));
    let account = account.expect("its first call created it");
    let prices = std::mem::take(&mut account.account().prices);
    let url = format!("{}/v1/subscriptions/{subscription}", running.url());
    let failed = post(&url, "metadata[a]=b", "once").await;
    assert_eq!((failed.status.as_u16(), failed.is_replay), (500, false));
    assert_eq!(failed.body["error"]["type"], "api_error");
    account.account().prices = prices;

    let again = post(&url, "metadata[a]=b", "once").await;
    assert_eq!((again.status.as_u16(), again.is_replay), (500, true));
    assert_eq!(again.body, failed.body);
    let other = post(&url, "metadata[a]=b", "another").await;
    assert_eq!(other.status, 200, "{}", other.body);
}
