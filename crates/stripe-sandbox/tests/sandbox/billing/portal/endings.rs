//! The end of subscriptions that are canceled in the portal.

use serde_json::json;

use super::super::checkout::browse;
use super::super::{DAY, START, World, number};
use super::{end, no_end, portal, press};
use crate::meters::{APRIL, MAY};
use crate::versions::world;

const CLASSIC: &str = "billing_mode[type]=classic";

const FLEXIBLE: &str = "billing_mode[type]=flexible";

/// 2021-04-01T00:00Z
const NEXT_APRIL: i64 = APRIL + 365 * DAY;

#[tokio::test]
async fn a_classic_subscription_gets_the_flag() {
    let world = world(APRIL).await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=1500").await;
    let form = format!("{CLASSIC}&items[0][price]={price}&items[0][quantity]=2");
    let (subscription, _) = world.subscribe(&customer, &form).await;
    world.advance_to(APRIL + DAY).await;
    let url = portal(&world, &customer).await;

    let page = browse(&url, None).await;
    for part in [
        "<h2>Name</h2>",
        "$15.00 / month",
        "2 of them",
        "Active",
        "Current period ends on 01 May 2020.",
        "Cancel subscription",
        "href=\"https://app.test/back?a=1&amp;b=2\"",
    ] {
        assert!(page.body.contains(part), "{part} in {}", page.body);
    }
    assert!(!page.body.contains("Ends on"));

    let pressed = press(&url, "cancel", &subscription).await;
    assert_eq!(pressed.status, 303);
    assert!(url.ends_with(&pressed.location), "{}", pressed.location);
    let shown = world.subscription(&subscription).await;
    let canceled = json!([MAY, true, APRIL + DAY, "cancellation_requested"]);
    assert_eq!(end(&shown), canceled);
    assert_eq!(shown["status"], "active");
    let events = world.api.get("/v1/events?limit=1").await.ok();
    let event = &events["data"][0];
    assert_eq!(event["type"], "customer.subscription.updated");
    assert_eq!(
        event["data"]["previous_attributes"],
        json!({
            "cancel_at": null,
            "cancel_at_period_end": false,
            "canceled_at": null,
            "cancellation_details": {"reason": null},
        })
    );

    let page = browse(&url, None).await;
    assert!(page.body.contains("Ends on <strong>01 May 2020</strong>."));
    assert!(page.body.contains("Don't cancel") && !page.body.contains("Cancel subscription"));
    let again = press(&url, "cancel", &subscription).await;
    assert_eq!(again.status, 409);
    assert!(again.body.contains("is already set to end") && again.body.contains("Don't cancel"));

    assert_eq!(press(&url, "renew", &subscription).await.status, 303);
    assert_eq!(end(&world.subscription(&subscription).await), no_end());
    let again = press(&url, "renew", &subscription).await;
    assert_eq!(again.status, 409);
    assert!(again.body.contains("is not set to end"));

    press(&url, "cancel", &subscription).await;
    world.advance_to(MAY + DAY).await;
    let ended = world.subscription(&subscription).await;
    assert_eq!(
        (&ended["status"], number(&ended, "ended_at")),
        (&"canceled".into(), MAY)
    );
    assert_eq!(world.billed(&customer).await, [[(2, 3000)]]);
    assert!(browse(&url, None).await.body.contains("There are none."));
    assert_eq!(press(&url, "renew", &subscription).await.status, 409);
}

#[tokio::test]
async fn the_last_invoice_has_the_usage() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.metered("unit_amount=5").await;
    let form = format!("items[0][price]={price}");
    let (subscription, _) = world.subscribe(&customer, &form).await;
    world.report(&subscription, 7).await;
    let url = portal(&world, &customer).await;
    assert_eq!(press(&url, "cancel", &subscription).await.status, 303);
    let period_end = START + 31 * DAY;
    let shown = world.subscription(&subscription).await;
    let canceled = json!([period_end, true, START, "cancellation_requested"]);
    assert_eq!(end(&shown), canceled);
    world.advance_to(period_end + DAY).await;
    let ended = world.subscription(&subscription).await;
    assert_eq!(number(&ended, "ended_at"), period_end);
    assert_eq!(world.billed(&customer).await[0], [(7, 35)]);
}

