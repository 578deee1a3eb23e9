//! An operation is one method of one path. It is declared beside its handler, with its id in `openapi.yaml`, its
//! access, and the lane of its calls to Stripe.

use axum::handler::Handler;
use axum::http::Method;
use axum::http::request::Parts;
use axum::routing::{MethodRouter, get, post};

use super::{Role, Shared};
use crate::domain::Lane;

/// One method of one path.
pub struct Operation {
    /// Its `operationId` in `openapi.yaml`.
    pub id: &'static str,
    /// Its method. A GET answers HEAD too.
    pub method: Method,
    /// Its path.
    pub path: &'static str,
    /// Who may call it.
    pub access: Access,
    /// The role that `include=info` needs, if it differs.
    role_for_info: Option<Role>,
    /// Whether the server's own pages may call it under any name of the server, with a key or without.
    pub(super) is_for_own_pages: bool,
    pub(super) handler: MethodRouter<Shared>,
}

/// Who may call an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Health probes: allowed on every listener, with any `Host`, without a key.
    Probe,
    /// Everybody, without a key.
    Everybody,
    /// The operator. If the server has keys of its own, any of them is enough.
    Operator,
    /// Callers with a key of this role or a higher one. The lane decides which calls to Stripe go first when they must
    /// wait. Requests in the bulk lane have a longer time-out.
    Account(Lane, Role),
    /// Everybody, if the operator has listed the page, and otherwise the same callers as for `Account`.
    Listed(Lane, Role),
    /// Everybody with the checkout link that is the path. The operation acts on the server's account.
    Link(Lane),
}

impl Access {
    /// The role that a caller needs. None if no key is needed.
    pub fn role(self) -> Option<Role> {
        match self {
            Self::Probe | Self::Everybody | Self::Link(_) => None,
            Self::Operator => Some(Role::Read),
            Self::Account(_, role) | Self::Listed(_, role) => Some(role),
        }
    }
}

impl Operation {
    /// A read.
    pub(super) fn get<T: 'static>(
        id: &'static str,
        path: &'static str,
        access: Access,
        handler: impl Handler<T, Shared>,
    ) -> Self {
        Self::new(id, Method::GET, path, access, get(handler))
    }

    /// A write.
    pub(super) fn post<T: 'static>(
        id: &'static str,
        path: &'static str,
        access: Access,
        handler: impl Handler<T, Shared>,
    ) -> Self {
        Self::new(id, Method::POST, path, access, post(handler))
    }

    /// A write that the server's own pages send without a key, under any name of the server. So it must not act on an
    /// account, unless the path or the body contains a key or a signature.
    pub(super) fn for_own_pages<T: 'static>(
        id: &'static str,
        path: &'static str,
        access: Access,
        handler: impl Handler<T, Shared>,
    ) -> Self {
        Self {
            is_for_own_pages: true,
            ..Self::post(id, path, access, handler)
        }
    }

    fn new(
        id: &'static str,
        method: Method,
        path: &'static str,
        access: Access,
        handler: MethodRouter<Shared>,
    ) -> Self {
        Self {
            id,
            method,
            path,
            access,
            role_for_info: None,
            is_for_own_pages: false,
            handler,
        }
    }

    /// Sets the role that `include=info` needs.
    pub(super) fn with_info(mut self, role: Role) -> Self {
        self.role_for_info = Some(role);
        self
    }

    /// The role that `request` needs. None if no key is needed.
    pub(super) fn role(&self, request: &Parts) -> Option<Role> {
        let for_info = self.role_for_info.filter(|_| {
            let query = request.uri.query().unwrap_or_default();
            let mut query = form_urlencoded::parse(query.as_bytes());
            query.any(|(name, value)| name == "include" && value == "info")
        });
        for_info.or(self.access.role())
    }

    /// Whether the operation answers a request with `method`.
    pub(super) fn answers(&self, method: &Method) -> bool {
        self.method == method || self.method == Method::GET && method == Method::HEAD
    }
}
