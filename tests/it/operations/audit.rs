//! Every write has one line in the audit log, which names the caller, the operation and the result.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use axum::http::Method;
use serde_json::{Value, json};
use tier::api::{ApiKey, Audit, Keys};

use crate::contract::DOCUMENT;
use crate::harness::{DAY, TestApp};

/// The audit log.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no panic").clone()).expect("text")
    }

    fn all(&self) -> Vec<Value> {
        let text = self.text();
        let lines = text.lines().map(serde_json::from_str);
        lines.map(|line| line.expect("JSON")).collect()
    }
}

async fn start() -> (TestApp, Lines) {
    let app = TestApp::start().await;
    let lines = Lines::default();
    let named: ApiKey = "back end:admin:sk_own_secret".parse().expect("a key");
    let app = app.adjusted(|app| {
        app.keys = Keys::new([named, "plain_secret".into()]);
        app.audit = Audit::to(lines.clone());
    });
    (app, lines)
}

async fn post(app: &TestApp, key: &str, path: &str, body: &Value) -> u16 {
    let call = app.request(Method::POST, path).body(body.to_string());
    let call = call.header("authorization", format!("Bearer {key}"));
    call.header("x-request-id", "id-1")
        .send()
        .await
        .status
        .as_u16()
}

#[tokio::test]
async fn a_write_has_a_line() {
    let (app, lines) = start().await;
    let model = json!({"plans": {"plan:p@1": {"features": {"feature:f": {"tiers": [{}]}}}}});
    let info = json!({"email": "jo@acme.example", "metadata": {"k": "secret"}});
    let subscribe = json!({"org": "org:a", "info": info, "phases": [{"features": ["plan:p@1"]}]});
    let report = json!({"org": "org:a", "feature": "feature:f", "n": 3});
    let cancel = json!({"org": "org:a", "phases": [{}]});
    let checkout =
        json!({"org": "org:a", "features": ["plan:p@1"], "success_url": "https://a.example"});
    let wrong = json!({"org": "org:a", "phases": [{"features": ["plan:none@1"]}]});
    let unreadable = json!({"org": 1});
    let named = "sk_own_secret";
    for (key, path, body, status) in [
        (named, "/v1/push", &model, 200),
        (named, "/v1/subscribe", &subscribe, 200),
        ("plain_secret", "/v1/report", &report, 200),
        (named, "/v1/subscribe", &cancel, 200),
        (named, "/v1/checkout", &checkout, 200),
        (named, "/v1/subscribe", &wrong, 400),
        (named, "/v1/subscribe", &unreadable, 400),
    ] {
        assert_eq!(post(&app, key, path, body).await, status, "{path} {body}");
    }
    app.get_with(
        "/v1/limits?org=org:a",
        &[("authorization", "Bearer plain_secret")],
    )
    .await
    .ok();
    let all = lines.all();
    assert_eq!(all.len(), 7, "reads leave none: {all:#?}");
    for line in &all {
        assert_eq!(line["request_id"], "id-1");
        assert!(
            line["time"]
                .as_str()
                .is_some_and(|time| time.ends_with('Z')),
            "{line}"
        );
        assert!(
            line["endpoint"].is_string() && line.get("peer").is_some(),
            "{line}"
        );
    }
    assert_eq!(all[0]["change"], json!({"plans": ["plan:p@1"]}));
    assert_eq!(
        (&all[1]["org"], &all[1]["key"]),
        (&json!("org:a"), &json!("back end"))
    );
    let change = &all[1]["change"];
    assert_eq!(change["phases"][0]["features"], json!(["plan:p@1"]));
    assert_eq!(change["info"], json!(["email", "metadata.k"]));
    assert_eq!(
        (&all[2]["change"]["n"], &all[2]["change"]["feature"]),
        (&json!(3), &json!("feature:f"))
    );
    let digest = all[2]["key"].as_str().expect("a digest");
    assert!(digest.len() == 20 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!(all[3]["change"]["phases"][0]["features"], json!([]));
    assert_eq!(
        (&all[5]["status"], &all[5]["code"]),
        (&json!(400), &json!("TERR1020"))
    );
    assert_eq!(
        (&all[6]["org"], &all[6]["change"]),
        (&Value::Null, &Value::Null)
    );
    let text = lines.text();
    assert!(
        !text.contains("secret") && !text.contains("jo@acme"),
        "{text}"
    );
}

/// Calls every operation that writes for a caller, with an example body from `openapi.yaml`.
#[tokio::test]
async fn each_kind_of_write_has_a_line() {
    let (app, lines) = start().await;
    let paths = DOCUMENT["paths"].as_object().expect("paths");
    let mut written = 0;
    for (path, operations) in paths {
        // The endpoint for Stripe's events has no caller with a key, and requests no write.
        if operations.pointer("/post/security") == Some(&json!([{}])) {
            continue;
        }
        let Some(content) = operations.pointer("/post/requestBody/content") else {
            assert!(
                operations.get("post").is_none(),
                "{path}: a write without a body"
            );
            continue;
        };
        let content = content.as_object().expect("types").values().next();
        let examples = content.expect("a type")["examples"].as_object();
        let example = &examples.expect("examples").values().next().expect("one")["value"];
        let body = example
            .as_str()
            .map_or_else(|| example.to_string(), str::to_owned);
        let before = lines.all().len();
        let call = app.request(Method::POST, path).body(body);
        let call = call.header("authorization", "Bearer sk_own_secret");
        let status = call.send().await.status.as_u16();
        let all = lines.all();
        assert_eq!(all.len(), before + 1, "{path}");
        let line = &all[before];
        assert_eq!(
            (&line["endpoint"], &line["status"]),
            (&json!(path), &json!(status))
        );
        assert_eq!(line["key"], "back end");
        assert!(
            line["change"].is_object() && line["request_id"].is_string(),
            "{line}"
        );
        assert_eq!(line["org"], example["org"], "{line}");
        written += 1;
    }
    let operations = tier::api::operations().iter();
    let writes = operations
        .filter(|operation| operation.method == Method::POST && operation.access.role().is_some());
    assert_eq!(written, writes.count());
    assert!(written >= 5, "{written}");
}

#[tokio::test]
async fn a_write_refused_by_role_has_a_line_and_one_without_a_key_has_none() {
    let (app, lines) = start().await;
    let reader: ApiKey = "front:read:r".parse().expect("a key");
    let app = app.adjusted(|app| app.keys = Keys::new([reader]));
    let report = json!({"org": "org:a", "feature": "feature:f", "n": 3});
    assert_eq!(post(&app, "r", "/v1/report", &report).await, 403);
    assert_eq!(post(&app, "x", "/v1/report", &report).await, 401);
    app.get_with(
        "/v1/payment_methods?org=org:a",
        &[("authorization", "Bearer r")],
    )
    .await
    .fails(403, "forbidden");
    let all = lines.all();
    assert_eq!(all.len(), 1, "{all:#?}");
    assert_eq!(
        (&all[0]["key"], &all[0]["status"]),
        (&json!("front"), &json!(403))
    );
    assert_eq!(
        (&all[0]["endpoint"], &all[0]["code"]),
        (&json!("/v1/report"), &json!("forbidden"))
    );
    assert_eq!(
        (&all[0]["org"], &all[0]["change"]),
        (&Value::Null, &Value::Null)
    );
}

/// Tier ends a subscription that Checkout superseded by itself, without a request. The audit log has a line for that.
#[tokio::test]
async fn a_superseded_subscription_has_a_line() {
    for path in ["/v1/limits?org=org:a", "/v1/subscribe"] {
        let (app, lines) = start().await;
        let key = "sk_own_secret";
        let model = json!({"plans": {"plan:p@1": {"features": {"feature:f": {"tiers": [{}]}}}}});
        assert_eq!(post(&app, key, "/v1/push", &model).await, 200);
        let body = json!({"org": "org:a", "phases": [{"features": ["plan:p@1"]}]});
        assert_eq!(post(&app, key, "/v1/subscribe", &body).await, 200);
        let old = app.stripe_get("/v1/subscriptions").await["data"][0].clone();
        let text = |object: &Value| object.as_str().expect("an id").to_owned();
        let (customer, price) = (
            text(&old["customer"]),
            text(&old["items"]["data"][0]["price"]["id"]),
        );
        app.advance(DAY);
        let made = [
            ("customer", customer.as_str()),
            ("items[0][price]", price.as_str()),
            ("metadata[tier.subscription]", "default"),
        ];
        let new = app.stripe_post("/v1/subscriptions", &made).await;
        if path == "/v1/subscribe" {
            assert_eq!(post(&app, key, path, &body).await, 200);
        } else {
            let key = format!("Bearer {key}");
            app.get_with(path, &[("authorization", &key)]).await.ok();
        }
        app.settled().await;
        let all = lines.all();
        let line = all.iter().find(|line| line["endpoint"] == "supersede");
        let line = line.expect("a line");
        assert_eq!(
            (&line["org"], &line["status"]),
            (&json!("org:a"), &json!(200))
        );
        assert_eq!(line["change"], json!({"ended": old["id"], "by": new["id"]}));
    }
}
