//! A naive model of billing by Stripe's documentation of the three modes. It shares no code with the sandbox.
//!
//! An invoice is modelled as its time, the amounts of its lines in any order, and its total.

use super::super::super::DAY;
use super::amounts::{Kind, Line, line, sorted};
use super::case::{Act, Behavior, Case, Change, Coupon, METERS, Mode, Phase, SEAT};

pub(super) type Invoice = (i64, Vec<i64>, i64);

/// A metered item.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) price: usize,
    /// The time from which a meter's events count for it.
    pub(super) since: i64,
    /// Its usage records.
    pub(super) records: Vec<(i64, i64)>,
}

/// The state of a metered item after a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Spec {
    /// The index of the item before the change.
    was: Option<usize>,
    price: usize,
}

/// The coupon of a phase, if it had one.
#[derive(Clone, Copy, Debug)]
pub(super) struct PhaseCoupon(pub(super) Option<Coupon>);

/// The subscription.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) mode: Mode,
    pub(super) now: i64,
    anchor: i64,
    pub(super) period: (i64, i64),
    trial_end: i64,
    next: Option<(i64, Phase)>,
    pub(super) seats: i64,
    /// The charges for seats that are not credited yet, less their discounts, each with its span of time. Only flexible
    /// billing uses them.
    pub(super) debits: Vec<(i64, i64, i64)>,
    metered: Vec<Item>,
    /// Meter, time and value.
    pub(super) events: Vec<(usize, i64, i64)>,
    pub(super) coupon: Option<Coupon>,
    /// The discount of usage on the next invoice, if it differs.
    pub(super) usage_coupon: Option<PhaseCoupon>,
    cancels_at_period_end: bool,
    ended: bool,
    pub(super) pending: Vec<Line>,
    /// Oldest first.
    pub(super) invoices: Vec<Invoice>,
}

/// The metered items after a change of one of them.
fn changed(mut specs: Vec<Spec>, change: Option<Change>) -> Vec<Spec> {
    let count = specs.len();
    let is_sold = |price: usize| specs.iter().any(|spec| spec.price == price);
    match change {
        Some(Change::Add(price)) if !is_sold(price) => specs.push(Spec { was: None, price }),
        Some(Change::Price(item, price)) if count > 0 && !is_sold(price) => {
            specs[item % count].price = price;
        }
        Some(Change::Remove(item)) if count > 0 => drop(specs.remove(item % count)),
        _ => {}
    }
    specs
}

impl Model {
    pub(super) fn new(case: &Case, start: i64) -> Self {
        let trial_end = start + case.trial * DAY;
        let next = case.next.clone();
        let mut model = Self {
            mode: case.mode,
            now: start,
            anchor: trial_end,
            period: (start, start),
            trial_end,
            next: next.map(|phase| (start + phase.day * DAY, phase)),
            seats: case.seats,
            debits: Vec::new(),
            metered: Vec::new(),
            events: Vec::new(),
            coupon: case.coupon,
            usage_coupon: None,
            cancels_at_period_end: false,
            ended: false,
            pending: Vec::new(),
            invoices: Vec::new(),
        };
        model.metered = case
            .metered
            .iter()
            .map(|price| model.item(*price))
            .collect();
        model.renew();
        model
    }

    pub(super) fn is_flexible(&self) -> bool {
        self.mode == Mode::FlexibleMeters
    }

    pub(super) fn in_trial(&self) -> bool {
        self.period.0 < self.trial_end
    }

    /// An item that is added now.
    fn item(&self, price: usize) -> Item {
        Item {
            price,
            since: self.now,
            records: Vec::new(),
        }
    }

    /// Does everything that is due until a time. A phase begins before a period that begins at the same time.
    pub(super) fn advance(&mut self, to: i64) {
        while !self.ended {
            let phase = self.next.as_ref().map_or(i64::MAX, |(at, _)| *at);
            let due = phase.min(self.period.1);
            if due > to {
                break;
            }
            self.now = due;
            if phase == due {
                let (_, phase) = self.next.take().expect("due");
                self.enter(&phase);
            } else if self.cancels_at_period_end {
                self.end(true);
            } else {
                self.renew();
            }
        }
        self.now = to;
    }

    /// Bills the period that is over, and begins another. The creation of a subscription does the same without a past
    /// period.
    fn renew(&mut self) {
        let mut lines = std::mem::take(&mut self.pending);
        let begins_trial = self.now < self.trial_end;
        let seats = if begins_trial { 0 } else { SEAT * self.seats };
        lines.push(line(Kind::Seats, seats));
        for item in &self.metered {
            if item.since < self.now {
                lines.extend(self.usage(item));
            } else if !self.is_flexible() {
                // In classic billing, a new item has a line of 0.
                lines.push(line(Kind::Usage, 0));
            }
        }
        let discount = self.invoice(&lines);
        self.period = (self.now, self.end_of_period());
        self.debits = vec![(seats - discount, self.period.0, self.period.1)];
    }

    fn end_of_period(&self) -> i64 {
        let anchor = chrono::DateTime::from_timestamp(self.anchor, 0).expect("a time");
        let months = (0..12).map(|n| (anchor + chrono::Months::new(n)).timestamp());
        let end = months.into_iter().find(|end| *end > self.now);
        end.expect("within a year")
    }

