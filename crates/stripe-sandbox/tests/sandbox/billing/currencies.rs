//! One currency per schedule and per customer.

use super::{DAY, START, World};

const SUBSCRIPTIONS: &str = "/v1/subscriptions";
const SCHEDULES: &str = "/v1/subscription_schedules";
const SESSIONS: &str = "/v1/checkout/sessions";
const COMBINED: &str = "You cannot combine currencies on a single customer. This customer has had a subscription, coupon, or invoice item with currency usd";

async fn euros(world: &World) -> String {
    let form = "currency=eur&unit_amount=1000&recurring[interval]=month&product_data[name]=Euros";
    world.api.create("/v1/prices", form).await
}

fn session(customer: &str, price: &str) -> String {
    format!(
        "customer={customer}&mode=subscription&success_url=http://x.test/&line_items[0][quantity]=1&line_items[0][price]={price}"
    )
}

#[tokio::test]
async fn the_phases_of_a_schedule_have_one_currency() {
    let world = World::new().await;
    let customer = world.customer().await;
    let [dollars, euros] = [world.price("unit_amount=1000").await, euros(&world).await];
    let first = format!("phases[0][items][0][price]={dollars}&phases[0][iterations]=1");
    let both = format!("{first}&phases[1][items][0][price]={euros}");
    let form = format!("customer={customer}&start_date=now&{both}");
    let (message, _, param) = world.api.post(SCHEDULES, &form).await.refused(400);
    assert_eq!(message, "You cannot change the currency of a subscription.");
    assert_eq!(param, "phases[1][items]");

    let id = world.schedule(&customer, &first).await;
    let path = world.schedule_of(&id).await;
    for form in [
        format!("phases[0][start_date]={START}&{both}"),
        format!("phases[0][start_date]={START}&phases[0][items][0][price]={euros}"),
    ] {
        let (message, ..) = world.api.post(&path, &form).await.refused(400);
        assert_eq!(message, "You cannot change the currency of a subscription.");
    }
    assert_eq!(world.billed(&customer).await, [[(1, 1000)]]);
}

#[tokio::test]
async fn a_customer_has_one_currency_while_something_is_open_in_it() {
    let world = World::new().await;
    let customer = world.customer().await;
    let [dollars, euros] = [world.price("unit_amount=1000").await, euros(&world).await];
    let direct = format!("customer={customer}&items[0][price]={euros}");
    let scheduled =
        format!("customer={customer}&start_date=now&phases[0][items][0][price]={euros}");
    let combined = async |why: &str| {
        for (path, form) in [
            (SUBSCRIPTIONS, direct.clone()),
            (SCHEDULES, scheduled.clone()),
            (SESSIONS, session(&customer, &euros)),
        ] {
            let (message, ..) = world.api.post(path, &form).await.refused(400);
            assert_eq!(message, COMBINED, "{why}: {path}");
        }
    };
    let later = START + 10 * DAY;
    let waiting =
        format!("customer={customer}&start_date={later}&phases[0][items][0][price]={dollars}");
    let waiting = world.api.create(SCHEDULES, &waiting).await;
    combined("a schedule waits").await;
    let cancel = format!("{SCHEDULES}/{waiting}/cancel");
    world.api.post(&cancel, "").await.ok();

    let form = format!("customer={customer}&items[0][price]={dollars}");
    let id = world.api.create(SUBSCRIPTIONS, &form).await;
    combined("a subscription runs").await;
    let path = format!("{SUBSCRIPTIONS}/{id}?invoice_now=true&prorate=true");
    world.api.delete(&path).await.ok();
    combined("there is a balance").await;
    let holder = format!("/v1/customers/{customer}");
    world.api.post(&holder, "balance=0").await.ok();
    world.api.post(SUBSCRIPTIONS, &direct).await.ok();
    assert_eq!(world.api.get(&holder).await.ok()["currency"], "eur");
}

#[tokio::test]
async fn an_open_invoice_fixes_the_currency() {
    let world = World::new().await;
    let form = format!("test_clock={}", world.clock);
    let customer = world.api.create("/v1/customers", &form).await;
    let [dollars, euros] = [world.price("unit_amount=1000").await, euros(&world).await];
    // A schedule also works for customers without a card.
    let form = format!("phases[0][items][0][price]={dollars}");
    let id = world.schedule(&customer, &form).await;
    let path = format!("{SUBSCRIPTIONS}/{id}");
    world.api.delete(&path).await.ok();
    let form = format!("customer={customer}&items[0][price]={euros}");
    let (message, ..) = world.api.post(SUBSCRIPTIONS, &form).await.refused(400);
    assert_eq!(message, COMBINED);
}

