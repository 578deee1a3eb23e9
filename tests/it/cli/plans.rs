//! The orgs of a plan: `orgs`, `archive`, `push --dry-run` and `migrate`.

use super::{PRICING, Place, cells, json};

#[tokio::test]
async fn orgs_are_listed_as_a_table_as_csv_and_as_json() {
    let place = Place::pushed().await;
    for (org, plan) in [("org:a,b", "plan:free@1"), ("org:c", "plan:pro@1")] {
        place.tier(&["subscribe", org, plan]).ok().await;
    }
    place
        .tier(&["subscribe", "--email", "jo@acme.example", "org:d"])
        .ok()
        .await;
    let table = place.tier(&["orgs", "--plan", "plan:pro"]).ok().await;
    let rows = cells(&table);
    assert_eq!(
        rows[0],
        ["ORG", "PLANS", "STATUS", "SINCE", "RENEWS", "ENDS"]
    );
    assert_eq!(rows[1][..3], ["org:c", "plan:pro@1", "active"]);
    assert_eq!((rows[1].len(), rows[1][5], rows.len()), (6, "-", 2));
    let csv = place
        .tier(&["orgs", "--plan", "plan:free@1", "--csv"])
        .ok()
        .await;
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(
        lines[0],
        "org,stripe_id,plans,fragments,status,since,period_end,trial,cancel_at"
    );
    assert!(
        lines[1].starts_with("\"org:a,b\",cus_") && lines[1].contains(",plan:free@1,,active,"),
        "{csv}"
    );
    let all = json(&place.tier(&["orgs", "--json"]).ok().await);
    assert_eq!(all["orgs"].as_array().map(Vec::len), Some(3));
    let none = place.tier(&["orgs", "--status", "past_due"]).ok().await;
    assert_eq!(cells(&none).len(), 1);
    let fault = place.tier(&["orgs", "--plan", "plan:nope"]).fault().await;
    assert!(fault.contains("(TERR1020)"), "{fault}");
    place.tier(&["orgs", "--csv", "--json"]).misused().await;
}

#[tokio::test]
async fn a_plan_is_taken_off_sale_and_put_back() {
    let place = Place::pushed().await;
    place.tier(&["subscribe", "org:a", "plan:pro@1"]).ok().await;
    assert_eq!(place.tier(&["archive", "plan:pro@1"]).ok().await, "");
    let ls = place.tier(&["ls"]).ok().await;
    assert!(
        !ls.contains("plan:pro@1") && ls.contains("plan:free@1"),
        "{ls}"
    );
    let all = json(&place.tier(&["pull", "--archived"]).ok().await);
    assert_eq!(all["plans"]["plan:pro@1"]["archived"], true);
    let fault = place
        .tier(&["subscribe", "org:b", "plan:pro@1"])
        .fault()
        .await;
    assert!(fault.contains("(plan_archived)"), "{fault}");
    // A diff compares archived plans too.
    let diff = place.tier(&["diff", "pricing.json"]).ok().await;
    assert!(
        diff.ends_with("0 to create, 3 the same, 0 different\n"),
        "{diff}"
    );
    let pushed = place.tier(&["push", "pricing.json"]).end().await;
    assert_eq!(pushed.code, Some(0), "{pushed:?}");
    assert_eq!(
        pushed.stderr,
        "tier: plan:pro@1 is archived, and stays off sale: `tier archive --undo plan:pro@1` puts it back\n"
    );
    let undone = place.tier(&["archive", "--undo", "plan:pro@1", "--json"]);
    assert_eq!(undone.ok().await, "{}\n");
    place.tier(&["subscribe", "org:b", "plan:pro@1"]).ok().await;
}

