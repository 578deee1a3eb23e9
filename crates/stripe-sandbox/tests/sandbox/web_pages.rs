//! Any web page can reach the ports of this machine. It must not be able to reset the sandbox, break it, or pay.

use super::Api;

const SESSION: &str = "mode=setup&payment_method_types[]=card&success_url=https://app.test/thanks";

/// The status of a request with these headers.
async fn status(api: &Api, method: &str, path: &str, headers: &[(&'static str, &str)]) -> u16 {
    let with = |api: Api, (name, value): &(&'static str, &str)| api.header(name, value);
    let api = headers.iter().fold(api.clone(), with);
    let form = ("content-type", "application/x-www-form-urlencoded");
    let request = api.request(method, path).header(form.0, form.1);
    let answer = request.send().await.expect("an answer");
    answer.status().as_u16()
}

const CONTROLS: [(&str, &str); 5] = [
    ("POST", "/_sandbox/reset"),
    ("GET", "/_sandbox/requests"),
    ("DELETE", "/_sandbox/requests"),
    ("POST", "/_sandbox/faults?action=503"),
    ("DELETE", "/_sandbox/faults"),
];

#[tokio::test]
async fn web_pages_cannot_use_the_controls() {
    let api = Api::start().await;
    let customer = api.create("/v1/customers", "").await;
    for foreign in [
        ("origin", "http://evil.example"),
        ("origin", "null"),
        // Another port is another origin.
        ("origin", "http://127.0.0.1:1"),
        ("host", "evil.example"),
        ("host", "127.0.0.1.evil.example:12111"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        for (method, path) in CONTROLS {
            let answered = status(&api, method, path, &[foreign]).await;
            assert_eq!(answered, 403, "{method} {path} {foreign:?}");
        }
    }
    assert_eq!(api.ids("/v1/customers").await, [customer]);
    for own in [
        &[][..],
        &[("host", "localhost:12111")],
        &[("sec-fetch-site", "none")],
    ] {
        for (method, path) in [CONTROLS[1], CONTROLS[4], CONTROLS[0]] {
            assert_eq!(status(&api, method, path, own).await, 200, "{path} {own:?}");
        }
    }
}

#[tokio::test]
async fn only_the_portal_can_cancel() {
    let api = Api::start().await;
    let customer = api.create("/v1/customers", "").await;
    let form = format!("customer={customer}");
    let session = api.create("/v1/billing_portal/sessions", &form).await;
    let page = format!("/c/portal/{session}");
    for foreign in [
        ("origin", "http://evil.example"),
        ("host", "evil.example"),
        ("sec-fetch-site", "cross-site"),
    ] {
        assert_eq!(status(&api, "POST", &page, &[foreign]).await, 403);
    }
    // The form names no subscription.
    let own = ("sec-fetch-site", "same-origin");
    assert_eq!(status(&api, "POST", &page, &[own]).await, 409);
}

#[tokio::test]
async fn only_the_checkout_page_can_pay() {
    let api = Api::start().await;
    let customer = api.create("/v1/customers", "").await;
    let form = format!("{SESSION}&customer={customer}");
    let session = api.create("/v1/checkout/sessions", &form).await;
    let page = format!("/c/pay/{session}");
    let evil = ("origin", "http://evil.example");
    for foreign in [
        evil,
        ("host", "evil.example"),
        ("sec-fetch-site", "cross-site"),
    ] {
        assert_eq!(status(&api, "POST", &page, &[foreign]).await, 403);
    }
    assert_eq!(
        status(&api, "GET", &page, &[("host", "evil.example")]).await,
        403
    );
    // Links to the page may come from anywhere.
    assert_eq!(
        status(&api, "GET", &page, &[("sec-fetch-site", "cross-site")]).await,
        200
    );
    let session = format!("/v1/checkout/sessions/{session}");
    assert_eq!(api.get(&session).await.ok()["status"], "open");

    let own = api
        .header("origin", "null")
        .header("sec-fetch-site", "same-origin");
    // The return address does not exist.
    let paid = own.request("POST", &page).send().await;
    assert!(paid.is_err_and(|error| error.is_connect() || error.is_request()));
    assert_eq!(api.get(&session).await.ok()["status"], "complete");
}

#[tokio::test]
async fn a_page_says_thank_you() {
    let api = Api::start().await;
    let answer = api.request("GET", "/thanks").send().await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status(), 200);
    let page = answer.text().await.expect("a page");
    assert!(page.contains("<h1>Thank you</h1>"), "{page}");
}

#[tokio::test]
async fn a_sandbox_answers_to_its_public_name() {
    let api = Api::with(stripe_sandbox::Options {
        public_url: Some("https://stripe.test".to_owned()),
        ..super::with_manual_clock()
    })
    .await;
    let own = [("host", "stripe.test"), ("origin", "https://stripe.test")];
    assert_eq!(status(&api, "POST", "/_sandbox/reset", &own).await, 200);
    let other = [("host", "stripe.test"), ("origin", "https://app.test")];
    assert_eq!(status(&api, "POST", "/_sandbox/reset", &other).await, 403);

    // A sandbox that other machines can reach cannot know its host names, so it accepts all.
    let api = Api::with(stripe_sandbox::Options {
        loopback_only: false,
        ..super::with_manual_clock()
    })
    .await;
    let named = [("host", "sandbox:12111")];
    assert_eq!(status(&api, "POST", "/_sandbox/reset", &named).await, 200);
    let foreign = [("host", "sandbox:12111"), ("origin", "http://evil.example")];
    assert_eq!(status(&api, "POST", "/_sandbox/reset", &foreign).await, 403);
}
