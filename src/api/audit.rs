//! The audit log, with one line of JSON for every write: the caller, the parameters and the outcome.
//!
//! A write that the role of its key does not allow has a line too. A request without a known key has none, because
//! otherwise anybody could fill the file. Unlike the server's log it names orgs. For customer details it has the names
//! of the written fields, but not their values.

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

/// The audit log, if there is one. Clones write to the same file.
#[derive(Clone, Default)]
pub struct Audit(Option<Arc<Mutex<Box<dyn Write + Send>>>>);

impl Audit {
    /// Writes each line to `sink`, without buffering.
    pub fn to(sink: impl Write + Send + 'static) -> Self {
        Self(Some(Arc::new(Mutex::new(Box::new(sink)))))
    }

    /// Writes the line of a request that has ended with `response`.
    pub(super) fn record(&self, context: &RequestContext, response: &Response) {
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

    /// Writes the line for a subscription that was ended because another one superseded it, without a request for that.
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

    /// Writes a line. A failure is only logged, because the write itself is already done.
    fn write(&self, entry: &Entry<'_>) {
        let Some(sink) = &self.0 else { return };
        let written = serde_json::to_vec(entry).map_err(io::Error::other);
        let written = written.and_then(|mut line| {
            line.push(b'\n');
            let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
            sink.write_all(&line)?;
            sink.flush()
        });
        if let Err(cause) = written {
            tracing::error!(%cause, "the audit log cannot be written");
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
    /// The name of the caller's key, or the beginning of its SHA-256. None if the server has no keys.
    key: Option<&'a str>,
    /// The caller's address.
    peer: Option<IpAddr>,
    /// The parameters of the request. None if they could not be read.
    change: Option<&'a Value>,
    status: u16,
    /// The error code, empty for a success.
    code: &'a str,
}

/// The current time, as it is written in an entry.
fn time() -> String {
    let now = DateTime::from_timestamp_millis(Clock::system().millis());
    let now = now.unwrap_or_default();
    now.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The body of a write.
pub(super) trait Change {
    /// The org of the write. None if it is not about a single org.
    fn org(&self) -> Option<&OrgName>;
    /// The parameters of the write, as the audit log has them.
    fn change(&self) -> Value;
}
