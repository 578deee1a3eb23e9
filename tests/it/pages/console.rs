//! The console, whose parts depend on the role of the key.

mod lists;

use axum::http::Method;
use serde_json::{Value, json};
use tier::api::{ApiKey, Keys};

use crate::harness::{Answer, DAY, TestApp};

/// A server with a key of each role, and an org on a plan.
async fn start() -> TestApp {
    let app = TestApp::start().await;
    let model = json!({"plans": {
        "plan:free@1": {"features": {"feature:calls": {"tiers": [{"upto": 10}]}}},
        "plan:pro@1": {"title": "Pro", "features": {
            "feature:calls": {"tiers": [{"upto": 100}]},
            "feature:seats": {"base": 1000},
        }},
        "plan:small@1": {"features": {"feature:calls": {"tiers": [{"upto": 2}]}, "feature:seats": {"base": 500}}},
        "plan:japan@1": {"currency": "jpy", "features": {"feature:seats": {"base": 1200}}},
    }});
    app.push(&model).await;
    app.subscribe("org:acme", &["plan:pro@1"]).await;
    app.report("org:acme", "feature:calls", 7).await;
    let keys = ["front:read:r", "back:admin:a"];
    let keys = keys.map(|line| line.parse::<ApiKey>().unwrap_or_else(|()| panic!("{line}")));
    app.adjusted(|app| app.keys = Keys::new(keys))
}

async fn get(app: &TestApp, key: &str, path: &str) -> Answer {
    let bearer = format!("Bearer {key}");
    app.get_with(path, &[("authorization", &bearer)]).await
}

#[tokio::test]
async fn the_page_has_no_data_and_its_parts_need_a_key() {
    let app = start().await;
    app.forget_calls();
    let page = app.get("/console").await.ok();
    assert!(page.body.contains("<tier-console>") && !page.body.contains("acme"));
    assert!(
        page.header("content-security-policy")
            .contains("script-src 'self'")
    );
    for part in [
        "/console/orgs",
        "/console/org?org=org:acme",
        "/console/change?org=org:acme&plan=plan:free@1",
    ] {
        app.get(part).await.fails(401, "unauthorized");
    }
    assert_eq!(app.stripe_calls(), 0);
    let part = get(&app, "r", "/console/orgs").await.ok();
    assert_eq!(part.header("content-type"), "text/html; charset=utf-8");
    assert!(
        part.header("content-security-policy")
            .starts_with("default-src 'none'")
    );
    assert_eq!(part.header("cache-control"), "no-store");
}

#[tokio::test]
async fn an_org_is_found_by_a_part_of_its_name() {
    let app = start().await;
    let link = r##"<a href="#org=org%3Aacme">org:acme</a>"##;
    for path in [
        "/console/orgs",
        "/console/orgs?text=ACM",
        "/console/orgs?text=org:acme",
    ] {
        let found = get(&app, "r", path).await.ok().body;
        assert!(
            found.contains(link) && found.contains("plan:pro@1"),
            "{found}"
        );
    }
    let none = get(&app, "r", "/console/orgs?text=%3Cscript%3E")
        .await
        .ok()
        .body;
    assert!(
        none.contains("no such org") && none.contains("&lt;script&gt;"),
        "{none}"
    );
}

#[tokio::test]
async fn what_the_role_does_not_allow_is_not_shown() {
    let app = start().await;
    let path = "/console/org?org=org:acme";
    let seen = get(&app, "r", path).await.ok().body;
    assert!(
        seen.contains("7 of 100") && seen.contains("plan:pro@1"),
        "{seen}"
    );
    for hidden in ["Invoices", "Next bill", "<form", "$"] {
        assert!(!seen.contains(hidden), "{seen}");
    }
    let seen = get(&app, "a", path).await.ok().body;
    for shown in [
        "Invoices",
        "Next bill",
        "$10.00",
        "plan:free@1, Free",
        "open",
        "without a limit",
    ] {
        assert!(seen.contains(shown), "{shown}: {seen}");
    }
    let change = "/console/change?org=org:acme&plan=plan:free@1";
    get(&app, "r", change).await.fails(403, "forbidden");
    get(&app, "a", "/console/org?org=org:none")
        .await
        .fails(400, "org_not_found");
}

