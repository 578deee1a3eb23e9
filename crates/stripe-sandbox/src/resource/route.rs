//! An endpoint, and what handles it: parameters are read, and only then is anything changed.

use serde_json::Value;

use crate::engine::copy::TryOut;
use crate::error::Result;
use crate::params::Params;
use crate::store::context::Ctx;

/// How a call is handled; see [`Route::new`].
type Handler = dyn Fn(&mut Ctx<'_>, &Params<'_>) -> Result<Value> + Send + Sync;

/// One endpoint. Its name, `METHOD /path/:with/holes`, is what calls are counted under.
pub(crate) struct Route {
    pub(crate) method: &'static str,
    /// Segments that begin with a colon match anything; see [`Ctx::arg`].
    pub(crate) path: &'static str,
    /// The type of the object in the answer, for `expand[]`: its `object`, or `list:` and that of its elements. See
    /// [`expand`](super::expand).
    pub(crate) object: &'static str,
    /// Whether it may take so long that others must not wait for its thread.
    pub(crate) takes_long: bool,
    handler: Box<Handler>,
}

impl Route {
    /// An endpoint that takes parameters. `read` reads all of them and checks everything that depends on them; what it
    /// has not read is then refused as unknown; and `apply`, which cannot see them, changes the account. So an error of
    /// the parameters leaves the account as it was.
    pub(crate) fn new<I: 'static>(
        method: &'static str,
        path: &'static str,
        object: &'static str,
        read: fn(&Ctx<'_>, &Params<'_>) -> Result<I>,
        apply: fn(&mut Ctx<'_>, I) -> Result<Value>,
    ) -> Self {
        Self::of(method, path, object, move |ctx, params| {
            let input = read(ctx, params)?;
            params.finish()?;
            apply(ctx, input)
        })
    }

    /// One that takes no parameters.
    pub(crate) fn bare(
        method: &'static str,
        path: &'static str,
        object: &'static str,
        apply: fn(&mut Ctx<'_>) -> Result<Value>,
    ) -> Self {
        Self::of(method, path, object, move |ctx, params| {
            params.finish()?;
            apply(ctx)
        })
    }

    /// One whose parameters mean changes that are tried out on a copy.
    pub(crate) fn on_copy<I: 'static>(
        method: &'static str,
        path: &'static str,
        object: &'static str,
        read: fn(&mut TryOut<'_, '_>, &Params<'_>) -> Result<I>,
        apply: fn(&mut Ctx<'_>, I) -> Result<Value>,
    ) -> Self {
        Self::of(method, path, object, move |ctx, params| {
            let input = read(&mut TryOut::new(ctx), params)?;
            params.finish()?;
            apply(ctx, input)
        })
    }

    fn of(
        method: &'static str,
        path: &'static str,
        object: &'static str,
        handler: impl Fn(&mut Ctx<'_>, &Params<'_>) -> Result<Value> + Send + Sync + 'static,
    ) -> Self {
        Self {
            method,
            path,
            object,
            takes_long: false,
            handler: Box::new(handler),
        }
    }

    /// The same, which may take long.
    pub(crate) fn long(self) -> Self {
        Self {
            takes_long: true,
            ..self
        }
    }

    /// Answers a call.
    pub(crate) fn handle(&self, ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
        (self.handler)(ctx, params)
    }

    /// What calls are counted under.
    pub(crate) fn endpoint(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}
