//! Wrong command lines, and their error messages for people and, with `--json`, for programs.

use serde_json::json as object;

use super::{PRICING, Place, json};

/// The calls that the place's Stripe has received.
fn calls(place: &Place) -> String {
    let sandbox = place.sandbox().sandbox();
    format!("{:?}", sandbox.requests(None))
}

#[tokio::test]
async fn the_version_has_a_flag() {
    let place = Place::offline();
    let version = place.tier(&["version"]).ok().await;
    for args in [&["--version"][..], &["-V"], &["-version"]] {
        assert_eq!(place.tier(args).ok().await, version, "{args:?}");
    }
    for args in [
        &["--json", "--version"][..],
        &["--json", "version"],
        &["version", "--json"],
    ] {
        let machine = json(&place.tier(args).ok().await);
        assert_eq!(machine["version"], version.trim(), "{args:?}");
    }
}

#[tokio::test]
async fn unknown_commands_have_a_hint() {
    let place = Place::offline();
    for (word, hint) in [
        ("cancel", "`tier subscribe --cancel ORG`"),
        ("Cancel", "`tier subscribe --cancel ORG`"),
        ("checkout", "`tier subscribe --checkout URL ORG PLAN`"),
        ("login", "`tier connect`"),
        ("new", "`tier init`"),
        ("advance", "`tier clock advance`"),
        ("customers", "`tier orgs` lists all"),
        ("open", "`tier whoami`"),
        ("upgrade", "`tier subscribe ORG PLAN`"),
        ("Push", "'push'"),
    ] {
        let said = place.tier(&[word, "org:acme"]).misused().await;
        assert!(said.contains(hint) && !said.contains("clean"), "{said}");
        let said = json(&place.tier(&["--json", word]).misused().await);
        let message = said["message"].as_str().unwrap();
        assert!(message.contains(hint), "{message}");
    }
    let said = place.tier(&["help", "Customers"]).misused().await;
    assert!(said.contains("`tier whois ORG`"), "{said}");
}

#[tokio::test]
async fn wrong_usage_is_status_2() {
    let place = Place::offline();
    for command in ["push", "validate", "diff", "share"] {
        let said = place.tier(&[command, ""]).misused().await;
        assert!(said.contains("FILE|URL|-"), "{said}");
    }
    place
        .tier(&["fetch", "-d", "@", "/v1/push"])
        .misused()
        .await;
    let tax = ["subscribe", "--tax", "0.2", "org:acme", "plan:free@1"];
    assert_eq!(
        place.tier(&tax).misused().await,
        "tier: invalid tax rate \"0.2\"\nthe only one is auto\n"
    );
    let clean = ["clean", "--switchaccounts", "yesterday"];
    place.tier(&clean).misused().await;
}

#[tokio::test]
async fn programs_get_errors_as_json() {
    let place = Place::pushed().await;
    let ended = place.tier(&["limits", "--json", "org:none"]).end().await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    let error = json(&ended.stderr);
    assert_eq!(error["status"], 400);
    assert_eq!(error["code"], "org_not_found");
    assert_eq!(error["message"], "org not found");
    assert!(error["advice"].is_string(), "{error}");

    for args in [
        &["--json", "cancel"][..],
        &["subscribe", "--json", "--tax", "x", "org:acme"],
        &["push", "", "--json"],
        &["--json", "limits"],
        &["subscribe", "--json", "--cancel", "org:a", "plan:free@1"],
    ] {
        let said = json(&place.tier(args).misused().await);
        assert_eq!(said["code"], "usage", "{args:?}: {said}");
        assert!(said["message"].is_string(), "{args:?}: {said}");
    }
    let missing = ["--json", "validate", "none.json"];
    let said = json(&place.tier(&missing).end().await.stderr);
    assert_eq!(said["code"], "failed");
    assert!(
        said["message"]
            .as_str()
            .unwrap()
            .starts_with("cannot read none.json: ")
    );
}

