//! Any sequence of calls: the sandbox never fails, refusals change nothing, and the invariants hold.

mod ops;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::Value;

use self::ops::{Op, op, rows};
use super::Api;

const DAY: i64 = 86_400;
const SCHEDULES: &str = "/v1/subscription_schedules";
const INVOICES: &str = "/v1/invoices";
const CLOCKS: &str = "/v1/test_helpers/test_clocks";

/// All objects, by list.
type Dump = BTreeMap<String, Vec<Value>>;

async fn list(api: &Api, path: &str, limit: usize) -> Vec<Value> {
    let joint = if path.contains('?') { '&' } else { '?' };
    let mut rows: Vec<Value> = Vec::new();
    loop {
        let after = rows.last().map_or(String::new(), |last| {
            format!("&starting_after={}", last["id"].as_str().expect("an id"))
        });
        let mut page = api
            .get(&format!("{path}{joint}limit={limit}{after}"))
            .await
            .ok();
        let Value::Array(data) = page["data"].take() else {
            panic!("{page}")
        };
        rows.extend(data);
        if page["has_more"] == false {
            return rows;
        }
    }
}

async fn dump(api: &Api, limit: usize) -> Dump {
    let mut dump = Dump::new();
    let mut paths = vec![
        "/v1/customers".to_owned(),
        "/v1/subscriptions?status=all".to_owned(),
    ];
    for clock in list(api, CLOCKS, limit).await {
        let id = clock["id"].as_str().expect("an id");
        paths.push(format!("/v1/customers?test_clock={id}"));
        paths.push(format!("/v1/subscriptions?status=all&test_clock={id}"));
    }
    let plain = [
        "products",
        "prices",
        "coupons",
        "invoices",
        "subscription_schedules",
        "events",
        "test_helpers/test_clocks",
    ];
    paths.extend(plain.map(|name| format!("/v1/{name}")));
    for path in paths {
        let rows = list(api, &path, limit).await;
        if path.contains("customers?test_clock") {
            // Objects on a clock are listed only by their customer.
            for id in rows.iter().map(|row| row["id"].as_str().expect("an id")) {
                for name in [SCHEDULES, INVOICES] {
                    let path = format!("{name}?customer={id}");
                    let rows = list(api, &path, limit).await;
                    dump.insert(path, rows);
                }
            }
        }
        dump.insert(path, rows);
    }
    dump
}

/// The invariants.
fn check(state: &Dump) {
    let mut ids = BTreeSet::new();
    let mut schedules = BTreeMap::new();
    for (path, rows) in state {
        for row in rows {
            assert!(
                ids.insert(row["id"].as_str().expect("an id")),
                "twice in {path}: {row}"
            );
        }
    }
    for schedule in rows(state, SCHEDULES) {
        if schedule["status"] == "active" {
            let of = schedule["subscription"]
                .as_str()
                .expect("an active schedule has a subscription");
            let other = schedules.insert(of.to_owned(), schedule["id"].clone());
            assert_eq!(other, None, "two schedules of {of}");
        }
    }
    for row in rows(state, "/v1/subscriptions") {
        let id = row["id"].as_str().expect("an id");
        let schedule = schedules.get(id).cloned().unwrap_or_default();
        if row["status"] == "canceled" {
            assert_eq!(schedule, Value::Null, "a schedule outlives {row}");
        } else {
            assert_eq!(row["schedule"], schedule, "{row}");
        }
        assert!(
            row["current_period_start"].as_i64() < row["current_period_end"].as_i64(),
            "{row}"
        );
    }
    for invoice in rows(state, INVOICES) {
        let lines = invoice["lines"]["data"].as_array().expect("lines");
        let sum: i64 = lines
            .iter()
            .filter_map(|line| line["amount"].as_i64())
            .sum();
        if invoice["lines"]["has_more"] == false {
            assert_eq!(invoice["subtotal"], sum, "{invoice}");
        }
    }
}

/// Setup calls, so that most random calls find their objects.
const BEGINNING: &[(&str, &str)] = &[
    ("/v1/coupons", "id=c1&percent_off=50&duration=forever"),
    (
        "/v1/prices",
        "currency=usd&product_data[name]=N&recurring[interval]=month&unit_amount=1000",
    ),
    (
        "/v1/prices",
        "currency=usd&product_data[name]=M&recurring[interval]=month&recurring[usage_type]=metered&unit_amount=3",
    ),
    ("/v1/customers", "payment_method=pm_card_us"),
    (CLOCKS, "frozen_time=1577750400"),
];

async fn play(ops: Vec<Op>) {
    let api = Api::start().await;
    for (path, form) in BEGINNING {
        api.post(path, form).await.ok();
    }
    let mut state = dump(&api, 100).await;
    for op in ops {
        let (method, path, form) = op.call(&state);
        if let Op::Pass(days) = op {
            let clock = api.sandbox().clock();
            clock.set(clock.unix() + days * DAY);
        }
        let reply = api.send(method, &path, &form).await;
        let status = reply.status.as_u16();
        assert!(status < 500, "{method} {path} {form}: {}", reply.body);
        let after = dump(&api, 100).await;
        if status >= 400 {
            assert_eq!(after, state, "{method} {path} {form}: {}", reply.body);
        }
        check(&after);
        state = after;
    }
    assert_eq!(
        dump(&api, 3).await,
        state,
        "lists are the same in small pages"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_calls_keep_the_invariants(ops in prop::collection::vec(op(), 1..50)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(play(ops));
    }
}
