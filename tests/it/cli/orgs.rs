//! `subscribe`, `phases`, `limits`, `report` and `whois`.

use super::{Place, cells, json};

#[tokio::test]
async fn an_org_subscribes_reports_and_is_limited() {
    let place = Place::pushed().await;
    assert_eq!(
        place
            .tier(&["subscribe", "org:acme", "plan:free@1"])
            .ok()
            .await,
        ""
    );
    assert_eq!(
        place
            .tier(&["report", "org:acme", "feature:convert", "3"])
            .ok()
            .await,
        ""
    );
    assert_eq!(
        place.tier(&["limits", "org:acme"]).ok().await,
        "FEATURE          LIMIT  USED\nfeature:convert  10     3\n"
    );
    place
        .tier(&["report", "--clobber", "org:acme", "feature:convert", "5"])
        .ok()
        .await;
    let machine = json(&place.tier(&["limits", "--json", "org:acme"]).ok().await);
    assert_eq!(machine["usage"][0]["used"], 5);
    assert_eq!(
        place
            .tier(&["report", "--json", "org:acme", "feature:convert", "1"])
            .ok()
            .await,
        "{}\n"
    );

    place
        .tier(&["subscribe", "org:acme", "plan:pro@1"])
        .ok()
        .await;
    let limits = place.tier(&["limits", "org:acme"]).ok().await;
    assert_eq!(cells(&limits)[1], ["feature:base", "∞", "1"]);
    assert_eq!(cells(&limits)[2][..2], ["feature:convert", "∞"]);

    place
        .tier(&["subscribe", "--cancel", "org:acme"])
        .ok()
        .await;
    assert_eq!(
        cells(&place.tier(&["limits", "org:acme"]).ok().await),
        [["FEATURE", "LIMIT", "USED"]]
    );
}

#[tokio::test]
async fn usage_can_be_reported_for_another_time() {
    let place = Place::pushed().await;
    place
        .tier(&["subscribe", "org:acme", "plan:free@1"])
        .ok()
        .await;
    let now = clock::Clock::system().now();
    for at in [now.timestamp().to_string(), now.to_rfc3339()] {
        place
            .tier(&["report", "--at", &at, "org:acme", "feature:convert", "2"])
            .ok()
            .await;
    }
    let limits = place.tier(&["limits", "org:acme"]).ok().await;
    assert_eq!(cells(&limits)[1], ["feature:convert", "10", "4"]);
    for at in ["9999999999", "2286-11-20T17:46:39Z"] {
        let late = ["report", "--at", at, "org:acme", "feature:convert", "1"];
        let fault = place.tier(&late).fault().await;
        assert!(fault.contains("(invalid_request)"), "{at}: {fault}");
    }
    let negative = place
        .tier(&["report", "org:acme", "feature:convert", "-1"])
        .fault()
        .await;
    let told = "tier: n must not be negative: only a server with --ledger takes usage back (invalid_request)\n";
    assert_eq!(negative, told);
}

