//! What the sandbox bills for a story.

use serde_json::Value;

use super::super::super::{DAY, World, number};
use super::model::Invoice;
use super::story::{Act, Behavior, Change, Coupon, Formula, METERED, METERS, Mode, SEAT, Story};
use crate::meters::{APRIL, meter};
use crate::versions;

const HOUR: i64 = 3600;

/// A subscription in the sandbox, with the ids of what it sells.
struct Run {
    world: World,
    mode: Mode,
    customer: String,
    seat: String,
    metered: Vec<String>,
    /// The path of the subscription.
    path: String,
}

/// The invoices of a story, oldest first, and the amounts that no invoice has taken. The clock is advanced in `steps`
/// between the acts, and at last to `end`.
pub(super) async fn billed(story: &Story, steps: i64, end: i64) -> (Vec<Invoice>, Vec<i64>) {
    let run = Run::start(story).await;
    let mut now = APRIL;
    for (hours, act) in &story.acts {
        now = run.pass(now, now + hours * HOUR, steps).await;
        run.act(*act).await;
    }
    run.pass(now, end, steps).await;
    (run.invoices().await, run.pending().await)
}

impl Run {
    async fn start(story: &Story) -> Self {
        let mode = story.mode;
        let world = match mode {
            Mode::Records => World::at(APRIL).await,
            Mode::ClassicMeters | Mode::FlexibleMeters => versions::world(APRIL).await,
        };
        let customer = world.customer().await;
        let mut run = Self {
            seat: world.price(&format!("unit_amount={SEAT}")).await,
            metered: Vec::new(),
            path: String::new(),
            world,
            mode,
            customer,
        };
        run.make_prices().await;
        let id = match &story.next {
            None => {
                let form = format!(
                    "{}{}{}&trial_period_days={}",
                    run.items("", story.seats, &story.metered),
                    run.coupon("", story.coupon).await,
                    run.billing_mode(),
                    story.trial
                );
                run.world.subscribe(&run.customer, &form).await.0
            }
            Some(next) => {
                let coupon = run.coupon("phases[0]", story.coupon).await;
                let coupon = [coupon.clone(), coupon.replace("phases[0]", "phases[1]")];
                let form = format!(
                    "{}{}{}{}&phases[0][end_date]={}&phases[1][proration_behavior]={}{}",
                    run.items("phases[0]", story.seats, &story.metered),
                    run.items("phases[1]", next.seats, &next.metered),
                    coupon[0],
                    coupon[1],
                    APRIL + next.day * DAY,
                    next.behavior.as_str(),
                    run.billing_mode(),
                );
                run.world.schedule(&run.customer, &form).await
            }
        };
        run.path = format!("/v1/subscriptions/{id}");
        run
    }

    async fn make_prices(&mut self) {
        let mut meters = Vec::new();
        for (name, formula) in METERS {
            meters.push(match (self.mode, formula) {
                (Mode::Records, Formula::Sum) => "recurring[aggregate_usage]=sum".to_owned(),
                (Mode::Records, Formula::Last) => {
                    "recurring[aggregate_usage]=last_during_period".to_owned()
                }
                (_, formula) => {
                    let formula = match formula {
                        Formula::Sum => "sum",
                        Formula::Last => "last",
                    };
                    format!(
                        "recurring[meter]={}",
                        meter(&self.world, name, formula).await
                    )
                }
            });
        }
        for price in &METERED {
            let form = format!("{}&{}", meters[price.meter], price.form);
            self.metered.push(self.world.metered(&form).await);
        }
    }

