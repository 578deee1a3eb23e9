//! Handling of an API call: authentication, routing, limits, faults, idempotency, and the route's handler.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::FutureExt;
use serde_json::Value;

use super::rule::{Action, When};
use super::{Answer, Call, Caller, control, endpoints, routes};
use crate::engine;
use crate::error::{Error, Result};
use crate::params::Params;
use crate::params::form::Form;
use crate::resource::account;
use crate::resource::expand::Expand;
use crate::resource::payment_method::card::Presence;
use crate::resource::route::Route;
use crate::sandbox::Sandbox;
use crate::store::accounts::LockedAccount;
use crate::store::context::{CallSettings, Ctx};
use crate::store::idempotency::KeptAnswer;
use crate::store::ids::Id;
use crate::store::locked;
use crate::version::{self, ApiVersion};

/// Runs a call. Fills in `caller` and `endpoint` as soon as they are known.
pub(crate) async fn run(
    sandbox: &Sandbox,
    call: Call,
    caller: &mut Caller,
    endpoint: &mut String,
) -> Result<Answer> {
    let default = sandbox.0.options.api_version;
    let version = version::of_call(&call.headers, default);
    let route_version = version.as_ref().map_or(default, |version| *version);
    let route = routes::find(&call.method, &call.path, route_version);
    if let Some((route, _)) = &route {
        *endpoint = route.endpoint();
    }
    let (account, connected) = authenticate(sandbox, &call)?;
    caller.account = Some(account.clone());
    caller.connected = connected;
    let (route, args) =
        route.ok_or_else(|| endpoints::no_route(&call.method, &call.path, route_version))?;
    let version = version?;
    caller.version = version;
    if let Some(limit) = sandbox.0.options.rate_limit {
        locked(&sandbox.0.limits).admit(&account, limit)?;
    }
    let matched = locked(&sandbox.0.faults).match_call(&account, &call.method, &call.path);
    let wait = async {
        if let Some(latency) = sandbox.0.options.latency {
            tokio::time::sleep(latency).await;
        }
        matched.wait().await;
    };
    if let Some((action, When::Before)) = matched.fault.clone() {
        wait.await;
        return fault_before(action);
    }
    let after = matched.fault.clone().map(|(action, _)| action);
    let settings = CallSettings {
        request_id: Some(caller.request_id.clone()),
        idempotency_key: call.idempotency_key().map(str::to_owned),
        version,
        ..sandbox.call_settings(&call.headers)
    };
    let form = call.form?;
    let key = settings
        .idempotency_key
        .clone()
        .filter(|_| call.method == "POST");
    let kept = match &key {
        Some(key) => sandbox.begin(&account, key, fingerprint(&call.method, &call.path, &form))?,
        None => None,
    };
    wait.await;
    if let Some(kept) = kept {
        return Ok(replay(kept, after));
    }
    // As at Stripe, the answer 500 is kept too.
    let work = AssertUnwindSafe(sandbox.execute(&account, route, args, form, settings));
    let result = work.catch_unwind().await;
    let result = result.unwrap_or_else(|_| Err(Error::panicked()));
    let never_began = matches!(&result, Err(error) if error.before_execution || error.status == 409 || error.status == 429);
    let mut answer = result.map_or_else(Answer::from, |value| {
        Answer::new(200, value.to_string().into())
    });
    match after {
        Some(Action::Status(status, reason)) if !never_began => {
            answer = control::fault_error(status, reason.as_deref()).into();
        }
        after => answer.fault = after,
    }
    if let Some(key) = key {
        sandbox.end(&account, &key, (!never_began).then_some(&answer));
    }
    Ok(answer)
}

/// Converts the objects in an error to the version of the call.
fn error_in_version(version: ApiVersion, mut error: Error) -> Error {
    let fields = error.extra.iter_mut().flat_map(|extra| extra.values_mut());
    fields.for_each(|field| version.convert(field));
    error
}

fn replay(kept: KeptAnswer, after: Option<Action>) -> Answer {
    let mut answer = Answer::new(kept.status, kept.body);
    answer.replayed = true;
    answer.fault = after.filter(|action| !matches!(action, Action::Status(..)));
    answer
}