#[tokio::test]
async fn phases_marks_the_current_phase() {
    let place = Place::pushed().await;
    place
        .tier(&["subscribe", "--trial", "14", "org:acme", "plan:free@1"])
        .ok()
        .await;
    let table = place.tier(&["phases", "org:acme"]).ok().await;
    let rows = cells(&table);
    assert_eq!(rows[0], ["EFFECTIVE", "END", "FEATURE", "PLAN"]);
    assert_eq!(rows.len(), 3, "{table}");
    assert_eq!((rows[1][0], rows[1][3]), ("*", "feature:convert"));
    assert_eq!(rows[1][4..], ["plan:free@1", "(trial)"]);
    assert_eq!(rows[2][2..], ["feature:convert", "plan:free@1"]);
    // The paid phase begins when the trial ends, two weeks later.
    assert_eq!(rows[1][2], rows[2][0]);
    let machine = json(&place.tier(&["phases", "--json", "org:acme"]).ok().await);
    let time = |i: usize| -> chrono::DateTime<chrono::Utc> {
        machine["phases"][i]["effective"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap()
    };
    // The length is rounded to hours, since the trial began only when Stripe received the call.
    assert_eq!(((time(1) - time(0)).num_minutes() + 30) / 60, 14 * 24);
    assert_eq!(machine["phases"][0]["trial"], true);
}

#[tokio::test]
async fn a_trial_can_be_open_ended() {
    let place = Place::pushed().await;
    place
        .tier(&["subscribe", "--trial", "-1", "org:acme", "plan:pro@1"])
        .ok()
        .await;
    let machine = json(&place.tier(&["phases", "--json", "org:acme"]).ok().await);
    assert_eq!(machine["phases"][0]["trial"], true, "{machine:#}");
    assert!(
        machine["phases"][0]["plans"][0] == "plan:pro@1",
        "{machine:#}"
    );
}

#[tokio::test]
async fn without_a_plan_only_the_customer_is_written() {
    let place = Place::pushed().await;
    place
        .tier(&["subscribe", "org:acme", "plan:free@1"])
        .ok()
        .await;
    place
        .tier(&["subscribe", "--email", "ops@acme.example", "org:acme"])
        .ok()
        .await;
    let limits = place.tier(&["limits", "org:acme"]).ok().await;
    assert_eq!(cells(&limits).len(), 2, "the subscription stays: {limits}");
    let info = place
        .tier(&["fetch", "/v1/whois?org=org:acme&include=info"])
        .ok()
        .await;
    assert_eq!(json(&info)["email"], "ops@acme.example");

    // An unknown org is created.
    place.tier(&["subscribe", "org:new"]).ok().await;
    let id = place.tier(&["whois", "org:new"]).ok().await;
    assert!(id.starts_with("cus_") && id.lines().count() == 1, "{id}");
    let machine = json(&place.tier(&["whois", "--json", "org:new"]).ok().await);
    assert_eq!(machine["stripe_id"], id.trim());
}

#[tokio::test]
async fn a_checkout_has_a_page() {
    let place = Place::pushed().await;
    let url = place
        .tier(&[
            "subscribe",
            "--email",
            "a@acme.example",
            "--checkout",
            "https://example.com/thanks",
            "--cancel_url",
            "https://example.com/no",
            "--require_billing_address",
            "--trial",
            "7",
            "--tax",
            "auto",
            "org:acme",
            "plan:pro@1",
        ])
        .ok()
        .await;
    assert!(
        url.starts_with(place.stripe_url()) && url.lines().count() == 1,
        "{url}"
    );
    let setup = [
        "subscribe",
        "--json",
        "--checkout",
        "https://example.com/thanks",
        "org:acme",
    ];
    let machine = json(&place.tier(&setup).ok().await);
    assert!(
        machine["url"]
            .as_str()
            .unwrap()
            .starts_with(place.stripe_url())
    );
    let info = place
        .tier(&["fetch", "/v1/whois?org=org:acme&include=info"])
        .ok()
        .await;
    assert_eq!(json(&info)["email"], "a@acme.example");
}

#[tokio::test]
async fn errors_say_what_to_do_next() {
    let place = Place::pushed().await;
    place
        .tier(&["subscribe", "org:acme", "plan:free@1"])
        .ok()
        .await;
    for (args, expected) in [
        (
            &["subscribe", "org:acme", "plan:fre@1"][..],
            "tier: feature or plan not found: \"plan:fre@1\" (TERR1020)\ndid you mean plan:free@1?\n",
        ),
        (
            &["subscribe", "org:acme", "plan:pro"],
            "tier: plan must have version: \"plan:pro\" (invalid_request)\ndid you mean plan:pro@1?\n",
        ),
        (
            &["subscribe", "org:acme", "feature:convrt@plan:pro@1"],
            "tier: feature or plan not found: \"feature:convrt@plan:pro@1\" (TERR1020)\ndid you mean feature:convert@plan:pro@1?\n",
        ),
        (
            &[
                "subscribe",
                "org:acme",
                "plan:zzz@7",
                "plan:enterprise@2023",
            ],
            "tier: feature or plan not found: \"plan:zzz@7\" (TERR1020)\n`tier ls` lists what there is to subscribe to\n",
        ),
        (
            &["report", "org:acme", "feature:convrt", "1"],
            "tier: feature not found (feature_not_found)\ndid you mean feature:convert?\n",
        ),
        (
            &["report", "org:acme", "feature:zzz", "1"],
            "tier: feature not found (feature_not_found)\n`tier limits ORG` lists the features that the org has\n",
        ),
        (
            &["limits", "org:nobody"],
            "tier: org not found (org_not_found)\ncreate it, and subscribe it to a plan, with `tier subscribe`\n",
        ),
        (
            &["phases", "acme"],
            "tier: org must be prefixed with \"org:\" (invalid_request)\n",
        ),
        (
            &["whois", "org:"],
            "tier: org must be prefixed with \"org:\" (invalid_request)\n",
        ),
        (
            &["subscribe", "--email", "nobody", "org:acme"],
            "tier: invalid email (invalid_email)\n",
        ),
    ] {
        assert_eq!(place.tier(args).fault().await, expected, "{args:?}");
    }
    let unknown = [
        "subscribe",
        "--paymentmethod",
        "pm_none",
        "org:acme",
        "plan:free@1",
    ];
    let fault = place.tier(&unknown).fault().await;
    assert!(fault.contains("(invalid_payment_method)"), "{fault}");
}
