//! Webhook endpoints of the account.

use super::{Place, cells, json};

#[tokio::test]
async fn an_endpoint_is_created_listed_and_deleted() {
    let place = Place::pushed().await;
    let made = place
        .tier(&["webhook", "create", "https://tier.example"])
        .ok()
        .await;
    let secret = made.strip_prefix("STRIPE_WEBHOOK_SECRET=whsec_");
    assert!(
        secret.is_some_and(|secret| secret.trim().len() > 8),
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
    let id = rows[1][0].to_owned();

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
    assert!(other["secret"].is_string());
    let listed = json(&place.tier(&["webhook", "list", "--json"]).ok().await);
    assert_eq!(listed.as_array().map(Vec::len), Some(2));
    assert_eq!(listed[0].get("secret"), None, "it is told once");

    place.tier(&["webhook", "delete", &id]).ok().await;
    let gone = place.tier(&["webhook", "delete", &id]).fault().await;
    assert!(gone.contains(&id), "{gone}");
    for wrong in ["ftp://x", "nowhere", ""] {
        let refused = place.tier(&["webhook", "create", wrong]).misused().await;
        assert!(refused.contains("URL"), "{refused}");
    }
}