/// The answer of a fault that replaces the call.
fn fault_before(action: Action) -> Result<Answer> {
    if let Action::Status(status, reason) = action {
        return Err(control::fault_error(status, reason.as_deref()));
    }
    let body = r#"{"object": "list", "data": [], "has_more": false, "url": "/v1"}"#;
    let mut answer = Answer::new(200, body.into());
    answer.fault = Some(action);
    Ok(answer)
}

fn fingerprint(method: &str, path: &str, form: &Form) -> u64 {
    let mut hasher = DefaultHasher::new();
    (method, path, form.to_json().to_string()).hash(&mut hasher);
    hasher.finish()
}

impl Sandbox {
    /// The settings of a call with these headers, without a request id and an idempotency key.
    pub(crate) fn call_settings(&self, headers: &HeaderMap) -> CallSettings {
        let options = &self.0.options;
        let host = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        let public_url = match &options.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("http://{}", host.unwrap_or("localhost")),
        };
        CallSettings {
            request_id: None,
            idempotency_key: None,
            version: options.api_version,
            default_version: options.api_version,
            public_url,
            search_lag: options.search_lag_millis(),
            meter_lag: options.meter_lag_millis(),
            meters_only: options.meters_only,
            loses_last_credit: options.loses_last_credit,
            invoice_draft: options.invoice_draft_seconds(),
        }
    }

    /// Runs `work` on an account after everything that is due. The caller must have the account's turn.
    pub(crate) fn in_turn<T>(
        &self,
        account: &LockedAccount,
        args: Vec<String>,
        settings: CallSettings,
        work: impl FnOnce(&mut Ctx<'_>) -> T,
    ) -> T {
        let clock = &self.0.options.clock;
        let mut account = account.account();
        let now = clock.unix();
        let mut ctx = Ctx {
            account: &mut account,
            now,
            now_millis: clock.millis(),
            args,
            settings: settings.without_request(),
            presence: Presence::OffSession,
            awaits_confirmation: false,
        };
        engine::run_until(&mut ctx, None, now);
        ctx.settings = settings;
        let result = work(&mut ctx);
        // The account is still locked, so events are sent in order.
        let outgoing = std::mem::take(&mut account.outgoing);
        let id = &account.profile.id;
        for outgoing in &outgoing {
            let copies = locked(&self.0.faults).match_webhook(id, outgoing.event.kind);
            self.0.webhooks.send(outgoing, &copies);
        }
        result
    }

    async fn execute(
        &self,
        account: &Id,
        route: &'static Route,
        args: Vec<String>,
        form: Form,
        settings: CallSettings,
    ) -> Result<Value> {
        let account = self.account(account);
        let _turn = account.turn().await;
        let (sandbox, at_work) = (self.clone(), account.clone());
        let work = move || {
            let params = Params::new(&form);
            let version = settings.version;
            let expand = Expand::read(&params, route.object, version)?;
            sandbox.in_turn(&at_work, args, settings, |ctx| {
                let answer = route.handle(ctx, &params);
                let mut answer = answer.map_err(|error| error_in_version(version, error))?;
                version.convert(&mut answer);
                expand.apply(ctx.account, ctx.now, &mut answer);
                Ok(answer)
            })
        };
        if !route.takes_long {
            return work();
        }
        // This thread must stay free for calls to other accounts.
        match tokio::task::spawn_blocking(work).await {
            Ok(answer) => answer,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    fn account(&self, id: &Id) -> Arc<LockedAccount> {
        let now = self.0.options.clock.unix();
        self.0.accounts.account(id, now)
    }

    fn begin(&self, account: &Id, key: &str, fingerprint: u64) -> Result<Option<KeptAnswer>> {
        let now = self.0.options.clock.unix();
        self.account(account).keys().begin(key, fingerprint, now)
    }

    fn end(&self, account: &Id, key: &str, answer: Option<&Answer>) {
        let Some(account) = self.0.accounts.existing(account) else {
            return;
        };
        match answer {
            Some(answer) => account.keys().keep(
                key,
                KeptAnswer {
                    status: answer.status,
                    body: answer.body.clone(),
                },
            ),
            None => account.keys().release(key),
        }
    }
}

/// The account that the call acts on, and whether `Stripe-Context` or the older `Stripe-Account` named it.
pub(crate) fn authenticate(sandbox: &Sandbox, call: &Call) -> Result<(Id, bool)> {
    let key = secret_key(call)?;
    let accounts = &sandbox.0.accounts;
    let key_account = accounts.id_of_key(&key);
    let named = ["stripe-context", "stripe-account"];
    let connected = named.into_iter().find_map(|name| call.header(name));
    let connected = connected.unwrap_or_default();
    if connected.is_empty() || connected == &*key_account {
        sandbox
            .account(&key_account)
            .set_display_key(|| display_key(&key));
        return Ok((key_account, false));
    }
    match accounts.connected(&key_account, connected) {
        Some(account) => Ok((account.id.clone(), true)),
        None => Err(account::no_access(Some(&masked(&key)), connected).before_execution()),
    }
}

fn unauthorized(message: String) -> Error {
    Error::invalid(message).status(401).before_execution()
}

fn secret_key(call: &Call) -> Result<String> {
    let header = call.headers.get(header::AUTHORIZATION);
    let header = header
        .and_then(|header| header.to_str().ok())
        .unwrap_or_default();
    let (scheme, value) = header.split_once(' ').unwrap_or(("", header));
    let key = if scheme.eq_ignore_ascii_case("basic") {
        let decoded = STANDARD.decode(value.trim()).unwrap_or_default();
        let decoded = String::from_utf8(decoded).unwrap_or_default();
        decoded.split(':').next().unwrap_or_default().to_owned()
    } else {
        value.trim().to_owned()
    };
    if key.is_empty() {
        return Err(unauthorized("You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').".to_owned()));
    }
    if key.starts_with("sk_live_") || key.starts_with("rk_live_") {
        return Err(unauthorized(format!(
            "The sandbox accepts test keys only (sk_test_… or rk_test_…), but this is a live key: {}. Do not use live keys with it.",
            masked(&key)
        )));
    }
    let rest = key
        .strip_prefix("sk_test_")
        .or_else(|| key.strip_prefix("rk_test_"));
    if rest.is_none_or(str::is_empty) {
        return Err(unauthorized(format!(
            "Invalid API Key provided: {}",
            masked(&key)
        )));
    }
    Ok(key)
}

/// A key with its secret part hidden: `sk_test_****abcd`.
fn masked(key: &str) -> String {
    let prefix = ["sk_test_", "rk_test_", "sk_live_", "rk_live_"]
        .into_iter()
        .find(|prefix| key.starts_with(prefix))
        .unwrap_or_default();
    let secret: Vec<char> = key[prefix.len()..].chars().collect();
    // A short secret is hidden entirely.
    let visible = secret.len().saturating_sub(4).min(4);
    let end: String = secret[secret.len() - visible..].iter().collect();
    format!("{prefix}****{end}")
}

/// A key as the pages show it. A key that may be a real one of Stripe (at least 24 letters and digits) is cut off.
fn display_key(key: &str) -> String {
    let secret = key.get("sk_test_".len()..).unwrap_or_default();
    let is_made_up = secret.len() < 24 || !secret.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_made_up {
        return key.to_owned();
    }
    format!("{}…", &key[.."sk_test_".len() + 4])
}

#[cfg(test)]
mod tests {
    use super::{display_key, masked};

    #[test]
    fn keys_of_stripe_are_cut_off() {
        assert_eq!(display_key("sk_test_me"), "sk_test_me");
        assert_eq!(
            display_key("sk_test_a_long_name_that_no_key_of_stripe_has"),
            "sk_test_a_long_name_that_no_key_of_stripe_has"
        );
        assert_eq!(
            display_key("sk_test_0123456789abcdefghijABCD"),
            "sk_test_0123…"
        );
        assert_eq!(
            display_key("rk_test_0123456789abcdefghijABCDEF"),
            "rk_test_0123…"
        );
    }

    #[test]
    fn keys_are_masked() {
        assert_eq!(masked("sk_test_123456789abcd"), "sk_test_****abcd");
        assert_eq!(masked("sk_test_abcd"), "sk_test_****");
        assert_eq!(masked("sk_live_secretsecret99"), "sk_live_****et99");
        assert_eq!(masked("x"), "****");
    }
}
