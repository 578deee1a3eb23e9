//! The calls of a sequence.

use proptest::prelude::*;
use serde_json::Value;

use super::super::START;
use super::{CLOCKS, DAY, Dump};

/// The number that chooses no object.
const NONE: usize = 11;

/// A call. The numbers choose from the existing objects, or name none.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Customer {
        clock: usize,
        card: &'static str,
    },
    ChangeCustomer(usize, &'static str),
    DeleteCustomer(usize),
    Price(&'static str),
    Coupon(&'static str),
    Subscribe(usize, usize, &'static str),
    ChangeSubscription(usize, &'static str),
    Cancel(usize, bool),
    Schedule(usize, usize, &'static str),
    Adopt(usize),
    Rephase(usize, usize, &'static str),
    Release(usize),
    CancelSchedule(usize),
    Report(usize, &'static str),
    Clock,
    Advance(usize, i64),
    DeleteClock(usize),
    /// The sandbox's own clock is advanced.
    Pass(i64),
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    let some = 0..=NONE;
    let cards = prop::sample::select(vec![
        "",
        "payment_method=pm_card_us",
        "payment_method=pm_card_chargeCustomerFail",
        "payment_method=pm_none",
    ]);
    let changes = prop::sample::select(vec![
        "name=N",
        "email=x",
        "email=a@b.co&metadata[k]=v",
        "balance=-500",
        "coupon=c1",
        "coupon=",
        "foo=1",
    ]);
    let prices = prop::sample::select(vec![
        "unit_amount=1000",
        "unit_amount=7&transform_quantity[divide_by]=3&transform_quantity[round]=up&recurring[usage_type]=metered",
        "unit_amount_decimal=0.4&recurring[usage_type]=metered&recurring[aggregate_usage]=last_ever",
        "billing_scheme=tiered&tiers_mode=volume&tiers[0][up_to]=5&tiers[0][unit_amount]=9&tiers[1][up_to]=inf&tiers[1][unit_amount]=4&recurring[usage_type]=metered&recurring[aggregate_usage]=max",
        "billing_scheme=tiered&tiers_mode=graduated",
        "unit_amount=-1",
    ]);
    let coupons = prop::sample::select(vec![
        "id=c1&percent_off=50&duration=forever",
        "id=c1&amount_off=1&currency=usd&duration=once",
        "percent_off=500",
    ]);
    let terms = prop::sample::select(vec![
        "",
        "trial_period_days=14",
        "coupon=c1",
        "quantity=3",
        "cancel_at_period_end=true",
    ]);
    let edits = prop::sample::select(vec![
        "cancel_at_period_end=true",
        "cancel_at_period_end=false",
        "trial_end=now",
        "items[0][price]=price_none",
        "metadata[a]=b",
    ]);
    let phases = prop::sample::select(vec![
        "",
        "phases[0][trial]=true",
        "phases[0][iterations]=2",
        "phases[0][coupon]=c1",
        "end_behavior=cancel",
        "phases[0][items][0][quantity]=2",
    ]);
    let reports = prop::sample::select(vec![
        "quantity=3",
        "quantity=3&action=set&timestamp=now",
        "quantity=-3",
        "quantity=1&timestamp=1",
    ]);
    prop_oneof![
        3 => (some.clone(), cards).prop_map(|(clock, card)| Op::Customer { clock, card }),
        1 => (some.clone(), changes).prop_map(|(n, form)| Op::ChangeCustomer(n, form)),
        1 => some.clone().prop_map(Op::DeleteCustomer),
        3 => prices.prop_map(Op::Price),
        1 => coupons.prop_map(Op::Coupon),
        4 => (some.clone(), some.clone(), terms).prop_map(|(c, p, form)| Op::Subscribe(c, p, form)),
        2 => (some.clone(), edits).prop_map(|(n, form)| Op::ChangeSubscription(n, form)),
        1 => (some.clone(), any::<bool>()).prop_map(|(n, now)| Op::Cancel(n, now)),
        3 => (some.clone(), some.clone(), phases.clone()).prop_map(|(c, p, form)| Op::Schedule(c, p, form)),
        2 => some.clone().prop_map(Op::Adopt),
        2 => (some.clone(), some.clone(), phases).prop_map(|(n, p, form)| Op::Rephase(n, p, form)),
        1 => some.clone().prop_map(Op::Release),
        1 => some.clone().prop_map(Op::CancelSchedule),
        3 => (some.clone(), reports).prop_map(|(n, form)| Op::Report(n, form)),
        2 => Just(Op::Clock),
        3 => (some.clone(), 1_i64..62).prop_map(|(n, days)| Op::Advance(n, days)),
        1 => some.prop_map(Op::DeleteClock),
        2 => (1_i64..40).prop_map(Op::Pass),
    ]
}

/// The row that a number chooses; one in twelve numbers chooses none.
fn nth<'a>(rows: &[&'a Value], n: usize) -> Option<&'a Value> {
    (n != NONE && !rows.is_empty()).then(|| rows[n % rows.len()])
}

/// The rows of the lists whose path has this prefix.
pub(super) fn rows<'a>(dump: &'a Dump, path: &str) -> Vec<&'a Value> {
    let lists = dump.iter().filter(|(name, _)| name.starts_with(path));
    lists.flat_map(|(_, rows)| rows).collect()
}

/// The id that a number chooses, or one that does not exist.
fn pick(dump: &Dump, path: &str, n: usize) -> String {
    let found = nth(&rows(dump, path), n);
    let id = found.map_or("none", |row| row["id"].as_str().expect("an id"));
    id.to_owned()
}

impl Op {
    /// Method, path, form.
    pub(super) fn call(&self, state: &Dump) -> (&'static str, String, String) {
        let customer = |n: &usize| pick(state, "/v1/customers", *n);
        let clock = |n: &usize| pick(state, CLOCKS, *n);
        match self {
            Self::Customer { clock: n, card } => {
                let form = if n % 2 == 0 {
                    format!("test_clock={}&{card}", clock(n))
                } else {
                    (*card).to_owned()
                };
                ("POST", "/v1/customers".into(), form)
            }
            Self::ChangeCustomer(n, form) => (
                "POST",
                format!("/v1/customers/{}", customer(n)),
                (*form).into(),
            ),
            Self::DeleteCustomer(n) => (
                "DELETE",
                format!("/v1/customers/{}", customer(n)),
                String::new(),
            ),
            Self::Price(form) => (
                "POST",
                "/v1/prices".into(),
                format!("currency=usd&product_data[name]=N&recurring[interval]=month&{form}"),
            ),
            Self::Coupon(form) => ("POST", "/v1/coupons".into(), (*form).into()),
            Self::Clock => ("POST", CLOCKS.into(), format!("frozen_time={START}")),
            Self::Advance(n, days) => {
                let now = nth(&rows(state, CLOCKS), *n)
                    .and_then(|row| row["frozen_time"].as_i64())
                    .unwrap_or(START);
                (
                    "POST",
                    format!("{CLOCKS}/{}/advance", clock(n)),
                    format!("frozen_time={}", now + days * DAY),
                )
            }
            Self::DeleteClock(n) => ("DELETE", format!("{CLOCKS}/{}", clock(n)), String::new()),
            _ => self.billing(state),
        }
    }

    /// The calls on subscriptions and schedules.
    fn billing(&self, state: &Dump) -> (&'static str, String, String) {
        let customer = |n: &usize| pick(state, "/v1/customers", *n);
        let price = |n: &usize| pick(state, "/v1/prices", *n);
        let subscription = |n: &usize| pick(state, "/v1/subscriptions", *n);
        let schedule = |n: &usize| pick(state, "/v1/subscription_schedules", *n);
        match self {
            Self::Subscribe(c, p, form) => (
                "POST",
                "/v1/subscriptions".into(),
                format!(
                    "customer={}&items[0][price]={}&{form}",
                    customer(c),
                    price(p)
                ),
            ),
            Self::ChangeSubscription(n, form) => (
                "POST",
                format!("/v1/subscriptions/{}", subscription(n)),
                (*form).into(),
            ),
            Self::Cancel(n, now) => (
                "DELETE",
                format!("/v1/subscriptions/{}", subscription(n)),
                format!("invoice_now={now}&prorate={now}"),
            ),
            Self::Schedule(c, p, form) => {
                let form = format!(
                    "customer={}&start_date=now&phases[0][items][0][price]={}&{form}",
                    customer(c),
                    price(p)
                );
                ("POST", "/v1/subscription_schedules".into(), form)
            }
            Self::Adopt(n) => (
                "POST",
                "/v1/subscription_schedules".into(),
                format!("from_subscription={}", subscription(n)),
            ),
            Self::Rephase(n, p, form) => {
                let id = schedule(n);
                let row = nth(&rows(state, "/v1/subscription_schedules"), *n);
                let start = row
                    .and_then(|row| row["current_phase"]["start_date"].as_i64())
                    .unwrap_or(START);
                let form = format!(
                    "phases[0][items][0][price]={}&phases[0][start_date]={start}&{form}",
                    price(p)
                );
                ("POST", format!("/v1/subscription_schedules/{id}"), form)
            }
            Self::Release(n) => (
                "POST",
                format!("/v1/subscription_schedules/{}/release", schedule(n)),
                String::new(),
            ),
            Self::CancelSchedule(n) => (
                "POST",
                format!("/v1/subscription_schedules/{}/cancel", schedule(n)),
                String::new(),
            ),
            Self::Report(n, form) => {
                let row = nth(&rows(state, "/v1/subscriptions"), *n);
                let item = row
                    .and_then(|row| row["items"]["data"][0]["id"].as_str())
                    .unwrap_or("none");
                (
                    "POST",
                    format!("/v1/subscription_items/{item}/usage_records"),
                    (*form).into(),
                )
            }
            _ => ("GET", "/v1/account".into(), String::new()),
        }
    }
}
