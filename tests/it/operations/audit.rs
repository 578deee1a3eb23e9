//! Every write leaves one line that says who asked for what, and how it ended.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use axum::http::Method;
use serde_json::{Value, json};
use tier::api::{ApiKey, Audit, Keys};

use crate::harness::TestApp;

/// Where the lines go.
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
async fn a_write_leaves_a_line() {
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
