//! Invoices: discounts, payment, balances, previews and lists.

use super::{DAY, START, World, lines, number};

async fn subscribe(world: &World, customer: &str, form: &str) -> String {
    world
        .api
        .create("/v1/subscriptions", &format!("customer={customer}&{form}"))
        .await
}

#[tokio::test]
async fn coupons_last_as_long_as_they_say() {
    for (duration, totals) in [
        ("once", [1000, 1000, 1000, 700]),
        ("repeating&duration_in_months=2", [1000, 1000, 700, 700]),
        ("forever", [700, 700, 700, 700]),
    ] {
        let world = World::new().await;
        let customer = world.customer().await;
        let price = world.price("unit_amount=1000").await;
        world
            .api
            .post(
                "/v1/coupons",
                &format!("id=c&amount_off=300&currency=usd&duration={duration}"),
            )
            .await
            .ok();
        let id = subscribe(
            &world,
            &customer,
            &format!("items[0][price]={price}&coupon=c"),
        )
        .await;
        for days in [60, 91] {
            world.advance_to(START + days * DAY).await;
        }
        let invoices = world.invoices(&customer).await;
        let seen: Vec<i64> = invoices
            .iter()
            .map(|invoice| number(invoice, "total"))
            .collect();
        assert_eq!(seen, totals, "{duration}");
        let first = invoices.last().expect("a first one");
        assert_eq!(number(&first["total_discount_amounts"][0], "amount"), 300);
        assert_eq!(
            number(&first["lines"]["data"][0]["discount_amounts"][0], "amount"),
            300
        );
        assert_eq!(first["discount"]["coupon"]["id"], "c");
        let left = world.subscription(&id).await;
        assert_eq!(left["discount"].is_null(), duration != "forever");
    }
}

#[tokio::test]
async fn a_discount_never_goes_below_nothing() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=1000").await;
    world
        .api
        .post(
            "/v1/coupons",
            "id=big&amount_off=5000&currency=usd&duration=forever",
        )
        .await
        .ok();
    world
        .api
        .post(
            "/v1/coupons",
            "id=euro&amount_off=5000&currency=eur&duration=forever",
        )
        .await
        .ok();
    subscribe(
        &world,
        &customer,
        &format!("items[0][price]={price}&coupon=big"),
    )
    .await;
    let invoice = world.invoices(&customer).await.remove(0);
    assert_eq!(
        (number(&invoice, "subtotal"), number(&invoice, "total")),
        (1000, 0)
    );
    assert_eq!(invoice["status"], "paid");
    let form = format!("customer={customer}&items[0][price]={price}&coupon=euro");
    let (_, _, param) = world
        .api
        .post("/v1/subscriptions", &form)
        .await
        .refused(400);
    assert_eq!(param, "coupon");
}

#[tokio::test]
async fn payment_follows_the_methods() {
    let world = World::new().await;
    let price = world.price("unit_amount=1000").await;
    let clock = &world.clock;
    for (token, invoice_status, status) in [
        ("", "open", "active"),
        ("pm_card_visa", "paid", "active"),
        ("pm_card_chargeCustomerFail", "open", "past_due"),
    ] {
        let method = if token.is_empty() {
            String::new()
        } else {
            format!("&payment_method={token}&invoice_settings[default_payment_method]={token}")
        };
        let customer = world
            .api
            .create("/v1/customers", &format!("test_clock={clock}{method}"))
            .await;
        let id = world
            .schedule(&customer, &format!("phases[0][items][0][price]={price}"))
            .await;
        let now = world
            .api
            .get(&format!("/v1/subscriptions/{id}?expand[]=latest_invoice"))
            .await
            .ok();
        assert_eq!(now["status"], status, "{token}");
        let invoice = &now["latest_invoice"];
        assert_eq!(invoice["status"], invoice_status, "{token}");
        assert_eq!(number(invoice, "amount_due"), 1000);
        assert_eq!(
            number(invoice, "amount_remaining"),
            if token == "pm_card_visa" { 0 } else { 1000 }
        );
        assert_eq!(invoice["paid"], token == "pm_card_visa");
    }
}

#[tokio::test]
async fn a_first_payment_that_is_declined_leaves_it_incomplete_for_23_hours() {
    let world = World::new().await;
    let price = world.price("unit_amount=1000").await;
    let form = format!(
        "test_clock={}&payment_method=pm_card_chargeCustomerFail&invoice_settings[default_payment_method]=pm_card_chargeCustomerFail",
        world.clock
    );
    let customer = world.api.create("/v1/customers", &form).await;
    let form = format!("customer={customer}&items[0][price]={price}");
    let refused = world
        .api
        .post(
            "/v1/subscriptions",
            &format!("{form}&payment_behavior=error_if_incomplete"),
        )
        .await
        .error(402);
    assert_eq!(
        (&refused["type"], &refused["code"]),
        (&"card_error".into(), &"card_declined".into())
    );
    assert!(world.invoices(&customer).await.is_empty());
    let id = world.api.create("/v1/subscriptions", &form).await;
    assert_eq!(world.subscription(&id).await["status"], "incomplete");
    world.advance_to(START + 23 * 3600).await;
    assert_eq!(
        world.subscription(&id).await["status"],
        "incomplete_expired"
    );
    assert_eq!(world.invoices(&customer).await[0]["status"], "void");
}

