//! Items that get another price or quantity, or are removed: effects on quantity, usage and amounts.

use super::{DAY, START, World, descriptions, lines, number};

/// 2023-04-01, the first day of a month of 30.
const APRIL: i64 = 1_680_307_200;

#[tokio::test]
async fn another_price_begins_with_one_unit() {
    let world = World::new().await;
    let customer = world.customer().await;
    let [one, other, third] = [
        world.price("unit_amount=100").await,
        world.price("unit_amount=200").await,
        world.price("unit_amount=300").await,
    ];
    let form = format!("items[0][price]={one}&items[0][quantity]=4");
    let (id, item) = world.subscribe(&customer, &form).await;
    for (price, rest, quantity) in [
        (&one, "", 4),
        (&other, "", 1),
        (&other, "&items[0][quantity]=5", 5),
        (&other, "&items[0][metadata][k]=v", 5),
        (&third, "&items[0][quantity]=0", 0),
    ] {
        let form = format!("items[0][id]={item}&items[0][price]={price}{rest}");
        let updated = world.update(&id, &form).await;
        let shown = &updated["items"]["data"][0];
        assert_eq!(number(shown, "quantity"), quantity, "{rest}");
        assert_eq!(shown["id"], item.as_str());
        assert_eq!(number(shown, "created"), START);
    }
}

#[tokio::test]
async fn usage_moves_with_its_item_unless_it_is_cleared() {
    for (clear, second, total) in [
        ("", 1500, 22_500),
        ("&items[0][clear_usage]=true", 500, 7500),
    ] {
        let world = World::new().await;
        let customer = world.customer().await;
        let [one, other] = [
            world.metered("unit_amount=10").await,
            world.metered("unit_amount=15").await,
        ];
        let (id, item) = world
            .subscribe(&customer, &format!("items[0][price]={one}"))
            .await;
        world.report(&id, 1000).await;
        world.advance_to(START + 14 * DAY).await;
        let form = format!("items[0][id]={item}&items[0][price]={other}{clear}");
        world.update(&id, &form).await;
        world.report(&id, 500).await;
        world.advance_to(START + 31 * DAY).await;
        let renewal = world.invoices(&customer).await.remove(0);
        assert_eq!(lines(&renewal), [(second, total)], "{clear}");
    }
}

#[tokio::test]
async fn a_metered_item_goes_only_with_its_usage() {
    let world = World::new().await;
    let customer = world.customer().await;
    let [metered, licensed] = [
        world.metered("unit_amount=10").await,
        world.price("unit_amount=1000").await,
    ];
    let form = format!("items[0][price]={metered}&items[1][price]={licensed}");
    for used in [0, 7] {
        let (id, item) = world.subscribe(&customer, &form).await;
        if used > 0 {
            world.report(&id, used).await;
        }
        let path = format!("/v1/subscriptions/{id}");
        let deletion = format!("items[0][id]={item}&items[0][deleted]=true");
        let (message, ..) = world.api.post(&path, &deletion).await.refused(400);
        assert!(
            message.starts_with("When deleting the subscription item"),
            "{message}"
        );
        let form = format!("{deletion}&items[0][clear_usage]=true");
        let left = world.api.post(&path, &form).await.ok();
        assert_eq!(left["items"]["total_count"], 1);
        // A licensed item has no usage that would prevent it.
        let data = &left["items"]["data"][0]["id"];
        let swap = format!(
            "items[0][id]={}&items[0][deleted]=true&items[1][price]={metered}",
            data.as_str().expect("an id")
        );
        world.api.post(&path, &swap).await.ok();
    }
}

#[tokio::test]
async fn an_added_item_does_not_replace_a_deleted_one() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.metered("unit_amount=10").await;
    let (id, item) = world
        .subscribe(&customer, &format!("items[0][price]={price}"))
        .await;
    world.report(&id, 1000).await;
    let form = format!(
        "items[0][id]={item}&items[0][deleted]=true&items[0][clear_usage]=true&items[1][price]={price}"
    );
    let after = world.update(&id, &form).await;
    assert_eq!(after["items"]["total_count"], 1);
    assert_ne!(after["items"]["data"][0]["id"], item.as_str());
    world.advance_to(START + 31 * DAY).await;
    let renewal = world.invoices(&customer).await.remove(0);
    assert_eq!(lines(&renewal), [(0, 0)]);
}

