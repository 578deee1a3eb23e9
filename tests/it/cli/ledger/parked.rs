//! `tier ledger parked`, `retry` and `write-off`.

use testing::time::until;

use super::super::{Place, cells, json};
use super::{HOUR, START, Written, get, gone, some_usage};
use crate::binary::KEY;
use crate::shop;

#[tokio::test]
async fn parked_usage_is_retried_and_written_off() {
    let place = Place::pushed().await;
    let stripe = shop::client(place.sandbox(), KEY, 0);
    let account = get(&stripe, "/v1/account").await["id"].clone();
    let account = account.as_str().expect("an id");
    let written = Written::open(&place, &format!("{account}:test"));
    some_usage(&written).await;
    written.deliver(START.plus(24 * HOUR), gone()).await;
    written.close();
    let serve = ["serve", "--addr", "127.0.0.1:0", "--ledger", "tier.db"];
    let server = place.tier(&serve).started().await;
    let at_server = |args: &[&str]| place.tier(args).env("TIER_BASE_URL", &server.url());
    let parked = async || {
        let listed = at_server(&["ledger", "parked"]).ok().await;
        let rows = cells(&listed).into_iter().skip(1);
        let row = |row: Vec<&str>| (row[0].to_owned(), row[2].to_owned(), row[5].to_owned());
        rows.map(row).collect::<Vec<_>>()
    };
    let of_acme = ("1".to_owned(), "org:acme".to_owned(), "2".to_owned());
    assert!(parked().await.contains(&of_acme));
    assert_eq!(at_server(&["ledger", "retry", "1"]).ok().await, "");
    // Stripe has no such item, so Stripe refuses the delivery again.
    until("the total is parked again", async || {
        parked().await.contains(&of_acme).then_some(())
    })
    .await;
    assert_eq!(at_server(&["ledger", "write-off", "1"]).ok().await, "");
    assert!(!parked().await.contains(&of_acme));
    let again = at_server(&["ledger", "write-off", "1"]).fault().await;
    assert!(
        again.contains("the usage with the id 1 is not parked"),
        "{again}"
    );
    assert_eq!(server.stop("-TERM").await.code, Some(0));
}

#[tokio::test]
async fn decisions_are_sent_to_the_server_with_the_ledger() {
    let place = Place::pushed().await;
    place
        .tier(&["subscribe", "org:acme", "plan:free@1"])
        .ok()
        .await;
    let serve = ["serve", "--addr", "127.0.0.1:0", "--ledger", "tier.db"];
    let server = place.tier(&serve).started().await;
    let url = server.url();
    let at_server = |args: &[&str]| {
        let run = place.tier(args).env("TIER_LEDGER", "tier.db");
        run.env("TIER_BASE_URL", &url)
    };
    at_server(&["report", "org:acme", "feature:convert", "3"])
        .ok()
        .await;
    at_server(&["report", "org:acme", "feature:convert", "-1"])
        .ok()
        .await;
    let shown = at_server(&["usage", "org:acme"]).ok().await;
    let rows = cells(&shown);
    assert_eq!(rows[0], ["FEATURE", "FROM", "N", "TOTAL"]);
    assert_eq!(
        (rows[1][0], &rows[1][2..]),
        (
            "feature:convert",
            &["2", "2", "████████████████████████████████████████"][..]
        )
    );
    let one = [
        "usage",
        "org:acme",
        "feature:convert",
        "--by",
        "period",
        "--json",
    ];
    let one = json(&at_server(&one).ok().await);
    assert_eq!(
        (&one["feature"], &one["usage"][0]["total"]),
        (&"feature:convert".into(), &2.into())
    );
    let all = json(&at_server(&["usage", "org:acme", "--json"]).ok().await);
    assert_eq!(
        (all.as_array().map(Vec::len), &all[0]["org"]),
        (Some(1), &"org:acme".into())
    );
    let early = ["usage", "org:acme", "--to", "2020-01-01T00:00:00Z"];
    assert_eq!(cells(&at_server(&early).ok().await).len(), 1);

    let status = place.tier(&["ledger", "status", "--ledger", "tier.db", "--json"]);
    assert_eq!(json(&status.ok().await)["entries"], 2);
    let parked = at_server(&["ledger", "parked"]).ok().await;
    assert_eq!(
        cells(&parked),
        [["ID", "SINCE", "ORG", "FEATURE", "PERIOD", "N", "REASON"]]
    );
    let parked = json(&at_server(&["ledger", "parked", "--json"]).ok().await);
    assert_eq!(parked, serde_json::json!({"parked": []}));
    for action in ["retry", "write-off"] {
        let unknown = at_server(&["ledger", action, "7"]).fault().await;
        assert!(
            unknown.contains("no parked usage with the id 7"),
            "{unknown}"
        );
        let alone = place.tier(&["ledger", action, "7"]).misused().await;
        assert!(alone.contains("TIER_BASE_URL"), "{alone}");
        at_server(&["ledger", action]).misused().await;
    }
    let alone = place.tier(&["ledger", "parked"]).misused().await;
    assert!(alone.contains("TIER_BASE_URL"), "{alone}");
    let alone = place
        .tier(&["usage", "org:acme", "feature:convert"])
        .fault()
        .await;
    assert!(alone.contains("--ledger"), "{alone}");
}