#[tokio::test]
async fn a_flexible_subscription_gets_the_time_of_its_last_periods_end() {
    let world = world(APRIL).await;
    let customer = world.customer().await;
    let monthly = world.price("unit_amount=1000").await;
    let yearly = "currency=usd&product_data[name]=Year&recurring[interval]=year&unit_amount=9125";
    let yearly = world.api.create("/v1/prices", yearly).await;
    let form = format!("{FLEXIBLE}&items[0][price]={monthly}");
    let (one, _) = world.subscribe(&customer, &form).await;
    let (mixed, _) = world
        .subscribe(&customer, &format!("{form}&items[1][price]={yearly}"))
        .await;
    let url = portal(&world, &customer).await;
    let page = browse(&url, None).await;
    for date in ["01 May 2020", "01 Apr 2021"] {
        let text = format!("Current period ends on {date}.");
        assert!(page.body.contains(&text), "{date} in {}", page.body);
    }
    for (subscription, last) in [(&one, MAY), (&mixed, NEXT_APRIL)] {
        assert_eq!(press(&url, "cancel", subscription).await.status, 303);
        let canceled = json!([last, false, APRIL, "cancellation_requested"]);
        assert_eq!(end(&world.subscription(subscription).await), canceled);
        assert_eq!(press(&url, "renew", subscription).await.status, 303);
        assert_eq!(end(&world.subscription(subscription).await), no_end());
        press(&url, "cancel", subscription).await;
    }
    world.advance_to(MAY + DAY).await;
    let ended = world.subscription(&one).await;
    assert_eq!(number(&ended, "ended_at"), MAY);
    // The other subscription has used a month of a year, and its monthly item goes on.
    let shown = world.subscription(&mixed).await;
    let canceled = json!([NEXT_APRIL, false, APRIL, "cancellation_requested"]);
    assert_eq!(
        (&shown["status"], end(&shown)),
        (&"active".into(), canceled)
    );
    let paid = world.billed(&customer).await;
    assert_eq!(
        paid,
        [vec![(1, 1000)], vec![(1, 1000), (1, 9125)], vec![(1, 1000)]]
    );
    let mut at = MAY;
    while at < NEXT_APRIL {
        at = NEXT_APRIL.min(at + 55 * DAY);
        world.advance_to(at).await;
    }
    let ended = world.subscription(&mixed).await;
    assert_eq!(number(&ended, "ended_at"), NEXT_APRIL);
    // Twelve months and a year, and a month of the other subscription: nothing is credited.
    let invoices = world.invoices(&customer).await;
    let total: i64 = invoices.iter().map(|one| number(one, "total")).sum();
    assert_eq!(total, 13 * 1000 + 9125);
}

#[tokio::test]
async fn a_trial_is_canceled_to_its_end() {
    for (mode, flag) in [(CLASSIC, true), (FLEXIBLE, false)] {
        let world = world(APRIL).await;
        let customer = world.customer().await;
        let price = world.price("unit_amount=1000").await;
        let form = format!("{mode}&items[0][price]={price}&trial_period_days=14");
        let (subscription, _) = world.subscribe(&customer, &form).await;
        let url = portal(&world, &customer).await;
        let page = browse(&url, None).await;
        assert!(page.body.contains("Free trial"), "{}", page.body);
        assert!(page.body.contains("Current period ends on 15 Apr 2020."));
        assert_eq!(press(&url, "cancel", &subscription).await.status, 303);
        let over = APRIL + 14 * DAY;
        let shown = world.subscription(&subscription).await;
        let canceled = json!([over, flag, APRIL, "cancellation_requested"]);
        assert_eq!((end(&shown), number(&shown, "trial_end")), (canceled, over));
        world.advance_to(over + DAY).await;
        let ended = world.subscription(&subscription).await;
        assert_eq!(number(&ended, "ended_at"), over);
        let invoices = world.invoices(&customer).await;
        assert!(invoices.iter().all(|one| one["total"] == 0), "{mode}");
    }
}

#[tokio::test]
async fn an_end_that_the_api_has_set_is_taken_back_too() {
    let world = world(APRIL).await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=1000").await;
    let url = portal(&world, &customer).await;
    for (mode, given) in [
        (CLASSIC, format!("cancel_at={}", MAY + DAY)),
        (FLEXIBLE, "cancel_at_period_end=true".to_owned()),
    ] {
        let form = format!("{mode}&items[0][price]={price}");
        let (subscription, _) = world.subscribe(&customer, &form).await;
        world.update(&subscription, &given).await;
        assert_eq!(press(&url, "renew", &subscription).await.status, 303);
        assert_eq!(end(&world.subscription(&subscription).await), no_end());
    }
}

#[tokio::test]
async fn what_cannot_be_changed_has_no_button() {
    let world = World::new().await;
    let price = world.price("unit_amount=1000").await;
    let scheduled = world.customer().await;
    let form = format!("phases[0][items][0][price]={price}");
    let directed = world.schedule(&scheduled, &form).await;
    let failing = "payment_method=pm_card_chargeCustomerFail&invoice_settings[default_payment_method]=pm_card_chargeCustomerFail";
    let failing = world.api.create("/v1/customers", failing).await;
    let form = format!("items[0][price]={price}");
    let (unpaid, _) = world.subscribe(&failing, &form).await;
    let form = format!("test_clock={}", world.clock);
    let cardless = world.api.create("/v1/customers", &form).await;
    let form = format!(
        "items[0][price]={price}&trial_period_days=1&trial_settings[end_behavior][missing_payment_method]=pause"
    );
    let (paused, _) = world.subscribe(&cardless, &form).await;
    world.advance_to(START + 2 * DAY).await;
    for (customer, subscription, text) in [
        (&scheduled, &directed, "Later changes are scheduled"),
        (&failing, &unpaid, "Waits for the first payment"),
        (&cardless, &paused, "Waits for a payment method"),
    ] {
        let url = portal(&world, customer).await;
        let page = browse(&url, None).await;
        assert!(page.body.contains(text), "{text} in {}", page.body);
        assert!(!page.body.contains("<form"));
        let before = world.subscription(subscription).await;
        for button in ["cancel", "renew"] {
            let pressed = press(&url, button, subscription).await;
            assert_eq!(pressed.status, 409);
            assert!(pressed.body.contains("cannot be changed here"));
        }
        assert_eq!(world.subscription(subscription).await, before);
    }
}
