//! Stripe keys: which key is used, and which are refused. Every run of the binary checks that no key is printed.

use super::{KEY, Place, json};

fn config(live: &str, test: &str) -> String {
    format!(
        r#"{{"profiles":{{"tier":{{"redeemed":true,"account_id":"acct_1","account_display_name":"Acme","livemode_key_secret":"{live}","livemode_key_publishable":"","testmode_key_secret":"{test}","testmode_key_publishable":""}}}}}}"#
    )
}

const CONFIG: &str = ".config/tier/config.json";

#[tokio::test]
async fn a_live_key_requires_live() {
    let place = Place::start().await;
    for (live_flag, key, expected) in [
        (
            false,
            "sk_live_secret",
            "tier: --live is required if stripe key is a live key\n",
        ),
        (
            true,
            "sk_test_secret",
            "tier: --live provided with test key\n",
        ),
        (
            false,
            "rk_live_secret",
            "tier: --live is required if stripe key is a live key\n",
        ),
    ] {
        for command in [
            &["whoami"][..],
            &["pull"],
            &["switch", "-c"],
            &["serve", "--addr", "127.0.0.1:0"],
        ] {
            let flags: &[&str] = if live_flag { &["--live"] } else { &[] };
            let args = [flags, command].concat();
            let run = place.tier(&args).env("STRIPE_API_KEY", key);
            assert_eq!(run.fault().await, expected, "{args:?}");
        }
    }
    // The command line accepts the key. Only the sandbox refuses the key, since a sandbox has no live mode.
    let run = place.tier(&["whoami", "--live"]);
    let fault = run.env("STRIPE_API_KEY", "sk_live_secret").fault().await;
    assert!(fault.contains("(invalid_api_key)"), "{fault}");
}

#[tokio::test]
async fn switch_and_clean_do_not_work_in_live_mode() {
    let place = Place::start().await;
    for args in [
        &["--live", "switch", "-c"][..],
        &["--live", "clean", "--switchaccounts", "0s"],
    ] {
        let run = place.tier(args).env("STRIPE_API_KEY", "sk_live_secret");
        let fault = run.fault().await;
        assert!(fault.contains("does not work in live mode"), "{fault}");
    }
    assert!(!place.path().join("tier.state").exists());
}

#[tokio::test]
async fn a_key_may_end_with_a_newline() {
    let place = Place::start().await;
    let run = place.tier(&["whoami", "--json"]);
    let who = run.env("STRIPE_API_KEY", "sk_test_secret\n").ok().await;
    assert_eq!(json(&who)["id"], place.sandbox().sandbox().account_id(KEY));
}

#[tokio::test]
async fn without_a_key_the_error_says_how_to_get_one() {
    let place = Place::start().await;
    for none in ["", " \n"] {
        let run = place.tier(&["whoami"]).env("STRIPE_API_KEY", none);
        let fault = run.fault().await;
        assert!(fault.starts_with("tier: no Stripe key"), "{fault}");
        for way in ["STRIPE_API_KEY", "`tier connect`", "--sandbox"] {
            assert!(fault.contains(way), "{way}: {fault}");
        }
    }
}

#[tokio::test]
async fn a_saved_key_is_used_if_there_is_no_variable() {
    let place = Place::start().await;
    place.write(CONFIG, &config("sk_live_secret", KEY));
    let who = place
        .tier(&["whoami", "--json"])
        .without("STRIPE_API_KEY")
        .ok()
        .await;
    let path = place.path().join(CONFIG).display().to_string();
    assert_eq!(json(&who)["key_source"], path);
    let run = place.tier(&["whoami", "--live"]);
    let fault = run.without("STRIPE_API_KEY").fault().await;
    assert!(fault.contains("(invalid_api_key)"), "{fault}");
    let run = place.tier(&["whoami", "--json"]);
    assert_eq!(json(&run.ok().await)["key_source"], "STRIPE_API_KEY");
}

#[tokio::test]
async fn a_broken_key_file_is_reported_without_its_content() {
    let place = Place::start().await;
    for broken in [
        "",
        "{",
        r#""sk_test_secret""#,
        r#"{"profiles":"sk_test_secret"}"#,
        r#"{"sk_test_secret""#,
    ] {
        place.write(CONFIG, broken);
        let fault = place
            .tier(&["whoami"])
            .without("STRIPE_API_KEY")
            .fault()
            .await;
        assert!(
            fault.contains("config.json") && fault.contains("tier connect"),
            "{fault}"
        );
        assert_eq!(place.read(CONFIG), broken);
    }
}

#[tokio::test]
async fn debug_output_masks_secrets() {
    let place = Place::pushed().await;
    let run = place.tier(&[
        "subscribe",
        "--email",
        "ops@acme.example",
        "org:acme",
        "plan:free@1",
    ]);
    let ended = run
        .env("STRIPE_DEBUG", "1")
        .env("TIER_DEBUG", "1")
        .end()
        .await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("/v1/customers"), "{ended:?}");
    assert!(!ended.stderr.contains("ops@acme"), "{ended:?}");
    let run = place
        .tier(&["-v", "whoami"])
        .env("STRIPE_API_KEY", "sk_bad_secret");
    let ended = run.end().await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("(invalid_api_key)"), "{ended:?}");
}

#[tokio::test]
async fn an_unreachable_stripe_is_reported_as_such() {
    let place = Place::offline();
    let fault = place.tier(&["whoami"]).fault().await;
    assert!(fault.starts_with("tier: Stripe is unavailable"), "{fault}");
    assert!(fault.contains("(stripe_unavailable)\n"), "{fault}");
    let run = place
        .tier(&["whoami"])
        .env("STRIPE_BASE_API_URL", "not a URL");
    let fault = run.fault().await;
    assert!(fault.contains("not a URL"), "{fault}");
}

#[tokio::test]
async fn the_sandbox_needs_no_key() {
    let place = Place::start().await;
    let url = place.stripe_url().to_owned();
    let run = place.tier(&["--sandbox", "whoami", "--json"]);
    let who = run
        .without("STRIPE_API_KEY")
        .env("TIER_SANDBOX_URL", &url)
        .ok()
        .await;
    assert_eq!(json(&who)["key_source"], "sandbox");
    let run = place
        .tier(&["whoami", "--sandbox"])
        .env("TIER_SANDBOX_URL", "http://127.0.0.1:9");
    assert_eq!(
        run.fault().await,
        "tier: no sandbox runs at http://127.0.0.1:9/\n\
         start one in another terminal with `tier sandbox`, or set TIER_SANDBOX_URL to the URL of one\n"
    );
}