    /// The parameter of a new subscription or schedule.
    fn billing_mode(&self) -> &'static str {
        match self.mode {
            Mode::Records => "",
            Mode::ClassicMeters => "&billing_mode[type]=classic",
            Mode::FlexibleMeters => "&billing_mode[type]=flexible",
        }
    }

    /// The items of a new subscription or of a phase, which is named by `within`.
    fn items(&self, within: &str, seats: i64, metered: &[usize]) -> String {
        let key = |index: usize, field: &str| nested(within, &format!("items[{index}][{field}]"));
        let metered = metered.iter().enumerate();
        let metered = metered.map(|(index, price)| {
            let key = key(index + 1, "price");
            format!("&{key}={}", self.metered[*price])
        });
        let seat = format!(
            "&{}={}&{}={seats}",
            key(0, "price"),
            self.seat,
            key(0, "quantity")
        );
        std::iter::once(seat).chain(metered).collect()
    }

    /// The parameter for a coupon, or for none.
    async fn coupon(&self, within: &str, coupon: Option<Coupon>) -> String {
        let key = match self.mode {
            Mode::Records => "coupon",
            Mode::ClassicMeters | Mode::FlexibleMeters => "discounts",
        };
        let id = match coupon {
            None => return format!("&{}=", nested(within, key)),
            Some(Coupon::Percent(percent)) => {
                self.world.coupon(&format!("percent_off={percent}")).await
            }
            Some(Coupon::Amount(cents)) => {
                let form = format!("amount_off={cents}&currency=usd");
                self.world.coupon(&form).await
            }
        };
        let key = nested(within, key);
        match self.mode {
            Mode::Records => format!("&{key}={id}"),
            Mode::ClassicMeters | Mode::FlexibleMeters => format!("&{key}[0][coupon]={id}"),
        }
    }

    async fn pass(&self, from: i64, to: i64, steps: i64) -> i64 {
        let parts = steps.max((to - from) / (50 * DAY) + 1);
        for part in 1..=parts {
            let at = from + (to - from) * part / parts;
            if at > from {
                self.world.advance_to(at).await;
            }
        }
        to
    }

    /// Performs an act, unless the subscription has ended.
    async fn act(&self, act: Act) {
        let api = &self.world.api;
        let subscription = api.get(&self.path).await.ok();
        if subscription["status"] == "canceled" {
            return;
        }
        match act {
            Act::Report(which, value) => self.report(&subscription, which, value).await,
            Act::Update(seats, change, behavior) => {
                self.update(&subscription, seats, change, behavior).await;
            }
            Act::SetCoupon(coupon) => {
                let form = self.coupon("", coupon).await;
                api.post(&self.path, &form).await.ok();
            }
            Act::CancelAtPeriodEnd(cancels) => {
                let form = format!("cancel_at_period_end={cancels}");
                api.post(&self.path, &form).await.ok();
            }
            Act::Cancel {
                invoice_now,
                prorate,
            } => {
                let form = format!("invoice_now={invoice_now}&prorate={prorate}");
                api.send("DELETE", &self.path, &form).await.ok();
            }
        }
    }

    async fn report(&self, subscription: &Value, which: usize, value: i64) {
        let (path, form) = if self.mode == Mode::Records {
            let items = metered_items(subscription);
            if items.is_empty() {
                return;
            }
            (
                format!(
                    "/v1/subscription_items/{}/usage_records",
                    items[which % items.len()].0
                ),
                format!("quantity={}&timestamp=now&action=increment", value.abs()),
            )
        } else {
            (
                "/v1/billing/meter_events".to_owned(),
                format!(
                    "event_name={}&payload[stripe_customer_id]={}&payload[value]={value}",
                    METERS[which % METERS.len()].0,
                    self.customer
                ),
            )
        };
        self.world.api.post(&path, &form).await.ok();
    }

    async fn update(
        &self,
        subscription: &Value,
        seats: Option<i64>,
        change: Option<Change>,
        behavior: Behavior,
    ) {
        let mut form = Vec::new();
        let seat = &subscription["items"]["data"][0];
        if let Some(seats) = seats.filter(|seats| seat["quantity"] != *seats) {
            let id = seat["id"].as_str().expect("an id");
            form.push(format!("items[0][id]={id}&items[0][quantity]={seats}"));
        }
        form.extend(change.and_then(|change| self.change(subscription, change)));
        if !form.is_empty() {
            form.push(format!("proration_behavior={}", behavior.as_str()));
            let api = &self.world.api;
            api.post(&self.path, &form.join("&")).await.ok();
        }
    }

    /// The parameters for the change of a metered item.
    fn change(&self, subscription: &Value, change: Change) -> Option<String> {
        let items = metered_items(subscription);
        let id = |index: usize| Some(&items.get(index % items.len().max(1))?.0);
        let unsold = |price: usize| {
            let price = &self.metered[price];
            items.iter().all(|(_, sold)| sold != price).then_some(price)
        };
        Some(match change {
            Change::Add(price) => format!("items[1][price]={}", unsold(price)?),
            Change::Price(index, price) => format!(
                "items[1][id]={}&items[1][price]={}",
                id(index)?,
                unsold(price)?
            ),
            Change::Remove(index) => {
                let clears = match self.mode {
                    Mode::Records => "&items[1][clear_usage]=true",
                    Mode::ClassicMeters | Mode::FlexibleMeters => "",
                };
                format!("items[1][id]={}&items[1][deleted]=true{clears}", id(index)?)
            }
        })
    }

    async fn invoices(&self) -> Vec<Invoice> {
        let mut invoices = Vec::new();
        for invoice in self.world.invoices(&self.customer).await.iter().rev() {
            let id = invoice["id"].as_str().expect("an id");
            let path = format!("/v1/invoices/{id}/lines?limit=100");
            let amounts = amounts(&self.world.api.get(&path).await.ok());
            invoices.push((
                number(invoice, "created"),
                amounts,
                number(invoice, "total"),
            ));
        }
        invoices
    }

    async fn pending(&self) -> Vec<i64> {
        let path = format!(
            "/v1/invoiceitems?customer={}&pending=true&limit=100",
            self.customer
        );
        amounts(&self.world.api.get(&path).await.ok())
    }
}

fn nested(within: &str, key: &str) -> String {
    match (within, key.split_once('[')) {
        ("", _) => key.to_owned(),
        (_, None) => format!("{within}[{key}]"),
        (_, Some((first, rest))) => format!("{within}[{first}][{rest}"),
    }
}

/// The amounts in a list of lines or invoice items, sorted.
fn amounts(list: &Value) -> Vec<i64> {
    let data = list["data"].as_array().expect("a list");
    let mut amounts: Vec<i64> = data.iter().map(|one| number(one, "amount")).collect();
    amounts.sort_unstable();
    amounts
}

/// The metered items of a subscription and their prices.
fn metered_items(subscription: &Value) -> Vec<(String, String)> {
    let items = subscription["items"]["data"].as_array().expect("items");
    let text = |value: &Value| value.as_str().expect("an id").to_owned();
    let metered = items
        .iter()
        .filter(|item| item["price"]["recurring"]["usage_type"] == "metered");
    metered
        .map(|item| (text(&item["id"]), text(&item["price"]["id"])))
        .collect()
}
