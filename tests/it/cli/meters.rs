//! Billing meters: `push` to an account that supports only meters, and `migrate --to-meters`.

use stripe_sandbox::Options;

use super::{PRICING, Place, cells, json};

#[tokio::test]
async fn an_account_that_takes_only_meters_gets_meters() {
    let options = Options {
        meters_only: true,
        ..Options::default()
    };
    let place = Place::with(options).await;
    place.write("pricing.json", PRICING);
    let classic = ["push", "--stripe-generation", "classic", "pricing.json"];
    let refused = place.tier(&classic).end().await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused
            .stdout
            .contains("[the account takes only metered prices with a billing meter: push with --stripe-generation meters"),
        "{refused:?}"
    );
    let pushed = place.tier(&["push", "pricing.json"]).end().await;
    assert_eq!(pushed.code, Some(0), "{pushed:?}");
    assert!(
        pushed
            .stderr
            .contains("2 features got a price with a billing meter"),
        "{pushed:?}"
    );
    let who = place.tier(&["whoami"]).ok().await;
    assert!(who.ends_with("\nGeneration: meters\n"), "{who}");
    let pulled = place.tier(&["pull"]).ok().await;
    place.write("pulled.json", &pulled);
    place.tier(&["diff", "pulled.json"]).ok().await;
}

#[tokio::test]
async fn an_account_is_moved_to_meters() {
    let place = Place::start().await;
    place.write(
        "pricing.json",
        &PRICING.replace(r#", "aggregate": "max""#, ""),
    );
    place.tier(&["push", "pricing.json"]).ok().await;
    for (org, plan) in [("org:a", "plan:pro@1"), ("org:b", "plan:free@1")] {
        place.tier(&["subscribe", org, plan]).ok().await;
    }
    let dry = place
        .tier(&["migrate", "--to-meters", "--dry-run"])
        .ok()
        .await;
    let mut lines = dry.lines();
    assert_eq!(lines.next(), Some("plan:free@1 becomes plan:free@2"));
    assert_eq!(lines.next(), Some("plan:pro@1 becomes plan:pro@2"));
    let table: Vec<&str> = lines.collect();
    let table = table.join("\n");
    let rows = cells(&table);
    assert_eq!(rows[0], ["ORG", "EFFECTIVE", "BILL", "NEW", "OVER"]);
    assert_eq!(
        (rows[1][0], &rows[1][2..]),
        ("org:a", &["1000", "1000", "-"][..])
    );
    assert_eq!(rows[2][0], "org:b");
    let who = place.tier(&["whoami"]).ok().await;
    assert!(
        who.ends_with("\nGeneration: classic\n"),
        "the command changed nothing"
    );

    let only = ["migrate", "--to-meters", "--org", "org:b", "--json"];
    let moved = json(&place.tier(&only).ok().await);
    assert_eq!((&moved["total"], &moved["done"]), (&1.into(), &1.into()));
    let moved = place.tier(&["migrate", "--to-meters"]).end().await;
    assert_eq!(
        (moved.code, moved.stdout.as_str()),
        (Some(0), ""),
        "{moved:?}"
    );
    let phases = json(&place.tier(&["phases", "--json", "org:a"]).ok().await);
    let plans = phases["phases"].as_array().expect("a list").iter();
    let plans: Vec<_> = plans.map(|phase| phase["plans"].to_string()).collect();
    assert_eq!(plans, [r#"["plan:pro@1"]"#, r#"["plan:pro@2"]"#]);
    let who = place.tier(&["whoami"]).ok().await;
    assert!(who.ends_with("\nGeneration: meters\n"), "{who}");
}
