//! Reading calls, and writing answers with Stripe's headers, or the faults that replace them.

#[cfg(test)]
mod busy;
pub(crate) mod call;
pub(crate) mod control;
pub(crate) mod endpoints;
pub(crate) mod fault;
pub(crate) mod guard;
pub(crate) mod limit;
#[cfg(test)]
mod panics;
pub(crate) mod record;
pub(crate) mod routes;
pub(crate) mod rule;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use chrono::DateTime;
use futures::StreamExt;

use self::rule::Action;
use crate::error::{Error, Result};
use crate::pages;
use crate::pages::viewer::target::{accepts_html, viewer_target};
use crate::params::form::Form;
use crate::sandbox::Sandbox;
use crate::store::ids::Id;
use crate::store::locked;
use crate::version::ApiVersion;

/// Stripe does not publish its limit; no real call comes close to this one.
const MAX_BODY: usize = 1 << 20;

/// How much of an oversized body is read, so that the client gets the answer instead of a broken connection.
const MAX_DRAINED: usize = 64 << 20;

/// All routes of the sandbox.
pub(crate) fn router(sandbox: Sandbox) -> Router {
    pages::router()
        .fallback(handle)
        .layer(from_fn_with_state(sandbox.clone(), guard::guard))
        .with_state(sandbox)
}

/// A call that has been read.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    /// The parameters of the query and the body, or the error if they cannot be read.
    pub(crate) form: Result<Form>,
}

impl Call {
    async fn read(request: Request) -> Self {
        let (head, body) = request.into_parts();
        let body = read_body(body).await;
        let mut form = Form::default();
        // Version 2 of the API takes JSON.
        let is_json = head.uri.path().starts_with("/v2/");
        let form = form
            .read(head.uri.query().unwrap_or_default().as_bytes())
            .and(body)
            .and_then(|body| check_type(&head.headers, &body, is_json).map(|()| body))
            .and_then(|body| {
                if is_json {
                    form.read_json(&body)
                } else {
                    form.read(&body)
                }
            })
            .map(|()| form);
        Self {
            method: head.method.as_str().to_owned(),
            path: head.uri.path().to_owned(),
            headers: head.headers,
            form,
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The header `Idempotency-Key`. An empty key counts as none.
    pub(crate) fn idempotency_key(&self) -> Option<&str> {
        self.header("idempotency-key").filter(|key| !key.is_empty())
    }
}

/// Refuses a body that is not a form (or JSON) with a helpful message, instead of reading it as one strange parameter
/// name.
fn check_type(headers: &HeaderMap, body: &[u8], is_json: bool) -> Result<()> {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let expected = if is_json {
        "application/json"
    } else {
        "application/x-www-form-urlencoded"
    };
    if body.is_empty() || kind.is_empty() || kind.starts_with(expected) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "Invalid request: send parameters as `{expected}`, not as `{kind}`."
    ))
    .before_execution())
}

async fn read_body(body: Body) -> Result<Bytes> {
    let mut stream = body.into_data_stream();
    let mut all = Vec::new();
    let mut size = 0;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| unreadable("The request's body ended too early.", 400))?;
        size += chunk.len();
        if size > MAX_DRAINED {
            break;
        }
        if size <= MAX_BODY {
            all.extend_from_slice(&chunk);
        }
    }
    if size > MAX_BODY {
        return Err(unreadable("The request's body is larger than 1 MB.", 413));
    }
    Ok(all.into())
}

fn unreadable(message: &str, status: u16) -> Error {
    Error::invalid(message).status(status).before_execution()
}

/// An answer, and the fault that is applied to it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Arc<str>,
    pub(crate) replayed: bool,
    pub(crate) limited_by: Option<String>,
    /// The fault that breaks the answer when it is sent.
    pub(crate) fault: Option<Action>,
}

impl Answer {
    /// An answer without a fault.
    pub(crate) fn new(status: u16, body: Arc<str>) -> Self {
        Self {
            status,
            body,
            replayed: false,
            limited_by: None,
            fault: None,
        }
    }
}

impl From<Error> for Answer {
    fn from(error: Error) -> Self {
        Self {
            limited_by: error.limited_by.clone(),
            ..Self::new(error.status, error.to_json().to_string().into())
        }
    }
}

/// The caller, as the answer's headers show it.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) request_id: Id,
    /// The account that the call acts on.
    pub(crate) account: Option<Id>,
    /// Whether a header named the account.
    pub(crate) connected: bool,
    /// The version of the answer.
    pub(crate) version: ApiVersion,
}

impl Caller {
    /// A caller that is not known yet, or not needed.
    fn unknown(version: ApiVersion) -> Self {
        Self {
            request_id: Id::default(),
            account: None,
            connected: false,
            version,
        }
    }
}