/// Sends the request of the form in `part`, unchanged.
async fn send(app: &TestApp, part: &str) -> Value {
    let attribute = |name: &str| {
        let rest = part.split_once(&format!("data-{name}=\""));
        let (value, _) = rest.and_then(|(_, rest)| rest.split_once('"')).expect(name);
        value.replace("&quot;", "\"")
    };
    let (path, body) = (attribute("path"), attribute("body"));
    let call = app.request(Method::POST, &path).body(body);
    let call = call.header("authorization", "Bearer a");
    let sent = call.send().await.ok().json();
    app.settled().await;
    sent
}

async fn plans(app: &TestApp, org: &str) -> Value {
    let phase = get(app, "a", &format!("/v1/phase?org={org}")).await.ok();
    phase.json()["plans"].clone()
}

#[tokio::test]
async fn a_change_is_shown_and_then_made_as_it_was_shown() {
    let app = start().await;
    let dry =
        json!({"from": "plan:pro@1", "to": "plan:small@1", "orgs": ["org:acme"], "dry_run": true});
    let call = app
        .request(Method::POST, "/v1/migrate")
        .body(dry.to_string());
    let planned = call
        .header("authorization", "Bearer a")
        .send()
        .await
        .ok()
        .json();
    let bill = |field: &str| {
        let cents = planned["orgs"][0][field].as_i64().expect("a bill");
        format!(
            "{}${}.{:02}",
            if cents < 0 { "-" } else { "" },
            cents.abs() / 100,
            cents.abs() % 100
        )
    };
    app.forget_calls();
    let change = "/console/change?org=org:acme&plan=plan:small@1";
    let shown = get(&app, "a", change).await.ok().body;
    assert!(
        shown.contains("2023-01-01") && shown.contains("Over its new limit at once: feature:calls"),
        "{shown}"
    );
    for bill in [bill("next_bill"), bill("next_bill_now")] {
        assert!(shown.contains(&bill), "{bill}: {shown}");
    }
    let writes = app.sandbox().requests(None).into_iter();
    assert_eq!(
        writes
            .filter(|call| call.endpoint.starts_with("POST"))
            .count(),
        0
    );
    assert_eq!(plans(&app, "org:acme").await, json!(["plan:pro@1"]));
    send(&app, &shown).await;
    assert_eq!(plans(&app, "org:acme").await, json!(["plan:small@1"]));

    let later = format!("{}&at=period_end", change.replace("small", "free"));
    let shown = get(&app, "a", &later).await.ok().body;
    assert!(shown.contains("2023-02-01"), "{shown}");
    send(&app, &shown).await;
    assert_eq!(plans(&app, "org:acme").await, json!(["plan:small@1"]));
    let org = get(&app, "a", "/console/org?org=org:acme").await.ok().body;
    assert!(org.contains("<b>plan:free@1</b> from 2023-02-01"), "{org}");
}

#[tokio::test]
async fn an_org_without_a_plan_gets_its_first() {
    let app = start().await;
    let body = json!({"org": "org:new", "info": {"email": ""}}).to_string();
    let call = app.request(Method::POST, "/v1/subscribe").body(body);
    call.header("authorization", "Bearer a").send().await.ok();
    let org = get(&app, "a", "/console/org?org=org:new").await.ok().body;
    assert!(org.contains("It has no subscription."), "{org}");
    let shown = get(&app, "a", "/console/change?org=org:new&plan=plan:pro@1").await;
    let shown = shown.ok().body;
    assert!(shown.contains("$10.00 a month"), "{shown}");
    send(&app, &shown).await;
    assert_eq!(plans(&app, "org:new").await, json!(["plan:pro@1"]));
}