#[tokio::test]
async fn a_session_in_another_currency_cannot_be_paid() {
    let world = World::new().await;
    let customer = world.customer().await;
    let [dollars, euros] = [world.price("unit_amount=1000").await, euros(&world).await];
    let id = world
        .api
        .create(SESSIONS, &session(&customer, &euros))
        .await;
    let form = format!("customer={customer}&items[0][price]={dollars}");
    world.api.post(SUBSCRIPTIONS, &form).await.ok();
    let page = format!("/c/pay/{id}");
    let answer = world
        .api
        .request("POST", &page)
        .body("card=pm_card_visa")
        .header("content-type", "application/x-www-form-urlencoded")
        .send()
        .await
        .expect("an answer");
    let text = answer.text().await.expect("a page");
    assert!(text.contains("You cannot combine currencies"), "{text}");
    let list = format!("{SUBSCRIPTIONS}?customer={customer}");
    assert_eq!(world.api.ids(&list).await.len(), 1);
}

#[tokio::test]
async fn unknown_currencies_are_refused() {
    let world = World::new().await;
    let price = "unit_amount=1000&product_data[name]=N&currency";
    let coupon = "amount_off=1&duration=once&currency";
    for (path, form) in [("/v1/prices", price), ("/v1/coupons", coupon)] {
        for code in ["xyz", "XYZ", "us", "usdollar", "üsd"] {
            let refused = world.api.post(path, &format!("{form}={code}")).await;
            let (message, _, param) = refused.refused(400);
            let named = format!(
                "Invalid currency: {}. Stripe currently supports these currencies: usd, aed, afn, all, amd, ",
                code.to_lowercase()
            );
            assert!(message.starts_with(&named), "{message}");
            assert_eq!(param, "currency");
        }
        for code in ["usd", "EUR", "kwd", "ugx", "zmw", "ghs"] {
            let made = world.api.post(path, &format!("{form}={code}")).await.ok();
            assert_eq!(made["currency"], code.to_lowercase());
        }
    }
}

#[tokio::test]
async fn amounts_are_shown_with_their_decimals() {
    for (currency, text) in [
        ("kwd", "KWD 12.340"),
        ("ugx", "UGX 123.40"),
        ("jpy", "¥12340"),
        ("usd", "$123.40"),
    ] {
        let world = World::new().await;
        let customer = world.customer().await;
        let form = format!(
            "currency={currency}&unit_amount=12340&recurring[interval]=month&product_data[name]=N"
        );
        let price = world.api.create("/v1/prices", &form).await;
        let form = session(&customer, &price);
        let made = world.api.post(SESSIONS, &form).await.ok();
        let page = reqwest::Client::builder()
            .no_proxy()
            .build()
            .expect("a client");
        let page = page.get(made["url"].as_str().expect("a page")).send().await;
        let page = page.expect("an answer").text().await.expect("a text");
        assert!(page.contains(&format!(">Pay {text}</button>")), "{page}");
        let form = format!("customer={customer}&items[0][price]={price}");
        world.api.post(SUBSCRIPTIONS, &form).await.ok();
        let line = world.invoices(&customer).await[0]["lines"]["data"][0].clone();
        assert_eq!(line["description"], format!("1 × N (at {text} / month)"));
        assert_eq!(line["amount"], 12340);
    }
}

#[tokio::test]
async fn an_invoice_is_in_the_currency_that_its_customer_is_held_to() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=1000").await;
    let (subscription, _) = world
        .subscribe(&customer, &format!("items[0][price]={price}"))
        .await;
    let path = "/v1/invoices";
    let form = format!("customer={customer}&currency=eur");
    let (message, _, _) = world.api.post(path, &form).await.refused(400);
    assert!(message.contains("with currency usd"), "{message}");
    let form = format!("{form}&subscription={subscription}");
    let (_, _, param) = world.api.post(path, &form).await.refused(400);
    assert_eq!(param, "currency");
    let form = format!("customer={customer}&currency=usd&subscription={subscription}");
    world.api.post(path, &form).await.ok();
    let form = format!("customer={}&currency=eur", world.customer().await);
    world.api.post(path, &form).await.ok();
}
