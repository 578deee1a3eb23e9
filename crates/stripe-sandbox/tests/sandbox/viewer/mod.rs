//! The pages that show what is in the sandbox.

mod buttons;

use reqwest::StatusCode;
use stripe_sandbox::{Action, Rule};

use super::{Api, START, read};

const DAY: i64 = 86_400;

const FORM: &str = "application/x-www-form-urlencoded";

/// A page, as a browser asks for it.
async fn page(api: &Api, path: &str) -> (StatusCode, String) {
    let browser = api.without_key().header("accept", "text/html,*/*;q=0.8");
    let answer = browser.request("GET", path).send().await;
    let answer = answer.expect("an answer");
    let kind = answer.headers()["content-type"].to_str().expect("ASCII");
    assert_eq!(kind, "text/html; charset=utf-8", "{path}");
    let policy = answer.headers()["content-security-policy"].to_str();
    assert!(
        policy
            .is_ok_and(|policy| policy.contains("script-src 'self'") && !policy.contains("unsafe"))
    );
    (answer.status(), answer.text().await.expect("a page"))
}

/// A page that must exist.
async fn shown(api: &Api, path: &str) -> String {
    let (status, page) = page(api, path).await;
    assert_eq!(status, 200, "{path}: {page}");
    page
}

/// Presses a button, and returns the status and the address of the page to which it leads.
async fn press(api: &Api, path: &str, form: &str) -> (StatusCode, String) {
    let no_redirects = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client");
    let browser = api.without_key().header("accept", "text/html");
    let request = browser.request("POST", path).header("content-type", FORM);
    let request = request.body(form.to_owned()).build().expect("a request");
    let answer = no_redirects.execute(request).await.expect("an answer");
    let target = answer.headers().get("location");
    let target = target.map_or("", |target| target.to_str().expect("ASCII"));
    (answer.status(), target.to_owned())
}

async fn price(api: &Api) -> String {
    api.post("/v1/products", "id=plan&name=Pro <script>alert(1)</script>")
        .await
        .ok();
    let price = "product=plan&currency=eur&unit_amount=1250&recurring[interval]=month";
    api.create("/v1/prices", price).await
}

/// A customer on a test clock with a card, and the clock.
async fn customer(api: &Api, name: &str) -> (String, String) {
    let clock = format!("frozen_time={START}&name=a clock");
    let clock = api.create("/v1/test_helpers/test_clocks", &clock).await;
    let customer = format!(
        "name={name}&test_clock={clock}&payment_method=pm_card_visa&invoice_settings[default_payment_method]=pm_card_visa&metadata[team]=<b>"
    );
    (api.create("/v1/customers", &customer).await, clock)
}

#[tokio::test]
async fn an_empty_sandbox_says_how_to_begin() {
    let api = Api::start().await;
    let page = shown(&api, "/").await;
    assert!(page.contains("There is nothing yet"), "{page}");
    assert!(page.contains("<script type=\"module\" src=\"/_sandbox/refresh.js\"></script>"));
    for (asset, kind) in [("style.css", "text/css"), ("refresh.js", "text/javascript")] {
        let answer = api
            .request("GET", &format!("/_sandbox/{asset}"))
            .send()
            .await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status(), 200);
        let found = answer.headers()["content-type"].to_str().expect("ASCII");
        assert!(found.starts_with(kind), "{found}");
    }
}

/// An account with every kind of object, in every state that the pages distinguish.
struct Everything {
    customer: String,
    clock: String,
    price: String,
    tiered: String,
    trial: String,
    discounted: String,
    canceled: String,
    schedule: String,
    poor: String,
    unpaid: String,
}

