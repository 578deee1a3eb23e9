//! An endpoint, and what handles it.

use serde_json::Value;

use crate::error::Result;
use crate::params::Params;
use crate::store::context::Ctx;

/// A resource's handler: reads all parameters, checks everything, calls [`Params::finish`], and only then
/// changes the account. An error therefore leaves the account as it was.
pub(crate) type Handler = fn(&mut Ctx<'_>, &Params<'_>) -> Result<Value>;

/// One endpoint. Its name, `METHOD /path/:with/holes`, is what calls are counted under.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    pub(crate) method: &'static str,
    /// Segments that begin with a colon match anything; see [`Ctx::arg`](crate::store::context::Ctx::arg).
    pub(crate) path: &'static str,
    pub(crate) handler: Handler,
    /// The type of the object in the answer, for `expand[]`; see [`expand`](crate::resource::expand).
    pub(crate) object: &'static str,
}

/// A route's entry; `object` is the answer's `object`, or `list:` and that of its elements.
pub(crate) const fn route(
    method: &'static str,
    path: &'static str,
    handler: Handler,
    object: &'static str,
) -> Route {
    Route {
        method,
        path,
        handler,
        object,
    }
}

impl Route {
    /// What calls are counted under.
    pub(crate) fn endpoint(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}
