//! The API versions: the version of a call, and how 2026-10-28.endive shows the same state.

mod answers;
mod refusals;

use stripe_sandbox::{ApiVersion, Options};
use testing::receiver::Receiver;

use super::billing::{DAY, World, number};
use super::{Api, START, with_manual_clock};

/// The version with meters.
pub(crate) const LATER: &str = "2026-10-28.endive";

/// The same client in the later version.
pub(crate) fn later(api: &Api) -> Api {
    api.header("stripe-version", LATER)
}

/// A world in the later version.
pub(crate) async fn world(time: i64) -> World {
    let mut world = World::at(time).await;
    world.api = later(&world.api);
    world
}

#[tokio::test]
async fn the_version_of_a_call_is_its_header_or_the_default() {
    let older = Api::start().await;
    assert_eq!(
        older.get("/v1/customers").await.header("stripe-version"),
        "2022-11-15"
    );
    let reply = later(&older).get("/v1/customers").await;
    assert_eq!(reply.header("stripe-version"), LATER);
    let options = Options {
        api_version: ApiVersion::V2026_10_28,
        ..with_manual_clock()
    };
    let newer = Api::with(options).await;
    assert_eq!(
        newer.get("/v1/customers").await.header("stripe-version"),
        LATER
    );
    let older = newer.header("stripe-version", "2022-11-15");
    let reply = older.get("/v1/customers").await;
    assert_eq!(reply.header("stripe-version"), "2022-11-15");
    let refused = newer.header("stripe-version", "2020-08-27");
    assert_eq!(
        refused.get("/v1/customers").await.refused(400).0,
        "The sandbox only supports the API versions `2022-11-15` and `2026-10-28.endive`, not `2020-08-27`: send one of these as `Stripe-Version`, or leave the header out for `2026-10-28.endive`."
    );
}

#[tokio::test]
async fn events_have_the_accounts_version_whatever_the_calls() {
    let options = Options {
        api_version: ApiVersion::V2026_10_28,
        ..with_manual_clock()
    };
    let api = Api::with(options).await;
    let older = api.header("stripe-version", "2022-11-15");
    let price = "currency=usd&unit_amount=500&product_data[name]=Base&recurring[interval]=month";
    older.post("/v1/prices", price).await.ok();
    let events = older.get("/v1/events?type=price.created").await.ok();
    let event = &events["data"][0];
    assert_eq!(event["api_version"], LATER);
    let recurring = &event["data"]["object"]["recurring"];
    assert!(recurring["meter"].is_null() && recurring.get("meter").is_some());
    assert!(recurring.get("aggregate_usage").is_none());
}

#[tokio::test]
async fn an_endpoint_gets_events_of_its_own_version() {
    let api = Api::start().await;
    let [older, newer] = [Receiver::start().await, Receiver::start().await];
    for (receiver, version) in [(&older, ""), (&newer, LATER)] {
        let version = match version {
            "" => String::new(),
            version => format!("&api_version={version}"),
        };
        let form = format!(
            "url={}&enabled_events[]=price.created&enabled_events[]=price.updated{version}",
            receiver.url()
        );
        api.post("/v1/webhook_endpoints", &form).await.ok();
    }
    let price = "currency=usd&unit_amount=500&product_data[name]=Base&recurring[interval]=month";
    let price = api.create("/v1/prices", price).await;
    let form = "nickname=Other";
    api.post(&format!("/v1/prices/{price}"), form).await.ok();
    api.sandbox().deliveries_settled().await;
    for (receiver, version, gone) in [
        (&older, "2022-11-15", "meter"),
        (&newer, LATER, "aggregate_usage"),
    ] {
        let [created, updated] = &receiver.webhooks()[..] else {
            panic!("{:?}", receiver.types());
        };
        let [created, updated] = [created.event(), updated.event()];
        assert_eq!(created["api_version"], version);
        let recurring = &created["data"]["object"]["recurring"];
        assert!(recurring.get(gone).is_none(), "{version}");
        let previous = &updated["data"]["previous_attributes"];
        assert_eq!(*previous, serde_json::json!({"nickname": null}));
    }
    // Both are the same event.
    let events = api.ids("/v1/events?type=price.created").await;
    assert_eq!(events.len(), 1);
    let event = newer.webhooks()[0].event();
    assert_eq!(event["id"], events[0].as_str());
    let kept = api.get(&format!("/v1/events/{}", events[0])).await.ok();
    assert_eq!(kept["pending_webhooks"], 0);
}

#[tokio::test]
async fn later_versions_send_no_event_for_updated_invoice_items() {
    for (api_version, expected) in [
        (ApiVersion::V2022_11_15, &["updated", "created"][..]),
        (ApiVersion::V2026_10_28, &["created"]),
    ] {
        let options = Options {
            api_version,
            ..with_manual_clock()
        };
        let api = Api::with(options).await;
        let newer = Receiver::start().await;
        let kinds = "enabled_events[]=invoiceitem.created&enabled_events[]=invoiceitem.updated";
        let form = format!("url={}&{kinds}&api_version={LATER}", newer.url());
        api.post("/v1/webhook_endpoints", &form).await.ok();
        let customer = api.create("/v1/customers", "").await;
        let form = format!("customer={customer}&currency=usd&amount=100");
        let item = api.create("/v1/invoiceitems", &form).await;
        let path = format!("/v1/invoiceitems/{item}");
        api.post(&path, "description=Other").await.ok();
        api.sandbox().deliveries_settled().await;
        assert_eq!(newer.types(), ["invoiceitem.created"]);
        let events = api.get("/v1/events?type=invoiceitem.*").await.ok();
        let kinds = events["data"].as_array().expect("a list").iter();
        let kinds: Vec<&str> = kinds.filter_map(|event| event["type"].as_str()).collect();
        let expected: Vec<String> = expected
            .iter()
            .map(|kind| format!("invoiceitem.{kind}"))
            .collect();
        assert_eq!(kinds, expected);
    }
}

#[tokio::test]
async fn one_state_is_shown_by_both_versions() {
    let world = World::at(START).await;
    let customer = world.customer().await;
    let coupon = world.coupon("percent_off=50").await;
    let price = world.price("unit_amount=1000").await;
    let form = format!("items[0][price]={price}&coupon={coupon}");
    let (id, item) = world.subscribe(&customer, &form).await;
    let path = format!("/v1/subscriptions/{id}");
    let older = world.api.get(&path).await.ok();
    let newer = later(&world.api).get(&path).await.ok();
    let (start, end) = (START, START + 31 * DAY);
    for shown in [&older, &newer["items"]["data"][0]] {
        assert_eq!(number(shown, "current_period_start"), start);
        assert_eq!(number(shown, "current_period_end"), end);
    }
    for field in [
        "current_period_start",
        "current_period_end",
        "discount",
        "plan",
        "quantity",
    ] {
        assert!(older.get(field).is_some(), "{field}");
        assert!(newer.get(field).is_none(), "{field}");
    }
    assert!(older.get("billing_mode").is_none());
    assert_eq!(newer["billing_mode"]["type"], "classic");
    assert_eq!(newer["discounts"][0], older["discount"]["id"]);
    let items = format!("/v1/subscription_items/{item}");
    let alone = later(&world.api).get(&items).await.ok();
    assert_eq!(alone, newer["items"]["data"][0]);
    let older_item = world.api.get(&items).await.ok();
    assert_eq!(older_item, older["items"]["data"][0]);
    assert!(older_item.get("current_period_start").is_none());
}
