//! The preview of a change agrees with the change.

use proptest::prelude::*;
use serde_json::Value;

use super::super::{DAY, START, World, descriptions, lines, number};
use super::check;

/// The parameters of an update, and those of its preview.
type Pair = (String, String);

fn both(name: &str, value: impl std::fmt::Display) -> Pair {
    let preview = if name == "coupon" {
        name.to_owned()
    } else {
        let head = name.find('[').unwrap_or(name.len());
        format!("subscription_{}{}", &name[..head], &name[head..])
    };
    (format!("&{name}={value}"), format!("&{preview}={value}"))
}

/// The parts of a change. The numbers choose from the existing objects.
#[derive(Clone, Debug)]
struct Change {
    days: i64,
    price: Option<usize>,
    quantity: Option<i64>,
    coupon: Option<usize>,
    trial: Option<i64>,
    end: Option<i64>,
    anchored: bool,
    dated: Option<i64>,
    behavior: usize,
}

fn change() -> impl Strategy<Value = Change> {
    let some = |range: std::ops::Range<i64>| prop::option::weighted(0.3, range);
    (
        0_i64..31,
        prop::option::of(0_usize..4),
        prop::option::of(0_i64..4),
        prop::option::of(0_usize..3),
        some(1..40),
        some(1..40),
        prop::bool::weighted(0.2),
        some(0..31),
        0_usize..3,
    )
        .prop_map(
            |(days, price, quantity, coupon, trial, end, anchored, dated, behavior)| Change {
                days,
                price,
                quantity,
                coupon,
                trial,
                end,
                anchored,
                dated,
                behavior,
            },
        )
}

impl Change {
    fn parameters(&self, item: &str, prices: &[String], now: i64) -> Pair {
        let mut pairs = Vec::new();
        if self.price.is_some() || self.quantity.is_some() {
            pairs.push(both("items[0][id]", item));
        }
        if let Some(price) = self.price {
            pairs.push(both("items[0][price]", &prices[price]));
        }
        if let Some(quantity) = self.quantity {
            pairs.push(both("items[0][quantity]", quantity));
        }
        if let Some(coupon) = self.coupon {
            pairs.push(both("coupon", ["", "half", "seven"][coupon]));
        }
        if let Some(days) = self.trial {
            pairs.push(both("trial_end", now + days * DAY));
        }
        if let Some(days) = self.end {
            pairs.push(both("cancel_at", now + days * DAY));
        }
        if self.anchored {
            pairs.push(both("billing_cycle_anchor", "now"));
        }
        if let Some(days) = self.dated {
            pairs.push(both("proration_date", START + days * DAY));
        }
        let behavior = ["create_prorations", "always_invoice", "none"][self.behavior];
        pairs.push(both("proration_behavior", behavior));
        pairs.into_iter().unzip()
    }
}

fn lines_by_time(invoice: &Value) -> (Vec<(i64, i64)>, Vec<String>, i64) {
    (
        lines(invoice),
        descriptions(invoice),
        number(invoice, "total"),
    )
}

#[test]
fn a_preview_agrees_with_the_change() {
    check(40, &change(), async |change| {
        let world = World::new().await;
        let customer = world.customer().await;
        let yearly =
            "currency=usd&recurring[interval]=year&product_data[name]=Year&unit_amount=36500";
        let prices = [
            world.price("unit_amount=3100").await,
            world.price("unit_amount=997").await,
            world.price("unit_amount=0").await,
            world.api.create("/v1/prices", yearly).await,
        ];
        world.coupon("id=half&percent_off=50").await;
        world.coupon("id=seven&amount_off=700&currency=usd").await;
        let form = format!("items[0][price]={}", prices[1]);
        let (id, item) = world.subscribe(&customer, &form).await;
        let now = START + change.days * DAY;
        if change.days > 0 {
            world.advance_to(now).await;
        }
        let (form, query) = change.parameters(&item, &prices, now);
        let path = format!("/v1/invoices/upcoming?customer={customer}&subscription={id}{query}");
        let before = world.subscription(&id).await;
        let preview = world.api.get(&path).await;
        assert_eq!(world.subscription(&id).await, before);
        assert_eq!(world.invoices(&customer).await.len(), 1);
        let reply = world
            .api
            .post(&format!("/v1/subscriptions/{id}"), &form)
            .await;
        if reply.status == 400 {
            assert_eq!(preview.refused(400).0, reply.refused(400).0);
            return;
        }
        let updated = reply.ok();
        if world.invoices(&customer).await.len() == 1 {
            world
                .advance_to(number(&updated, "current_period_end"))
                .await;
        }
        let mut invoices = world.invoices(&customer).await;
        if invoices.len() == 1 {
            preview.refused(404);
            return;
        }
        // A period that ends at once is followed by the next one.
        let next = invoices.len() - 2;
        assert_eq!(
            lines_by_time(&preview.ok()),
            lines_by_time(&invoices.remove(next)),
            "{query}"
        );
    });
}
