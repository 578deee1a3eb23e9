//! Parameters and values that the sandbox does not model are refused by name, except values that change nothing.

use super::Api;
use super::billing::World;

/// A sandbox with one object of each kind that these calls need.
struct Fixture {
    world: World,
    customer: String,
    price: String,
    subscription: String,
    schedule: String,
}

impl Fixture {
    async fn new() -> Self {
        let world = World::new().await;
        let customer = world.customer().await;
        let price = world.price("unit_amount=1000").await;
        let form = format!("customer={customer}&items[0][price]={price}");
        let subscription = world.api.create("/v1/subscriptions", &form).await;
        let form = format!("phases[0][items][0][price]={price}");
        let scheduled = world.schedule(&customer, &form).await;
        let schedule = world.schedule_of(&scheduled).await;
        Self {
            world,
            customer,
            price,
            subscription: format!("/v1/subscriptions/{subscription}"),
            schedule,
        }
    }

    /// The path of an endpoint, and its other required parameters.
    fn call(&self, endpoint: &str) -> (String, String) {
        let Self {
            customer, price, ..
        } = self;
        match endpoint {
            "subscribe" => (
                "/v1/subscriptions".to_owned(),
                format!("customer={customer}&items[0][price]={price}"),
            ),
            "subscription" => (self.subscription.clone(), String::new()),
            "schedule" => (
                "/v1/subscription_schedules".to_owned(),
                format!("customer={customer}&start_date=now&phases[0][items][0][price]={price}"),
            ),
            "scheduled" => (self.schedule.clone(), String::new()),
            "release" => (format!("{}/release", self.schedule), String::new()),
            "checkout" => (
                "/v1/checkout/sessions".to_owned(),
                format!(
                    "customer={customer}&mode=subscription&success_url=http://x.test/&line_items[0][price]={price}&line_items[0][quantity]=1"
                ),
            ),
            "customer" => (format!("/v1/customers/{customer}"), String::new()),
            "price" => (
                "/v1/prices".to_owned(),
                "currency=usd&unit_amount=1&product_data[name]=N".to_owned(),
            ),
            path => (path.to_owned(), String::new()),
        }
    }

    async fn post(&self, endpoint: &str, form: &str) -> super::Reply {
        let (path, base) = self.call(endpoint);
        self.world.api.post(&path, &format!("{base}&{form}")).await
    }
}

#[tokio::test]
async fn parameters_that_are_not_modelled_are_refused_by_name() {
    let subject = Fixture::new().await;
    for (endpoint, form, param) in [
        ("/v1/accounts", "bank_account[country]=US", "bank_account"),
        (
            "/v1/accounts",
            "business_profile[monthly_estimated_revenue][amount]=1",
            "business_profile[monthly_estimated_revenue]",
        ),
        ("customer", "card[number]=4242424242424242", "card"),
        ("customer", "bank_account[country]=US", "bank_account"),
        ("customer", "default_card=card_x", "default_card"),
        ("/v1/setup_intents", "use_stripe_sdk=true", "use_stripe_sdk"),
        (
            "subscribe",
            "items[0][billing_thresholds][usage_gte]=1",
            "items[0][billing_thresholds]",
        ),
        ("subscription", "trial_from_plan=true", "trial_from_plan"),
        (
            "release",
            "preserve_cancel_date=true",
            "preserve_cancel_date",
        ),
        (
            "checkout",
            "subscription_data[billing_cycle_anchor]=2000000000",
            "subscription_data[billing_cycle_anchor]",
        ),
        (
            "checkout",
            "subscription_data[proration_behavior]=none",
            "subscription_data[proration_behavior]",
        ),
        (
            "checkout",
            "phone_number_collection[enabled]=true",
            "phone_number_collection",
        ),
        (
            "checkout",
            "line_items[0][adjustable_quantity][enabled]=true",
            "line_items[0][adjustable_quantity]",
        ),
        (
            "price",
            "custom_unit_amount[enabled]=true",
            "custom_unit_amount",
        ),
    ] {
        let (message, code, named) = subject.post(endpoint, form).await.refused(400);
        let expected = format!(
            "The sandbox does not model the parameter `{param}`: leave it out, or use Stripe's test mode for it."
        );
        assert_eq!(
            (&*message, &*code, &*named),
            (&*expected, "", param),
            "{form}"
        );
    }
}