#[tokio::test]
async fn a_metered_item_that_comes_with_an_invoice_has_a_line_on_it() {
    let world = World::new().await;
    let customer = world.customer().await;
    let [licensed, metered] = [
        world.price("unit_amount=3100").await,
        world.metered("unit_amount=10").await,
    ];
    let (id, _) = world
        .subscribe(&customer, &format!("items[0][price]={licensed}"))
        .await;
    world.advance_to(START + 10 * DAY).await;
    let form = format!("items[0][price]={metered}&proration_behavior=always_invoice");
    world.update(&id, &form).await;
    let update = world.invoices(&customer).await.remove(0);
    assert_eq!(update["billing_reason"], "subscription_update");
    assert_eq!(lines(&update), [(0, 0)]);
    assert_eq!(
        number(&update["lines"]["data"][0]["period"], "start"),
        START + 10 * DAY
    );
}

#[tokio::test]
async fn the_discount_of_the_same_request_is_prorated_with() {
    // The discounts before and with the request, and its immediate invoice: halfway through, one unit becomes two.
    for (before, request, expected) in [
        ("half", "coupon=", [(1, -500), (2, 1000)]),
        ("", "coupon=half", [(1, -250), (2, 500)]),
        ("half", "coupon=five", [(1, -250), (2, 750)]),
        ("half", "", [(1, -250), (2, 500)]),
    ] {
        let world = World::at(APRIL).await;
        let customer = world.customer().await;
        let price = world.price("unit_amount=1000").await;
        world.coupon("id=half&percent_off=50").await;
        world.coupon("id=five&amount_off=500&currency=usd").await;
        let form = format!("items[0][price]={price}&coupon={before}");
        let (id, item) = world.subscribe(&customer, &form).await;
        world.advance_to(APRIL + 15 * DAY).await;
        let form = format!(
            "items[0][id]={item}&items[0][quantity]=2&proration_behavior=always_invoice&{request}"
        );
        world.update(&id, &form).await;
        let update = world.invoices(&customer).await.remove(0);
        assert_eq!(lines(&update), expected, "{before} then {request}");
        let percent = if request == "coupon=half" || request.is_empty() {
            " (with 50.0% off)"
        } else {
            ""
        };
        assert_eq!(
            descriptions(&update),
            [
                format!("Unused time on Name{percent} after 16 Apr 2023"),
                format!("Remaining time on 2 × Name{percent} after 16 Apr 2023"),
            ]
        );
    }
}

#[tokio::test]
async fn a_change_of_the_discount_alone_prorates_nothing() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=3100").await;
    world.coupon("id=half&percent_off=50").await;
    let (id, _) = world
        .subscribe(&customer, &format!("items[0][price]={price}"))
        .await;
    world.advance_to(START + 10 * DAY).await;
    for form in ["coupon=half", "coupon="] {
        world
            .update(&id, &format!("{form}&proration_behavior=always_invoice"))
            .await;
    }
    world.advance_to(START + 31 * DAY).await;
    assert_eq!(world.billed(&customer).await, [[(1, 3100)], [(1, 3100)]]);
}

#[tokio::test]
async fn an_amount_is_taken_off_each_item_that_is_prorated() {
    let world = World::at(APRIL).await;
    let customer = world.customer().await;
    let [ten, twenty, two] = [
        world.price("unit_amount=1000").await,
        world.price("unit_amount=2000").await,
        world.price("unit_amount=200").await,
    ];
    world.coupon("id=five&amount_off=500&currency=usd").await;
    let form = format!("items[0][price]={ten}&items[1][price]={twenty}&coupon=five");
    let (id, item) = world.subscribe(&customer, &form).await;
    let first = world.invoices(&customer).await.remove(0);
    let parts: Vec<i64> = first["lines"]["data"]
        .as_array()
        .expect("lines")
        .iter()
        .map(|line| number(&line["discount_amounts"][0], "amount"))
        .collect();
    assert_eq!((number(&first, "total"), parts), (2500, vec![166, 334]));
    world.advance_to(APRIL + 15 * DAY).await;
    // The item of ten is removed, and one of two, less than the coupon, is added: a credit never becomes a charge.
    let form = format!(
        "items[0][id]={item}&items[0][deleted]=true&items[1][price]={two}&proration_behavior=always_invoice"
    );
    world.update(&id, &form).await;
    let update = world.invoices(&customer).await.remove(0);
    assert_eq!(lines(&update), [(1, -250), (1, 0)]);
}

