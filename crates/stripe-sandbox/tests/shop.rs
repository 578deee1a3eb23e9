//! A test of a program that bills through Stripe.

use clock::Clock;
use reqwest::{Client, RequestBuilder};
use serde_json::Value;
use stripe_sandbox::{Options, Sandbox};

const JANUARY_1: i64 = 1_767_225_600;
const FEBRUARY_2: i64 = 1_769_990_400;

#[tokio::test]
async fn a_customer_pays_each_month() {
    // The sandbox has its own port. Its time stands still until the test sets it.
    let clock = Clock::manual(JANUARY_1);
    let options = Options {
        clock: clock.clone(),
        ..Options::default()
    };
    let stripe = Sandbox::start(options).await.expect("a port");
    let shop = Shop::new(stripe.url());

    shop.post("/v1/products", "id=coffee&name=Coffee").await;
    let price = "currency=usd&product=coffee&unit_amount=1000&recurring[interval]=month";
    let price = shop.post("/v1/prices", price).await;
    let customer =
        "payment_method=pm_card_visa&invoice_settings[default_payment_method]=pm_card_visa";
    let customer = shop.post("/v1/customers", customer).await;
    let subscription = format!(
        "customer={}&items[0][price]={}",
        customer["id"].as_str().expect("an id"),
        price["id"].as_str().expect("an id"),
    );
    let subscription = shop.post("/v1/subscriptions", &subscription).await;
    assert_eq!(subscription["status"], "active");

    clock.set(FEBRUARY_2);
    let invoices = shop.get("/v1/invoices").await;
    let invoices = invoices["data"].as_array().expect("a list");
    assert_eq!(invoices.len(), 2);
    assert!(invoices.iter().all(|invoice| invoice["status"] == "paid"));
}

/// The tested program; here a plain HTTP client in place of a Stripe client.
struct Shop {
    client: Client,
    stripe: String,
}

impl Shop {
    fn new(stripe: &str) -> Self {
        // This fails if another test has already installed a provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            client: Client::builder().no_proxy().build().expect("a client"),
            stripe: stripe.to_owned(),
        }
    }

    async fn post(&self, path: &str, form: &str) -> Value {
        let request = self.client.post(format!("{}{path}", self.stripe));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        self.send(request.body(form.to_owned())).await
    }

    async fn get(&self, path: &str) -> Value {
        let request = self.client.get(format!("{}{path}", self.stripe));
        self.send(request).await
    }

    async fn send(&self, request: RequestBuilder) -> Value {
        let answer = request.bearer_auth("sk_test_shop").send().await;
        let answer = answer.and_then(reqwest::Response::error_for_status);
        let body = answer.expect("it is allowed").bytes().await;
        serde_json::from_slice(&body.expect("a body")).expect("JSON")
    }
}