impl Everything {
    async fn create(api: &Api) -> Self {
        let price = price(api).await;
        let tiers = "product=plan&currency=usd&billing_scheme=tiered&tiers_mode=graduated&tiers[0][up_to]=5&tiers[0][unit_amount]=0&tiers[1][up_to]=inf&tiers[1][unit_amount_decimal]=2.5&recurring[interval]=month&recurring[usage_type]=metered";
        let tiered = api.create("/v1/prices", tiers).await;
        api.post("/v1/coupons", "id=tenth&percent_off=10&duration=forever")
            .await
            .ok();
        let (customer, clock) = customer(api, "<script>alert('x')</script> %26 \"Co\"").await;

        let of = format!("customer={customer}&items[0][price]={price}");
        let trial = format!("{of}&trial_period_days=14");
        let trial = api.create("/v1/subscriptions", &trial).await;
        let discounted = format!("{of}&coupon=tenth");
        let discounted = api.create("/v1/subscriptions", &discounted).await;
        let canceled = api.create("/v1/subscriptions", &of).await;
        api.delete(&format!("/v1/subscriptions/{canceled}"))
            .await
            .ok();
        let start = START + 10 * DAY;
        let schedule = format!(
            "customer={customer}&start_date={start}&end_behavior=cancel&phases[0][items][0][price]={price}&phases[0][iterations]=1&phases[1][items][0][price]={price}&phases[1][items][0][quantity]=3&phases[1][iterations]=2"
        );
        let schedule = api.create("/v1/subscription_schedules", &schedule).await;
        let poor = "payment_method=pm_card_chargeCustomerFail&invoice_settings[default_payment_method]=pm_card_chargeCustomerFail&email=poor@example.com";
        let poor = api.create("/v1/customers", poor).await;
        let unpaid = format!("customer={poor}&items[0][price]={price}");
        let unpaid = api.post("/v1/subscriptions", &unpaid).await.ok();
        let unpaid = unpaid["latest_invoice"].as_str().expect("an invoice");
        let unpaid = unpaid.to_owned();
        let rule = Rule::new("POST", "/v1/refunds", Action::Drop).times(2);
        api.sandbox().add_fault(rule);
        Self {
            customer,
            clock,
            price,
            tiered,
            trial,
            discounted,
            canceled,
            schedule,
            poor,
            unpaid,
        }
    }
}

#[tokio::test]
async fn the_overview_shows_an_account_with_everything() {
    let api = Api::start().await;
    Everything::create(&api).await;
    let overview = shown(&api, "/").await;
    for part in [
        "sk_test_one",
        "&lt;script&gt;alert('x')&lt;/script&gt; &amp; &quot;Co&quot;",
        "team: &lt;b&gt;",
        "poor@example.com",
        "Pro &lt;script&gt;alert(1)&lt;/script&gt;",
        "€12.50 EUR / month",
        "2 graduated tiers in USD / month, metered",
        "trial until <time datetime=\"2020-01-14T00:00:00Z\">2020-01-14 00:00 UTC</time>",
        "coming: <time datetime=\"2020-01-10T00:00:00Z\">",
        "<strong>canceled</strong>",
        "<svg class=\"line\"",
        "€12.50 EUR due",
        "€11.25 EUR",
        "POST /v1/refunds: drop, before the effect; times: 2",
        "POST /v1/subscription_schedules",
        "customer.created",
    ] {
        assert!(overview.contains(part), "{part} is not in {overview}");
    }
    assert!(
        !overview.contains("<script>") && !overview.contains("<b>"),
        "{overview}"
    );
}

#[tokio::test]
async fn every_object_has_a_page() {
    let api = Api::start().await;
    let all = Everything::create(&api).await;
    let account = api.sandbox().account_id("sk_test_one");
    let event = api.ids("/v1/events").await.remove(0);
    let intent = api.ids("/v1/payment_intents").await.remove(0);
    let invoice = api
        .ids(&format!("/v1/invoices?subscription={}", all.discounted))
        .await
        .remove(0);
    for (kind, id, part) in [
        ("customers", &*all.customer, "A month passes"),
        ("customers", &all.poor, "is not on a test clock"),
        ("products", "plan", "€12.50 EUR / month"),
        ("prices", &all.price, "€12.50 EUR"),
        ("prices", &all.tiered, "$0.025 USD"),
        ("subscriptions", &all.trial, "trialing"),
        ("subscriptions", &all.discounted, "Current period"),
        ("subscriptions", &all.canceled, "past: "),
        ("subscription_schedules", &all.schedule, "not started"),
        ("invoices", &invoice, "-€1.25 EUR"),
        ("invoices", &all.unpaid, "<strong>open</strong>"),
        ("test-clocks", &all.clock, "A day passes"),
        ("events", &event, "JSON, as the API shows it"),
        ("payments", &intent, "requires_payment_method"),
        ("coupons", "tenth", "forever"),
    ] {
        for prefix in [
            "",
            "/test",
            &format!("/{account}"),
            &format!("/{account}/test"),
        ] {
            let page = shown(&api, &format!("{prefix}/{kind}/{id}")).await;
            assert!(page.contains(part), "{part} is not in {kind}: {page}");
            assert!(
                !page.contains("<script>") && !page.contains("<b>"),
                "{page}"
            );
        }
        let list = shown(&api, &format!("/{account}/test/{kind}")).await;
        assert!(
            list.contains(&format!("/{account}/{kind}/{id}")),
            "{kind}: {list}"
        );
        let (status, other) = page(&api, &format!("/{kind}/nobody_1")).await;
        assert_eq!(status, 404);
        assert!(other.contains("No such "), "{other}");
    }
    // The id of an object of another kind, and an account that does not exist.
    for path in [
        format!("/invoices/{}", all.customer),
        format!("/acct_nobody/customers/{}", all.customer),
        "/acct_nobody".to_owned(),
    ] {
        assert_eq!(page(&api, &path).await.0, 404, "{path}");
    }
}

