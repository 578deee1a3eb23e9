//! Lists that are longer than a page.

use super::*;
use crate::harness::DAY;

/// What is between `before` and `after` in a part, each time.
fn between<'a>(part: &'a str, before: &str, after: &str) -> Vec<&'a str> {
    let pieces = part.split(before).skip(1);
    let found = pieces.filter_map(|piece| piece.split_once(after));
    found.map(|(text, _)| text).collect()
}

/// Where a part's link of that name leads, as its script asks for it.
fn link_named(part: &str, name: &str) -> Option<String> {
    let before = format!("\">{name}</a>");
    let (link, _) = part.split_once(&before)?;
    let (_, place) = link.rsplit_once("href=\"#")?;
    Some(format!("/console/orgs?{}", place.replace("&amp;", "&")))
}

#[tokio::test]
async fn all_orgs_are_found_page_by_page() {
    let app = start().await;
    for i in 0..103 {
        let org = format!("org:many{i:03}");
        app.stripe_post("/v1/customers", &[("metadata[tier.org]", &org)])
            .await;
    }
    for (query, sizes) in [("", [50, 50, 4]), ("text=MANY", [50, 50, 3])] {
        let mut path = format!("/console/orgs?{query}");
        let mut found = Vec::new();
        for (i, size) in sizes.into_iter().enumerate() {
            let part = get(&app, "r", &path).await.ok().body;
            let names = between(&part, "\"><a href=\"#org=org%3A", "\"");
            assert_eq!(names.len(), size, "{part}");
            found.extend(names.into_iter().map(str::to_owned));
            assert_eq!(link_named(&part, "First page").is_some(), i > 0);
            let next = link_named(&part, "Next page");
            assert_eq!(next.is_some(), i < 2, "{part}");
            path = next.unwrap_or_default();
        }
        found.sort();
        found.dedup();
        assert_eq!(found.len(), sizes.iter().sum::<usize>());
    }
    get(&app, "r", "/console/orgs?after=x")
        .await
        .fails(400, "invalid_request");
    let end = get(&app, "r", "/console/orgs?after=0:org:a").await.ok();
    assert!(end.body.contains("There are no more."), "{}", end.body);
}

#[tokio::test]
async fn all_invoices_are_shown_when_they_are_asked_for() {
    let app = start().await;
    let model = json!({"plans": {"plan:daily@1": {"interval": "@daily", "features": {"feature:x": {"base": 5}}}}});
    for (path, body) in [
        ("/v1/push", model),
        (
            "/v1/subscribe",
            json!({"org": "org:daily", "phases": [{"features": ["plan:daily@1"]}]}),
        ),
    ] {
        let call = app.request(Method::POST, path).body(body.to_string());
        call.header("authorization", "Bearer a").send().await.ok();
    }
    app.advance(60 * DAY);
    let part = get(&app, "a", "/console/org?org=org:daily").await.ok().body;
    let after = between(&part, "name=\"after\" value=\"", "\"");
    let older = format!("/console/invoices?org=org:daily&after={}", after[0]);
    let rest = get(&app, "a", &older).await.ok().body;
    let rows = |part: &str| {
        let (_, invoices) = part.split_once("<tbody>").expect("a table");
        invoices.matches("<tr>").count()
    };
    assert_eq!((rows(&part), rows(&rest)), (50, 11), "{rest}");
    assert!(!rest.contains("Older invoices"), "{rest}");
    get(&app, "r", &older).await.fails(403, "forbidden");
    for wrong in ["org=org:daily", "org=org:daily&after=", "after=in_1"] {
        let path = format!("/console/invoices?{wrong}");
        get(&app, "a", &path).await.fails(400, "invalid_request");
    }
}

#[tokio::test]
async fn the_plans_to_change_to_are_read_once() {
    let app = start().await;
    let prices = async |key: &str| {
        app.forget_calls();
        let part = get(&app, key, "/console/org?org=org:acme").await.ok();
        (part.body, app.sent("GET /v1/prices").len())
    };
    let (_, without_plans) = prices("r").await;
    let (first, _) = prices("a").await;
    assert!(first.contains("plan:small@1") && !first.contains("plan:new@1"));
    assert_eq!(prices("a").await, (first, without_plans));
    let newer = json!({"plans": {"plan:new@1": {"features": {"feature:seats": {"base": 1}}}}});
    let push = app
        .request(Method::POST, "/v1/push")
        .body(newer.to_string());
    push.header("authorization", "Bearer a").send().await.ok();
    let (after, _) = prices("a").await;
    assert!(after.contains("plan:new@1"), "{after}");
}
