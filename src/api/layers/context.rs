//! The context of a request. The outermost layer makes it, and the layers below and the handler add to it.

use std::sync::{Arc, OnceLock};

use axum::extract::{FromRequestParts, MatchedPath, Request};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderValue};
use serde_json::Value;

use super::auth::Caller;
use super::observe::request_id;
use crate::api::error::Error;
use crate::api::operation::{Access, Operation};
use crate::api::{self, Shared};
use crate::domain::refs::OrgName;
use crate::domain::{Domain, Lane};

/// The context of a request. Clones are about the same request.
#[derive(Clone)]
pub(in crate::api) struct RequestContext(Arc<Inner>);

struct Inner {
    id: HeaderValue,
    of_path: &'static [Operation],
    operation: Option<&'static Operation>,
    caller: OnceLock<Caller>,
    domain: OnceLock<Domain>,
    change: OnceLock<(Option<OrgName>, Value)>,
}

impl RequestContext {
    pub(super) fn new(request: &Request) -> Self {
        let matched = request.extensions().get::<MatchedPath>();
        let of_path = matched.map_or(&[][..], |path| api::operations_at(path.as_str()));
        let operation = of_path.iter().find(|op| op.answers(request.method()));
        Self(Arc::new(Inner {
            id: request_id(request.headers()),
            of_path,
            operation,
            caller: OnceLock::new(),
            domain: OnceLock::new(),
            change: OnceLock::new(),
        }))
    }

    /// The context of the request that has these extensions.
    pub(in crate::api) fn of(extensions: &Extensions) -> Result<&Self, Error> {
        let context = extensions.get();
        context.ok_or_else(|| Error::internal(&"the request has no context"))
    }

    /// The request's id, as the answer has it.
    pub(super) fn id(&self) -> &HeaderValue {
        &self.0.id
    }

    /// The request's id as text.
    pub(in crate::api) fn id_text(&self) -> &str {
        self.0.id.to_str().unwrap_or_default()
    }

    /// The path of the request's operation, or `none`. It is a metrics label, so callers must not be able to choose it.
    pub(in crate::api) fn endpoint(&self) -> &'static str {
        let first = self.0.of_path.first();
        first.map_or("none", |operation| operation.path)
    }

    /// Whether the path is that of a health probe.
    pub(super) fn is_probe(&self) -> bool {
        let mut of_path = self.0.of_path.iter();
        of_path.any(|operation| operation.access == Access::Probe)
    }

    /// The request's operation. None for an unknown path or method.
    pub(super) fn operation(&self) -> Option<&'static Operation> {
        self.0.operation
    }

    /// The lane of the request's calls to Stripe.
    pub(super) fn lane(&self) -> Lane {
        match self.0.operation.map(|operation| operation.access) {
            Some(Access::Account(lane, _) | Access::Listed(lane, _) | Access::Link(lane)) => lane,
            _ => Lane::default(),
        }
    }

    /// The caller, once it is known.
    pub(in crate::api) fn caller(&self) -> Option<&Caller> {
        self.0.caller.get()
    }

    /// Sets the caller. Like the other setters, this does nothing if it was called before.
    pub(super) fn set_caller(&self, caller: Caller) -> &Caller {
        self.0.caller.get_or_init(|| caller)
    }

    /// The account that the request acts on, once the request was admitted. It records the calls made for this request.
    pub(in crate::api) fn domain(&self) -> Option<&Domain> {
        self.0.domain.get()
    }

    /// Sets the account that the request acts on.
    pub(super) fn set_domain(&self, domain: Domain) {
        self.0.domain.get_or_init(|| domain);
    }

    /// The org and the parameters of a write, once its body was read.
    pub(in crate::api) fn change(&self) -> Option<&(Option<OrgName>, Value)> {
        self.0.change.get()
    }

    /// Sets the org and the parameters of a write.
    pub(in crate::api) fn set_change(&self, org: Option<&OrgName>, change: Value) {
        self.0.change.get_or_init(|| (org.cloned(), change));
    }
}

impl FromRequestParts<Shared> for RequestContext {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Error> {
        Self::of(&parts.extensions).cloned()
    }
}
