//! Random lists of requests about one org, on two threads. Some interleaving of the two lists must explain every
//! answer, the limits, and what Stripe bills.

use std::collections::HashSet;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{MINUTE, WithLedger};
use crate::harness::TestApp;

/// How many pairs of lists there are, and how many requests each list has.
const PAIRS: usize = 25;
const LENGTH: usize = 6;

const LIMIT: i64 = 20;

/// A request. Each thread numbers its reservations in the order in which they are made.
#[derive(Clone, Copy, Debug)]
enum Op {
    Add(i64),
    Clobber(i64),
    Reserve(i64),
    ReserveAndCommit(i64),
    Commit(usize, Option<i64>),
    Release(usize),
}

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Told {
    Done,
    Refused,
    /// The reservation is granted. The usage includes it.
    Granted(i64),
    /// The reservation is refused. The usage does not include it.
    Full(i64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (0..9_i64).prop_map(Op::Add),
        2 => (-6..0_i64).prop_map(Op::Add),
        1 => (0..LIMIT).prop_map(Op::Clobber),
        4 => (1..9_i64).prop_map(Op::Reserve),
        1 => (1..9_i64).prop_map(Op::ReserveAndCommit),
        3 => (0..3_usize, prop::option::of(0..9_i64)).prop_map(|(number, n)| Op::Commit(number, n)),
        1 => (0..3_usize).prop_map(Op::Release),
    ]
}

/// Sends a list. The result has `None` for a request that is not sent because its reservation was not granted.
async fn send(app: TestApp, org: String, list: Vec<Op>) -> Vec<Option<Told>> {
    let mut ids = Vec::new();
    let mut told = Vec::new();
    for op in list {
        let usage = |n: i64| json!({"org": org, "feature": "feature:calls", "n": n});
        let with = |mut body: Value, field: &str| {
            body[field] = true.into();
            body
        };
        let id = |number: usize| ids.get(number).cloned();
        let (path, body) = match op {
            Op::Add(n) => ("/v1/report", Some(usage(n))),
            Op::Clobber(n) => ("/v1/report", Some(with(usage(n), "clobber"))),
            Op::Reserve(n) => ("/v1/reserve", Some(usage(n))),
            Op::ReserveAndCommit(n) => ("/v1/reserve", Some(with(usage(n), "commit"))),
            Op::Commit(number, n) => {
                let body = id(number).map(|id: Value| json!({"id": id, "n": n}));
                ("/v1/reserve/commit", body)
            }
            Op::Release(number) => (
                "/v1/reserve/release",
                id(number).map(|id: Value| json!({"id": id})),
            ),
        };
        let Some(body) = body else {
            told.push(None);
            continue;
        };
        let answer = app.post_json(path, &body).await;
        told.push(Some(match answer.status.as_u16() {
            400 | 409 => Told::Refused,
            200 if path == "/v1/reserve" => {
                let answer = answer.json();
                let used = answer["used"].as_i64().expect("a figure");
                if answer["granted"] == true {
                    if let Op::Reserve(_) = op {
                        ids.push(answer["id"].clone());
                    }
                    Told::Granted(used)
                } else {
                    Told::Full(used)
                }
            }
            _ => {
                answer.ok();
                Told::Done
            }
        }));
    }
    told
}

/// The state after some of the requests. A reservation is either held, or has ended with this number of units.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Model {
    total: i64,
    reserved: [Vec<(i64, Option<i64>)>; 2],
}

impl Model {
    fn held(&self) -> i64 {
        let all = self.reserved.iter().flatten();
        let held = all.filter(|(_, ended)| ended.is_none());
        held.map(|(n, _)| n).sum()
    }

