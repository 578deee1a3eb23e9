//! Random lists of operations on one org whose features all have a price. A small model says what the org has used and
//! what Stripe bills. Levels move with plan changes and with purchases, and are billed once, by the plan in force at
//! the end of a period.

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::json;

use super::{MINUTE, WithLedger, ledger_metric};
use crate::harness::DAY;
use crate::owed::owed;

/// How many lists there are, and how many operations each has.
const LISTS: usize = 10;
const LENGTH: usize = 12;

/// The features of both plans, with each plan's price in cents.
const FEATURES: [(&str, [i64; 2]); 4] = [
    ("calls", [2, 3]),
    ("peak", [10, 20]),
    ("level", [100, 200]),
    ("disk", [1000, 2000]),
];
const CALLS: usize = 0;
const PEAK: usize = 1;
const LEVEL: usize = 2;
const DISK: usize = 3;

/// The items of a subscription, as parameter names.
const ITEMS: [&str; 4] = [
    "items[0][price]",
    "items[1][price]",
    "items[2][price]",
    "items[3][price]",
];

#[derive(Clone, Copy, Debug)]
enum Op {
    /// Adds usage to a feature. A negative number is a refund.
    Add(usize, i64),
    Clobber(usize, i64),
    Deliver,
    /// Changes to the other plan, from now on.
    Change,
    /// Buys the other plan in a subscription of its own.
    Buy,
    /// Lets the period end.
    Renew,
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    let feature = || 0..FEATURES.len();
    prop_oneof![
        5 => (feature(), 0..20_i64).prop_map(|(feature, n)| Op::Add(feature, n)),
        2 => (feature(), -5..0_i64).prop_map(|(feature, n)| Op::Add(feature, n)),
        2 => (feature(), 0..20_i64).prop_map(|(feature, n)| Op::Clobber(feature, n)),
        2 => Just(Op::Deliver),
        2 => Just(Op::Change),
        1 => Just(Op::Buy),
        1 => Just(Op::Renew),
        1 => Just(Op::Restart),
    ]
}

/// What the model knows of the org.
#[derive(Clone, Debug, Default)]
struct Model {
    plan: usize,
    /// The usage of each feature in this period. For calls, only the usage on the present plan.
    used: [i64; 4],
    /// This period's calls on earlier plans, which no report can lower.
    before: i64,
    /// For which features no usage has been delivered to Stripe in this period with this plan.
    untold: [bool; 4],
    /// What the org owes, in cents.
    owed: i64,
}

impl Model {
    fn price(&self, feature: usize) -> i64 {
        FEATURES[feature].1[self.plan]
    }

    /// The usage in `/v1/limits`.
    fn limit(&self, feature: usize) -> i64 {
        match feature {
            CALLS => self.used[CALLS] + self.before,
            _ => self.used[feature],
        }
    }

    /// Applies a report. Returns whether the report is accepted.
    fn report(&mut self, feature: usize, n: i64, clobbers: bool) -> bool {
        let used = self.used[feature];
        let after = match feature {
            CALLS if clobbers => n - self.before,
            _ if clobbers => n,
            _ if n < 0 => used + n,
            CALLS => used + n,
            PEAK => used.max(n),
            _ => n,
        };
        if after < 0 {
            return false;
        }
        if feature == CALLS {
            self.owed += (after - used) * self.price(CALLS);
        }
        self.used[feature] = after;
        self.untold[feature] = true;
        true
    }

    fn change(&mut self) {
        self.plan = 1 - self.plan;
        self.before += std::mem::take(&mut self.used[CALLS]);
        self.untold = [false; 4];
    }

    /// Bills these levels, and begins a new period.
    fn bill(&mut self, levels: &[usize]) {
        for feature in levels {
            self.owed += self.used[*feature] * self.price(*feature);
        }
        self.used = [0, 0, 0, self.used[DISK]];
        self.before = 0;
        self.untold = [false; 4];
    }
}

struct Run {
    app: WithLedger,
    org: String,
    model: Model,
}

impl Run {
    async fn step(&mut self, op: Op) {
        match op {
            Op::Add(feature, n) => self.report(feature, n, false).await,
            Op::Clobber(feature, n) => self.report(feature, n, true).await,
            Op::Deliver => self.deliver().await,
            Op::Change => {
                self.before_change().await;
                self.model.change();
                let plan = format!("plan:pro@{}", self.model.plan + 1);
                self.app.subscribe(&self.org, &[&plan]).await;
                self.app.settled().await;
            }
            Op::Buy => {
                self.before_change().await;
                self.buy().await;
                self.model.bill(&[PEAK, LEVEL]);
                self.model.plan = 1 - self.model.plan;
            }
            Op::Renew => {
                self.deliver().await;
                let path = format!("/v1/subscriptions?customer={}", self.customer().await);
                let subscription = self.app.stripe_get(&path).await["data"][0].clone();
                let end = subscription["current_period_end"].as_i64();
                self.app.set_clock(end.expect("a time"));
                self.model.bill(&[PEAK, LEVEL, DISK]);
            }
            Op::Restart => self.app.settled().await,
        }
        self.app.advance(MINUTE);
    }