#[tokio::test]
async fn an_org_whose_subscription_has_ended_says_so() {
    let app = start().await;
    let list = get(&app, "r", "/console/orgs").await.ok().body;
    assert!(!list.contains("ended"), "{list}");
    app.advance(10 * DAY);
    let cancel = json!({"org": "org:acme", "phases": [{}]}).to_string();
    let call = app.request(Method::POST, "/v1/subscribe").body(cancel);
    call.header("authorization", "Bearer a").send().await.ok();
    let body = json!({"org": "org:new", "info": {"email": ""}}).to_string();
    let call = app.request(Method::POST, "/v1/subscribe").body(body);
    call.header("authorization", "Bearer a").send().await.ok();
    app.forget_calls();
    let list = get(&app, "r", "/console/orgs").await.ok().body;
    // The subscription of org:acme has ended, and org:new never had one.
    let row = |org: &str| {
        let (_, rest) = list.split_once(&format!(">{org}</a>")).expect(org);
        rest.split_once("</tr>").expect("a row").0
    };
    assert!(row("org:acme").contains("<td>ended</td>"), "{list}");
    assert!(!row("org:new").contains("ended"), "{list}");
    assert!(
        row("org:new").contains("<td>none</td><td>none</td>"),
        "{list}"
    );
    assert_eq!(app.sent("GET /v1/customers").len(), 1);
    assert!(app.sent("GET /v1/subscriptions").is_empty());
    let org = get(&app, "a", "/console/org?org=org:acme").await.ok().body;
    assert!(
        org.contains("Its subscription ended on 2023-01-11."),
        "{org}"
    );
    let new = get(&app, "a", "/console/org?org=org:new").await.ok().body;
    assert!(
        new.contains("It has no subscription.") && !new.contains("ended"),
        "{new}"
    );
    // A future subscription is not shown as ended.
    let soon = json!({"org": "org:new", "phases": [
        {"features": ["plan:pro@1"], "effective": "2023-02-01T00:00:00Z"},
    ]});
    let call = app
        .request(Method::POST, "/v1/subscribe")
        .body(soon.to_string());
    call.header("authorization", "Bearer a").send().await.ok();
    let new = get(&app, "a", "/console/org?org=org:new").await.ok().body;
    assert!(
        new.contains("2023-02-01") && !new.contains("ended"),
        "{new}"
    );
    let begun = get(&app, "a", "/console/change?org=org:acme&plan=plan:small@1").await;
    send(&app, &begun.ok().body).await;
    let org = get(&app, "a", "/console/org?org=org:acme").await.ok().body;
    assert!(!org.contains("ended on"), "{org}");
}

#[tokio::test]
async fn a_change_that_cannot_be_made_is_refused() {
    let app = start().await;
    for (query, code) in [
        ("plan=plan:none@1", "TERR1020"),
        ("plan=plan:pro", "invalid_request"),
        ("plan=plan:japan@1", "invalid_request"),
        ("plan=plan:pro@1", "invalid_request"),
        ("plan=plan:free@1&at=never", "invalid_request"),
    ] {
        let path = format!("/console/change?org=org:acme&{query}");
        get(&app, "a", &path).await.fails(400, code);
    }
    let single = json!({"org": "org:mixed", "phases": [{"features": ["feature:calls@plan:free@1", "feature:seats@plan:pro@1"]}]});
    let call = app
        .request(Method::POST, "/v1/subscribe")
        .body(single.to_string());
    call.header("authorization", "Bearer a").send().await.ok();
    let path = "/console/change?org=org:mixed&plan=plan:pro@1";
    get(&app, "a", path).await.fails(400, "invalid_request");
}

#[tokio::test]
async fn orgs_on_a_test_clock_are_shown_at_its_time() {
    let app = start().await;
    let call = app.request(Method::POST, "/v1/clock");
    let body = json!({"name": "x", "present": "2030-05-01T00:00:00Z"}).to_string();
    let made = call.header("authorization", "Bearer a").body(body).send();
    let clock = made.await.ok().json()["id"].clone();
    let clock = clock.as_str().expect("an id");
    let on_clock = [("authorization", "Bearer a"), ("tier-clock", clock)];
    let body = json!({"org": "org:later", "phases": [{"features": ["plan:pro@1"]}]}).to_string();
    let call = app
        .request(Method::POST, "/v1/subscribe")
        .headers(&on_clock);
    call.body(body).send().await.ok();

    let all = get(&app, "a", "/console/orgs").await.ok().body;
    assert!(
        !all.contains("org:later") && all.contains("Orgs on a test clock"),
        "{all}"
    );
    let listed = app.get_with("/console/orgs", &on_clock).await.ok().body;
    let link = format!("<a href=\"#clock={clock}&amp;org=org%3Alater\">");
    assert!(
        listed.contains(&link) && !listed.contains("org:acme"),
        "{listed}"
    );
    let org = app.get_with("/console/org?org=org:later", &on_clock).await;
    let org = org.ok().body;
    for shown in [
        "which shows 2030-05-01",
        "2030-06-01",
        &format!("href=\"#clock={clock}\""),
    ] {
        assert!(org.contains(shown), "{shown}: {org}");
    }
    let unknown = [("authorization", "Bearer a"), ("tier-clock", "clock_none")];
    app.get_with("/console/orgs", &unknown)
        .await
        .fails(400, "invalid_request");
}
