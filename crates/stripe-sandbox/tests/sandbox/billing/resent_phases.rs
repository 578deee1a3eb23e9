//! Updates that send the running phase again, although its coupon or price is no longer available.

use super::{DAY, START, World, number};

const COUPONS: &str = "/v1/coupons";

#[tokio::test]
async fn a_coupon_in_force_may_be_used_up_or_deleted() {
    for (coupon, deleted) in [("one&max_redemptions=1", false), ("one", true)] {
        let world = World::new().await;
        let customer = world.customer().await;
        let price = world.price("unit_amount=1000").await;
        world.coupon(&format!("percent_off=50&id={coupon}")).await;
        let form = format!("phases[0][items][0][price]={price}&phases[0][coupon]=one");
        let id = world.schedule(&customer, &form).await;
        let path = world.schedule_of(&id).await;
        if deleted {
            world.api.delete(&format!("{COUPONS}/one")).await.ok();
        }

        let end = START + 20 * DAY;
        let kept = format!("{form}&phases[0][start_date]={START}&phases[0][end_date]={end}");
        let next = format!("phases[1][items][0][price]={price}&phases[1][iterations]=1");
        // The coupon continues through the following phases and is not redeemed again.
        let through = format!("{kept}&{next}&phases[1][coupon]=one");
        let updated = world.api.post(&path, &through).await.ok();
        assert_eq!(updated["phases"][1]["coupon"], "one");
        let discount = world.subscription(&id).await["discount"].clone();
        assert_eq!(number(&discount["coupon"], "times_redeemed"), 1);
        // After a phase without it, it would be redeemed again.
        let again = "phases[2][coupon]=one";
        let broken = format!("{kept}&{next}&phases[2][items][0][price]={price}&{again}");
        let (.., param) = world.api.post(&path, &broken).await.refused(400);
        assert_eq!(param, "phases[2][coupon]");

        world.advance_to(START + 31 * DAY).await;
        let renewal = world.invoices(&customer).await.remove(0);
        assert_eq!(number(&renewal, "total"), 500);
        let discount = world.subscription(&id).await["discount"].clone();
        assert_eq!(number(&discount["coupon"], "times_redeemed"), 1);
    }
}

#[tokio::test]
async fn a_price_in_force_may_be_archived() {
    let world = World::new().await;
    let [customer, other] = [world.customer().await, world.customer().await];
    let price = world.price("unit_amount=1000").await;
    let form = format!("phases[0][items][0][price]={price}");
    let id = world.schedule(&customer, &form).await;
    let path = world.schedule_of(&id).await;
    let archived = format!("/v1/prices/{price}");
    world.api.post(&archived, "active=false").await.ok();

    let kept = format!("{form}&phases[0][start_date]={START}");
    let next = format!("phases[1][items][0][price]={price}&phases[1][items][0][quantity]=2");
    let both = format!("{kept}&phases[0][iterations]=1&{next}");
    world.api.post(&path, &both).await.ok();
    // An item of a subscription keeps it, too.
    let item = world.subscription(&id).await["items"]["data"][0]["id"].clone();
    let item = item.as_str().expect("an id");
    let same = format!("items[0][id]={item}&items[0][price]={price}&items[0][quantity]=3");
    let subscription = format!("/v1/subscriptions/{id}");
    world.api.post(&subscription, &same).await.ok();

    let new = format!("customer={other}&start_date=now&{form}");
    let (message, ..) = world
        .api
        .post("/v1/subscription_schedules", &new)
        .await
        .refused(400);
    assert_eq!(
        message,
        "The price specified is inactive. This field only accepts active prices."
    );
}

#[tokio::test]
async fn a_coupon_given_to_the_subscription_is_its_phases_too() {
    let world = World::new().await;
    let customer = world.customer().await;
    let price = world.price("unit_amount=1000").await;
    world
        .coupon("id=one&percent_off=50&max_redemptions=1")
        .await;
    let form = format!("phases[0][items][0][price]={price}");
    let id = world.schedule(&customer, &form).await;
    let path = world.schedule_of(&id).await;
    let subscription = format!("/v1/subscriptions/{id}");
    world.api.post(&subscription, "coupon=one").await.ok();
    let schedule = world.api.get(&path).await.ok();
    assert_eq!(schedule["phases"][0]["coupon"], "one");
    let kept = format!("{form}&phases[0][start_date]={START}&phases[0][coupon]=one");
    world.api.post(&path, &kept).await.ok();
    let discount = world.subscription(&id).await["discount"].clone();
    assert_eq!(number(&discount["coupon"], "times_redeemed"), 1);
}