#[tokio::test]
async fn suggestions_are_looked_up_only_after_a_failure() {
    let place = Place::pushed().await;
    place
        .tier(&["subscribe", "org:acme", "plan:free@1"])
        .ok()
        .await;
    let pulls = || calls(&place).matches("/v1/prices").count();
    for args in [
        &["subscribe", "acme", "plan:free@1"][..],
        &["subscribe", "", "plan:free@1"],
        &["subscribe", "org:", "plan:free@1"],
        &["subscribe", "--email", "nobody", "org:acme"],
        &["subscribe", "--paymentmethod", "pm_none", "org:acme"],
        &["report", "acme", "feature:convert", "1"],
        &["report", "org:acme", "convert", "1"],
    ] {
        let before = pulls();
        let said = place.tier(args).fault().await;
        assert!(!said.contains("did you mean"), "{args:?}: {said}");
        // A request looks up names by their keys. It lists all prices at most once, for suggestions.
        assert!(pulls() - before <= 1, "{args:?}: {}", calls(&place));
    }
    let list = "`tier ls` lists what there is to subscribe to\n";
    for typed in [
        "",
        "pro",
        "org",
        "org:acme",
        "pro@",
        "plan",
        "plan:",
        "plan:@1",
        "plan:pro@1@2",
        "plan:a b",
        "feature:convert",
        "feature:convert@plan:pro",
    ] {
        for flags in [
            &["subscribe"][..],
            &["subscribe", "--checkout", "https://x.example"],
        ] {
            let before = pulls();
            let args = [flags, &["org:acme", typed]].concat();
            let said = place.tier(&args).fault().await;
            assert!(said.ends_with(list), "{args:?}: {said}");
            assert_eq!(pulls(), before, "{args:?}");
        }
    }
    // The name lacks only its `plan:` prefix.
    let before = pulls();
    for typed in ["free@1", "fre@7"] {
        let said = place.tier(&["subscribe", "org:acme", typed]).fault().await;
        assert!(
            said.ends_with(&format!("did you mean plan:{typed}?\n")),
            "{said}"
        );
    }
    assert_eq!(pulls(), before);
    for (typed, meant) in [
        ("plan:free", "plan:free@1"),
        ("plan:free@", "plan:free@1"),
        ("plan:fre@1", "plan:free@1"),
    ] {
        let said = place.tier(&["subscribe", "org:acme", typed]).fault().await;
        assert!(
            said.ends_with(&format!("did you mean {meant}?\n")),
            "{said}"
        );
    }
}

#[tokio::test]
async fn an_empty_model_is_reported_as_such() {
    let place = Place::start().await;
    for empty in ["{}", "", "{\"plans\": {}}", "// nothing\n"] {
        place.write("empty.json", empty);
        for args in [
            &["validate", "empty.json"][..],
            &["push", "empty.json"],
            &["push", "--dry-run", "empty.json"],
            &["diff", "empty.json"],
        ] {
            let ended = place.tier(args).end().await;
            assert_eq!(ended.code, Some(0), "{ended:?}");
            let told = "tier: empty.json has no plans: there is nothing to push\n";
            assert_eq!(ended.stderr, told, "{args:?}");
        }
    }
    for args in [
        &["validate"][..],
        &["push"],
        &["push", "--dry-run"],
        &["diff"],
    ] {
        let args = [&["--json"], args, &["empty.json"]].concat();
        let machine = json(&place.tier(&args).ok().await);
        let told = object!(["empty.json has no plans: there is nothing to push"]);
        assert_eq!(machine["warnings"], told, "{args:?}");
    }
}

#[tokio::test]
async fn names_that_some_clients_refuse_are_warned_about() {
    let place = Place::start().await;
    place.write(
        "pricing.json",
        &PRICING.replace("plan:free@1", "plan:free@trial-1"),
    );
    for args in [
        &["validate", "pricing.json"][..],
        &["push", "--dry-run", "pricing.json"],
        &["diff", "pricing.json"],
        &["push", "pricing.json"],
    ] {
        let ended = place.tier(args).end().await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(
            ended.stderr,
            "tier: plan:free@trial-1: the published Go client refuses names with \"-\", and its Can then allows everything\n"
        );
    }
    for args in [&["validate"][..], &["diff"], &["push", "--dry-run"]] {
        let args = [&["--json"], args, &["pricing.json"]].concat();
        let machine = json(&place.tier(&args).ok().await);
        let warning = machine["warnings"][0].as_str().unwrap();
        assert!(warning.starts_with("plan:free@trial-1: "), "{machine:#}");
    }
    let machine = json(&place.tier(&["push", "--json", "pricing.json"]).ok().await);
    let results = machine["results"].as_array().unwrap();
    let warned = results.iter().filter(|row| row["warnings"].is_array());
    assert_eq!(warned.count(), 1, "{machine:#}");
}
