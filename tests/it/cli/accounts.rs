//! `whoami`, `switch` and `clean`, which show, choose and delete the account of all commands.

use std::os::unix::fs::PermissionsExt as _;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json as object;
use stripe_sandbox::{Action, Rule};

use super::{KEY, Place, Web, json};

#[tokio::test]
async fn whoami_shows_the_account_and_the_source_of_its_key() {
    let place = Place::start().await;
    let id = place.sandbox().sandbox().account_id(KEY);
    let text = place.tier(&["whoami"]).ok().await;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 7, "{text}");
    assert_eq!(lines[0], format!("ID:        {id}"));
    assert_eq!(lines[1], "KeySource: STRIPE_API_KEY");
    assert_eq!(lines[2], "Isolated:  false");
    assert!(
        lines[3].starts_with("Email:") && lines[4].starts_with("Created:"),
        "{text}"
    );
    assert_eq!(
        lines[5],
        format!("URL:       https://dashboard.stripe.com/{id}")
    );
    assert_eq!(lines[6], "Generation: classic");
    let machine = json(&place.tier(&["whoami", "--json"]).ok().await);
    assert_eq!(
        (&machine["id"], &machine["generation"]),
        (&object!(id), &object!("classic"))
    );
}

#[tokio::test]
async fn whoami_needs_no_right_to_read_prices() {
    let place = Place::start().await;
    let refused = Rule::new("GET", "/v1/prices*", Action::Status(403, None));
    place.sandbox().sandbox().add_fault(refused);
    let text = place.tier(&["whoami"]).ok().await;
    assert_eq!(text.lines().count(), 6, "{text}");
    let refused = Rule::new("GET", "/v1/account", Action::Status(403, None));
    place.sandbox().sandbox().add_fault(refused);
    place.tier(&["whoami"]).fault().await;
}

