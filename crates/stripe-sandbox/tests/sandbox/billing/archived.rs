//! Archived prices cannot be used for new items, but existing items keep them.

use super::{START, World};

const INACTIVE_PRICE: &str =
    "The price specified is inactive. This field only accepts active prices.";

/// A price, and the paths of the price and its product.
async fn price(world: &World, form: &str) -> (String, String, String) {
    let price = world.price(form).await;
    let path = format!("/v1/prices/{price}");
    let product = world.api.get(&path).await.ok()["product"].clone();
    let product = format!("/v1/products/{}", product.as_str().expect("an id"));
    (price, path, product)
}

/// All calls that use a price for an item: path, form, and the parameter of the price.
async fn sales(world: &World, price: &str) -> Vec<(String, String, &'static str)> {
    let customer = world.customer().await;
    let other = world.price("unit_amount=100").await;
    let sold = format!("items[0][price]={other}");
    let subscription = world
        .api
        .create("/v1/subscriptions", &format!("customer={customer}&{sold}"))
        .await;
    let scheduled = world
        .schedule(&customer, &format!("phases[0][items][0][price]={other}"))
        .await;
    let schedule = world.schedule_of(&scheduled).await;
    let item = &world.subscription(&subscription).await["items"]["data"][0]["id"];
    let item = item.as_str().expect("an id").to_owned();
    let update = format!("/v1/subscriptions/{subscription}");
    vec![
        (
            "/v1/subscriptions".to_owned(),
            format!("customer={customer}&items[0][price]={price}"),
            "items[0][price]",
        ),
        (
            update.clone(),
            format!("items[0][price]={price}"),
            "items[0][price]",
        ),
        (
            update,
            format!("items[0][id]={item}&items[0][price]={price}"),
            "items[0][price]",
        ),
        (
            "/v1/subscription_schedules".to_owned(),
            format!("customer={customer}&start_date=now&phases[0][items][0][price]={price}"),
            "phases[0][items][0][price]",
        ),
        (
            schedule,
            format!(
                "phases[0][start_date]={START}&phases[0][items][0][price]={other}&phases[1][items][0][price]={price}"
            ),
            "phases[1][items][0][price]",
        ),
        (
            "/v1/checkout/sessions".to_owned(),
            format!(
                "customer={customer}&mode=subscription&success_url=http://x.test/&line_items[0][quantity]=1&line_items[0][price]={price}"
            ),
            "line_items[0][price]",
        ),
    ]
}

#[tokio::test]
async fn an_archived_price_is_not_sold_and_neither_is_an_archived_product() {
    let world = World::new().await;
    let (price, path, product) = price(&world, "unit_amount=500").await;
    let sales = sales(&world, &price).await;
    let id = product.trim_start_matches("/v1/products/");
    let inactive_product = format!(
        "The product {id} is marked as inactive, and thus no new subscriptions can be create to any plans of this product. You provided the plan {price}."
    );
    for (archived, message) in [(&path, INACTIVE_PRICE), (&product, &inactive_product)] {
        world.api.post(archived, "active=false").await.ok();
        for (path, form, param) in &sales {
            let refused = world.api.post(path, form).await.refused(400);
            assert_eq!((&*refused.0, &*refused.2), (message, *param), "{path}");
        }
        world.api.post(archived, "active=true").await.ok();
    }
    let (path, form, _) = &sales[0];
    world.api.post(path, form).await.ok();
}

#[tokio::test]
async fn an_archived_price_renews_and_may_be_resent() {
    let world = World::new().await;
    let customer = world.customer().await;
    let (price, _, product) = price(&world, "unit_amount=500").await;
    let first = format!("phases[0][items][0][price]={price}");
    let id = world.schedule(&customer, &first).await;
    let path = world.schedule_of(&id).await;
    // A later phase of a schedule that has not begun keeps it, too.
    let later = START + 40 * super::DAY;
    let waiting = format!("customer={customer}&start_date={later}&{first}");
    let waiting = world
        .api
        .create("/v1/subscription_schedules", &waiting)
        .await;
    world.api.post(&product, "active=false").await.ok();
    let next = format!("phases[1][items][0][price]={price}&phases[1][items][0][quantity]=2");
    let both = format!("phases[0][start_date]={START}&{first}&{next}");
    world.api.post(&path, &both).await.ok();
    let waiting = format!("/v1/subscription_schedules/{waiting}");
    let form = format!("phases[0][start_date]={later}&{first}");
    world.api.post(&waiting, &form).await.ok();
    world.advance_to(START + 31 * super::DAY).await;
    assert_eq!(
        world.billed(&customer).await,
        [vec![(2, 1000)], vec![(1, 500)]]
    );
}

#[tokio::test]
async fn a_default_price_is_not_archived() {
    let world = World::new().await;
    let (price, path, product) = price(&world, "unit_amount=500").await;
    let default = format!("default_price={price}");
    world.api.post(&product, &default).await.ok();
    let (message, _, param) = world.api.post(&path, "active=false").await.refused(400);
    assert_eq!(
        (&*message, &*param),
        (
            "This price cannot be archived because it is the default price of its product.",
            "active"
        )
    );
    world.api.post(&path, "nickname=Same").await.ok();
}
