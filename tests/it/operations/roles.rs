//! What each role of a key allows.

use axum::http::Method;
use serde_json::{Value, json};
use tier::api::{ApiKey, Keys};

use crate::contract::DOCUMENT;
use crate::harness::{Answer, TestApp};

async fn start() -> TestApp {
    let app = TestApp::start().await;
    let model = json!({"plans": {"plan:p@1": {"features": {"feature:f": {"tiers": [{}]}}}}});
    app.push(&model).await;
    app.subscribe("org:a", &["plan:p@1"]).await;
    let lines = ["front:read:r", "meter:report:m", "back:admin:a", "plain"];
    let keys = lines.map(|line| line.parse::<ApiKey>().unwrap_or_else(|()| panic!("{line}")));
    app.adjusted(|app| app.keys = Keys::new(keys))
}

async fn call(app: &TestApp, key: &str, method: Method, path: &str, body: &str) -> Answer {
    let call = app.request(method, path).body(body);
    let bearer = format!("Bearer {key}");
    call.header("authorization", bearer).send().await
}

const READS: [&str; 7] = [
    "/v1/limits?org=org:a",
    "/v1/phase?org=org:a",
    "/v1/phases?org=org:a",
    "/v1/whois?org=org:a",
    "/v1/whoami",
    "/v1/pull",
    "/metrics",
];

const DETAILS: [&str; 4] = [
    "/v1/invoices?org=org:a",
    "/v1/payment_methods?org=org:a",
    "/v1/whois?org=org:a&include=info",
    "/v1/whois?include=%69nfo&org=org:a",
];

const WRITES: [(&str, &str); 4] = [
    ("/v1/subscribe", r#"{"org":"org:a","phases":[{}]}"#),
    (
        "/v1/checkout",
        r#"{"org":"org:a","success_url":"https://a.example"}"#,
    ),
    ("/v1/push", "{}"),
    (
        "/v1/clock",
        r#"{"name":"x","present":"2030-01-01T00:00:00Z"}"#,
    ),
];

#[tokio::test]
async fn a_key_of_each_role_does_what_the_role_allows() {
    let app = start().await;
    let report = r#"{"org":"org:a","feature":"feature:f","n":1}"#;
    for (key, reports, writes) in [
        ("r", false, false),
        ("m", true, false),
        ("a", true, true),
        ("plain", true, true),
    ] {
        for path in READS {
            call(&app, key, Method::GET, path, "").await.ok();
        }
        let refuse_or = |allowed: bool, answer: Answer| {
            if allowed {
                answer.ok();
            } else {
                answer.fails(403, "forbidden");
            }
        };
        for path in DETAILS {
            refuse_or(writes, call(&app, key, Method::GET, path, "").await);
        }
        let head = call(&app, key, Method::HEAD, DETAILS[0], "").await;
        assert_eq!(head.status, if writes { 200 } else { 403 });
        let reported = call(&app, key, Method::POST, "/v1/report", report).await;
        refuse_or(reports, reported);
        if !writes {
            for (path, body) in WRITES {
                refuse_or(false, call(&app, key, Method::POST, path, body).await);
            }
        }
    }
    assert_eq!(
        app.sent("POST /v1/subscription_items/:id/usage_records")
            .len(),
        3
    );
    for (path, body) in WRITES {
        call(&app, "back:admin:a", Method::POST, path, body)
            .await
            .fails(401, "unauthorized");
        call(&app, "a", Method::POST, path, body).await.ok();
    }
}

#[tokio::test]
async fn a_refusal_names_the_roles() {
    let app = start().await;
    let refused = call(&app, "r", Method::POST, WRITES[0].0, WRITES[0].1).await;
    let message = refused.fails(403, "forbidden").json()["message"].clone();
    assert_eq!(
        message,
        "this API key has the role read, and this request needs admin"
    );
}

/// Pages ask for the key's role, so that they offer only actions that the key allows.
#[tokio::test]
async fn a_key_is_told_its_role_if_it_asks() {
    let app = start().await;
    let path = "/v1/whoami?include=role";
    for (key, role) in [
        ("r", "read"),
        ("m", "report"),
        ("a", "admin"),
        ("plain", "admin"),
    ] {
        let told = call(&app, key, Method::GET, path, "").await.ok().json();
        assert_eq!(told["role"], role);
    }
    let not_asked = call(&app, "r", Method::GET, "/v1/whoami", "").await.ok();
    assert_eq!(not_asked.json().get("role"), None);
    let open = app.adjusted(|app| app.keys = Keys::default());
    assert_eq!(open.get(path).await.ok().json()["role"], "admin");
}

/// The role that an operation needs according to `openapi.yaml`. None if the operation needs no key.
fn documented(operation: &Value) -> Option<&str> {
    let schemes = operation["security"].as_array().expect("each says so");
    let role = |scheme: &str| schemes.iter().find_map(|known| known[scheme][0].as_str());
    assert_eq!(role("basic"), role("bearer"), "{schemes:?}");
    role("basic")
}

#[tokio::test]
async fn the_document_and_the_server_agree_about_roles() {
    let app = start().await;
    let ranks = ["read", "report", "admin"];
    let rank = |role: &str| ranks.iter().position(|known| *known == role).expect(role);
    let paths = DOCUMENT["paths"].as_object().expect("paths");
    let operations = paths.iter().flat_map(|(path, operations)| {
        let operations = operations.as_object().expect("operations");
        operations
            .iter()
            .map(move |(method, operation)| (path, method, operation))
    });
    let mut refused = 0;
    for (path, method, operation) in operations {
        let method: Method = method.to_uppercase().parse().expect("a method");
        let Some(needed) = documented(operation) else {
            let status = app.request(method, path).send().await.status.as_u16();
            assert!(![401, 403].contains(&status), "{path}: {status}");
            continue;
        };
        let codes = DOCUMENT.pointer("/components/responses/Forbidden/x-codes");
        assert_eq!(codes, Some(&json!(["forbidden"])));
        let documents_refusal = operation["responses"]["403"].is_object();
        assert!(documents_refusal, "{method} {path}");
        app.request(method.clone(), path)
            .send()
            .await
            .fails(401, "unauthorized");
        for (key, role) in [("r", "read"), ("m", "report"), ("a", "admin")] {
            let answer = call(&app, key, method.clone(), path, "").await;
            if rank(role) < rank(needed) {
                answer.fails(403, "forbidden");
                refused += 1;
            } else {
                assert_ne!(answer.status, 403, "{method} {path} as {role}");
            }
        }
    }
    let declared = tier::api::operations().iter();
    let declared = declared.filter_map(|operation| operation.access.role());
    let refusals: usize = declared.map(|role| rank(role.as_str())).sum();
    assert_eq!(refused, refusals, "each role that is too low is refused");
    assert!(refused >= 11, "{refused}");
}
