//! `push`, `pull`, `ls` and `diff`.

use insta::assert_snapshot;
use serde_json::json as object;

use super::{PRICING, Place, cells, json};

/// Replaces the ids of prices.
fn masked(text: &str) -> String {
    let mut parts = text.split("price_");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
        format!("{text}price_1{rest}")
    })
}

#[tokio::test]
async fn a_push_prints_the_result_for_each_feature() {
    let place = Place::start().await;
    place.write("pricing.json", PRICING);
    let pushed = place.tier(&["push", "pricing.json"]).ok().await;
    assert_eq!(
        masked(&pushed),
        "ok\tplan:pro@1\tfeature:base\thttps://dashboard.stripe.com/test/prices/price_1\t[created]\n\
         ok\tplan:free@1\tfeature:convert\thttps://dashboard.stripe.com/test/prices/price_1\t[created]\n\
         ok\tplan:pro@1\tfeature:convert\thttps://dashboard.stripe.com/test/prices/price_1\t[created]\n"
    );
    let again = place.tier(&["push", "-"]).stdin(PRICING).ok().await;
    assert_eq!(
        again,
        pushed.replace("[created]", "[feature already exists]")
    );
    let machine = place.tier(&["push", "--json", "pricing.json"]).ok().await;
    assert_eq!(
        json(&machine)["results"][0]["feature"],
        "feature:base@plan:pro@1"
    );
    assert_eq!(json(&machine)["results"][0]["status"], "ok");
}

#[tokio::test]
async fn a_push_creates_prices_of_the_generation_in_force() {
    let place = Place::start().await;
    place.write("pricing.json", PRICING);
    let variable = "TIER_STRIPE_GENERATION";
    let run = place.tier(&["push", "pricing.json"]);
    let fault = run.env(variable, "newest").fault().await;
    assert_eq!(
        fault,
        "tier: TIER_STRIPE_GENERATION is \"newest\"\nset it to auto, classic or meters\n"
    );
    let args = ["push", "--stripe-generation", "meters", "pricing.json"];
    let server = place.tier(&args).env("TIER_BASE_URL", "http://127.0.0.1:1");
    let fault = server.fault().await;
    assert!(fault.contains("the server creates the prices"), "{fault}");
    // The flag takes precedence over the variable.
    let ended = place.tier(&args).env(variable, "classic").end().await;
    assert!(
        (ended.stderr).contains("2 features got a price with a billing meter"),
        "{ended:?}"
    );
    let run = place.tier(&["fetch", "/v1/whoami?include=generation"]);
    let who = run.env(variable, "classic").ok().await;
    assert_eq!(json(&who)["generation"], "classic");
    let run = place.tier(&["fetch", "/v1/whoami?include=generation"]);
    assert_eq!(json(&run.ok().await)["generation"], "meters");
}

#[tokio::test]
async fn links_use_the_configured_dashboard() {
    let place = Place::start().await;
    let run = place.tier(&["push", "-"]).stdin(PRICING);
    let pushed = run
        .env("TIER_DASHBOARD_URL", "http://dashboard.example/")
        .ok()
        .await;
    let link = "\thttp://dashboard.example/test/prices/price_";
    assert!(pushed.lines().all(|line| line.contains(link)), "{pushed}");
    let run = place.tier(&["whoami"]);
    let who = run
        .env("TIER_DASHBOARD_URL", "http://dashboard.example")
        .ok()
        .await;
    assert!(
        who.contains("URL:       http://dashboard.example/acct_"),
        "{who}"
    );
}

#[tokio::test]
async fn links_use_the_account_of_the_keys() {
    let place = Place::start().await;
    let profile = object!({
        "redeemed": true,
        "account_id": "acct_9",
        "account_display_name": "Acme",
        "livemode_key_secret": "rk_live_secret",
        "testmode_key_secret": "rk_test_secret",
    });
    let config = object!({ "profiles": { "tier": profile } }).to_string();
    place.write(".config/tier/config.json", &config);
    let run = place.tier(&["push", "-"]).stdin(PRICING);
    let pushed = run.without("STRIPE_API_KEY").ok().await;
    let link = "\thttps://dashboard.stripe.com/acct_9/test/prices/price_";
    assert!(pushed.lines().all(|line| line.contains(link)), "{pushed}");
    // The key in the variable takes precedence, and its account is unknown.
    let pushed = place.tier(&["push", "-"]).stdin(PRICING).ok().await;
    let link = "\thttps://dashboard.stripe.com/test/prices/price_";
    assert!(pushed.lines().all(|line| line.contains(link)), "{pushed}");
}

