//! Lists that are longer than one page.

use super::*;

/// Every text in `part` that is between `before` and `after`.
fn between<'a>(part: &'a str, before: &str, after: &str) -> Vec<&'a str> {
    let pieces = part.split(before).skip(1);
    let found = pieces.filter_map(|piece| piece.split_once(after));
    found.map(|(text, _)| text).collect()
}

/// The target of a part's link with this name, as the page's script requests it.
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
}

/// How many calls a request made to list customers.
fn lists(app: &TestApp) -> usize {
    let all = app.sent("GET /v1/customers").into_iter();
    all.filter(|sent| !sent["expand"].is_null()).count()
}

/// An account may have many customers of other apps, so one page may not read all of them.
#[tokio::test]
async fn a_page_takes_a_few_calls_however_many_customers_there_are() {
    let app = start().await;
    for _ in 0..505 {
        app.stripe_post("/v1/customers", &[("metadata[of]", "another app")])
            .await;
    }
    let page = async |path: &str| {
        app.forget_calls();
        let part = get(&app, "r", path).await.ok().body;
        let next = link_named(&part, "Next page");
        (part, lists(&app), app.stripe_calls(), next)
    };
    // The first page makes one more call, which lists the catalog.
    let (part, listed, calls, next) = page("/console/orgs").await;
    assert!(part.contains("none among these 250 customers"), "{part}");
    assert_eq!((listed, calls), (5, 6));
    let (part, listed, _, next) = page(&next.expect("more")).await;
    assert!(part.contains("none among these 250 customers"), "{part}");
    assert_eq!(listed, 5);
    let (part, listed, _, next) = page(&next.expect("more")).await;
    assert!(part.contains(">org:acme</a>"), "{part}");
    assert_eq!((listed, next), (1, None));

    // A search for a part of the name goes page by page. A search for the full name finds the org at once.
    let (part, listed, _, next) = page("/console/orgs?text=ACM").await;
    assert!(part.contains("none among these 500 customers"), "{part}");
    assert_eq!(listed, 5);
    let (part, listed, _, next) = page(&next.expect("more")).await;
    assert!(part.contains(">org:acme</a>"), "{part}");
    assert_eq!((listed, next), (1, None));
    for whole in ["acme", "org:acme"] {
        let (part, listed, calls, next) = page(&format!("/console/orgs?text={whole}")).await;
        assert!(part.contains(">org:acme</a>"), "{part}");
        assert!(part.contains("plan:pro@1"), "{part}");
        assert!(part.contains("Found among 500 customers"), "{part}");
        assert!(listed == 5 && calls <= 9, "{listed} of {calls}");
        assert!(next.is_some());
    }
}

#[tokio::test]
async fn a_list_goes_on_after_an_org_that_was_deleted() {
    let app = start().await;
    let mut ids = Vec::new();
    for i in 0..51 {
        let org = format!("org:many{i:02}");
        let made = app
            .stripe_post("/v1/customers", &[("metadata[tier.org]", &org)])
            .await;
        ids.push(made["id"].as_str().expect("an id").to_owned());
    }
    let part = get(&app, "r", "/console/orgs").await.ok().body;
    let next = link_named(&part, "Next page").expect("more");
    // The list begins with the newest customer.
    app.stripe_delete(&format!("/v1/customers/{}", ids[1]))
        .await;
    let rest = get(&app, "r", &next).await.ok().body;
    for org in ["org:many00", "org:acme"] {
        assert!(rest.contains(&format!(">{org}</a>")), "{rest}");
    }
    let never = get(&app, "r", "/console/orgs?after=cus_none").await;
    let never = never.fails(400, "invalid_request").body;
    assert!(never.contains("go to the first page"), "{never}");
}

/// An org with two customers is listed with the newer one.
#[tokio::test]
async fn an_org_is_listed_once_with_the_plan_that_counts() {
    let app = start().await;
    let mark = [("metadata[tier.org]", "org:acme")];
    app.stripe_post("/v1/customers", &mark).await;
    let part = get(&app, "r", "/console/orgs").await.ok().body;
    assert_eq!(part.matches(">org:acme</a>").count(), 1, "{part}");
    assert!(!part.contains("plan:pro@1"), "{part}");
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