    pub(super) fn act(&mut self, act: Act) {
        if self.ended {
            return;
        }
        match act {
            Act::Report(which, value) => self.report(which, value),
            Act::Update(seats, change, behavior) => {
                let seats = seats.unwrap_or(self.seats);
                let kept = self.kept();
                let specs = changed(kept.clone(), change);
                if seats != self.seats || specs != kept {
                    self.change(seats, &specs, behavior);
                }
            }
            Act::SetCoupon(coupon) => self.coupon = coupon,
            Act::CancelAtPeriodEnd(cancels) => self.cancels_at_period_end = cancels,
            Act::Cancel {
                invoice_now,
                prorate,
            } => {
                if prorate && !self.in_trial() {
                    self.credit_seats();
                } else if !prorate && !invoice_now {
                    self.pending.retain(|line| line.kind != Kind::Proration);
                }
                self.end(invoice_now);
            }
        }
    }

    /// The metered items without a change.
    fn kept(&self) -> Vec<Spec> {
        let items = self.metered.iter().enumerate();
        let kept = items.map(|(index, item)| Spec {
            was: Some(index),
            price: item.price,
        });
        kept.collect()
    }

    fn report(&mut self, which: usize, value: i64) {
        if self.mode != Mode::Records {
            self.events.push((which % METERS.len(), self.now, value));
        } else if !self.metered.is_empty() {
            let index = which % self.metered.len();
            self.metered[index].records.push((self.now, value.abs()));
        }
    }

    /// Ends the subscription. The last invoice has the pending amounts and all usage.
    fn end(&mut self, has_invoice: bool) {
        self.ended = true;
        if has_invoice {
            let mut lines = std::mem::take(&mut self.pending);
            for item in &self.metered {
                lines.extend(self.usage(item));
            }
            self.invoice(&lines);
        }
    }

    /// The next phase of the schedule begins. Items with the same prices stay.
    fn enter(&mut self, phase: &Phase) {
        let position_of = |price: usize| self.metered.iter().position(|item| item.price == price);
        let specs = phase.metered.iter().map(|price| Spec {
            was: position_of(*price),
            price: *price,
        });
        let specs: Vec<Spec> = specs.collect();
        if !self.is_flexible() {
            // The usage of items that the phase does not have is invoiced separately. Stripe does not document the case
            // without usage: assumed to be an invoice of 0.
            let lines: Vec<Line> = self
                .ended(&specs)
                .flat_map(|item| self.usage(item))
                .collect();
            self.invoice(&lines);
        } else if self.now == self.period.1 {
            // The single invoice of the renewal applies the discount of the previous phase to usage.
            self.usage_coupon = Some(PhaseCoupon(self.coupon));
        }
        // Stripe does not document the discount of usage if a phase ends within a period: assumed to be that of the
        // invoice.
        self.coupon = phase.coupon;
        self.change(phase.seats, &specs, phase.behavior);
    }

    fn change(&mut self, seats: i64, specs: &[Spec], behavior: Behavior) {
        // At a period's end nothing is prorated, and everything goes on the renewal's invoice.
        let at_end = self.now == self.period.1;
        let prorates = behavior != Behavior::None;
        if self.is_flexible() && (prorates || at_end) {
            // Usage until now becomes an invoice item when its price ends. Stripe does not document the case without
            // usage: assumed to be nothing.
            let used = self.ended(specs).filter(|item| self.counted(item) > 0);
            let lines: Vec<Line> = used.flat_map(|item| self.usage(item)).collect();
            self.pending.extend(lines);
        }
        if seats != self.seats && prorates && !at_end {
            if !self.in_trial() {
                self.credit_seats();
                self.charge_seats(seats);
            } else if self.is_flexible() {
                // A change in a trial has a line, which is free.
                self.pending.push(line(Kind::Seats, 0));
            }
        }
        self.seats = seats;
        self.metered = specs.iter().map(|spec| self.after(*spec)).collect();
        if behavior == Behavior::AlwaysInvoice && !at_end {
            // In classic billing, a change in a trial has no invoice.
            if self.in_trial() && !self.is_flexible() {
                return;
            }
            let mut lines = std::mem::take(&mut self.pending);
            if !self.is_flexible() {
                let new = specs.iter().filter(|spec| spec.was.is_none());
                lines.extend(new.map(|_| line(Kind::Usage, 0)));
            }
            self.invoice(&lines);
        }
    }

    /// The item after a change.
    fn after(&self, spec: Spec) -> Item {
        let new = self.item(spec.price);
        let Some(was) = spec.was.map(|index| &self.metered[index]) else {
            return new;
        };
        let is_same = was.price == spec.price;
        Item {
            since: if is_same { was.since } else { new.since },
            records: was.records.clone(),
            ..new
        }
    }

    /// The items whose price ends.
    fn ended(&self, specs: &[Spec]) -> impl Iterator<Item = &Item> {
        let stays = |index: usize, item: &Item| {
            let mut specs = specs.iter();
            specs.any(|spec| spec.was == Some(index) && spec.price == item.price)
        };
        let items = self.metered.iter().enumerate();
        items
            .filter(move |(index, item)| !stays(*index, item))
            .map(|(_, item)| item)
    }

    /// The amounts that are on no invoice yet.
    pub(super) fn waiting(&self) -> Vec<i64> {
        sorted(&self.pending)
    }
}
