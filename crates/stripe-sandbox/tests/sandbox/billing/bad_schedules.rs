//! Refused schedules: Stripe's message, and nothing changes.

use super::{DAY, START, World};

const URL: &str = "/v1/subscription_schedules";

/// A form, the beginning of the message, and the parameter that it names.
type Refusal<'a> = (String, &'a str, &'a str);

async fn all_refused(world: &World, customer: &str, refusals: Vec<Refusal<'_>>) {
    let list = format!("{URL}?customer={customer}");
    let before = world.api.ids(&list).await;
    for (form, message, param) in refusals {
        let (text, _, name) = world.api.post(URL, &form).await.refused(400);
        assert!(text.starts_with(message), "{text} for {form}");
        assert_eq!(name, param, "{form}");
    }
    assert_eq!(world.api.ids(&list).await, before);
    assert_eq!(world.invoices(customer).await.len(), before.len());
}

#[tokio::test]
async fn the_subscription_of_a_schedule_is_checked() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.metered("unit_amount=1").await;
    let item = format!("phases[0][items][0][price]={price}");
    let subscription = world.schedule(&customer, &item).await;
    let now = format!("customer={customer}&start_date=now&{item}");
    let refusals = vec![
        (
            format!("from_subscription={subscription}&{item}"),
            "You cannot set `phases` if `from_subscription` is set",
            "phases",
        ),
        (
            format!("from_subscription={subscription}"),
            "You cannot migrate a subscription that is already attached to a schedule",
            "from_subscription",
        ),
        (
            "from_subscription=sub_x".to_owned(),
            "No such subscription: 'sub_x'",
            "from_subscription",
        ),
        (
            format!("start_date=now&{item}"),
            "Missing required param: customer.",
            "customer",
        ),
        (
            format!("{now}&default_settings[default_payment_method]=pm_card_us"),
            "No such PaymentMethod: 'pm_card_us'",
            "default_settings[default_payment_method]",
        ),
        (
            format!("{now}&end_behavior=explode"),
            "Invalid end_behavior",
            "end_behavior",
        ),
        (
            format!("{now}&colour=red"),
            "Received unknown parameter: colour",
            "colour",
        ),
    ];
    all_refused(&world, &customer, refusals).await;
    world
        .api
        .get(&format!("{URL}/sub_sched_x"))
        .await
        .refused(404);
}

#[tokio::test]
async fn the_items_of_a_phase_must_fit_together() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.metered("unit_amount=1").await;
    let yearly = world
        .api
        .create(
            "/v1/prices",
            "currency=usd&recurring[interval]=year&unit_amount=1&product_data[name]=Year",
        )
        .await;
    let mut many = Vec::new();
    for index in 0..21 {
        let other = world.price(&format!("unit_amount={index}")).await;
        many.push(format!("phases[0][items][{index}][price]={other}"));
    }
    let many = many.join("&");
    let now = format!("customer={customer}&start_date=now&");
    let item = format!("{now}phases[0][items][0][price]={price}");
    let refusals = vec![
        (now.clone(), "Missing required param: phases.", "phases"),
        (
            format!("{now}phases[0][trial]=true"),
            "Missing required param: phases[0][items].",
            "phases[0][items]",
        ),
        (
            format!("{now}phases[0][items][0][price]=price_x"),
            "No such price: 'price_x'",
            "phases[0][items][0][price]",
        ),
        (
            format!("{item}&phases[0][items][1][price]={yearly}"),
            "Currency and interval fields must match",
            "phases[0][items]",
        ),
        (
            format!("{item}&phases[0][items][0][quantity]=1"),
            "Quantity should not be specified",
            "phases[0][items][0][quantity]",
        ),
        (
            format!("{item}&phases[0][items][1][price]={price}"),
            "Cannot create a Subscription with multiple Subscription Items with the same Price",
            "plan",
        ),
        (
            format!("{now}{many}"),
            "You have exceeded the maximum number of items",
            "phases[0][items]",
        ),
    ];
    all_refused(&world, &customer, refusals).await;
}

#[tokio::test]
async fn the_times_and_settings_of_a_phase_are_checked() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.metered("unit_amount=1").await;
    let item = format!("customer={customer}&start_date=now&phases[0][items][0][price]={price}");
    let later = START + DAY;
    let refusals = vec![
        (
            format!("{item}&phases[0][end_date]={START}"),
            "A phase must end after it starts",
            "phases[0][end_date]",
        ),
        (
            format!("{item}&phases[0][end_date]={later}&phases[0][iterations]=1"),
            "You may only specify one of these parameters: end_date, iterations.",
            "phases[0][end_date]",
        ),
        (
            format!(
                "{item}&phases[0][end_date]={later}&phases[0][trial_end]={}",
                later + 1
            ),
            "The `trial_end` of a phase must be within the phase.",
            "phases[0][trial_end]",
        ),
        (
            format!("{item}&phases[0][trial]=true&phases[0][trial_end]={later}"),
            "You may only specify one of these parameters: trial, trial_end.",
            "phases[0][trial]",
        ),
        (
            format!("{item}&phases[0][coupon]=none"),
            "No such coupon: 'none'",
            "phases[0][coupon]",
        ),
        (
            format!("{item}&phases[0][start_date]={START}"),
            "Received unknown parameter: phases[0][start_date]",
            "phases[0][start_date]",
        ),
        (
            format!("{item}&phases[0][iterations]=100000"),
            "This value must be less than or equal to 1200.",
            "phases[0][iterations]",
        ),
        (
            format!("{item}&phases[0][colour]=red"),
            "Received unknown parameter: phases[0][colour]",
            "phases[0][colour]",
        ),
        (
            format!("{item}&phases[0][trial]=perhaps"),
            "Invalid boolean: perhaps",
            "phases[0][trial]",
        ),
        (
            format!("{item}&phases[0][transfer_data][x]=1"),
            "The sandbox does not model",
            "phases[0][transfer_data]",
        ),
    ];
    all_refused(&world, &customer, refusals).await;
}
