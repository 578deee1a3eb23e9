//! Subscriptions: create, retrieve, update and cancel.

use serde_json::json;

use super::{DAY, START, World, lines, number};

const URL: &str = "/v1/subscriptions";

#[tokio::test]
async fn items_are_changed_by_their_ids() {
    let world = World::new().await;
    let customer = world.customer().await;
    let [seats, support, usage] = [
        world.price("unit_amount=310").await,
        world.price("unit_amount=3100").await,
        world.metered("unit_amount=1").await,
    ];
    let form = format!(
        "customer={customer}&items[0][price]={seats}&items[0][quantity]=2&items[1][price]={usage}"
    );
    let id = world.api.create(URL, &form).await;
    assert_eq!(world.billed(&customer).await, [vec![(2, 620), (0, 0)]]);
    let items = world
        .api
        .ids(&format!("/v1/subscription_items?subscription={id}"))
        .await;
    world.report(&id, 5).await;
    world.advance_to(START + 10 * DAY).await;
    let form = format!(
        "items[0][id]={}&items[0][quantity]=4&items[1][price]={support}&proration_behavior=create_prorations",
        items[0]
    );
    let updated = world.api.post(&format!("{URL}/{id}"), &form).await.ok();
    let data = updated["items"]["data"].as_array().expect("items");
    assert_eq!(data[0]["id"], items[0].as_str());
    assert_eq!((number(&data[0], "quantity"), data.len()), (4, 3));
    assert!(data[1].get("quantity").is_none());
    let events = world
        .api
        .get("/v1/events?type=customer.subscription.updated")
        .await
        .ok();
    assert!(events["data"][0]["data"]["previous_attributes"]["items"].is_object());
    world.advance_to(START + 31 * DAY).await;
    // The credit for two seats, then the charges for four seats and for support.
    assert_eq!(
        world.billed(&customer).await[0],
        [(2, -420), (4, 840), (1, 2100), (4, 1240), (5, 5), (1, 3100)]
    );
    let form = format!(
        "items[0][id]={}&items[0][deleted]=true&items[1][id]={}&items[1][price]={support}",
        data[2]["id"].as_str().expect("an id"),
        items[0]
    );
    let updated = world.api.post(&format!("{URL}/{id}"), &form).await.ok();
    assert_eq!(updated["items"]["total_count"], 2);
    assert_eq!(updated["items"]["data"][0]["id"], items[0].as_str());
    assert_eq!(updated["items"]["data"][0]["price"]["id"], support.as_str());
}

#[tokio::test]
async fn lists_hide_what_has_ended_and_what_is_on_clocks() {
    let world = World::new().await;
    let [on_clock, off_clock] = [
        world.customer().await,
        world.api.create("/v1/customers", "").await,
    ];
    let price = world.metered("unit_amount=1").await;
    let make = async |customer: &str, rest: &str| {
        let form = format!("customer={customer}&items[0][price]={price}{rest}");
        world.api.create(URL, &form).await
    };
    let [clocked, gone, trial, plain] = [
        make(&on_clock, "").await,
        make(&off_clock, "").await,
        make(&off_clock, "&trial_period_days=3").await,
        make(&off_clock, "").await,
    ];
    world.api.delete(&format!("{URL}/{gone}")).await.ok();
    for (query, expected) in [
        (String::new(), vec![&plain, &trial]),
        ("?status=all".to_owned(), vec![&plain, &trial, &gone]),
        ("?status=trialing".to_owned(), vec![&trial]),
        ("?status=ended".to_owned(), vec![&gone]),
        (format!("?test_clock={}", world.clock), vec![&clocked]),
        (format!("?customer={on_clock}"), vec![&clocked]),
        (
            format!("?customer={off_clock}&status=canceled"),
            vec![&gone],
        ),
        (format!("?limit=1&starting_after={plain}"), vec![&trial]),
    ] {
        assert_eq!(
            world.api.ids(&format!("{URL}{query}")).await,
            expected.into_iter().cloned().collect::<Vec<_>>(),
            "{query}"
        );
    }
    let (message, code, param) = world
        .api
        .delete(&format!("{URL}/{gone}"))
        .await
        .refused(404);
    assert_eq!(
        (message, code.as_str(), param.as_str()),
        (
            format!("No such subscription: '{gone}'"),
            "resource_missing",
            "id"
        )
    );
    let shown = world
        .api
        .get(&format!("/v1/customers/{off_clock}?expand[]=subscriptions"))
        .await
        .ok();
    assert_eq!(shown["subscriptions"]["total_count"], 2);
}

