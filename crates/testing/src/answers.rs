//! Records the answers and events of sandboxes for the checks in `tests/judges`, one line of JSON each, in the file
//! that `STRIPE_SANDBOX_ANSWERS` names.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::sync::{LazyLock, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, HttpBody as _, to_bytes};
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use serde_json::{Value, json};
use stripe_sandbox::Sandbox;

/// The file, if the environment variable is set.
static ANSWERS: LazyLock<Option<Mutex<File>>> = LazyLock::new(|| {
    let path = std::env::var_os("STRIPE_SANDBOX_ANSWERS")?;
    let file = OpenOptions::new().create(true).append(true).open(path);
    Some(Mutex::new(file.expect("the file for answers")))
});

/// The API version whose schemas the judges have.
const JUDGED: &str = "2022-11-15";

/// Whether the judges' schemas cover an answer. They do not have meters and billing modes, which Stripe has added to
/// every version.
fn is_of_2022(answer: &Value) -> bool {
    match answer {
        Value::Array(elements) => elements.iter().all(is_of_2022),
        Value::Object(fields) => {
            let version = fields.get("api_version").and_then(Value::as_str);
            let object = fields.get("object").and_then(Value::as_str);
            version.is_none_or(|version| version == JUDGED)
                && object.is_none_or(|object| !object.starts_with("billing.meter"))
                && !["billing_mode", "meter"]
                    .iter()
                    .any(|name| fields.contains_key(*name))
                && fields.values().all(is_of_2022)
        }
        _ => true,
    }
}

/// Adds recording to the sandbox's router.
pub fn watch(router: Router) -> Router {
    match &*ANSWERS {
        Some(_) => router.layer(from_fn(observe)),
        None => router,
    }
}

/// Records all events of a sandbox. Call it when the sandbox is no longer used.
pub fn keep_events(sandbox: &Sandbox) {
    if ANSWERS.is_none() {
        return;
    }
    let events = sandbox.events();
    for event in events.iter().filter(|event| is_of_2022(event)) {
        let id = event["id"].as_str().unwrap_or_default();
        keep("GET", &format!("/v1/events/{id}"), 200, event);
    }
}

async fn observe(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let (head, body) = next.run(request).await.into_parts();
    let version = head.headers.get("stripe-version");
    let is_judged = version.is_some_and(|version| version == JUDGED) && path.starts_with("/v1/");
    // An answer that a test aborts has no size, and cannot be recorded.
    if body.size_hint().exact().is_none() || !is_judged {
        return Response::from_parts(head, body);
    }
    let body = to_bytes(body, usize::MAX).await.expect("it is in memory");
    // An answer that a test corrupts is not JSON, and is not recorded.
    let answer = serde_json::from_slice::<Value>(&body).ok();
    if let Some(answer) = answer.filter(is_of_2022) {
        keep(method.as_str(), &path, head.status.as_u16(), &answer);
    }
    Response::from_parts(head, Body::from(body))
}

fn keep(method: &str, path: &str, status: u16, answer: &Value) {
    let line = json!({"method": method, "path": path, "status": status, "answer": answer});
    if let Some(file) = &*ANSWERS {
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(file, "{line}").expect("there is room on the disk");
    }
}
