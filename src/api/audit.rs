//! The audit trail: one line of JSON for every write, with who asked for what, and how it ended. So has a write that the role
//! of a known key does not allow. What is turned away before that has none: anybody could fill the file.
//!
//! It is not the log: it names orgs. What a person's details were changed to is not in it, only which.

use std::io::{self, Write};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::response::Response;
use chrono::{DateTime, SecondsFormat};
use serde::Serialize;
use serde_json::{Value, json};

use super::Shared;
use super::error::{Code, Error};
use super::keys::Caller;
use super::layers::{self, RequestId};
use super::types::{
    CheckoutRequest, ClockRequest, InfoRequest, PhaseRequest, ReportRequest, SubscribeRequest, Time,
};
use crate::domain::Superseded;
use crate::domain::refs::OrgName;
use clock::Clock;

/// Where the lines go, if anywhere. Clones write to the same place.
#[derive(Clone, Default)]
pub struct Audit(Option<Arc<Mutex<Box<dyn Write + Send>>>>);

impl Audit {
    /// Writes each line to `place` at once.
    pub fn to(place: impl Write + Send + 'static) -> Self {
        Self(Some(Arc::new(Mutex::new(Box::new(place)))))
    }

    /// Writes a line about a subscription that another one has superseded, which no request asked for.
    pub(super) fn superseded(&self, superseded: &Superseded) {
        let Superseded { org, ended, by } = superseded;
        self.write(&Entry {
            time: time(),
            request_id: "",
            endpoint: "supersede",
            org: Some(org),
            key: None,
            peer: None,
            change: Some(&json!({"ended": ended, "by": by})),
            status: 200,
            code: "",
        });
    }

    /// Writes a line. That it cannot be written is in the log: the write itself has been done.
    fn write(&self, entry: &Entry<'_>) {
        let Some(place) = &self.0 else { return };
        let written = serde_json::to_vec(entry).map_err(io::Error::other);
        let written = written.and_then(|mut line| {
            line.push(b'\n');
            let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
            place.write_all(&line)?;
            place.flush()
        });
        if let Err(cause) = written {
            tracing::error!(%cause, "the audit trail cannot be written");
        }
    }
}

/// One line.
#[derive(Serialize)]
struct Entry<'a> {
    /// When the write ended.
    time: String,
    request_id: &'a str,
    /// The path, or `supersede`.
    endpoint: &'a str,
    org: Option<&'a OrgName>,
    /// The key's name, or the beginning of its SHA-256; none without keys.
    key: Option<&'a str>,
    /// The caller's address.
    peer: Option<IpAddr>,
    /// What was asked for; none if that could not be read.
    change: Option<&'a Value>,
    status: u16,
    /// The error's code, or empty.
    code: &'a str,
}

/// A write that is under way, and what the audit trail will be told of it.
pub(super) struct Audited {
    audit: Audit,
    request_id: Option<RequestId>,
    endpoint: &'static str,
    key: Option<String>,
    peer: Option<IpAddr>,
    noted: Noted,
}

impl Audited {
    pub(super) fn of(app: &Shared, request: &mut Request, caller: &Caller) -> Self {
        let noted = Noted::default();
        request.extensions_mut().insert(noted.clone());
        let extensions = request.extensions();
        Self {
            audit: app.audit.clone(),
            request_id: extensions.get().cloned(),
            endpoint: layers::endpoint(extensions.get()),
            key: caller.key.clone(),
            peer: caller.peer,
            noted,
        }
    }

    /// The write has ended.
    pub(super) fn tell(&self, response: &Response) {
        let code = response.extensions().get::<Code>();
        let request_id = self.request_id.as_ref().map(RequestId::as_str);
        self.audit.write(&Entry {
            time: time(),
            request_id: request_id.unwrap_or_default(),
            endpoint: self.endpoint,
            org: self.noted.org(),
            key: self.key.as_deref(),
            peer: self.peer,
            change: self.noted.change(),
            status: response.status().as_u16(),
            code: code.map_or("", |code| code.0),
        });
    }
}

/// Now, as the entries have it.
fn time() -> String {
    let now = DateTime::from_timestamp_millis(Clock::system().millis());
    let now = now.unwrap_or_default();
    now.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Where a handler leaves what its request changes. Clones are about the same request.
#[derive(Clone, Debug, Default)]
pub(super) struct Noted(Arc<OnceLock<(Option<OrgName>, Value)>>);

impl Noted {
    /// The first to be noted stays.
    pub(super) fn note(&self, org: Option<&OrgName>, change: Value) {
        self.0.get_or_init(|| (org.cloned(), change));
    }

    fn org(&self) -> Option<&OrgName> {
        self.0.get()?.0.as_ref()
    }

    fn change(&self) -> Option<&Value> {
        Some(&self.0.get()?.1)
    }
}

impl FromRequestParts<Shared> for Noted {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Error> {
        Ok(parts.extensions.get().cloned().unwrap_or_default())
    }
}

/// A request that changes something.
pub(super) trait Change {
    /// Of which org; none if it is about no single one.
    fn org(&self) -> Option<&OrgName>;
    /// What, for the audit trail.
    fn change(&self) -> Value;
}

impl Change for ReportRequest {
    fn org(&self) -> Option<&OrgName> {
        Some(&self.org.0)
    }

    fn change(&self) -> Value {
        json!({
            "feature": self.feature.0, "n": self.n, "clobber": self.clobber,
            "at": self.at.0.map(Time),
        })
    }
}

impl Change for CheckoutRequest {
    fn org(&self) -> Option<&OrgName> {
        Some(&self.org.0)
    }

    fn change(&self) -> Value {
        let features: Vec<_> = self.features.iter().map(ToString::to_string).collect();
        json!({"features": features, "trial_days": self.trial_days})
    }
}

impl Change for SubscribeRequest {
    fn org(&self) -> Option<&OrgName> {
        Some(&self.org.0)
    }

    fn change(&self) -> Value {
        let phases: Vec<_> = self.phases.iter().map(phase).collect();
        json!({
            "phases": phases,
            "payment_method": self.payment_method_id,
            "info": self.info.as_ref().map(fields),
        })
    }
}

impl Change for ClockRequest {
    fn org(&self) -> Option<&OrgName> {
        None
    }

    fn change(&self) -> Value {
        json!({"id": self.id, "present": self.present.0.map(Time)})
    }
}

fn phase(phase: &PhaseRequest) -> Value {
    let features: Vec<_> = phase.features.iter().map(ToString::to_string).collect();
    json!({
        "features": features, "effective": phase.effective.0.map(Time), "trial": phase.trial,
        "coupon": phase.coupon,
    })
}

/// Which details are written.
fn fields(info: &InfoRequest) -> Vec<String> {
    let texts = [
        ("email", &info.email),
        ("name", &info.name),
        ("description", &info.description),
        ("phone", &info.phone),
        ("payment_method", &info.payment_method),
        (
            "invoice_settings.default_payment_method",
            &info.invoice_settings.default_payment_method,
        ),
    ];
    let written = texts.into_iter().filter(|(_, text)| !text.is_empty());
    let keys = info.metadata.keys().map(|key| format!("metadata.{key}"));
    written
        .map(|(name, _)| name.to_owned())
        .chain(keys)
        .collect()
}
