//! With `invoice_draft`, invoices stay drafts for a while, as with Stripe.

use std::time::Duration;

use serde_json::{Value, json};
use stripe_sandbox::Options;

use super::{Api, DAY, START, World, lines, number};
use crate::with_manual_clock;

const HOUR: i64 = 3600;
/// The end of the first month.
const RENEWAL: i64 = START + 31 * DAY;

async fn world() -> World {
    let api = Api::with(Options {
        search_lag: Duration::ZERO,
        invoice_draft: Duration::from_secs(3600),
        ..with_manual_clock()
    })
    .await;
    let form = format!("frozen_time={START}");
    let clock = api.create("/v1/test_helpers/test_clocks", &form).await;
    World { api, clock }
}

fn state(invoice: &Value) -> (&str, &Value, &Value) {
    let status = invoice["status"].as_str().expect("a status");
    let transitions = &invoice["status_transitions"];
    (
        status,
        &transitions["finalized_at"],
        &transitions["paid_at"],
    )
}

#[tokio::test]
async fn a_renewal_is_finalized_and_charged_an_hour_later() {
    let world = world().await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=1000").await;
    let form = format!("customer={customer}&items[0][price]={price}");
    world.api.create("/v1/subscriptions", &form).await;
    // The invoice of a change by request is final at once.
    let first = world.invoices(&customer).await.remove(0);
    assert_eq!(state(&first), ("paid", &json!(START), &json!(START)));

    world.advance_to(RENEWAL).await;
    let draft = world.invoices(&customer).await.remove(0);
    assert_eq!(state(&draft), ("draft", &Value::Null, &Value::Null));
    assert_eq!(
        (number(&draft, "amount_due"), number(&draft, "amount_paid")),
        (1000, 0)
    );
    assert_eq!(draft["number"], Value::Null);
    assert_eq!(draft["ending_balance"], Value::Null);
    assert_eq!(
        (&draft["auto_advance"], &draft["attempted"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(number(&draft, "next_payment_attempt"), RENEWAL + HOUR);
    let drafts = format!("/v1/invoices?customer={customer}&status=draft");
    assert_eq!(world.api.ids(&drafts).await.len(), 1);
    let path = format!("/v1/invoices/{}", draft["id"].as_str().expect("an id"));
    for action in ["void", "mark_uncollectible"] {
        world
            .api
            .post(&format!("{path}/{action}"), "")
            .await
            .refused(400);
    }

    // The balance at finalization counts.
    let credit = format!("/v1/customers/{customer}");
    world.api.post(&credit, "balance=-300").await.ok();
    world.advance_to(RENEWAL + HOUR - 1).await;
    assert_eq!(state(&world.api.get(&path).await.ok()).0, "draft");
    world.advance_to(RENEWAL + HOUR).await;
    let paid = world.api.get(&path).await.ok();
    let at = json!(RENEWAL + HOUR);
    assert_eq!(state(&paid), ("paid", &at, &at));
    assert_eq!(
        (number(&paid, "amount_due"), number(&paid, "amount_paid")),
        (700, 700)
    );
    assert_eq!(paid["effective_at"], at);
    assert_eq!(number(&paid, "created"), RENEWAL);
    assert!(paid["number"].is_string());
    assert_eq!(world.api.get(&credit).await.ok()["balance"], 0);
}

#[tokio::test]
async fn a_schedules_first_invoice_is_a_draft_and_a_transition_is_not() {
    let world = world().await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=3100").await;
    let metered = world.metered("unit_amount=10").await;
    let id = world
        .schedule(
            &customer,
            &format!("phases[0][items][0][price]={price}&phases[0][items][1][price]={metered}&phases[0][iterations]=1"),
        )
        .await;
    assert_eq!(world.subscription(&id).await["status"], "active");
    assert_eq!(state(&world.invoices(&customer).await[0]).0, "draft");
    world.report(&id, 4).await;
    world.advance_to(START + DAY).await;
    assert_eq!(state(&world.invoices(&customer).await[0]).0, "paid");
    let path = world.schedule_of(&id).await;
    let form = format!(
        "phases[0][start_date]={START}&phases[0][end_date]=now&phases[0][items][0][price]={price}&phases[0][items][1][price]={metered}&phases[1][items][0][price]={price}"
    );
    world.api.post(&path, &form).await.ok();
    let transition = world.invoices(&customer).await.remove(0);
    assert_eq!(state(&transition).0, "paid");
    assert_eq!(lines(&transition), [(4, 40)]);
}

#[tokio::test]
async fn usage_of_the_period_that_is_over_goes_on_its_draft() {
    for (trial, unit) in [("", 10), ("&trial_period_days=31", 0)] {
        let world = world().await;
        let customer = world.customer().await;
        let metered = world.metered("unit_amount=10").await;
        world.coupon("id=half&percent_off=50").await;
        let form = format!("customer={customer}&items[0][price]={metered}&coupon=half{trial}");
        let id = world.api.create("/v1/subscriptions", &form).await;
        world.report(&id, 4).await;
        world.advance_to(RENEWAL + 600).await;
        let item = world.subscription(&id).await["items"]["data"][0]["id"].clone();
        let records = format!(
            "/v1/subscription_items/{}/usage_records",
            item.as_str().expect("an id")
        );
        let at = async |time: i64, quantity: i64| {
            let form = format!("quantity={quantity}&timestamp={time}");
            world.api.post(&records, &form).await
        };
        at(RENEWAL - 60, 3).await.ok();
        at(START, 2).await.ok();
        at(START - 60, 1).await.refused(400);
        // Usage from now on belongs to the next period.
        at(RENEWAL + 60, 5).await.ok();
        let draft = world.invoices(&customer).await.remove(0);
        assert_eq!(lines(&draft), [(9, 9 * unit)]);
        assert_eq!(
            (number(&draft, "subtotal"), number(&draft, "total")),
            (9 * unit, 9 * unit / 2)
        );
        world.advance_to(RENEWAL + HOUR).await;
        let paid = world.invoices(&customer).await.remove(0);
        assert_eq!((state(&paid).0, lines(&paid)), ("paid", lines(&draft)));
        // The debt is below the smallest charge.
        assert_eq!(number(&paid, "ending_balance"), 9 * unit / 2);
        at(RENEWAL - 3600, 1).await.refused(400);
        world.advance_to(START + 60 * DAY + HOUR).await;
        assert_eq!(lines(&world.invoices(&customer).await[0])[0], (5, 50));
    }
}

#[tokio::test]
async fn a_draft_that_cannot_be_paid_makes_the_subscription_past_due_when_it_is_final() {
    let world = world().await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=1000").await;
    let form = format!("customer={customer}&items[0][price]={price}");
    let id = world.api.create("/v1/subscriptions", &form).await;
    let failing = "/v1/payment_methods/pm_card_chargeCustomerFail/attach";
    let card = world
        .api
        .post(failing, &format!("customer={customer}"))
        .await
        .ok();
    let form = format!(
        "default_payment_method={}",
        card["id"].as_str().expect("an id")
    );
    world
        .api
        .post(&format!("/v1/subscriptions/{id}"), &form)
        .await
        .ok();
    world.advance_to(RENEWAL).await;
    assert_eq!(world.subscription(&id).await["status"], "active");
    world.advance_to(RENEWAL + HOUR).await;
    assert_eq!(world.subscription(&id).await["status"], "past_due");
    assert_eq!(state(&world.invoices(&customer).await[0]).0, "open");
}

#[tokio::test]
async fn a_draft_goes_with_its_clock_and_is_not_charged_once_the_subscription_is_canceled() {
    let world = world().await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=1000").await;
    let form = format!("customer={customer}&items[0][price]={price}");
    let id = world.api.create("/v1/subscriptions", &form).await;
    world.advance_to(RENEWAL).await;
    world
        .api
        .delete(&format!("/v1/subscriptions/{id}"))
        .await
        .ok();
    world.advance_to(RENEWAL + HOUR).await;
    let draft = world.invoices(&customer).await.remove(0);
    assert_eq!(state(&draft).0, "draft");
    assert_eq!(draft["auto_advance"], false);

    world
        .schedule(&customer, &format!("phases[0][items][0][price]={price}"))
        .await;
    let clock = format!("/v1/test_helpers/test_clocks/{}", world.clock);
    world.api.delete(&clock).await.ok();
    assert_eq!(world.api.ids("/v1/invoices").await.len(), 0);
}

#[tokio::test]
async fn a_draft_that_is_finalized_or_paid_by_request_is_not_charged_again() {
    for action in ["finalize", "pay"] {
        let world = world().await;
        let customer = world.customer().await;
        let price = world.price("unit_amount=1000").await;
        let form = format!("customer={customer}&items[0][price]={price}");
        world.api.create("/v1/subscriptions", &form).await;
        world.advance_to(RENEWAL).await;
        let draft = world.invoices(&customer).await.remove(0);
        let path = format!("/v1/invoices/{}", draft["id"].as_str().expect("an id"));
        let acted = world.api.post(&format!("{path}/{action}"), "").await.ok();
        let (status, finalized, _) = state(&acted);
        // It has `auto_advance`, so it is collected as soon as it is final.
        assert_eq!((status, finalized), ("paid", &json!(RENEWAL)));
        world.advance_to(RENEWAL + 2 * HOUR).await;
        assert_eq!(
            world.api.get(&path).await.ok()["status_transitions"]["finalized_at"],
            RENEWAL
        );
        assert_eq!(world.invoices(&customer).await.len(), 2);
    }
}

#[tokio::test]
async fn auto_advance_says_whether_an_invoice_goes_on_by_itself() {
    let world = world().await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=1000").await;
    let form = format!("customer={customer}&items[0][price]={price}");
    world.api.create("/v1/subscriptions", &form).await;
    world.advance_to(RENEWAL).await;
    let draft = world.invoices(&customer).await.remove(0);
    let path = format!("/v1/invoices/{}", draft["id"].as_str().expect("an id"));
    let held = world.api.post(&path, "auto_advance=false").await.ok();
    assert_eq!(
        (state(&held).0, &held["auto_advance"]),
        ("draft", &json!(false))
    );
    world.advance_to(RENEWAL + 2 * HOUR).await;
    assert_eq!(state(&world.api.get(&path).await.ok()).0, "draft");
    let going = world.api.post(&path, "auto_advance=true").await.ok();
    assert_eq!(number(&going, "next_payment_attempt"), RENEWAL + 3 * HOUR);
    // After a finalization by request, collection waits for `auto_advance`.
    let open = world
        .api
        .post(&format!("{path}/finalize"), "auto_advance=false")
        .await
        .ok();
    assert_eq!(state(&open).0, "open");
    world.advance_to(RENEWAL + 4 * HOUR).await;
    assert_eq!(state(&world.api.get(&path).await.ok()).0, "open");
    let paid = world.api.post(&path, "auto_advance=true").await.ok();
    assert_eq!(state(&paid).0, "paid");
}
