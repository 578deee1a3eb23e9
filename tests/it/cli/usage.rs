//! The help and the arguments of the command line, without an account.

use insta::assert_snapshot;
use tier::domain::pricing::Model;

use super::{PRICING, Place, json};

const COMMANDS: [&str; 36] = [
    "serve",
    "sandbox",
    "dev",
    "builder",
    "init",
    "push",
    "pull",
    "ls",
    "archive",
    "diff",
    "validate",
    "schema",
    "subscribe",
    "orgs",
    "migrate",
    "phases",
    "limits",
    "report",
    "usage",
    "doctor",
    "whoami",
    "whois",
    "clock",
    "switch",
    "clean",
    "connect",
    "share",
    "ledger",
    "webhook",
    "listen",
    "fetch",
    "healthcheck",
    "version",
    "help",
    "completions",
    "man",
];

#[tokio::test]
async fn every_command_has_help() {
    let place = Place::offline();
    let first = place.tier(&["--help"]).ok().await;
    assert_snapshot!("help", first);
    assert_eq!(
        place.tier(&["-h"]).ok().await.lines().next(),
        first.lines().next()
    );
    assert_eq!(place.tier(&["-help"]).ok().await, first);
    assert_eq!(place.tier(&["help"]).ok().await, first);
    let listed: Vec<&str> = first
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|name| !name.is_empty())
        .collect();
    assert_eq!(listed, COMMANDS);
    for command in COMMANDS {
        let help = place.tier(&[command, "--help"]).ok().await;
        assert_eq!(place.tier(&["help", command]).ok().await, help, "{command}");
        // Other tests check the flags of the servers.
        if !["serve", "dev", "builder"].contains(&command) {
            assert_snapshot!(format!("help-{command}"), help);
        }
    }
}

#[tokio::test]
async fn help_has_topics() {
    let place = Place::offline();
    let environment = place.tier(&["help", "environment"]).ok().await;
    for name in [
        "STRIPE_API_KEY",
        "TIER_BASE_URL",
        "NO_COLOR",
        "TIER_TLS_CERT",
        "tier.state",
    ] {
        assert!(environment.contains(name), "{name}");
    }
    // The example in the help is a valid model.
    let pricing = place.tier(&["help", "pricing"]).ok().await;
    let start = pricing.find('{').unwrap();
    let end = pricing.rfind('}').unwrap();
    let valid = place.tier(&["validate", "-"]).stdin(&pricing[start..=end]);
    assert_eq!(valid.ok().await, "(stdin) is valid: 1 plan, 2 features\n");
    let fault = place.tier(&["help", "enviroment"]).misused().await;
    assert!(fault.contains("did you mean \"environment\"?"), "{fault}");
}

#[tokio::test]
async fn wrong_usage_exits_with_2_and_has_a_hint() {
    let place = Place::offline();
    let none = place.tier(&[]).misused().await;
    assert!(none.contains("Usage: tier"), "{none}");
    for (args, expected) in [
        (&["psuh"][..], "a similar subcommand exists: 'push'"),
        (
            &["push", "--dry-rnu", "x"],
            "a similar argument exists: '--dry-run'",
        ),
        (&["push"], "<FILE|URL|->"),
        (&["push", "-c", "--dry-run", "x"], "cannot be used with"),
        (&["whois"], "<ORG>"),
        (&["report", "org:a", "feature:x", "many"], "invalid digit"),
        (
            &["report", "--at", "noon", "org:a", "feature:x", "1"],
            "2030-01-31T12:00:00Z",
        ),
        (
            &["subscribe", "--cancel", "org:a", "plan:free@1"],
            "--cancel takes no plans",
        ),
        (
            &["subscribe", "--trial", "7", "org:a"],
            "--trial needs a plan",
        ),
        (&["subscribe", "--cancel_url", "x", "org:a"], "--checkout"),
        (
            &[
                "subscribe",
                "--trial",
                "-1",
                "--checkout",
                "x",
                "org:a",
                "plan:p@1",
            ],
            "without end",
        ),
        (&["switch", "-c", "acct_1"], "-c takes no account"),
        (&["clean"], "--switchaccounts"),
        (&["clean", "--switchaccounts", "soon"], "soon"),
        (&["fetch", "v1/whoami"], "the path must begin with /"),
        (&["fetch", "-H", "x", "/"], "expected NAME: VALUE"),
        (&["serve", "--addr", "8080"], "expected HOST:PORT or :PORT"),
        (&["--live", "--sandbox", "whoami"], "cannot be used with"),
        (
            &["--live", "--base-url", "http://x", "whoami"],
            "cannot be used with",
        ),
        (&["completions", "tcsh"], "bash"),
        (&["man", "psuh"], "there is no command"),
    ] {
        let fault = place.tier(args).misused().await;
        assert!(fault.contains(expected), "{args:?}: {fault}");
    }
}

