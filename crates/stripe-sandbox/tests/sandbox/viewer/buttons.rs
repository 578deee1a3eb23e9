//! The effects of the buttons on the pages.

use super::*;

#[tokio::test]
async fn time_passes_at_the_press_of_a_button() {
    let api = Api::start().await;
    let price = price(&api).await;
    let (customer, clock) = customer(&api, "Ada").await;
    let form = format!("customer={customer}&items[0][price]={price}");
    api.post("/v1/subscriptions", &form).await.ok();
    let account = api.sandbox().account_id("sk_test_one");
    let clock_path = format!("/v1/test_helpers/test_clocks/{clock}");
    let invoices = format!("/v1/invoices?customer={customer}");

    let page = format!("/{account}/customers/{customer}");
    let form = format!("customer={customer}&by=month");
    let pressed = press(&api, "/_sandbox/advance", &form).await;
    assert_eq!(pressed, (StatusCode::SEE_OTHER, page));
    assert_eq!(
        api.get(&clock_path).await.ok()["frozen_time"],
        START + 31 * DAY
    );
    assert_eq!(api.ids(&invoices).await.len(), 2);
    let page = format!("/{account}/test-clocks/{clock}");
    let form = format!("test_clock={clock}&by=day");
    let pressed = press(&api, "/_sandbox/advance", &form).await;
    assert_eq!(pressed, (StatusCode::SEE_OTHER, page));
    assert_eq!(
        api.get(&clock_path).await.ok()["frozen_time"],
        START + 32 * DAY
    );

    // A month is more than Stripe allows at a time for a daily subscription.
    let daily = "product=plan&currency=eur&unit_amount=100&recurring[interval]=day";
    let daily = api.create("/v1/prices", daily).await;
    let form = format!("customer={customer}&items[0][price]={daily}");
    api.post("/v1/subscriptions", &form).await.ok();
    let form = format!("customer={customer}&by=month");
    assert_eq!(
        press(&api, "/_sandbox/advance", &form).await.0,
        StatusCode::SEE_OTHER
    );
    // From 1 February 2020 to 1 March.
    assert_eq!(
        api.get(&clock_path).await.ok()["frozen_time"],
        START + 61 * DAY
    );

    let bare = api.create("/v1/customers", "").await;
    for (form, status) in [
        (format!("customer={bare}&by=month"), 409),
        (format!("customer={customer}&by=year"), 409),
        (format!("customer={customer}"), 409),
        ("customer=cus_nobody&by=day".to_owned(), 404),
        ("test_clock=clock_nobody&by=day".to_owned(), 404),
    ] {
        assert_eq!(
            press(&api, "/_sandbox/advance", &form).await.0,
            status,
            "{form}"
        );
    }
}

#[tokio::test]
async fn the_next_payment_fails_at_the_press_of_a_button() {
    let api = Api::start().await;
    let price = price(&api).await;
    let (customer, _) = customer(&api, "Ada").await;
    let form = format!("customer={customer}&items[0][price]={price}");
    let subscription = api.create("/v1/subscriptions", &form).await;
    let subscription = format!("/v1/subscriptions/{subscription}");
    let page = format!("/customers/{customer}");
    let fails = format!("customer={customer}&outcome=fails");
    let succeeds = format!("customer={customer}&outcome=succeeds");
    let month = format!("customer={customer}&by=month");
    assert!(shown(&api, &page).await.contains("Next payment fails"));

    press(&api, "/_sandbox/next_payment", &fails).await;
    assert!(shown(&api, &page).await.contains("will be declined"));
    press(&api, "/_sandbox/advance", &month).await;
    let unpaid = api.get(&subscription).await.ok();
    assert_eq!(unpaid["status"], "past_due");
    // Only that payment failed.
    assert!(!shown(&api, &page).await.contains("will be declined"));
    let invoice = unpaid["latest_invoice"].as_str().expect("an invoice");
    let paid = api
        .post(&format!("/v1/invoices/{invoice}/pay"), "")
        .await
        .ok();
    assert_eq!(paid["status"], "paid");

    press(&api, "/_sandbox/next_payment", &fails).await;
    let back = press(&api, "/_sandbox/next_payment", &succeeds).await;
    assert_eq!(back.0, StatusCode::SEE_OTHER);
    press(&api, "/_sandbox/advance", &month).await;
    assert_eq!(api.get(&subscription).await.ok()["status"], "active");
    // The button also affects checkout.
    let session = format!(
        "mode=subscription&customer={customer}&line_items[0][price]={price}&line_items[0][quantity]=1&success_url=https://app.test/thanks"
    );
    let session = api.create("/v1/checkout/sessions", &session).await;
    let pay = format!("/c/pay/{session}");
    press(&api, "/_sandbox/next_payment", &fails).await;
    assert_eq!(press(&api, &pay, "").await.0, StatusCode::CONFLICT);
    assert_eq!(press(&api, &pay, "").await.0, StatusCode::SEE_OTHER);

    for (form, status) in [
        (format!("customer={customer}&outcome=maybe"), 409),
        ("customer=cus_nobody&outcome=fails".to_owned(), 404),
    ] {
        assert_eq!(press(&api, "/_sandbox/next_payment", &form).await.0, status);
    }
}

#[tokio::test]
async fn reset_empties_one_account_or_all() {
    let api = Api::start().await;
    let other = api.key("sk_test_two");
    api.create("/v1/customers", "").await;
    let kept = other.create("/v1/customers", "").await;
    let account = api.sandbox().account_id("sk_test_one");
    let (status, target) = press(&api, "/_sandbox/reset", &format!("account={account}")).await;
    assert_eq!((status, &*target), (StatusCode::SEE_OTHER, "/"));
    assert_eq!(api.ids("/v1/customers").await.len(), 0);
    assert_eq!(other.ids("/v1/customers").await, [kept]);
    press(&api, "/_sandbox/reset", "").await;
    assert_eq!(other.ids("/v1/customers").await.len(), 0);
    // Programs still get JSON.
    let reset = api.without_key().post("/_sandbox/reset", "").await;
    assert_eq!(reset.ok(), serde_json::json!({}));
    let unknown = api
        .without_key()
        .post("/_sandbox/reset", "account=acct_nobody")
        .await;
    unknown.error(400);
}

#[tokio::test]
async fn other_pages_can_neither_read_nor_press() {
    let api = Api::start().await.without_key();
    let paths = [
        ("GET", "/"),
        ("GET", "/customers"),
        ("GET", "/acct_1/customers/cus_1"),
        ("POST", "/_sandbox/advance"),
        ("POST", "/_sandbox/next_payment"),
        ("GET", "/_sandbox/style.css"),
    ];
    for foreign in [
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("host", "evil.example"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        for (method, path) in paths {
            let request = api.header(foreign.0, foreign.1).request(method, path);
            read(request).await.expect("an answer").error(403);
        }
    }
    // A link leads to the page.
    let link = api
        .header("sec-fetch-site", "cross-site")
        .header("sec-fetch-mode", "navigate")
        .header("sec-fetch-dest", "document");
    assert!(shown(&link, "/").await.contains("Stripe sandbox"));
    read(link.header("sec-fetch-dest", "iframe").request("GET", "/"))
        .await
        .expect("an answer")
        .error(403);
    read(link.header("host", "evil.example").request("GET", "/"))
        .await
        .expect("an answer")
        .error(403);
    read(link.request("POST", "/_sandbox/advance"))
        .await
        .expect("an answer")
        .error(403);
}