async fn handle(State(sandbox): State<Sandbox>, request: Request) -> Response {
    if let Some(target) = viewer_target(request.method(), request.uri().path(), request.headers()) {
        let settings = sandbox.call_settings(request.headers());
        return pages::viewer::answer(&sandbox, target, request.uri().query(), settings).await;
    }
    let call = Call::read(request).await;
    let default = sandbox.0.options.api_version;
    let key = call.idempotency_key().map(str::to_owned);
    if call.path.starts_with("/_sandbox/") {
        let answer = run_control(&sandbox, &call);
        // A button on a page returns to the pages.
        if call.path == "/_sandbox/reset" && answer.status == 200 && accepts_html(&call.headers) {
            return pages::redirect("/");
        }
        return respond(&answer, &Caller::unknown(default), None);
    }
    let date = date(sandbox.clock().unix());
    let mut caller = Caller {
        request_id: sandbox.0.accounts.request_id(),
        ..Caller::unknown(default)
    };
    let mut recorded = record::Request {
        method: call.method.clone(),
        path: call.path.clone(),
        endpoint: String::new(),
        params: call.form.as_ref().map(Form::to_json).unwrap_or_default(),
        status: 0,
        account: String::new(),
        idempotency_key: key.clone(),
        replayed: false,
    };
    // Like at Stripe, the call continues if the client hangs up.
    let tasks = sandbox.0.tasks.clone();
    let work = tasks.spawn(async move {
        let answer = call::run(&sandbox, call, &mut caller, &mut recorded.endpoint).await;
        let answer = answer.unwrap_or_else(Answer::from);
        recorded.status = if answer.fault == Some(Action::Drop) {
            0
        } else {
            answer.status
        };
        recorded.account = caller.account.as_deref().unwrap_or_default().to_owned();
        recorded.replayed = answer.replayed;
        locked(&sandbox.0.record).add(recorded);
        (answer, caller)
    });
    let panicked = |_| (Error::panicked().into(), Caller::unknown(default));
    let (answer, caller) = work.await.unwrap_or_else(panicked);
    let mut response = respond(&answer, &caller, key.as_deref());
    response.headers_mut().extend(date);
    response
}

/// The header `Date`, by the sandbox's clock.
fn date(unix: i64) -> Option<(HeaderName, HeaderValue)> {
    let date = DateTime::from_timestamp(unix, 0)?;
    let text = date.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    Some((header::DATE, HeaderValue::from_str(&text).ok()?))
}

/// Runs a control, on the account of the key, or without a key on all accounts.
fn run_control(sandbox: &Sandbox, call: &Call) -> Answer {
    let run = || {
        let account = match call.headers.get(header::AUTHORIZATION) {
            Some(_) => Some(call::authenticate(sandbox, call)?.0),
            None => None,
        };
        let form = call.form.as_ref().map_err(Error::clone)?;
        let params = crate::params::Params::new(form);
        control::answer(sandbox, &call.method, &call.path, account.as_ref(), &params)
    };
    run().map_or_else(Answer::from, |value| {
        Answer::new(200, value.to_string().into())
    })
}

fn respond(answer: &Answer, caller: &Caller, key: Option<&str>) -> Response {
    let mut response = Response::new(body(answer));
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    let mut set = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    set("content-type", "application/json");
    set("stripe-version", caller.version.as_str());
    if !caller.request_id.is_empty() {
        set("request-id", &caller.request_id);
    }
    if let Some(account) = caller.account.as_ref().filter(|_| caller.connected) {
        set("stripe-account", account);
    }
    if let Some(key) = key {
        set("idempotency-key", key);
    }
    if answer.replayed {
        set("idempotent-replayed", "true");
    }
    match &answer.limited_by {
        Some(reason) => set("stripe-rate-limited-reason", reason),
        // The object was locked; Stripe recommends another try.
        None if answer.status == 429 => set("stripe-should-retry", "true"),
        None => {}
    }
    match answer.fault {
        Some(Action::HtmlPage) => {
            set("content-type", "text/html");
            *response.status_mut() = StatusCode::BAD_GATEWAY;
        }
        Some(Action::CutBody) => set("content-length", &answer.body.len().to_string()),
        _ => {}
    }
    response
}

/// The body, intact or broken by the fault. A failing stream closes the connection; if it fails at once, nothing of the
/// answer is sent.
fn body(answer: &Answer) -> Body {
    let text = || Bytes::copy_from_slice(answer.body.as_bytes());
    let broken = || {
        std::io::Error::new(
            std::io::ErrorKind::ConnectionAborted,
            "a fault rule broke the connection",
        )
    };
    match answer.fault {
        Some(Action::Drop) => Body::from_stream(futures::stream::iter([Err::<Bytes, _>(broken())])),
        Some(Action::CutBody) => {
            let half = text().slice(..answer.body.len() / 2);
            let parts = futures::stream::unfold(Some(half), move |half| async move {
                if let Some(half) = half {
                    return Some((Ok(half), None));
                }
                // This lets the first half be sent before the connection closes.
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                Some((Err(broken()), None))
            });
            Body::from_stream(parts)
        }
        Some(Action::GarbageJson) => text().slice(..answer.body.len() / 2).into(),
        Some(Action::HtmlPage) => "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>\n".into(),
        _ => text().into(),
    }
}
