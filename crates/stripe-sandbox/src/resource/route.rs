//! Endpoints and their handlers, which read all parameters before they change anything.

use serde_json::Value;

use crate::engine::copy::DryRun;
use crate::error::Result;
use crate::params::Params;
use crate::store::context::Ctx;
use crate::version::{ApiVersion, Availability};

/// The handler of a call; see [`Route::new`].
type Handler = dyn Fn(&mut Ctx<'_>, &Params<'_>) -> Result<Value> + Send + Sync;

/// An endpoint. Calls are counted under its name, `METHOD /path/:with/parameters`.
pub(crate) struct Route {
    pub(crate) method: &'static str,
    /// Segments that begin with a colon match anything; see [`Ctx::arg`].
    pub(crate) path: &'static str,
    /// The type of the object in the answer, for `expand[]`: its `object`, or `list:` and that of its elements. See
    /// [`expand`](super::expand).
    pub(crate) object: &'static str,
    /// Whether it may take so long that it must not block the thread.
    pub(crate) takes_long: bool,
    /// The versions in which it exists.
    pub(crate) available: Availability,
    handler: Box<Handler>,
}

impl Route {
    /// An endpoint with parameters. `read` reads all of them and does all checks. Parameters that it did not read are
    /// then refused as unknown. `apply`, which cannot see the parameters, changes the account. So an error in the
    /// parameters leaves the account unchanged.
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

    /// An endpoint without parameters.
    pub(crate) fn without_params(
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

    /// An endpoint whose parameters describe changes that are tried out on a copy.
    pub(crate) fn on_copy<I: 'static>(
        method: &'static str,
        path: &'static str,
        object: &'static str,
        read: fn(&mut DryRun<'_, '_>, &Params<'_>) -> Result<I>,
        apply: fn(&mut Ctx<'_>, I) -> Result<Value>,
    ) -> Self {
        Self::of(method, path, object, move |ctx, params| {
            let input = read(&mut DryRun::new(ctx), params)?;
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
            available: Availability::All,
            handler: Box::new(handler),
        }
    }

    /// The same endpoint, marked as possibly long.
    pub(crate) fn long(self) -> Self {
        Self {
            takes_long: true,
            ..self
        }
    }

    /// The same endpoint, which versions after this one do not have.
    pub(crate) fn until(self, last: ApiVersion) -> Self {
        Self {
            available: Availability::Until(last),
            ..self
        }
    }

    /// The same endpoint, which only this version and later ones have.
    pub(crate) fn since(self, first: ApiVersion) -> Self {
        Self {
            available: Availability::Since(first),
            ..self
        }
    }

    /// Answers a call.
    pub(crate) fn handle(&self, ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
        (self.handler)(ctx, params)
    }

    /// The name under which calls are counted.
    pub(crate) fn endpoint(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::params::form::Form;
    use crate::resource::account::Profile;
    use crate::resource::payment_method::card::Presence;
    use crate::store::account::Account;
    use crate::store::context::CallSettings;

    /// The answer of a route to a form, and the account's name after it.
    fn call(route: &Route, form: &str) -> (Result<Value>, Option<String>) {
        let mut given = Form::default();
        given.read(form.as_bytes()).expect("readable");
        let mut account = Account::new(Profile::of_key("acct_1".into(), 0), 0);
        let mut ctx = Ctx {
            account: &mut account,
            now: 0,
            now_millis: 0,
            args: Vec::new(),
            settings: CallSettings::default(),
            presence: Presence::OffSession,
            awaits_confirmation: false,
        };
        let answer = route.handle(&mut ctx, &Params::new(&given));
        (answer, account.profile.business_name)
    }

    fn read(params: &Params<'_>) -> Result<String> {
        Ok(params.required("name")?.to_owned())
    }

    fn apply(ctx: &mut Ctx<'_>, name: String) -> Result<Value> {
        ctx.account.profile.business_name = Some(name);
        Ok(json!({}))
    }

    #[test]
    fn unknown_parameters_are_refused_before_anything_changes() {
        let new = Route::new("POST", "/", "", |_, params| read(params), apply);
        let on_copy = Route::on_copy("POST", "/", "", |_, params| read(params), apply);
        let without_params =
            Route::without_params("POST", "/", "", |ctx| apply(ctx, "changed".to_owned()));
        let before = Some("Sandbox");
        for route in [&new, &on_copy, &without_params] {
            let (answer, name) = call(route, "name=changed&other=1");
            let error = answer.expect_err("it has a parameter too many");
            assert_eq!(error.code, Some("parameter_unknown"));
            assert_eq!(name.as_deref(), before);
        }
        for (route, form) in [
            (&new, "name=changed"),
            (&on_copy, "name=changed"),
            (&without_params, ""),
        ] {
            let (answer, name) = call(route, form);
            answer.expect("all is known");
            assert_eq!(name.as_deref(), Some("changed"));
        }
        let (answer, name) = call(&new, "other=1");
        let error = answer.expect_err("the name is missing");
        assert_eq!(error.code, Some("parameter_missing"));
        assert_eq!(name.as_deref(), before);
    }
}