#[tokio::test]
async fn halves_and_thirds_of_a_cent_are_rounded_down_in_every_currency() {
    for currency in ["usd", "jpy"] {
        let world = World::at(APRIL).await;
        let customer = world.customer().await;
        let price = async |amount: i64| {
            let form = format!(
                "currency={currency}&recurring[interval]=month&product_data[name]=Name&unit_amount={amount}"
            );
            world.api.create("/v1/prices", &form).await
        };
        let [ten, twenty] = [price(1000).await, price(2000).await];
        let (id, item) = world
            .subscribe(&customer, &format!("items[0][price]={ten}"))
            .await;
        world.advance_to(APRIL + 20 * DAY).await;
        let to = |price: &str| {
            format!("items[0][id]={item}&items[0][price]={price}&proration_behavior=always_invoice")
        };
        world.update(&id, &to(&twenty)).await;
        world.update(&id, &to(&ten)).await;
        let billed = world.billed(&customer).await;
        assert_eq!(billed[..2], [[(1, -667), (1, 333)], [(1, -334), (1, 666)]]);
    }
}

#[tokio::test]
async fn items_have_endpoints_of_their_own() {
    let world = World::at(APRIL).await;
    let customer = world.customer().await;
    let [ten, six, metered] = [
        world.price("unit_amount=1000").await,
        world.price("unit_amount=600").await,
        world.metered("unit_amount=10").await,
    ];
    let (id, first) = world
        .subscribe(&customer, &format!("items[0][price]={ten}"))
        .await;
    world.advance_to(APRIL + 15 * DAY).await;
    let url = "/v1/subscription_items";
    let form =
        format!("subscription={id}&price={six}&quantity=2&proration_behavior=always_invoice");
    let made = world.api.post(url, &form).await.ok();
    assert_eq!(
        (&made["object"], number(&made, "quantity")),
        (&"subscription_item".into(), 2)
    );
    assert_eq!(world.billed(&customer).await[0], [(2, 600)]);
    let path = format!("{url}/{}", made["id"].as_str().expect("an id"));
    let form = "quantity=1&proration_behavior=always_invoice&metadata[k]=v";
    let changed = world.api.post(&path, form).await.ok();
    assert_eq!(
        (number(&changed, "quantity"), &changed["metadata"]["k"]),
        (1, &"v".into())
    );
    assert_eq!(world.billed(&customer).await[0], [(2, -600), (1, 300)]);
    let gone = world
        .api
        .delete(&format!("{path}?proration_behavior=always_invoice"))
        .await
        .ok();
    assert_eq!(gone["deleted"], true);
    assert_eq!(world.billed(&customer).await[0], [(1, -300)]);
    world.api.get(&path).await.refused(404);
    let meter = world
        .api
        .create(url, &format!("subscription={id}&price={metered}"))
        .await;
    let path = format!("{url}/{meter}");
    world.api.delete(&path).await.refused(400);
    world
        .api
        .delete(&format!("{path}?clear_usage=true"))
        .await
        .ok();
    world
        .api
        .delete(&format!("{url}/{first}"))
        .await
        .refused(400);
    assert_eq!(world.subscription(&id).await["items"]["total_count"], 1);
    for (form, param) in [
        (format!("price={six}"), "subscription"),
        (format!("subscription={id}"), "price"),
        (format!("subscription=sub_x&price={six}"), "subscription"),
        (format!("subscription={id}&price={ten}"), "price"),
    ] {
        assert_eq!(
            world.api.post(url, &form).await.refused(400).2,
            param,
            "{form}"
        );
    }
}

#[tokio::test]
async fn prorations_can_be_of_another_time() {
    let world = World::at(APRIL).await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=3000").await;
    let (id, item) = world
        .subscribe(&customer, &format!("items[0][price]={price}"))
        .await;
    world.advance_to(APRIL + 15 * DAY).await;
    let form =
        format!("items[0][id]={item}&items[0][quantity]=2&proration_behavior=always_invoice");
    for (days, lines) in [(10, [(1, -2000), (2, 4000)]), (20, [(2, -2000), (1, 1000)])] {
        let quantity = if days == 10 { 2 } else { 1 };
        let form = form.replace("quantity]=2", &format!("quantity]={quantity}"));
        world
            .update(
                &id,
                &format!("{form}&proration_date={}", APRIL + days * DAY),
            )
            .await;
        assert_eq!(world.billed(&customer).await[0], lines);
    }
    for date in [APRIL - 1, APRIL + 30 * DAY + 1] {
        let form = format!("{form}&proration_date={date}");
        let path = format!("/v1/subscriptions/{id}");
        let (.., param) = world.api.post(&path, &form).await.refused(400);
        assert_eq!(param, "proration_date");
    }
}
