//! `tier ledger verify`.

use serde_json::Value;
use tier::billing::CLASSIC;
use tier::ledger::state::{Outcome, TotalId};
use tier::ledger::values::{Period, Target, Time};

use super::super::{Place, json};
use super::{Written, get, some_usage, target};
use crate::binary::KEY;
use crate::shop;

#[tokio::test]
async fn verify_finds_a_changed_row_without_a_stripe_key() {
    let place = Place::offline();
    let written = Written::open(&place, "acct_1:test");
    some_usage(&written).await;
    written.close();
    let verify = || {
        let verify = place.tier(&["ledger", "verify", "--ledger", "tier.db"]);
        verify.without("STRIPE_API_KEY").end()
    };
    let sound = verify().await;
    assert_eq!(sound.code, Some(0), "{sound:?}");
    assert_eq!(
        sound.stdout,
        "3 entries and 2 totals verified: 0 problems\n"
    );
    assert!(sound.stderr.contains("no Stripe key"), "{sound:?}");
    let quiet = place.tier(&["ledger", "verify", "--ledger", "tier.db", "--offline"]);
    assert_eq!(quiet.ok().await, sound.stdout);

    let raw = rusqlite::Connection::open(place.path().join("tier.db")).expect("a file");
    raw.execute("UPDATE totals SET n = n + 1 WHERE id = 2", [])
        .expect("a change");
    drop(raw);
    let changed = verify().await;
    assert_eq!(changed.code, Some(1), "{changed:?}");
    assert!(
        changed.stdout.contains("is not as it was written"),
        "{changed:?}"
    );
    assert!(
        changed.stdout.ends_with("verified: 1 problem\n"),
        "{changed:?}"
    );
}

#[tokio::test]
async fn verify_compares_sent_totals_with_stripe() {
    let place = Place::pushed().await;
    place
        .tier(&["subscribe", "org:acme", "plan:free@1"])
        .ok()
        .await;
    let stripe = shop::client(place.sandbox(), KEY, 0);
    let account = get(&stripe, "/v1/account").await["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let subscription = get(&stripe, "/v1/subscriptions").await["data"][0].clone();
    let item = subscription["items"]["data"][0]["id"]
        .as_str()
        .expect("an item");
    let seconds = |name: &str| Time::from_seconds(subscription[name].as_i64().expect("a time"));
    let period = Period {
        start: seconds("current_period_start"),
        end: seconds("current_period_end"),
    };
    let written = Written::open(&place, &format!("{account}:test"));
    let now = period.start.plus(10_000);
    let target = Target {
        period,
        item_start: period.start,
        item_end: None,
        since: Time::default(),
        ..target("org:acme", item)
    };
    written.report(target, 5, now, None).await;
    let sealed = written.deliver(now, Outcome::Done).await;
    assert_eq!(
        (sealed.sets[0].total, sealed.sets[0].quantity),
        (TotalId(1), 5)
    );
    let verify = || {
        place
            .tier(&["ledger", "verify", "--ledger", "tier.db", "--json"])
            .end()
    };
    // Stripe's answer said that the usage was recorded, but Stripe does not have it.
    let lost = verify().await;
    let found = json(&lost.stdout);
    assert_eq!(lost.code, Some(1), "{lost:?}");
    let text = "total 1, feature:convert of org:acme: Stripe has 0, but was sent 5";
    assert_eq!(found["stripe"]["differences"], serde_json::json!([text]));

    let timestamp = sealed.sets[0].timestamp;
    let record = async |action: &str, quantity, timestamp| {
        let path = ("/v1/subscription_items/*/usage_records", item);
        let request = stripe.post(CLASSIC, path).param("action", action);
        let request = request
            .param("quantity", quantity)
            .param("timestamp", timestamp);
        let _: Value = request.send().await.expect("the usage is recorded");
    };
    record("set", 5, timestamp).await;
    let same = verify().await;
    assert_eq!(same.code, Some(0), "{same:?}");
    assert_eq!(json(&same.stdout)["stripe"]["compared"], 1);

    record("increment", 2, timestamp + 1).await;
    let others = verify().await;
    assert_eq!(others.code, Some(0), "{others:?}");
    let note = json(&others.stdout)["stripe"]["notes"][0].to_string();
    assert!(
        note.contains("Stripe has 7, of which others recorded 2"),
        "{note}"
    );
    written.close();

    let place = Place::start().await;
    Written::open(&place, "acct_other:test").close();
    let other = place
        .tier(&["ledger", "verify", "--ledger", "tier.db"])
        .fault()
        .await;
    assert!(other.contains("belongs to acct_other:test"), "{other}");
}
