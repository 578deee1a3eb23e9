//! Calls to a sandbox in this process.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use clock::Clock;
use serde_json::Value;
use stripe_sandbox::{Options, Sandbox};
use tower::ServiceExt as _;

use testing::answers;

/// A sandbox whose clock stands still.
#[derive(Debug)]
pub(crate) struct Stripe {
    sandbox: Sandbox,
    router: Router,
}

/// An answer's status and body.
pub(crate) type Answer = (u16, Value);

/// A parameter's full name, including brackets, and its value.
pub(crate) type Param = (String, String);

impl Stripe {
    /// An empty sandbox at this time.
    pub(crate) fn new(unix: i64) -> Self {
        let options = Options {
            clock: Clock::manual(unix),
            ..Options::default()
        };
        let sandbox = Sandbox::new(options);
        let router = testing::answers::watch(sandbox.router());
        Self { sandbox, router }
    }

    /// Advances the clock to this time. The clock never goes back.
    pub(crate) fn pass_time(&self, until: i64) {
        let clock = self.sandbox.clock();
        clock.set(clock.unix().max(until));
    }

    /// Sends a call, on a connected account if `account` names one.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        params: &[Param],
        account: Option<&str>,
    ) -> anyhow::Result<Answer> {
        let encoded = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(params)
            .finish();
        let is_get = method.eq_ignore_ascii_case("get");
        let uri = if is_get && !encoded.is_empty() {
            format!("{path}?{encoded}")
        } else {
            path.to_owned()
        };
        let mut request = Request::builder()
            .method(method.to_uppercase().as_str())
            .uri(uri)
            .header("host", "sandbox")
            .header("authorization", "Bearer sk_test_judge")
            .header("content-type", "application/x-www-form-urlencoded");
        if let Some(account) = account {
            request = request.header("stripe-account", account);
        }
        let request = request.body(Body::from(if is_get { String::new() } else { encoded }))?;
        let response = self.router.clone().oneshot(request).await?;
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), usize::MAX).await?;
        Ok((status, serde_json::from_slice(&body)?))
    }
}

impl Drop for Stripe {
    fn drop(&mut self) {
        answers::keep_events(&self.sandbox);
    }
}