#[tokio::test]
async fn a_cancellation_can_wait_and_be_taken_back() {
    let world = World::new().await;
    let customer = world.customer().await;
    let [licensed, metered] = [
        world.price("unit_amount=3100").await,
        world.metered("unit_amount=2").await,
    ];
    let id = world
        .api
        .create(
            URL,
            &format!("customer={customer}&items[0][price]={licensed}&items[1][price]={metered}"),
        )
        .await;
    let path = format!("{URL}/{id}");
    let ending = world
        .api
        .post(&path, "cancel_at_period_end=true")
        .await
        .ok();
    assert_eq!(
        (
            &ending["cancel_at_period_end"],
            number(&ending, "canceled_at")
        ),
        (&true.into(), START)
    );
    assert_eq!(number(&ending, "cancel_at"), START + 31 * DAY);
    let back = world
        .api
        .post(&path, "cancel_at_period_end=false")
        .await
        .ok();
    assert!(back["canceled_at"].is_null() && back["cancel_at"].is_null());
    world
        .api
        .post(&path, "cancel_at_period_end=true")
        .await
        .ok();
    world.report(&id, 7).await;
    let upcoming = world
        .api
        .get(&format!("/v1/invoices/upcoming?customer={customer}"))
        .await
        .ok();
    assert_eq!(lines(&upcoming), [(7, 14)]);
    world.advance_to(START + 31 * DAY).await;
    assert_eq!(world.billed(&customer).await[0], [(7, 14)]);
    let over = world.subscription(&id).await;
    assert_eq!(
        (&over["status"], number(&over, "ended_at")),
        (&"canceled".into(), START + 31 * DAY)
    );

    let id = world
        .api
        .create(
            URL,
            &format!("customer={customer}&items[0][price]={licensed}"),
        )
        .await;
    let path = format!("{URL}/{id}");
    world
        .api
        .post(&path, "cancel_at_period_end=true")
        .await
        .ok();
    world
        .api
        .get(&format!("/v1/invoices/upcoming?subscription={id}"))
        .await
        .refused(404);
    // From 31 January to 29 February, 10 of 29 days are left.
    world
        .api
        .post(&path, &format!("cancel_at={}", START + 50 * DAY))
        .await
        .ok();
    world.advance_to(START + 55 * DAY).await;
    assert_eq!(world.billed(&customer).await[0], [(1, -1069)]);
    let over = world.subscription(&id).await;
    assert_eq!(number(&over, "ended_at"), START + 50 * DAY);
}

#[tokio::test]
async fn trials_end_when_requested() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=3100").await;
    let id = world
        .api
        .create(
            URL,
            &format!(
                "customer={customer}&items[0][price]={price}&trial_end={}",
                START + 10 * DAY
            ),
        )
        .await;
    let path = format!("{URL}/{id}");
    let longer = world
        .api
        .post(&path, &format!("trial_end={}", START + 20 * DAY))
        .await
        .ok();
    assert_eq!(
        (
            number(&longer, "trial_start"),
            number(&longer, "current_period_end")
        ),
        (START, START + 20 * DAY)
    );
    world.advance_to(START + 15 * DAY).await;
    assert_eq!(world.subscription(&id).await["status"], "trialing");
    let over = world.api.post(&path, "trial_end=now").await.ok();
    assert_eq!(
        (&over["status"], number(&over, "trial_end")),
        (&"active".into(), START + 15 * DAY)
    );
    assert_eq!(
        world.billed(&customer).await,
        [vec![(1, 3100)], vec![(1, 0)]]
    );
}