#[tokio::test]
async fn links_to_objects_in_a_sandbox_lead_to_the_sandbox() {
    for flags in [&["--sandbox"][..], &[]] {
        check_sandbox_links(flags).await;
    }
    // An API URL with TLS, or a live key, means that the server is a proxy of Stripe.
    let place = Place::offline();
    place.write("tier.state", r#"{"ID":"acct_9"}"#);
    for (flags, url) in [
        (&["switch"][..], "https://stripe.example"),
        (&["switch", "--live"], "http://stripe.example"),
    ] {
        let run = place.tier(flags).without("TIER_DASHBOARD_URL");
        let said = run.env("STRIPE_BASE_API_URL", url).ok().await;
        assert!(
            said.contains("https://dashboard.stripe.com/acct_9"),
            "{said}"
        );
    }
}

/// Runs all commands that print links, against a sandbox that is named by flags or only by the URL of its API. Links
/// lead to the sandbox's pages only if the command knows that the server is a sandbox.
async fn check_sandbox_links(flags: &[&str]) {
    let place = Place::start().await;
    let sandboxed = |args: &[&str]| {
        let run = place.tier(&[flags, args].concat());
        let run = run.without("TIER_DASHBOARD_URL");
        run.env("TIER_SANDBOX_URL", place.stripe_url())
    };
    let pushed = sandboxed(&["push", "-"]).stdin(PRICING).ok().await;
    for line in pushed.lines() {
        let link = line.split('\t').nth(3).expect("a link");
        let page = format!("{}/test/prices/price_", place.stripe_url());
        let expected = if flags.is_empty() { "-" } else { &page };
        assert!(link.starts_with(expected), "{line}");
    }
    let clock = r#"{"name":"x","present":"2030-01-01T00:00:00Z"}"#;
    for args in [
        &["whoami"][..],
        &["--json", "whoami"],
        &["fetch", "-d", clock, "/v1/clock"],
        &["switch", "-c"],
        &["switch"],
    ] {
        let said = sandboxed(args).ok().await;
        assert!(!said.contains("dashboard"), "{args:?}: {said}");
    }
    let run = sandboxed(&["switch"]).env("TIER_DASHBOARD_URL", "http://dashboard.example");
    let said = run.ok().await;
    assert!(said.contains("http://dashboard.example/acct_"), "{said}");
}

#[tokio::test]
async fn an_existing_plan_is_not_changed() {
    let place = Place::pushed().await;
    let other = PRICING.replace("\"upto\": 10 ", "\"upto\": 20 ");
    let ended = place.tier(&["push", "-"]).stdin(other).end().await;
    assert_eq!(ended.code, Some(1));
    let failed: Vec<&str> = ended
        .stdout
        .lines()
        .filter(|line| line.starts_with("failed"))
        .collect();
    assert_eq!(
        failed,
        ["failed\tplan:free@1\tfeature:convert\t-\t[plan already exists]"]
    );
    assert_eq!(
        ended.stderr,
        "tier: illegal attempt to push features to existing plan(s); aborting.\n\
         give the plans that changed a new version; `tier diff` shows what differs\n"
    );
}

#[tokio::test]
async fn a_pulled_model_can_be_pushed() {
    let place = Place::pushed().await;
    let pulled = place.tier(&["pull"]).ok().await;
    assert_eq!(json(&pulled)["plans"]["plan:pro@1"]["title"], "Pro");
    assert!(pulled.starts_with("{\n  \"plans\": {\n"), "{pulled}");
    let pushed = place.tier(&["push", "-"]).stdin(pulled).ok().await;
    assert!(
        pushed
            .lines()
            .all(|line| line.ends_with("[feature already exists]")),
        "{pushed}"
    );
}

#[tokio::test]
async fn ls_shows_effective_values() {
    let place = Place::pushed().await;
    assert_eq!(
        place.tier(&["ls"]).ok().await,
        "PLAN         FEATURE          MODE       AGG  BASE\n\
         plan:free@1  feature:convert  graduated  sum  0\n\
         plan:pro@1   feature:base     graduated  sum  1000\n\
         plan:pro@1   feature:convert  volume     max  0\n"
    );
    let machine = json(&place.tier(&["--json", "ls"]).ok().await);
    let expected = object!({
        "plan": "plan:pro@1",
        "feature": "feature:base",
        "mode": "graduated",
        "aggregate": "sum",
        "base": 1000,
    });
    assert_eq!(machine[1], expected);
    let empty = Place::start().await;
    assert_eq!(
        cells(&empty.tier(&["ls"]).ok().await),
        [["PLAN", "FEATURE", "MODE", "AGG", "BASE"]]
    );
}

#[tokio::test]
async fn a_dry_run_creates_nothing() {
    let place = Place::start().await;
    place.write("pricing.json", PRICING);
    let expected = "create \tplan:pro@1\tfeature:base\n\
        create \tplan:free@1\tfeature:convert\n\
        create \tplan:pro@1\tfeature:convert\n\
        3 to create, 0 the same, 0 different\n";
    assert_eq!(
        place
            .tier(&["push", "--dry-run", "pricing.json"])
            .ok()
            .await,
        expected
    );
    assert_eq!(place.tier(&["diff", "pricing.json"]).ok().await, expected);
    assert_eq!(place.tier(&["pull"]).ok().await, "{\n  \"plans\": {}\n}\n");
}

#[tokio::test]
async fn a_diff_shows_what_differs_field_by_field() {
    let place = Place::pushed().await;
    let same = place.tier(&["diff", "pricing.json"]).ok().await;
    assert!(
        same.ends_with("\n0 to create, 3 the same, 0 different\n"),
        "{same}"
    );

    let other = PRICING
        .replace("\"base\": 1000", "\"base\": 2000.5")
        .replace("\"title\": \"Pro\"", "\"interval\": \"@yearly\"")
        .replace("plan:free@1", "plan:free@2");
    let ended = place.tier(&["diff", "-"]).stdin(other.clone()).end().await;
    assert_eq!(ended.code, Some(1));
    assert_snapshot!(ended.stdout.replace('\t', " "), @r#"
    differs plan:pro@1 feature:base
     plan title: "Pro" in Stripe, "plan:pro@1" here
     interval: "@monthly" in Stripe, "@yearly" here
     base: 1000 in Stripe, 2000.5 here
    create  plan:free@2 feature:convert
    differs plan:pro@1 feature:convert
     plan title: "Pro" in Stripe, "plan:pro@1" here
     interval: "@monthly" in Stripe, "@yearly" here
    1 to create, 0 the same, 2 different
    "#);
    assert_eq!(
        ended.stderr,
        "tier: (stdin) differs from what is in Stripe: 2 features\n\
         plans never change once they are pushed: give plan:pro@1 a new version\n"
    );

    let ended = place
        .tier(&["push", "--dry-run", "--json", "-"])
        .stdin(other)
        .end()
        .await;
    assert_eq!(ended.code, Some(1));
    let report = json(&ended.stdout);
    assert_eq!(
        (&report["create"], &report["differ"]),
        (&object!(1), &object!(2))
    );
    let expected = object!({ "field": "base", "stripe": 1000, "model": 2000.5 });
    assert_eq!(report["features"][0]["fields"][2], expected);
}

#[tokio::test]
async fn features_that_one_side_lacks_differ() {
    let place = Place::pushed().await;
    let other = PRICING.replace("\"feature:base\"", "\"feature:seat\"");
    let ended = place.tier(&["diff", "-"]).stdin(other).end().await;
    assert_eq!(ended.code, Some(1));
    let lines: Vec<&str> = ended
        .stdout
        .lines()
        .filter(|line| line.starts_with("differs"))
        .collect();
    assert_eq!(
        lines,
        [
            "differs\tplan:pro@1\tfeature:base\t[only in Stripe]",
            "differs\tplan:pro@1\tfeature:seat\t[not in Stripe, which already has the plan]",
        ]
    );
}

#[tokio::test]
async fn a_closed_pipe_is_not_an_error() {
    let place = Place::pushed().await;
    let mut shell = tokio::process::Command::new("sh");
    let script = r#""$TIER" schema | head -c 1; "$TIER" completions bash | true"#;
    let output = shell
        .args(["-c", script])
        .env("TIER", super::TIER)
        .output()
        .await
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.stdout, b"{");
    drop(place);
}