#[tokio::test]
async fn credits_and_small_amounts_go_to_the_balance() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.metered("unit_amount=1").await;
    let id = world
        .schedule(&customer, &format!("phases[0][items][0][price]={price}"))
        .await;
    world.report(&id, 30).await;
    world.advance_to(START + 31 * DAY).await;
    let small = world.invoices(&customer).await.remove(0);
    assert_eq!(
        (
            &small["status"],
            number(&small, "total"),
            number(&small, "amount_due")
        ),
        (&"paid".into(), 30, 0)
    );
    assert_eq!(
        (
            number(&small, "starting_balance"),
            number(&small, "ending_balance")
        ),
        (0, 30)
    );
    world.report(&id, 25).await;
    world.advance_to(START + 60 * DAY).await;
    let enough = world.invoices(&customer).await.remove(0);
    assert_eq!(
        (
            number(&enough, "total"),
            number(&enough, "amount_due"),
            number(&enough, "ending_balance")
        ),
        (25, 55, 0)
    );
    world
        .api
        .post(&format!("/v1/customers/{customer}"), "balance=-1000")
        .await
        .ok();
    world.report(&id, 70).await;
    world.advance_to(START + 91 * DAY).await;
    let covered = world.invoices(&customer).await.remove(0);
    assert_eq!(
        (
            &covered["status"],
            number(&covered, "amount_due"),
            number(&covered, "ending_balance")
        ),
        (&"paid".into(), 0, -930)
    );
}

#[tokio::test]
async fn previews_show_the_next_invoice() {
    let world = World::new().await;
    let customer = world.customer().await;
    let [licensed, metered] = [
        world.price("unit_amount=3100").await,
        world.metered("unit_amount=2").await,
    ];
    let yearly = world
        .api
        .create(
            "/v1/prices",
            "currency=usd&recurring[interval]=year&unit_amount=1&product_data[name]=Year",
        )
        .await;
    let later = subscribe(&world, &customer, &format!("items[0][price]={yearly}")).await;
    let id = subscribe(
        &world,
        &customer,
        &format!("items[0][price]={licensed}&items[1][price]={metered}"),
    )
    .await;
    world.report(&id, 4).await;
    let invoice = world
        .api
        .get(&format!(
            "/v1/invoices/upcoming?customer={customer}&expand[]=lines.data.price.product"
        ))
        .await
        .ok();
    assert!(invoice.get("id").is_none());
    assert_eq!(
        (&invoice["billing_reason"], &invoice["subscription"]),
        (&"upcoming".into(), &id.as_str().into())
    );
    assert_eq!(
        (
            number(&invoice, "period_start"),
            number(&invoice, "period_end")
        ),
        (START, START + 31 * DAY)
    );
    assert_eq!(
        invoice["lines"]["data"][0]["price"]["product"]["name"],
        "Name"
    );
    let list = world
        .api
        .get(&format!(
            "/v1/invoices/upcoming/lines?customer={customer}&limit=100"
        ))
        .await
        .ok();
    let [first, second] = [&list["data"][0], &list["data"][1]];
    assert_eq!(
        (number(first, "quantity"), number(&first["period"], "start")),
        (1, START + 31 * DAY)
    );
    assert_eq!(
        (
            number(second, "quantity"),
            number(&second["period"], "start")
        ),
        (4, START)
    );
    assert!(first["id"].as_str().expect("an id").starts_with("il_tmp_"));
    let other = world
        .api
        .get(&format!(
            "/v1/invoices/upcoming?customer={customer}&subscription={later}"
        ))
        .await
        .ok();
    assert_eq!(lines(&other), [(1, 1)]);
    let nobody = world.customer().await;
    let (message, code, _) = world
        .api
        .get(&format!("/v1/invoices/upcoming?customer={nobody}"))
        .await
        .refused(404);
    assert_eq!(
        (message, code.as_str()),
        (
            format!("No upcoming invoices for customer: {nobody}"),
            "invoice_upcoming_none"
        )
    );
    let (_, _, param) = world
        .api
        .get("/v1/invoices/upcoming?customer=cus_x")
        .await
        .refused(400);
    assert_eq!(param, "customer");
    world
        .api
        .get(&format!(
            "/v1/invoices/upcoming?customer={nobody}&subscription={id}"
        ))
        .await
        .refused(400);
}

#[tokio::test]
async fn lists_of_lines_are_complete_under_pagination() {
    let world = World::new().await;
    let customer = world.customer().await;
    let mut items = Vec::new();
    for index in 0..15 {
        let price = world.price(&format!("unit_amount={}", 100 + index)).await;
        items.push(format!("items[{index}][price]={price}"));
    }
    let form = items.join("&");
    subscribe(&world, &customer, &form).await;
    let invoice = world.invoices(&customer).await.remove(0);
    let list = &invoice["lines"];
    assert_eq!(
        (number(list, "total_count"), &list["has_more"]),
        (15, &true.into())
    );
    assert_eq!(list["data"].as_array().expect("a list").len(), 10);
    let url = list["url"].as_str().expect("a URL");
    let all = world.api.ids(&format!("{url}?limit=100")).await;
    let mut walked = world.api.ids(&format!("{url}?limit=8")).await;
    let rest = world
        .api
        .ids(&format!("{url}?limit=8&starting_after={}", walked[7]))
        .await;
    walked.extend(rest);
    assert_eq!((walked.len(), walked), (15, all));
    let upcoming = format!("/v1/invoices/upcoming/lines?customer={customer}");
    let first = world.api.ids(&upcoming).await;
    let second = world
        .api
        .ids(&format!("{upcoming}&starting_after={}", first[9]))
        .await;
    assert_eq!(second.len(), 5);
}
