//! Device login of the client of 2022: RFC 8628 with one path for all requests of the device, and a page where the user
//! types the code that the device shows and an API key. The device then receives that key.
//!
//! It is off by default, because a page that asks for a secret invites imitations.

mod codes;
mod page;
mod pending;

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use clock::Clock;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;

use self::codes::{DeviceCode, UserCode};
use self::page::Notice;
use self::pending::{INTERVAL, LIFETIME, PendingLogins, PollError, StartError, VerifyError};
use crate::api::anonymous::base_url;
use crate::api::error::Error;
use crate::api::extract::{parameter, read};
use crate::api::json::Json;
use crate::api::operation::{Access, Operation};
use crate::api::{Keys, Shared};
use crate::net::bounded_address;

/// The path for the device.
const PATH: &str = "/auth/cli";

/// The path of the page where the user types the code.
const PAGE: &str = "/auth/cli/verify";

/// The grant type of polls.
const DEVICE_CODE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// The word to type as the key if the server has none.
const KEYLESS: &str = "local";

/// The maximum size of a form, in bytes.
const MAX_FORM: usize = 4096;

/// How long a form may take to arrive. Forms arrive in one piece.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// The maximum length of a device's id. The client's has 36 characters.
const MAX_CLIENT_ID: usize = 100;

pub(in crate::api) fn operations() -> [Operation; 3] {
    let access = Access::Everybody;
    [
        Operation::post("legacyLogin", PATH, access, device),
        Operation::get("legacyLoginPage", PAGE, access, show),
        Operation::for_own_pages("legacyLoginVerify", PAGE, access, verify),
    ]
}

/// Pending device logins. Clones share them.
#[derive(Clone)]
pub struct DeviceLogin(Arc<Inner>);

struct Inner {
    pending: Mutex<PendingLogins>,
    clock: Clock,
}

impl DeviceLogin {
    /// No pending logins.
    pub fn new(clock: Clock) -> Self {
        Self(Arc::new(Inner {
            pending: Mutex::default(),
            clock,
        }))
    }

    /// Removes expired logins, together with keys that were not fetched.
    pub fn remove_expired(&self) {
        self.pending().remove_expired(self.0.clock.millis());
    }