#[tokio::test]
async fn time_passes_without_a_clock_too() {
    let world = World::new().await;
    let customer = world
        .api
        .create(
            "/v1/customers",
            "payment_method=pm_card_visa&invoice_settings[default_payment_method]=pm_card_visa",
        )
        .await;
    let price = world.price("unit_amount=100").await;
    let id = world
        .schedule(
            &customer,
            &format!(
                "phases[0][items][0][price]={price}&phases[0][iterations]=2&end_behavior=cancel"
            ),
        )
        .await;
    world.api.sandbox().clock().set(START + 31 * DAY - 1);
    assert_eq!(world.billed(&customer).await.len(), 1);
    world.api.sandbox().clock().set(START + 31 * DAY);
    assert_eq!(world.billed(&customer).await.len(), 2);
    world.api.sandbox().clock().set(START + 400 * DAY);
    let over = world.subscription(&id).await;
    assert_eq!(
        (&over["status"], number(&over, "ended_at")),
        (&"canceled".into(), START + 60 * DAY)
    );
    assert_eq!(world.billed(&customer).await.len(), 2);
}

#[tokio::test]
async fn a_deleted_customer_has_no_subscriptions_left() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=100").await;
    let id = world
        .schedule(&customer, &format!("phases[0][items][0][price]={price}"))
        .await;
    world
        .api
        .delete(&format!("/v1/customers/{customer}"))
        .await
        .ok();
    assert_eq!(world.subscription(&id).await["status"], "canceled");
    let survivor = world.customer().await;
    let id = world
        .schedule(&survivor, &format!("phases[0][items][0][price]={price}"))
        .await;
    world
        .api
        .delete(&format!("/v1/test_helpers/test_clocks/{}", world.clock))
        .await
        .ok();
    world.api.get(&format!("{URL}/{id}")).await.refused(404);
    assert_eq!(world.api.get(URL).await.ok()["data"], json!([]));
}

#[tokio::test]
async fn bad_subscriptions_are_refused_and_change_nothing() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=100").await;
    let once = world
        .api
        .create(
            "/v1/prices",
            "currency=usd&unit_amount=1&product_data[name]=Once",
        )
        .await;
    let euros = world
        .api
        .create(
            "/v1/prices",
            "currency=eur&unit_amount=1&recurring[interval]=month&product_data[name]=Euros",
        )
        .await;
    let with = |rest: &str| format!("customer={customer}&items[0][price]={price}&{rest}");
    for (form, message, param) in [
        (format!("items[0][price]={price}"), "Missing required param: customer.".to_owned(), "customer"),
        (format!("customer={customer}"), "Missing required param: items.".to_owned(), "items"),
        (format!("customer={customer}&items[0][price]={once}"), "The price specified is set to `type=one_time`".to_owned(), "items[0][price]"),
        (with(&format!("items[1][price]={euros}")), "Currency and interval fields must match across all plans on this subscription. Found mismatch in currency field.".to_owned(), "items"),
        (with("items[0][quantity]=-1"), "This value must be greater than or equal to 0.".to_owned(), "items[0][quantity]"),
        (with("items[0][quantity]=99999999999999999999"), "Invalid integer".to_owned(), "items[0][quantity]"),
        (with("trial_end=1"), "Invalid timestamp".to_owned(), "trial_end"),
        (with("trial_period_days=731"), "Invalid trial_period_days".to_owned(), "trial_period_days"),
        (with("cancel_at=1"), "`cancel_at` must be in the future.".to_owned(), "cancel_at"),
        (with("default_payment_method=pm_card_visa"), "No such PaymentMethod: 'pm_card_visa'".to_owned(), "default_payment_method"),
        (with("transfer_data[destination]=x"), "The sandbox does not model".to_owned(), "transfer_data"),
        (with("foo=1"), "Received unknown parameter: foo".to_owned(), "foo"),
    ] {
        let (text, _, name) = world.api.post(URL, &form).await.refused(400);
        assert!(text.starts_with(&message), "{text} for {form}");
        assert_eq!(name, param, "{form}");
    }
    assert!(
        world
            .api
            .ids(&format!("{URL}?customer={customer}"))
            .await
            .is_empty()
    );
    assert!(world.invoices(&customer).await.is_empty());
    let id = world
        .schedule(&customer, &format!("phases[0][items][0][price]={price}"))
        .await;
    let (message, ..) = world
        .api
        .post(&format!("{URL}/{id}"), "cancel_at_period_end=true")
        .await
        .refused(400);
    assert!(
        message.starts_with("The subscription is managed by the subscription schedule"),
        "{message}"
    );
}
