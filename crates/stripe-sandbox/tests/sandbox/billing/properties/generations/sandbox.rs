//! Running a case in the sandbox.

use serde_json::Value;

use super::super::super::{DAY, World, number};
use super::case::{Act, Behavior, Case, Change, HOUR, METERS, Mode, Phase};
use super::catalogue::Catalogue;
use super::model::Invoice;
use crate::meters::APRIL;
use crate::versions;

/// A subscription in the sandbox.
struct Subscription {
    world: World,
    mode: Mode,
    customer: String,
    catalogue: Catalogue,
    path: String,
}

/// The invoices of a case, oldest first, and the amounts that are on no invoice yet. The clock is advanced in `steps`
/// between the acts, and finally to `end`.
pub(super) async fn billed(case: &Case, steps: i64, end: i64) -> (Vec<Invoice>, Vec<i64>) {
    let subscription = Subscription::create(case).await;
    let mut now = APRIL;
    for (hours, act) in &case.acts {
        now = subscription.pass(now, now + hours * HOUR, steps).await;
        subscription.act(*act).await;
    }
    subscription.pass(now, end, steps).await;
    (subscription.invoices().await, subscription.pending().await)
}

impl Subscription {
    async fn create(case: &Case) -> Self {
        let mode = case.mode;
        let world = match mode {
            Mode::Records => World::at(APRIL).await,
            Mode::ClassicMeters | Mode::FlexibleMeters => versions::world(APRIL).await,
        };
        let customer = world.customer().await;
        let catalogue = Catalogue::create(&world, mode).await;
        let id = match &case.next {
            None => {
                let form = format!(
                    "{}{}{}&trial_period_days={}",
                    catalogue.items("", case.seats, &case.metered),
                    catalogue.coupon(&world, "", case.coupon).await,
                    catalogue.billing_mode(),
                    case.trial
                );
                world.subscribe(&customer, &form).await.0
            }
            Some(next) => {
                let form = scheduled(&world, &catalogue, case, next).await;
                world.schedule(&customer, &form).await
            }
        };
        Self {
            path: format!("/v1/subscriptions/{id}"),
            world,
            mode,
            customer,
            catalogue,
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
                let form = self.catalogue.coupon(&self.world, "", coupon).await;
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
            let price = &self.catalogue.metered[price];
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
            let mut lines = invoice["lines"].clone();
            if lines["has_more"] == true {
                let path = format!("{}?limit=100", lines["url"].as_str().expect("a path"));
                lines = self.world.api.get(&path).await.ok();
            }
            invoices.push((
                number(invoice, "created"),
                amounts(&lines),
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

/// The parameters of a schedule with two phases.
async fn scheduled(world: &World, catalogue: &Catalogue, case: &Case, next: &Phase) -> String {
    let phases = [
        ("phases[0]", case.seats, &case.metered, case.coupon),
        ("phases[1]", next.seats, &next.metered, next.coupon),
    ];
    let mut form = vec![format!(
        "phases[0][end_date]={}&phases[1][proration_behavior]={}{}",
        APRIL + next.day * DAY,
        next.behavior.as_str(),
        catalogue.billing_mode()
    )];
    for (phase, seats, metered, coupon) in phases {
        form.push(catalogue.items(phase, seats, metered));
        form.push(catalogue.coupon(world, phase, coupon).await);
    }
    if case.trial > 0 {
        let end = APRIL + case.trial * DAY;
        form.push(format!("&phases[0][trial_end]={end}"));
    }
    form.concat()
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