    async fn report(&mut self, feature: usize, n: i64, clobbers: bool) {
        let body = json!({"org": self.org, "feature": name(feature), "n": n, "clobber": clobbers});
        let answer = self.app.post_json("/v1/report", &body).await;
        if self.model.report(feature, n, clobbers) {
            answer.ok();
        } else {
            answer.fails(400, "invalid_request");
        }
    }

    async fn deliver(&mut self) {
        let refused = self.app.deliver_all().await;
        assert_eq!(refused, 0, "Stripe accepts everything");
        self.model.untold = [false; 4];
    }

    /// Delivers usage before a plan change. A server waits until the second has ended in which it first delivered an
    /// item's usage, but no time passes in this test while it waits.
    async fn before_change(&mut self) {
        if self.model.untold.contains(&true) {
            self.deliver().await;
        }
    }

    async fn buy(&self) {
        let plan = 2 - self.model.plan;
        let mut params = vec![
            ("customer", self.customer().await),
            ("metadata[tier.subscription]", "default".to_owned()),
        ];
        for (item, (feature, _)) in std::iter::zip(ITEMS, FEATURES) {
            let path = format!("/v1/prices?lookup_keys[]=tier__feature-{feature}-plan-pro-{plan}");
            let found = self.app.stripe_get(&path).await;
            let price = found["data"][0]["id"].as_str().expect("an id");
            params.push((item, price.to_owned()));
        }
        let params: Vec<_> = params
            .iter()
            .map(|(name, value)| (*name, &**value))
            .collect();
        self.app.stripe_post("/v1/subscriptions", &params).await;
        let path = format!("/v1/limits?org={}", self.org);
        let fresh = [("cache-control", "no-cache")];
        self.app.get_with(&path, &fresh).await.ok();
        self.app.settled().await;
        self.app.get_with(&path, &fresh).await.ok();
    }

    async fn customer(&self) -> String {
        let path = format!("/v1/whois?org={}", self.org);
        let found = self.app.get(&path).await.ok().json();
        found["stripe_id"].as_str().expect("an id").to_owned()
    }

    async fn compare(&self) {
        let limits = self.app.limits(&self.org).await;
        for feature in 0..FEATURES.len() {
            let row = limits.iter().find(|row| row.0 == name(feature));
            let used = row.expect("it is granted").1;
            assert_eq!(used, self.model.limit(feature), "{}", name(feature));
        }
    }

    /// Ends the subscription, and compares what Stripe has billed with the model.
    async fn finish(&mut self) {
        self.deliver().await;
        self.app.advance(MINUTE);
        let end = json!({"org": self.org, "phases": [{}]});
        self.app.post_json("/v1/subscribe", &end).await.ok();
        self.app.settled().await;
        self.model.bill(&[PEAK, LEVEL, DISK]);
        self.app.advance(DAY);
        let billed = owed(&self.app, Some(&self.customer().await)).await;
        assert_eq!(billed, self.model.owed, "cents");
        self.app.advance(32 * DAY);
        for name in ["undelivered", "parked", "differences_total"] {
            assert_eq!(ledger_metric(&self.app, name).await, 0, "{name}");
        }
    }
}

fn name(feature: usize) -> String {
    format!("feature:{}", FEATURES[feature].0)
}

#[tokio::test]
async fn what_is_used_is_billed_wherever_levels_move() {
    run_lists(WithLedger::start().await, op()).await;
}

/// The same with meters. Purchases are left out here, since this test makes them as classic subscriptions.
#[tokio::test]
async fn what_is_used_is_billed_by_meters_wherever_levels_move() {
    let op = op().prop_filter("not here", |op| !matches!(op, Op::Buy));
    run_lists(WithLedger::on_meters().await, op).await;
}

async fn run_lists(mut app: WithLedger, op: impl Strategy<Value = Op>) {
    let mut runner = TestRunner::deterministic();
    let lists = prop::collection::vec(op, LENGTH);
    for number in 0..LISTS {
        let list = lists.new_tree(&mut runner).expect("a list").current();
        let org = format!("org:levels-{number}");
        app.subscribe(&org, &["plan:pro@1"]).await;
        app.advance(MINUTE);
        let mut run = Run {
            app,
            org,
            model: Model::default(),
        };
        for op in &list {
            run.step(*op).await;
            if let Op::Restart = op {
                run.app = run.app.restarted().await;
            }
            run.compare().await;
        }
        run.finish().await;
        app = run.app;
    }
}