#[tokio::test]
async fn values_that_are_not_modelled_are_refused_by_name() {
    let subject = Fixture::new().await;
    for (endpoint, param, word) in [
        ("subscribe", "collection_method", "send_invoice"),
        ("subscription", "collection_method", "send_invoice"),
        ("subscribe", "payment_behavior", "pending_if_incomplete"),
        ("subscription", "payment_behavior", "pending_if_incomplete"),
        ("schedule", "end_behavior", "none"),
        ("schedule", "end_behavior", "renew"),
        ("scheduled", "end_behavior", "renew"),
        ("schedule", "phases[0][collection_method]", "send_invoice"),
        (
            "schedule",
            "default_settings[collection_method]",
            "send_invoice",
        ),
    ] {
        let form = format!("{param}={word}");
        let (message, _, named) = subject.post(endpoint, &form).await.refused(400);
        let expected = format!(
            "The sandbox does not model `{word}` as `{param}`: leave it out, or use Stripe's test mode for it."
        );
        assert_eq!((&*message, &*named), (&*expected, param), "{form}");
        let form = format!("{param}=whatever");
        let (message, _, named) = subject.post(endpoint, &form).await.refused(400);
        let begins = format!("Invalid {param}: must be one of ");
        assert!(message.starts_with(&begins), "{message}");
        assert!(message.contains(word), "{message}");
        assert_eq!(named, param);
    }
}

#[tokio::test]
async fn values_that_change_nothing_are_accepted() {
    let subject = Fixture::new().await;
    let unset = [
        "billing_thresholds",
        "default_source",
        "default_tax_rates",
        "on_behalf_of",
        "pause_collection",
        "pending_invoice_item_interval",
        "transfer_data",
    ]
    .map(|name| format!("{name}=&"));
    for (endpoint, form) in [
        ("subscription", &*unset.concat()),
        ("subscription", "trial_from_plan=false"),
        (
            "scheduled",
            "default_settings[billing_thresholds]=&default_settings[on_behalf_of]=&default_settings[transfer_data]=",
        ),
        (
            "checkout",
            "phone_number_collection[enabled]=false&invoice_creation[enabled]=false&line_items[0][adjustable_quantity][enabled]=false&locale=de",
        ),
        ("price", "custom_unit_amount[enabled]=false"),
        (
            "customer",
            "invoice_settings[custom_fields]=&invoice_settings[rendering_options]=",
        ),
        ("/v1/setup_intents", "use_stripe_sdk=false"),
        (
            "subscribe",
            "items[0][billing_thresholds]=&items[0][tax_rates]=",
        ),
        ("release", "preserve_cancel_date=false"),
    ] {
        subject.post(endpoint, form).await.ok();
    }
}

#[tokio::test]
async fn lists_of_objects_that_are_not_modelled_are_empty() {
    let subject = Fixture::new().await;
    let customer = &subject.customer;
    for path in ["/v1/invoices", "/v1/subscriptions"] {
        let listed = async |method: &str| {
            let path = format!("{path}?customer={customer}&collection_method={method}");
            subject.world.api.ids(&path).await.len()
        };
        assert_eq!(listed("send_invoice").await, 0, "{path}");
        assert_eq!(listed("charge_automatically").await, 2, "{path}");
    }
    let api = Api::start().await;
    api.create("/v1/products", "name=Shipped&shippable=true")
        .await;
    api.create("/v1/products", "name=Other").await;
    assert_eq!(api.ids("/v1/products?shippable=true").await.len(), 1);
    assert_eq!(api.ids("/v1/products?shippable=false").await.len(), 0);
}

#[tokio::test]
async fn an_intent_is_shown_to_its_secret_only() {
    let api = Api::start().await;
    let intent = api.post("/v1/setup_intents", "").await.ok();
    let text = |key: &str| intent[key].as_str().expect(key).to_owned();
    let (path, secret) = (
        format!("/v1/setup_intents/{}", text("id")),
        text("client_secret"),
    );
    let confirm = format!("{path}/confirm");
    let other = "seti_1_secret_2";
    for refused in [
        api.get(&format!("{path}?client_secret={other}")).await,
        api.post(
            &confirm,
            &format!("payment_method=pm_card_visa&client_secret={other}"),
        )
        .await,
    ] {
        let (_, code, param) = refused.refused(400);
        assert_eq!(
            (&*code, &*param),
            ("setup_intent_invalid_parameter", "client_secret")
        );
    }
    api.get(&format!("{path}?client_secret={secret}"))
        .await
        .ok();
    let form = format!("payment_method=pm_card_visa&client_secret={secret}");
    api.post(&confirm, &form).await.ok();
}