#[tokio::test]
async fn affected_orgs_are_shown_before_a_push() {
    let place = Place::pushed().await;
    for org in ["org:a", "org:b"] {
        place.tier(&["subscribe", org, "plan:pro@1"]).ok().await;
    }
    place
        .tier(&["subscribe", "org:c", "plan:free@1"])
        .ok()
        .await;
    place.tier(&["archive", "plan:pro@1"]).ok().await;
    let next = PRICING.replace("plan:pro@1", "plan:pro@2");
    place.write("next.json", &next);
    for command in [
        &["diff", "next.json"][..],
        &["push", "--dry-run", "next.json"],
    ] {
        let said = place.tier(command).ok().await;
        let last: Vec<&str> = said.lines().rev().take(2).collect();
        assert_eq!(
            last,
            [
                "2 to create, 1 the same, 0 different",
                "plan:pro@1 has 2 orgs"
            ],
            "{said}"
        );
    }
    let machine = json(&place.tier(&["diff", "--json", "next.json"]).ok().await);
    assert_eq!(
        machine["affected"],
        serde_json::json!([{"plan": "plan:pro@1", "orgs": 2}])
    );
    place.write("other.json", &PRICING.replace("1000", "2000"));
    let said = place.tier(&["diff", "other.json"]).end().await;
    assert_eq!(said.code, Some(1));
    assert!(
        said.stdout.contains("\nplan:pro@1 has 2 orgs\n"),
        "{said:?}"
    );
    let same = place.tier(&["diff", "pricing.json"]).ok().await;
    assert!(!same.contains(" has "), "{same}");
}

#[tokio::test]
async fn the_orgs_of_a_plan_are_moved() {
    let place = Place::pushed().await;
    place.write(
        "next.json",
        &PRICING
            .replace("plan:pro@1", "plan:pro@2")
            .replace("1000", "1500"),
    );
    place.tier(&["push", "next.json"]).ok().await;
    for org in ["org:b", "org:a"] {
        place.tier(&["subscribe", org, "plan:pro@1"]).ok().await;
    }
    let period_end = ["--at", "period-end", "plan:pro@1", "plan:pro@2"];
    let dry = [&["migrate", "--dry-run"][..], &period_end].concat();
    let plan = place.tier(&dry).ok().await;
    let rows = cells(&plan);
    assert_eq!(rows[0], ["ORG", "EFFECTIVE", "BILL", "NEW", "OVER"]);
    assert_eq!(
        (rows[1][0], &rows[1][2..]),
        ("org:a", &["1000", "1500", "-"][..])
    );
    assert_eq!(rows[2][0], "org:b");
    assert!(
        plan.ends_with("\n2 orgs: next bills of 2000 become 3000, 0 above a limit\n"),
        "{plan}"
    );
    let machine = json(&place.tier(&[&["--json"][..], &dry].concat()).ok().await);
    assert_eq!(machine["orgs"][1]["next_bill"], 1500);
    let some = ["migrate", "--org", "org:a", "plan:pro@1", "plan:pro@2"];
    assert_eq!(place.tier(&some).ok().await, "");
    assert_eq!(
        place
            .tier(&["orgs", "--plan", "plan:pro@2"])
            .ok()
            .await
            .lines()
            .count(),
        2
    );
    let again = place.tier(&some).end().await;
    assert_eq!(
        (again.code, again.stdout.as_str()),
        (
            Some(1),
            "org:a: the org does not have the plan: \"plan:pro@1\" (invalid_request)\n"
        )
    );
    assert!(
        again.stderr.contains("0 of 1 org moved")
            && again.stderr.contains("`tier migrate --id mig_"),
        "{again:?}"
    );
    let all = json(
        &place
            .tier(&["--json", "migrate", "plan:pro@1", "plan:pro@2"])
            .ok()
            .await,
    );
    assert_eq!(
        (&all["state"], &all["total"], &all["done"]),
        (&"done".into(), &1.into(), &1.into())
    );
    let id = all["id"].as_str().expect("an id");
    assert_eq!(place.tier(&["migrate", "--id", id]).ok().await, "");
    let fault = place
        .tier(&["migrate", "plan:pro@1", "plan:pro@1"])
        .fault()
        .await;
    assert!(fault.contains("the same plan"), "{fault}");
    for wrong in [
        &["migrate", "plan:pro@1"][..],
        &["migrate", "--id", id, "plan:pro@1", "plan:pro@2"],
        &["migrate", "--at", "soon", "a", "b"],
    ] {
        place.tier(wrong).misused().await;
    }
}