    fn apply(&mut self, thread: usize, op: Op) -> Told {
        let used = self.total + self.held();
        match op {
            Op::Add(n) if self.total + n < 0 => return Told::Refused,
            Op::Add(n) => self.total += n,
            Op::Clobber(n) => self.total = n,
            Op::Reserve(n) | Op::ReserveAndCommit(n) if used + n > LIMIT => {
                return Told::Full(used);
            }
            Op::Reserve(n) => {
                self.reserved[thread].push((n, None));
                return Told::Granted(used + n);
            }
            Op::ReserveAndCommit(n) => {
                self.total += n;
                return Told::Granted(used + n);
            }
            Op::Commit(number, n) => {
                let one = &mut self.reserved[thread][number];
                let units = n.unwrap_or(one.0);
                match one.1 {
                    // A released reservation has -1 units.
                    Some(done) if done < 0 || n.is_some_and(|n| n != done) => return Told::Refused,
                    Some(_) => {}
                    None if units > one.0 => return Told::Refused,
                    None => {
                        one.1 = Some(units);
                        self.total += units;
                    }
                }
            }
            Op::Release(number) => {
                let one = &mut self.reserved[thread][number];
                match one.1 {
                    Some(-1) => {}
                    Some(_) => return Told::Refused,
                    None => one.1 = Some(-1),
                }
            }
        }
        Told::Done
    }
}

/// All states that the two lists and their answers allow in the end.
fn explanations(lists: &[Vec<Op>; 2], told: &[Vec<Option<Told>>; 2]) -> HashSet<Model> {
    let mut reached = HashSet::from([([0, 0], Model::default())]);
    let mut ends = HashSet::new();
    while !reached.is_empty() {
        let mut next = HashSet::new();
        for (places, model) in reached {
            if places == [lists[0].len(), lists[1].len()] {
                ends.insert(model);
                continue;
            }
            for (thread, place) in places.into_iter().enumerate() {
                let (Some(op), Some(told)) = (lists[thread].get(place), told[thread].get(place))
                else {
                    continue;
                };
                let mut places = places;
                places[thread] += 1;
                let mut model = model.clone();
                if told.is_none_or(|told| model.apply(thread, *op) == told) {
                    next.insert((places, model));
                }
            }
        }
        reached = next;
    }
    ends
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_to_concurrent_requests_are_linearizable() {
    let app = WithLedger::start().await;
    app.push(&json!({"plans": {"plan:limited@1": {"features": {
        "feature:calls": {"tiers": [{"upto": LIMIT, "price": 1}]}}}}}))
        .await;
    let mut runner = TestRunner::deterministic();
    let list = prop::collection::vec(op(), LENGTH);
    for pair in 0..PAIRS {
        let org = format!("org:{pair}");
        app.subscribe(&org, &["plan:limited@1"]).await;
        app.advance(MINUTE);
        app.limits(&org).await;
        let lists: [Vec<Op>; 2] =
            std::array::from_fn(|_| list.new_tree(&mut runner).expect("a list").current());
        let mut threads = JoinSet::new();
        for (thread, list) in lists.clone().into_iter().enumerate() {
            let answers = send(app.app.clone(), org.clone(), list);
            threads.spawn(async move { (thread, answers.await) });
        }
        let mut told = [Vec::new(), Vec::new()];
        for (thread, answers) in threads.join_all().await {
            told[thread] = answers;
        }
        let used = app.limits(&org).await[0].1;
        let mut ends = explanations(&lists, &told);
        ends.retain(|end| end.total + end.held() == used);
        assert!(
            !ends.is_empty(),
            "no order explains {told:?} and {used} used, for {lists:?}"
        );
        app.deliver_all().await;
        let total = upcoming(&app, &org).await;
        assert!(
            ends.iter().any(|end| end.total == total),
            "Stripe bills {total}, expected {ends:?}"
        );
    }
}

/// The amount of the org's upcoming invoice, in cents.
async fn upcoming(app: &TestApp, org: &str) -> i64 {
    let found = app.get(&format!("/v1/whois?org={org}")).await.ok().json();
    let customer = found["stripe_id"].as_str().expect("an id").to_owned();
    let path = format!("/v1/invoices/upcoming?customer={customer}");
    app.stripe_get(&path).await["total"]
        .as_i64()
        .expect("cents")
}