    fn pending(&self) -> MutexGuard<'_, PendingLogins> {
        self.0
            .pending
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn login(app: &Shared) -> Result<&DeviceLogin, Error> {
    app.login.as_ref().ok_or_else(Error::not_found)
}

/// Begins a login, or answers a poll.
async fn device(State(app): State<Shared>, request: Request) -> Result<Response, Error> {
    let login = login(&app)?;
    let (head, body) = request.into_parts();
    let form = Form::read(&app, body).await?;
    let client = form.field("client_id");
    if client.is_empty() || client.len() > MAX_CLIENT_ID {
        return Ok(LoginError::InvalidRequest.into_response());
    }
    let answer = match (&*form.field("grant_type"), &*form.field("device_code")) {
        ("", "") => start(&app, login, &head, client.into_owned())?,
        (DEVICE_CODE_GRANT, code) if !code.is_empty() => poll(login, &client, code),
        ("" | DEVICE_CODE_GRANT, _) => LoginError::InvalidRequest.into_response(),
        _ => LoginError::UnsupportedGrantType.into_response(),
    };
    Ok(not_stored(answer))
}

fn start(
    app: &Shared,
    login: &DeviceLogin,
    head: &Parts,
    client: String,
) -> Result<Response, Error> {
    let Some(page) = base_url(app, head).map(|url| url + PAGE) else {
        return Ok(LoginError::InvalidRequest.into_response());
    };
    let now = login.0.clock.millis();
    let (device, user) = login
        .pending()
        .start(client, peer(app, head), now)
        .map_err(|error| match error {
            StartError::Peer => Error::too_many_logins(),
            StartError::All => Error::overloaded(),
        })?;
    let started = DeviceAuthorization {
        verification_uri_complete: format!("{page}?code={user}"),
        verification_uri: page,
        device_code: device.expose(),
        user_code: user.to_string(),
        expires_in: LIFETIME.as_secs(),
        interval: INTERVAL.as_secs(),
    };
    Ok(Json(started).into_response())
}

fn poll(login: &DeviceLogin, client: &str, code: &str) -> Response {
    let now = login.0.clock.millis();
    let polled = login.pending().poll(client, &DeviceCode::digest(code), now);
    match polled {
        Ok(key) => Json(DeviceToken {
            access_token: key.expose_secret(),
            token_type: "basic",
        })
        .into_response(),
        Err(error) => LoginError::from(error).into_response(),
    }
}

/// The page, with the code from the link if there is one.
async fn show(State(app): State<Shared>, request: Request) -> Result<Response, Error> {
    login(&app)?;
    let (head, _) = request.into_parts();
    let code = parameter(&head, "code").and_then(|code| code.parse().ok());
    let notice = if app.keys.is_open() {
        Notice::Keyless
    } else {
        Notice::None
    };
    Ok(not_stored(page::form(
        StatusCode::OK,
        code.as_ref(),
        notice,
    )))
}

/// Gives the key in the form to the device with the code in the form, if the server accepts the key.
async fn verify(State(app): State<Shared>, request: Request) -> Result<Response, Error> {
    let login = login(&app)?;
    let (head, body) = request.into_parts();
    let form = Form::read(&app, body).await?;
    let code: Option<UserCode> = form.field("user_code").parse().ok();
    let key = form.field("key");
    let accepted = accepted(&app.keys, key.trim()).map(|accepted| (accepted.key, accepted.name));
    let (key, name) = accepted.unzip();
    let now = login.0.clock.millis();
    let verified = login
        .pending()
        .verify(code.as_ref(), key, peer(&app, &head), now);
    let answer = match verified {
        Ok(()) => {
            tracing::info!(key = name.flatten().as_deref(), "a device was logged in");
            page::done()
        }
        Err(VerifyError::Code) => page::form(StatusCode::BAD_REQUEST, None, Notice::WrongCode),
        Err(VerifyError::Key) => {
            page::form(StatusCode::BAD_REQUEST, code.as_ref(), Notice::WrongKey)
        }
        Err(VerifyError::LastKey) => page::form(StatusCode::BAD_REQUEST, None, Notice::Void),
        Err(VerifyError::Peer) => return Err(Error::too_many_logins()),
    };
    Ok(not_stored(answer))
}

/// A key that the server accepts.
struct AcceptedKey {
    key: SecretString,
    /// None if the server has no keys.
    name: Option<Arc<str>>,
}

fn accepted(keys: &Keys, typed: &str) -> Option<AcceptedKey> {
    let name = if keys.is_open() {
        (typed == KEYLESS).then_some(None)
    } else {
        keys.find(typed).map(|key| Some(key.name))
    };
    name.map(|name| AcceptedKey {
        key: typed.into(),
        name,
    })
}

/// The fields of a form. The content type is ignored, as it is for every body.
struct Form(Vec<u8>);

impl Form {
    async fn read(app: &Shared, body: Body) -> Result<Self, Error> {
        let body = read(body, MAX_FORM.min(app.limits.body), None);
        let body = tokio::time::timeout(BODY_TIMEOUT, body).await;
        Ok(Self(body.unwrap_or_else(|_| Err(Error::too_slow()))?))
    }

    /// A field by its name. An absent one is empty.
    fn field(&self, name: &str) -> Cow<'_, str> {
        let mut fields = form_urlencoded::parse(&self.0);
        let found = fields.find(|(key, _)| key == name);
        found.map_or(Cow::Borrowed(""), |(_, value)| value)
    }
}

/// The address that limits count a request for.
fn peer(app: &Shared, head: &Parts) -> Option<IpAddr> {
    let peer = app.proxies.origin(&head.headers, &head.extensions);
    peer.map(bounded_address)
}

/// The same response, which no cache may store.
fn not_stored(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// What the device shows to the user, and how it polls.
#[derive(Serialize)]
struct DeviceAuthorization<'a> {
    device_code: &'a str,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: String,
    expires_in: u64,
    interval: u64,
}

/// The key for the device.
#[derive(Serialize)]
struct DeviceToken<'a> {
    access_token: &'a str,
    token_type: &'static str,
}

/// An error as defined by RFC 6749 and RFC 8628.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum LoginError {
    InvalidRequest,
    UnsupportedGrantType,
    InvalidGrant,
    AuthorizationPending,
    SlowDown,
    AccessDenied,
    ExpiredToken,
}

impl From<PollError> for LoginError {
    fn from(error: PollError) -> Self {
        match error {
            PollError::OtherClient => Self::InvalidGrant,
            PollError::Pending => Self::AuthorizationPending,
            PollError::TooSoon => Self::SlowDown,
            PollError::Denied => Self::AccessDenied,
            PollError::Gone => Self::ExpiredToken,
        }
    }
}

impl IntoResponse for LoginError {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Body {
            error: LoginError,
        }
        let mut response = Json(Body { error: self }).into_response();
        *response.status_mut() = StatusCode::BAD_REQUEST;
        not_stored(response)
    }
}
