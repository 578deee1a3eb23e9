//! The audit trail: one line of JSON for every write, with who asked for what, and how it ended. So has a write that the role
//! of a known key does not allow. What is turned away before that has none: anybody could fill the file.
//!
//! It is not the log: it names orgs. What a person's details were changed to is not in it, only which.

use std::io::{self, Write};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::response::Response;
use chrono::{DateTime, SecondsFormat};
use serde::Serialize;
use serde_json::{Value, json};

use super::error::Code;
use super::layers::RequestContext;
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

    /// Writes the line of a write that has ended with `response`.
    pub(super) fn tell(&self, context: &RequestContext, response: &Response) {
        let caller = context.caller();
        let change = context.change();
        self.write(&Entry {
            time: time(),
            request_id: context.id_text(),
            endpoint: context.endpoint(),
            org: change.and_then(|(org, _)| org.as_ref()),
            key: caller.and_then(|caller| caller.key.as_deref()),
            peer: caller.and_then(|caller| caller.peer),
            change: change.map(|(_, change)| change),
            status: response.status().as_u16(),
            code: Code::of(response),
        });
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

/// Now, as the entries have it.
fn time() -> String {
    let now = DateTime::from_timestamp_millis(Clock::system().millis());
    let now = now.unwrap_or_default();
    now.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A request that changes something.
pub(super) trait Change {
    /// Of which org; none if it is about no single one.
    fn org(&self) -> Option<&OrgName>;
    /// What, for the audit trail.
    fn change(&self) -> Value;
}
