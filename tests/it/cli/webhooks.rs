//! `tier webhook`: the account's webhook endpoints.

use stripe_sandbox::{Action, Rule};

use super::{Place, cells, json};

#[tokio::test]
async fn an_endpoint_is_created_listed_and_deleted() {
    let place = Place::pushed().await;
    let made = place
        .tier(&["webhook", "create", "https://tier.example"])
        .ok()
        .await;
    let secrets = made.trim().strip_prefix("STRIPE_WEBHOOK_SECRET=");
    let secrets: Vec<&str> = secrets.expect("the secrets").split(',').collect();
    assert!(
        secrets.len() == 2 && secrets.iter().all(|one| one.starts_with("whsec_")),
        "{made}"
    );
    let listed = place.tier(&["webhook", "list"]).ok().await;
    let rows = cells(&listed);
    assert_eq!(rows[0], ["ID", "STATUS", "VERSION", "EVENTS", "URL"]);
    assert_eq!(
        rows[1][1..],
        [
            "enabled",
            "2022-11-15",
            "46",
            "https://tier.example/v1/stripe/webhook"
        ]
    );
    // Stripe delivers the errors of meters to the same URL.
    let url = "https://tier.example/v1/stripe/webhook";
    assert_eq!(rows[2][1..], ["enabled", "-", "2", url]);
    let (id, destination) = (rows[1][0].to_owned(), rows[2][0].to_owned());

    let again = place
        .tier(&["webhook", "create", "https://tier.example/"])
        .fault()
        .await;
    assert!(
        again.contains(&format!("tier webhook delete {id}")),
        "{again}"
    );
    let other = [
        "webhook",
        "create",
        "--json",
        "https://tier.example/stripe/",
    ];
    let other = json(&place.tier(&other).ok().await);
    assert_eq!(other["url"], "https://tier.example/stripe");
    assert!(other["secret"].is_string() && other["event_destination"]["secret"].is_string());
    let listed = json(&place.tier(&["webhook", "list", "--json"]).ok().await);
    assert_eq!(listed.as_array().map(Vec::len), Some(4));
    assert_eq!(listed[0].get("secret"), None, "the secret is shown once");

    place.tier(&["webhook", "delete", &id]).ok().await;
    place.tier(&["webhook", "delete", &destination]).ok().await;
    let gone = place.tier(&["webhook", "delete", &id]).fault().await;
    assert!(gone.contains(&id), "{gone}");
    for wrong in ["ftp://x", "nowhere", ""] {
        let refused = place.tier(&["webhook", "create", wrong]).misused().await;
        assert!(refused.contains("URL"), "{refused}");
    }
}

#[tokio::test]
async fn a_key_without_event_destinations_creates_the_endpoint() {
    let place = Place::pushed().await;
    for method in ["GET", "POST"] {
        let refused = Action::Status(403, None);
        let rule = Rule::new(method, "/v2/core/event_destinations", refused);
        place.sandbox().sandbox().add_fault(rule);
    }
    let create = ["webhook", "create", "https://tier.example"];
    let run = place.tier(&create).end().await;
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(
        run.stderr.contains("no event destination could be created"),
        "{}",
        run.stderr
    );
    let secret = run.stdout.trim().strip_prefix("STRIPE_WEBHOOK_SECRET=");
    assert!(
        secret.is_some_and(|secret| !secret.contains(',')),
        "{}",
        run.stdout
    );
    let run = place.tier(&["webhook", "list"]).end().await;
    assert_eq!((run.code, cells(&run.stdout).len()), (Some(0), 2));
    let doctor = place
        .tier(&["doctor"])
        .env("TIER_STRIPE_GENERATION", "meters");
    let told = doctor.ok().await;
    assert!(
        told.contains("the event destinations cannot be read"),
        "{told}"
    );
}