#[tokio::test]
async fn switch_creates_an_isolated_account() {
    let place = Place::pushed().await;
    let owner = place.sandbox().sandbox().account_id(KEY);
    let said = place.tier(&["switch", "-c"]).ok().await;
    assert!(said.starts_with("Running in isolation mode.\n"), "{said}");
    assert!(said.contains("rm tier.state"), "{said}");
    let page = said.lines().nth(1).unwrap();
    assert!(page.starts_with("Account: https://dashboard.stripe.com/acct_"));
    assert!(page.ends_with("/test"), "{said}");
    let text = place.read("tier.state");
    let state = json(&text);
    let id = state["ID"].as_str().unwrap();
    let created = state["Created"].as_str().unwrap();
    assert_eq!(
        text,
        format!(r#"{{"ID":"{id}","Created":"{created}","Type":"","Meta":null}}"#)
    );
    let mode = std::fs::metadata(place.path().join("tier.state"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);

    let who = json(&place.tier(&["whoami", "--json"]).ok().await);
    assert_eq!(
        (&who["id"], &who["isolated"]),
        (&state["ID"], &serde_json::json!(true))
    );
    assert_eq!(
        place.tier(&["pull"]).ok().await,
        "{\n  \"plans\": {}\n}\n",
        "the account is empty"
    );
    let pushed = place.tier(&["push", "pricing.json"]).ok().await;
    let link = format!("https://dashboard.stripe.com/{id}/test/prices/price_");
    assert!(pushed.lines().all(|line| line.contains(&link)), "{pushed}");
    assert_eq!(place.tier(&["switch"]).ok().await, said);

    let again = place.tier(&["switch", "-c"]).fault().await;
    assert!(again.starts_with("tier: tier.state exists"), "{again}");

    std::fs::remove_file(place.path().join("tier.state")).unwrap();
    let who = json(&place.tier(&["whoami", "--json"]).ok().await);
    assert_eq!(who["id"], owner);
    assert_eq!(
        place.tier(&["switch"]).ok().await,
        "Not running in isolation mode.\n"
    );
}

#[tokio::test]
async fn a_created_account_is_marked_as_tiers() {
    let place = Place::start().await;
    place.tier(&["switch", "-c"]).ok().await;
    let requests = place.sandbox().sandbox().requests(None);
    let text = format!("{:?}", requests.first().unwrap());
    for part in ["standard", "tier.switch.", "tier.account", "switch"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[tokio::test]
async fn push_c_switches_first() {
    let place = Place::start().await;
    place.write("pricing.json", super::PRICING);
    let pushed = place.tier(&["push", "-c", "pricing.json"]).ok().await;
    let id = json(&place.read("tier.state"))["ID"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(pushed.lines().all(|line| line.contains(&id)), "{pushed}");
}

#[tokio::test]
async fn switch_knows_accounts_by_id_and_by_page() {
    let place = Place::start().await;
    place.tier(&["switch", "-c"]).ok().await;
    let id = id_of_state(&place);
    for account in [
        id.clone(),
        format!("https://dashboard.stripe.com/{id}/test/dashboard"),
        format!("https://dashboard.stripe.com/{id}"),
    ] {
        let said = place.tier(&["switch", &account]).ok().await;
        assert!(said.starts_with("Running in isolation mode.\n"), "{said}");
        assert_eq!(
            place.read("tier.state"),
            format!(r#"{{"ID":"{id}","Created":"0001-01-01T00:00:00Z","Type":"","Meta":null}}"#)
        );
    }
    let machine = place.tier(&["switch", "--json", &id]).ok().await;
    assert_eq!(json(&machine)["ID"], id);
    let fault = place.tier(&["switch", "cus_9"]).fault().await;
    assert!(fault.contains("is neither an account's id nor"), "{fault}");
}

#[tokio::test]
async fn an_account_of_another_owner_is_reported_as_such() {
    let place = Place::start().await;
    place.write("tier.state", r#"{"ID":"acct_9"}"#);
    for args in [&["whoami"][..], &["pull"], &["limits", "org:a"]] {
        assert_eq!(
            place.tier(args).fault().await,
            "tier: Running in isolated mode without the API key that started it; See 'tier switch -h'.\n",
            "{args:?}"
        );
    }
}

#[tokio::test]
async fn switch_accepts_only_existing_accounts() {
    let place = Place::start().await;
    for account in ["acct_9", "https://dashboard.stripe.com/acct_9/test"] {
        let fault = place.tier(&["switch", account]).fault().await;
        assert!(
            fault.starts_with(
                "tier: acct_9 is not an account that this key can use (account_invalid)\n"
            ),
            "{fault}"
        );
        assert!(!place.path().join("tier.state").exists());
    }
    // An account cannot be checked while Stripe is unavailable.
    let fault = Place::offline().tier(&["switch", "acct_9"]).fault().await;
    assert!(fault.starts_with("tier: Stripe is unavailable"), "{fault}");
}

#[tokio::test]
async fn a_cleaned_account_is_reported_as_such() {
    let place = Place::start().await;
    place.tier(&["switch", "-c"]).ok().await;
    let id = id_of_state(&place);
    place.tier(&["clean", "--switchaccounts", "0"]).ok().await;
    let gone = format!(
        "tier: {id}, which tier.state names, was deleted by `tier clean`\n\
         remove tier.state to go back: rm tier.state\n"
    );
    for args in [
        &["ls"][..],
        &["whoami"],
        &["limits", "org:acme"],
        &["switch"],
        &["switch", "-c"],
        &["serve", "--addr", "127.0.0.1:0"],
    ] {
        assert_eq!(place.tier(args).fault().await, gone, "{args:?}");
    }
    // The failure does not prevent another `clean`, or a switch to another account.
    place.tier(&["clean", "--switchaccounts", "0"]).ok().await;
    std::fs::remove_file(place.path().join("tier.state")).unwrap();
    place.tier(&["switch", "-c"]).ok().await;
    let other = id_of_state(&place);
    place.write(
        "tier.state",
        &format!(r#"{{"ID":"{id}","Meta":{{"deleted":true}}}}"#),
    );
    place.tier(&["switch", &other]).ok().await;
    place.tier(&["ls"]).ok().await;
}

#[tokio::test]
async fn an_age_below_zero_cleans_nothing() {
    let place = Place::offline();
    for args in [
        &["clean", "-switchaccounts", "-1"][..],
        &["clean", "--switchaccounts", "-1"],
        &["clean", "--switchaccounts=-1s"],
        &["clean", "-switchaccounts=-24h"],
    ] {
        let run = place.tier(args).without("STRIPE_API_KEY");
        assert_eq!(run.ok().await, "", "{args:?}");
    }
    let run = place.tier(&["clean", "--json", "--switchaccounts", "-1"]);
    assert_eq!(json(&run.ok().await)["deleted"], serde_json::json!([]));
    let wrong = place.tier(&["clean", "--switchaccounts", "-x"]);
    wrong.misused().await;
}

#[tokio::test]
async fn an_account_cleaned_elsewhere_is_reported_as_such() {
    let place = Place::start().await;
    place.tier(&["switch", "-c"]).ok().await;
    let made = id_of_state(&place);
    let elsewhere = Place::offline();
    let clean = ["clean", "--switchaccounts", "0"];
    let clean = elsewhere.tier(&clean);
    let cleaned = clean
        .env("STRIPE_BASE_API_URL", place.stripe_url())
        .ok()
        .await;
    assert_eq!(cleaned, format!("{made}\n"));
    for args in [&["ls"][..], &["whoami"], &["limits", "org:acme"]] {
        assert_eq!(
            place.tier(args).fault().await,
            format!(
                "tier: {made}, which tier.state names, is gone: it was deleted, or this key may no longer use it\n\
                 remove tier.state to go back: rm tier.state\n"
            ),
            "{args:?}"
        );
    }
    let fault = place.tier(&["switch", &made]).fault().await;
    assert!(
        fault.starts_with(&format!("tier: {made} is gone: ")),
        "{fault}"
    );
    // If the key has changed, the account may exist and only the key may be wrong.
    let run = place.tier(&["ls"]).env("STRIPE_API_KEY", "sk_test_other");
    let fault = run.fault().await;
    assert!(
        fault.contains("without the API key that started it"),
        "{fault}"
    );
    let kept = place.read(".config/tier/isolated.json");
    assert!(kept.contains(&made) && !kept.contains("sk_test"), "{kept}");
}

/// The account that `tier.state` names.
fn id_of_state(place: &Place) -> String {
    let state = json(&place.read("tier.state"));
    state["ID"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn a_broken_state_is_neither_ignored_nor_overwritten() {
    let place = Place::start().await;
    for broken in ["", "{", "[]", r#"{"ID":"acct_1\nx"}"#, r#"{"ID":""}"#] {
        place.write("tier.state", broken);
        for args in [
            &["whoami"][..],
            &["switch"],
            &["switch", "-c"],
            &["switch", "acct_9"],
        ] {
            let fault = place.tier(args).fault().await;
            assert!(
                fault.starts_with("tier: tier.state "),
                "{broken:?} {args:?}: {fault}"
            );
            assert!(fault.contains("remove it"), "{fault}");
        }
        assert_eq!(place.read("tier.state"), broken);
    }
}

#[tokio::test]
async fn clean_deletes_accounts_that_switch_created() {
    let place = Place::start().await;
    let mut made = Vec::new();
    for _ in 0..2 {
        place.tier(&["switch", "-c"]).ok().await;
        made.push(
            json(&place.read("tier.state"))["ID"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
        std::fs::remove_file(place.path().join("tier.state")).unwrap();
    }
    assert_eq!(
        place.tier(&["clean", "--switchaccounts", "1h"]).ok().await,
        ""
    );
    // `clean` also works while such an account is selected, by calls to the account's owner.
    place.tier(&["switch", &made[0]]).ok().await;
    let cleaned = place.tier(&["clean", "-switchaccounts", "0s"]).ok().await;
    let mut ids: Vec<&str> = cleaned.lines().collect();
    ids.sort_unstable();
    made.sort_unstable();
    assert_eq!(ids, made);
    let machine = place
        .tier(&["clean", "--json", "--switchaccounts", "0s"])
        .ok()
        .await;
    assert_eq!(json(&machine)["deleted"], serde_json::json!([]));
}

/// A Stripe with five connected accounts, the second of which cannot be deleted.
async fn stripe_with_accounts() -> Web {
    let account = |id: &str, made_by: &str, created: i64| object!({ "id": id, "object": "account", "created": created, "metadata": { "tier.account": made_by } });
    let list = object!({
        "object": "list",
        "has_more": false,
        "data": [
            account("acct_5", "switch", 9_999_999_999),
            account("acct_4", "stroke", 1),
            account("acct_3", "somebody", 1),
            account("acct_2", "switch", 1),
            account("acct_1", "switch", 1),
        ],
    });
    let delete = |Path(id): Path<String>| async move {
        match id.as_str() {
            "acct_1" | "acct_4" => (StatusCode::OK, Json(object!({ "id": id, "deleted": true }))),
            _ => (
                StatusCode::BAD_REQUEST,
                Json(object!({ "error": { "message": "it has a balance" } })),
            ),
        }
    };
    let router = Router::new()
        .route("/v1/accounts", get(|| async { Json(list) }))
        .route("/v1/accounts/{id}", axum::routing::delete(delete));
    Web::start(router).await
}

#[tokio::test]
async fn clean_deletes_only_tiers_accounts_and_continues_after_a_failure() {
    let place = Place::offline();
    let stripe = stripe_with_accounts().await;
    let run = place.tier(&["clean", "--switchaccounts", "1h"]);
    let ended = run.env("STRIPE_BASE_API_URL", stripe.url()).end().await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(ended.stdout, "acct_4\nacct_1\n");
    assert_eq!(
        ended.stderr,
        "tier: acct_2 was not deleted: it has a balance\ntier: 1 account could not be deleted\n"
    );
    let run = place.tier(&["clean", "--json", "--switchaccounts", "1h"]);
    let ended = run.env("STRIPE_BASE_API_URL", stripe.url()).end().await;
    let kept = object!([{ "id": "acct_2", "message": "it has a balance" }]);
    assert_eq!(json(&ended.stdout)["kept"], kept);
    let error = json(&ended.stderr);
    assert_eq!(error["message"], "1 account could not be deleted");
}
