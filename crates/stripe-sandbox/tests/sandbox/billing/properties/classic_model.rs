//! A naive model of classic billing: one subscription with licensed prices and a coupon. It shares no code with the
//! sandbox.

use super::super::START;

/// The monthly amounts of the prices.
pub(super) const PRICES: [i64; 4] = [3100, 997, 0, 2000];
pub(super) const COUPONS: [(&str, Coupon); 6] = [
    ("percent_off=50", Coupon::Percent(50, Lasting::Forever)),
    ("percent_off=100", Coupon::Percent(100, Lasting::Forever)),
    (
        "amount_off=700&currency=usd",
        Coupon::Amount(700, Lasting::Forever),
    ),
    (
        "amount_off=5000&currency=usd",
        Coupon::Amount(5000, Lasting::Forever),
    ),
    (
        "percent_off=33&duration=once",
        Coupon::Percent(33, Lasting::Once),
    ),
    (
        "percent_off=20&duration=repeating&duration_in_months=1",
        Coupon::Percent(20, Lasting::Month),
    ),
];

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Coupon {
    Percent(i64, Lasting),
    Amount(i64, Lasting),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Lasting {
    Forever,
    Once,
    Month,
}

impl Coupon {
    fn lasting(self) -> Lasting {
        match self {
            Self::Percent(_, lasting) | Self::Amount(_, lasting) => lasting,
        }
    }

    /// The discount on an amount, rounded half up.
    fn off(self, amount: i64) -> i64 {
        match self {
            Self::Percent(percent, _) => (2 * amount * percent + 100) / 200,
            Self::Amount(cents, _) => cents.min(amount),
        }
    }
}

/// The change of the coupon in a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum NewCoupon {
    Keep,
    Remove,
    /// Its index in [`COUPONS`].
    Set(usize),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Item {
    pub(super) id: Option<String>,
    pub(super) price: usize,
    pub(super) quantity: i64,
}

impl Item {
    fn cost(&self) -> i64 {
        PRICES[self.price] * self.quantity
    }
}

/// The discount of the subscription, with its end.
type Discount = Option<(Coupon, i64)>;

/// The subscription in the model.
#[derive(Debug)]
pub(super) struct Model {
    now: i64,
    anchor: i64,
    period: (i64, i64),
    pub(super) items: Vec<Item>,
    discount: Discount,
    /// The discount of the running period's charges, if the discounts have not changed since.
    charged: Discount,
    /// As on the next invoice.
    pending: Vec<i64>,
    /// Lines and total, oldest first.
    pub(super) invoices: Vec<(Vec<i64>, i64)>,
}

fn months_after(anchor: i64, months: u32) -> i64 {
    let anchor = chrono::DateTime::from_timestamp(anchor, 0).expect("a time");
    (anchor + chrono::Months::new(months)).timestamp()
}

impl Model {
    pub(super) fn new(items: Vec<Item>) -> Self {
        let mut model = Self {
            now: START,
            anchor: START,
            period: (START, START),
            items,
            discount: None,
            charged: None,
            pending: Vec::new(),
            invoices: Vec::new(),
        };
        model.begin();
        model
    }

    fn in_force(&self) -> Option<Coupon> {
        let (coupon, end) = self.discount?;
        (self.now < end).then_some(coupon)
    }

    /// Begins a period now, charges it in advance, and includes all pending items.
    fn begin(&mut self) {
        let end = (1..1000)
            .map(|n| months_after(self.anchor, n))
            .find(|end| *end > self.now);
        self.period = (self.now, end.expect("an end"));
        let costs: Vec<i64> = self.items.iter().map(Item::cost).collect();
        let waiting: i64 = self.pending.iter().sum();
        let whole: i64 = costs.iter().sum();
        let discount = self.in_force().map_or(0, |coupon| coupon.off(whole));
        let discount = discount.min(waiting + whole).max(0);
        self.charged = self.discount.filter(|_| self.in_force().is_some());
        let once = self
            .in_force()
            .is_some_and(|coupon| coupon.lasting() == Lasting::Once);
        if once && discount > 0 {
            self.discount = None;
        }
        let lines: Vec<i64> = std::mem::take(&mut self.pending)
            .into_iter()
            .chain(costs)
            .collect();
        let total = waiting + whole - discount;
        self.invoices.push((lines, total));
    }

    pub(super) fn advance(&mut self, to: i64) {
        while self.period.1 <= to {
            self.now = self.period.1;
            self.begin();
        }
        self.now = to;
    }

    /// The share of an amount for the rest of the period, in cents, rounded down.
    fn rest(&self, amount: i64) -> i64 {
        let (start, end) = self.period;
        (i128::from(amount) * i128::from(end - self.now))
            .div_euclid(i128::from(end - start))
            .try_into()
            .expect("small")
    }

    /// The discount of a charge or a credit.
    fn prorated_with(&self, credit: bool) -> Option<Coupon> {
        let used = self.charged.filter(|(coupon, end)| {
            credit && (coupon.lasting() == Lasting::Once || *end <= self.now)
        });
        let lasting = self
            .in_force()
            .filter(|coupon| coupon.lasting() != Lasting::Once);
        used.map(|(coupon, _)| coupon).or(lasting)
    }

    fn credit(&self, item: &Item) -> i64 {
        let off = self
            .prorated_with(true)
            .map_or(0, |coupon| coupon.off(item.cost()));
        self.rest(-(item.cost() - off))
    }

    fn charge(&self, item: &Item) -> i64 {
        let off = self
            .prorated_with(false)
            .map_or(0, |coupon| coupon.off(item.cost()));
        self.rest(item.cost() - off)
    }

    pub(super) fn update(&mut self, items: Vec<Item>, coupon: NewCoupon, prorate: &str) {
        match coupon {
            NewCoupon::Keep => {}
            NewCoupon::Remove => (self.discount, self.charged) = (None, None),
            NewCoupon::Set(index) => {
                let coupon = COUPONS[index].1;
                let end = match coupon.lasting() {
                    Lasting::Month => months_after(self.now, 1),
                    Lasting::Forever | Lasting::Once => i64::MAX,
                };
                (self.discount, self.charged) = (Some((coupon, end)), None);
            }
        }
        let before = std::mem::replace(&mut self.items, items);
        let free = |items: &[Item]| items.iter().all(|item| PRICES[item.price] == 0);
        let restart = free(&before) && !free(&self.items);
        let gone = before
            .iter()
            .filter(|old| restart || !self.items.contains(old));
        let come = self
            .items
            .iter()
            .filter(|new| !restart && !before.contains(new));
        let credits = gone.map(|item| self.credit(item));
        let lines: Vec<i64> = credits.chain(come.map(|item| self.charge(item))).collect();
        let lines = if prorate == "none" { Vec::new() } else { lines };
        let waiting = std::mem::replace(&mut self.pending, lines);
        let at_once = prorate == "always_invoice";
        if restart {
            if !at_once {
                self.pending.extend(&waiting);
            }
            self.anchor = self.now;
            self.begin();
            if at_once {
                self.pending = waiting;
            }
            return;
        }
        self.pending.extend(waiting);
        if at_once && !self.pending.is_empty() {
            self.invoice_pending();
        }
    }

    fn invoice_pending(&mut self) {
        let lines = std::mem::take(&mut self.pending);
        let total = lines.iter().sum();
        self.invoices.push((lines, total));
    }

    pub(super) fn cancel(&mut self) {
        let credits: Vec<i64> = self.items.iter().map(|item| self.credit(item)).collect();
        let waiting = std::mem::replace(&mut self.pending, credits);
        self.pending.extend(waiting);
        self.invoice_pending();
    }
}