#[tokio::test]
async fn the_version_begins_the_line() {
    let place = Place::offline();
    let version = concat!(env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(place.tier(&["version"]).ok().await, version);
    let machine = place.tier(&["version", "--json"]).ok().await;
    assert_eq!(json(&machine)["version"], env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn completion_scripts_have_the_commands() {
    let place = Place::offline();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = place.tier(&["completions", shell]).ok().await;
        for word in ["subscribe", "healthcheck", "cancel_url"] {
            assert!(script.contains(word), "{shell} {word}");
        }
    }
}

#[tokio::test]
async fn man_pages_are_troff() {
    let place = Place::offline();
    let first = place.tier(&["man"]).ok().await;
    for part in [".TH tier 1", ".SH ENVIRONMENT", "STRIPE_API_KEY"] {
        assert!(first.contains(part), "{part}: {first}");
    }
    let push = place.tier(&["man", "push"]).ok().await;
    assert!(push.contains(".TH tier-push 1"), "{push}");
    std::fs::create_dir(place.path().join("man1")).unwrap();
    place.tier(&["man", "--dir", "man1"]).ok().await;
    for command in COMMANDS {
        let page = place.read(&format!("man1/tier-{command}.1"));
        assert!(page.contains(&format!(".TH tier-{command} 1")), "{page}");
    }
    assert!(place.read("man1/tier-webhook-create.1").contains("URL"));
    assert!(place.read("man1/tier-push.1").contains("dry"));
    let fault = place.tier(&["man", "--dir", "nowhere"]).fault().await;
    assert!(fault.contains("cannot write to nowhere"), "{fault}");
}

#[tokio::test]
async fn the_schema_accepts_what_the_validator_accepts() {
    let place = Place::offline();
    let schema = json(&place.tier(&["schema"]).without("STRIPE_API_KEY").ok().await);
    let served = place.tier(&["fetch", "/v1/schema"]).ok().await;
    assert_eq!(json(&served), schema, "a server has the same");
    let validator = jsonschema::validator_for(&schema).unwrap();
    let model = Model::parse(PRICING).unwrap();
    let model = json(&model.to_json());
    assert!(validator.is_valid(&model));
    assert!(!validator.is_valid(&serde_json::json!({ "plan": {} })));
}

#[tokio::test]
async fn validate_needs_no_key() {
    let place = Place::offline();
    place.write("pricing.json", PRICING);
    let run = place
        .tier(&["validate", "pricing.json"])
        .without("STRIPE_API_KEY");
    assert_eq!(
        run.ok().await,
        "pricing.json is valid: 2 plans, 3 features\n"
    );
    let run = place.tier(&["validate", "-", "--json"]).stdin(PRICING);
    assert_eq!(
        json(&run.ok().await),
        serde_json::json!({ "valid": true, "faults": [] })
    );
}

#[tokio::test]
async fn faults_of_a_model_are_shown_in_place() {
    let place = Place::offline();
    place.write(
        "bad.json",
        "{\n  \"plans\": {\n    \"plan:a@1\": {\n      \"features\": {\n        \"feature:x\": { \"tiers\": [{ \"upto\": 0 }] },\n        \"feature:y\": { \"bas\": 1 }\n      }\n    }\n  }\n}\n",
    );
    let fault = place.tier(&["validate", "bad.json"]).fault().await;
    assert_snapshot!(fault, @r#"
    tier: bad.json is not a valid model: 2 faults (invalid_request)
    bad.json:5:44: plans["plan:a@1"].features["feature:x"].tiers[0]: upto must be greater than zero
        5 |         "feature:x": { "tiers": [{ "upto": 0 }] },
          |                                            ^
    bad.json:6:24: plans["plan:a@1"].features["feature:y"]: unknown field "bas"
        6 |         "feature:y": { "bas": 1 }
          |                        ^
    "#);
    // None of these commands sends a request.
    for args in [
        &["push", "bad.json"][..],
        &["diff", "bad.json"],
        &["share", "--base-url", "http://127.0.0.1:9", "bad.json"],
    ] {
        assert_eq!(place.tier(args).fault().await, fault, "{args:?}");
    }
    let ended = place.tier(&["validate", "--json", "bad.json"]).end().await;
    assert_eq!(ended.code, Some(1));
    assert_eq!(json(&ended.stderr)["code"], "invalid_request");
    let report = json(&ended.stdout);
    assert_eq!(report["valid"], false);
    assert_eq!(report["faults"][1]["line"], 6);
    assert_eq!(report["faults"][1]["column"], 24);
    assert_eq!(report["faults"][1]["message"], "unknown field \"bas\"");

    let syntax = place
        .tier(&["validate", "-"])
        .stdin("{\n  \"plans\": {,}\n}")
        .fault()
        .await;
    assert!(
        syntax.contains("(stdin):2:13: invalid json syntax: "),
        "{syntax}"
    );
    let binary = place
        .tier(&["validate", "-"])
        .stdin(b"{\xff}".to_vec())
        .fault()
        .await;
    assert!(
        binary.contains("(stdin):1:2: invalid json syntax"),
        "{binary}"
    );
    let missing = place.tier(&["validate", "none.json"]).fault().await;
    assert!(
        missing.starts_with("tier: cannot read none.json: "),
        "{missing}"
    );
}
