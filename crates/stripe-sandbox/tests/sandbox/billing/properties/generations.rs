//! A naive model of money in both generations: usage records with classic billing in 2022-11-15, and meters with classic
//! and flexible billing in 2026-10-28.endive. Its invoices are those of the sandbox, in one step or in many.

use proptest::prelude::*;
use serde_json::Value;

use super::super::{DAY, World, number};
use super::check;
use crate::meters::{APRIL, MAY, meter};
use crate::versions;

const HOUR: i64 = 3600;

/// The ends of the periods that are compared.
const ENDS: [i64; 4] = [MAY, MAY + 31 * DAY, MAY + 61 * DAY, MAY + 92 * DAY];

/// The price of a seat and of a unit of usage, in cents.
const SEAT: i64 = 1009;
const UNIT: i64 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Generation {
    Records,
    ClassicMeter,
    FlexibleMeter,
}

impl Generation {
    /// The parameter of a new subscription.
    fn mode(self) -> &'static str {
        match self {
            Self::Records => "",
            Self::ClassicMeter => "&billing_mode[type]=classic",
            Self::FlexibleMeter => "&billing_mode[type]=flexible",
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Report(i64),
    /// Another number of seats, prorated or not.
    Seats(i64, bool),
}

fn generation() -> impl Strategy<Value = Generation> {
    prop_oneof![
        Just(Generation::Records),
        Just(Generation::ClassicMeter),
        Just(Generation::FlexibleMeter),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (-20_i64..200).prop_map(Act::Report),
        (1_i64..9, any::<bool>()).prop_map(|(seats, prorates)| Act::Seats(seats, prorates)),
    ]
}

/// What the sandbox bills: the subtotals of the invoices, oldest first.
async fn billed(generation: Generation, acts: &[(i64, Act)], steps: i64) -> Vec<i64> {
    let world = match generation {
        Generation::Records => World::at(APRIL).await,
        Generation::ClassicMeter | Generation::FlexibleMeter => versions::world(APRIL).await,
    };
    let customer = world.customer().await;
    let seat = world.price(&format!("unit_amount={SEAT}")).await;
    let unit = format!("unit_amount={UNIT}");
    let (used, mode) = if generation == Generation::Records {
        (world.metered(&unit).await, "")
    } else {
        let meter = meter(&world, "calls", "sum").await;
        let price = world
            .metered(&format!("recurring[meter]={meter}&{unit}"))
            .await;
        (price, generation.mode())
    };
    let form = format!("items[0][price]={seat}&items[1][price]={used}{mode}");
    let (id, item) = world.subscribe(&customer, &form).await;
    let mut now = APRIL;
    for (hours, act) in acts {
        now = pass(&world, now, now + hours * HOUR, steps).await;
        match act {
            Act::Report(value) if generation == Generation::Records => {
                world.report(&id, value.abs()).await;
            }
            Act::Report(value) => {
                let form = format!(
                    "event_name=calls&payload[stripe_customer_id]={customer}&payload[value]={value}"
                );
                world.api.post("/v1/billing/meter_events", &form).await.ok();
            }
            Act::Seats(seats, prorates) => {
                let behavior = if *prorates {
                    "create_prorations"
                } else {
                    "none"
                };
                let form = format!(
                    "items[0][id]={item}&items[0][quantity]={seats}&proration_behavior={behavior}"
                );
                world.update(&id, &form).await;
            }
        }
    }
    pass(&world, now, ENDS[3], steps).await;
    let invoices = world.invoices(&customer).await;
    let subtotal = |invoice: &Value| number(invoice, "subtotal");
    invoices.iter().rev().map(subtotal).collect()
}

async fn pass(world: &World, from: i64, to: i64, steps: i64) -> i64 {
    let parts = steps.max((to - from) / (50 * DAY) + 1);
    for part in 1..=parts {
        let at = from + (to - from) * part / parts;
        if at > from {
            world.advance_to(at).await;
        }
    }
    to
}

/// The model: a subscription as the sums that it owes.
struct Model {
    generation: Generation,
    period: (i64, i64),
    seats: i64,
    /// The charges for seats that were not credited, each with its time. Only flexible billing credits these.
    debits: Vec<(i64, i64, i64)>,
    pending: i64,
    used: i64,
    invoices: Vec<i64>,
}

impl Model {
    fn new(generation: Generation) -> Self {
        Self {
            generation,
            period: (APRIL, MAY),
            seats: 1,
            debits: vec![(SEAT, APRIL, MAY)],
            pending: 0,
            used: 0,
            invoices: vec![SEAT],
        }
    }

    fn renew(&mut self, next_end: i64) {
        let usage = UNIT * self.used.max(0);
        self.invoices.push(self.pending + usage + SEAT * self.seats);
        self.period = (self.period.1, next_end);
        self.debits = vec![(SEAT * self.seats, self.period.0, self.period.1)];
        (self.pending, self.used) = (0, 0);
    }

    fn act(&mut self, act: Act, at: i64) {
        match act {
            Act::Report(value) if self.generation == Generation::Records => {
                self.used += value.abs();
            }
            Act::Report(value) => self.used += value,
            Act::Seats(seats, prorates) => {
                if prorates && seats != self.seats {
                    self.prorate(seats, at);
                }
                self.seats = seats;
            }
        }
    }

    fn prorate(&mut self, seats: i64, at: i64) {
        let (start, end) = self.period;
        // The greatest whole number of cents below the exact share.
        let share = |amount: i64, from: i64, to: i64| (amount * (end - at)).div_euclid(to - from);
        let charge = share(SEAT * seats, start, end);
        let credit = match self.generation {
            Generation::FlexibleMeter => {
                let debits = self.debits.iter();
                debits
                    .map(|(amount, from, to)| share(-amount, *from, *to))
                    .sum()
            }
            Generation::Records | Generation::ClassicMeter => share(-SEAT * self.seats, start, end),
        };
        self.pending += credit + charge;
        self.debits = vec![(charge, at, end)];
    }
}

fn expected(generation: Generation, acts: &[(i64, Act)]) -> Vec<i64> {
    let mut model = Model::new(generation);
    let mut ends = ENDS.into_iter().skip(1).chain([ENDS[3] + 30 * DAY]);
    let mut now = APRIL;
    let mut renew_until = |model: &mut Model, at: i64| {
        while model.period.1 <= at {
            model.renew(ends.next().expect("nothing happens later"));
        }
    };
    for (hours, act) in acts {
        now += hours * HOUR;
        renew_until(&mut model, now);
        model.act(*act, now);
    }
    renew_until(&mut model, ENDS[3]);
    model.invoices
}

#[test]
fn invoices_equal_the_model_in_both_generations() {
    // At most 10 × 200 hours, which is less than three months.
    let acts = prop::collection::vec((1_i64..200, act()), 0..10);
    check(
        24,
        &(generation(), acts, 1_i64..6),
        async |(generation, acts, steps)| {
            let expected = expected(generation, &acts);
            assert_eq!(billed(generation, &acts, steps).await, expected);
            assert_eq!(expected.len(), 5);
        },
    );
}