#[tokio::test]
async fn an_object_is_found_in_the_account_that_has_it() {
    let api = Api::start().await;
    let other = api.key("sk_test_0123456789abcdefghijABCD");
    api.post("/v1/products", "id=shared&name=One").await.ok();
    other.post("/v1/products", "id=shared&name=Two").await.ok();
    let customer = other.create("/v1/customers", "name=Ada").await;
    assert!(
        shown(&api, &format!("/customers/{customer}"))
            .await
            .contains("Ada")
    );
    let [one, two] = ["sk_test_one", "sk_test_0123456789abcdefghijABCD"]
        .map(|key| api.sandbox().account_id(key));
    assert!(
        shown(&api, &format!("/{one}/products/shared"))
            .await
            .contains("<h1>One</h1>")
    );
    assert!(
        shown(&api, &format!("/{two}/products/shared"))
            .await
            .contains("<h1>Two</h1>")
    );
    assert_eq!(
        page(&api, &format!("/{one}/customers/{customer}")).await.0,
        404
    );
    let overview = shown(&api, "/").await;
    for part in [
        "One",
        "Two",
        "Ada",
        &one,
        &two,
        "sk_test_one",
        "sk_test_0123…",
    ] {
        assert!(overview.contains(part), "{part}");
    }
    assert!(!overview.contains("sk_test_01234"));
    assert!(!shown(&api, &format!("/{one}")).await.contains("Ada"));
}

#[tokio::test]
async fn pages_have_fifty_rows_and_the_newest_come_first() {
    let api = Api::start().await;
    let mut ids = Vec::new();
    for n in 0..51 {
        ids.push(
            api.create("/v1/customers", &format!("name=number {n}."))
                .await,
        );
    }
    let account = api.sandbox().account_id("sk_test_one");
    let first = shown(&api, "/").await;
    assert!(
        first.contains("number 50.") && first.contains("number 1.") && !first.contains("number 0.")
    );
    assert!(first.find("number 50.") < first.find("number 49."));
    let older = format!("/{account}/customers?starting_after=cus%5F{}", &ids[1][4..]);
    assert!(first.contains(&older), "{older}");
    let second = shown(&api, &older).await;
    assert!(second.contains("number 0.") && !second.contains("number 1."));
    assert!(!second.contains("Older"));
    assert!(
        shown(&api, "/customers?starting_after=cus_x")
            .await
            .contains("No such customer")
    );
}

#[tokio::test]
async fn programs_are_answered_as_before() {
    let api = Api::start().await;
    for path in ["/", "/customers/cus_1", "/test", "/acct_1"] {
        for api in [
            api.clone(),
            api.header("accept", "*/*"),
            api.header("accept", "application/json"),
        ] {
            let (message, ..) = api.get(path).await.refused(404);
            assert!(
                message.starts_with(&format!("Unrecognized request URL (GET: {path})")),
                "{message}"
            );
        }
        let without = api.without_key();
        without
            .header("accept", "application/json")
            .get(path)
            .await
            .error(401);
        without.post(path, "").await.error(401);
        // Browsers say that they want HTML, even with a password.
        let answer = api
            .header("accept", "text/html")
            .request("GET", path)
            .send()
            .await;
        let kind = answer.expect("an answer").headers()["content-type"].clone();
        assert_eq!(kind, "text/html; charset=utf-8");
    }
    api.get("/nothing").await.error(404);
    api.without_key().get("/nothing").await.error(401);
    assert!(
        api.sandbox()
            .requests(None)
            .iter()
            .all(|request| request.status != 200)
    );
}

#[tokio::test]
async fn an_expired_event_has_no_page() {
    let api = Api::start().await;
    api.create("/v1/customers", "").await;
    let event = api.ids("/v1/events").await.remove(0);
    let path = format!("/events/{event}");
    api.sandbox().clock().set(START + 30 * DAY);
    shown(&api, &path).await;
    api.sandbox().clock().set(START + 30 * DAY + 1);
    api.get(&format!("/v1{path}")).await.error(404);
    assert_eq!(page(&api, &path).await.0, 404);
}
