//! The whole server in one process: the API's router over a sandbox of the test's own. The clock of both stands still
//! unless the test advances it. Every answer is validated against `openapi.yaml` before the test sees it.

mod call;
pub(crate) mod ledgers;
mod settings;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Method;
use clock::Clock;
use serde_json::{Value, json};
use stripe_sandbox::{Action, Options, Rule, Sandbox};
use testing::observed::{self, Observed};
use testing::time::until;
use tier::admission::RequestSlots;
use tier::api::{Accounts, App, WebhookSecrets, admin_router, router};
use tier::billing::CLASSIC;
use tier::domain::{
    Domain, Generation, GenerationSetting, LedgerHandle, LedgerSettings, MaxAge, Memory,
};
use tier::metrics::Metrics;
use tier::stripe::{Client, Credentials};

pub(crate) use call::{Answer, Call, any_path};
pub(crate) use settings::{Settings, transport};

/// The time at which tests begin: 2023-01-01T00:00:00Z.
pub(crate) const START: i64 = 1_672_531_200;

/// A day.
pub(crate) const DAY: Duration = Duration::from_secs(86_400);

/// The Stripe key of every test. Tests can share the key, since each has its own sandbox.
pub(crate) const STRIPE_KEY: &str = "sk_test_tests";

/// Both generations of metered prices, for tests of rules that hold in each.
pub(crate) const GENERATIONS: [Generation; 2] = [Generation::Classic, Generation::Meters];

/// A server and its sandbox. Clones share both.
#[derive(Clone)]
pub(crate) struct TestApp {
    app: App,
    router: Router,
    sandbox: Arc<Observed>,
    stripe: Client,
    /// The folder of the server's ledger, unless the test itself keeps the ledger.
    folder: Option<Arc<tempfile::TempDir>>,
}

impl TestApp {
    /// Starts a server with the tests' default settings.
    pub(crate) async fn start() -> Self {
        Self::with(Settings::default()).await
    }

    /// Starts a server that creates metered prices of this generation.
    pub(crate) async fn of(generation: Generation) -> Self {
        Self::with(Settings {
            generation: GenerationSetting::Fixed(generation),
            ..Settings::default()
        })
        .await
    }

    /// Starts a server with these settings.
    pub(crate) async fn with(settings: Settings) -> Self {
        crate::logs::watch();
        let options = Options {
            clock: Clock::manual(START),
            search_lag: settings.search_lag,
            meter_lag: settings.meter_lag,
            loses_last_credit: settings.loses_last_credit,
            invoice_draft: settings.invoice_draft,
            ..Options::default()
        };
        let sandbox = observed::start(options).await;
        Self::over(Arc::new(sandbox), &settings)
    }

    /// The same server, with a changed `App`.
    pub(crate) fn adjusted(mut self, adjust: impl FnOnce(&mut App)) -> Self {
        adjust(&mut self.app);
        self.router = router(self.app.clone());
        self
    }

    /// The same server, with a ledger in this file.
    pub(crate) async fn with_ledger(&self, file: &std::path::Path) -> Self {
        let ledger = LedgerHandle::new(ledgers::place(file), LedgerSettings::default());
        let app = self.with_open_ledger(ledger.expect("a file"));
        let opened = app.domain().open_ledger().await;
        opened.expect("a ledger of this account");
        app
    }

    /// The same server, with a ledger in a folder of its own.
    pub(crate) async fn with_own_ledger(&self) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut app = self.with_ledger(&folder.path().join("tier.db")).await;
        app.folder = Some(Arc::new(folder));
        app
    }

    /// A server over the same sandbox, on a machine with another clock.
    pub(crate) fn with_clock(&self, clock: Clock) -> Self {
        let memory = Memory::new(1_000, MaxAge::default());
        let domain = Domain::with_own_memory(self.stripe.clone(), clock, "sandbox", memory);
        let mut app = self.clone();
        app.app.accounts = Accounts::One(domain);
        app.router = router(app.app.clone());
        app
    }

    /// The same server, with this open ledger.
    pub(crate) fn with_open_ledger(&self, ledger: LedgerHandle) -> Self {
        let domain = self.domain().clone().with_ledger(ledger);
        let mut app = self.clone();
        app.app.accounts = Accounts::One(domain);
        app.router = router(app.app.clone());
        app
    }

    /// A second server over the same sandbox, with its own memory.
    pub(crate) fn second_server(&self) -> Self {
        self.second_server_with(&Settings::default())
    }

    /// Like [`second_server`](Self::second_server), with other settings.
    pub(crate) fn second_server_with(&self, settings: &Settings) -> Self {
        Self::over(Arc::clone(&self.sandbox), settings)
    }

    /// This server's admin pages, on a listener that is or is not restricted to this machine.
    pub(crate) fn admin(&self, loopback_only: bool) -> Self {
        Self {
            router: admin_router(self.app.clone(), loopback_only),
            ..self.clone()
        }
    }

    fn over(sandbox: Arc<Observed>, settings: &Settings) -> Self {
        let url = settings.stripe_url.as_deref().unwrap_or(sandbox.url());
        let credentials = Credentials::new(settings.stripe_key.as_str());
        let stripe = Client::new(transport(url, settings), credentials);
        let clock = sandbox.sandbox().clock().clone();
        let memory = Memory::new(settings.max_orgs, settings.max_age);
        let domain = Domain::with_own_memory(stripe.clone(), clock, "sandbox", memory);
        let mut app = App::new(domain.with_generation(settings.generation));
        let secrets = settings.webhook_secrets.iter();
        let secrets = secrets.map(|secret| (*secret).into()).collect();
        app.webhook = WebhookSecrets::new(secrets, sandbox.sandbox().clock().clone());
        Self {
            router: router(app.clone()),
            app,
            sandbox,
            stripe,
            folder: None,
        }
    }

    /// A request that has not been sent yet.
    pub(crate) fn request<'a>(&'a self, method: Method, path_and_query: &'a str) -> Call<'a> {
        Call {
            app: self,
            method,
            path_and_query,
            headers: Vec::new(),
            body: Body::empty(),
        }
    }

    /// Sends a GET with headers.
    pub(crate) async fn get_with(&self, path: &str, headers: &[(&'static str, &str)]) -> Answer {
        self.request(Method::GET, path)
            .headers(headers)
            .send()
            .await
    }

    /// Sends a GET.
    pub(crate) async fn get(&self, path_and_query: &str) -> Answer {
        self.request(Method::GET, path_and_query).send().await
    }

    /// Sends a POST.
    pub(crate) async fn post(&self, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        self.request(Method::POST, path).body(body).send().await
    }

    /// Sends a POST of JSON.
    pub(crate) async fn post_json(&self, path: &str, body: &Value) -> Answer {
        self.post(path, body.to_string()).await
    }

    /// Pushes a model, and checks that every feature is created.
    pub(crate) async fn push(&self, model: &Value) {
        let pushed = self.post_json("/v1/push", model).await.ok().json();
        for result in pushed["results"].as_array().expect("something was pushed") {
            assert_eq!(result["reason"], "created", "{pushed:#}");
        }
    }

    /// Subscribes an org to plans and features from now on.
    pub(crate) async fn subscribe(&self, org: &str, features: &[&str]) {
        let request = json!({"org": org, "phases": [{"features": features}]});
        self.post_json("/v1/subscribe", &request).await.ok();
    }

    /// Reports usage of a feature, now.
    pub(crate) async fn report(&self, org: &str, feature: &str, n: i64) {
        let request = json!({"org": org, "feature": feature, "n": n});
        self.post_json("/v1/report", &request).await.ok();
    }

    /// An org's limits, as rows of feature, usage and limit.
    pub(crate) async fn limits(&self, org: &str) -> Vec<(String, i64, i64)> {
        let limits = self.get(&format!("/v1/limits?org={org}")).await.ok().json();
        let rows = limits["usage"].as_array().expect("a list").iter();
        rows.map(|row| {
            let feature = row["feature"].as_str().expect("a name").to_owned();
            let number = |field: &str| row[field].as_i64().expect("an integer");
            (feature, number("used"), number("limit"))
        })
        .collect()
    }

    /// Sends a request, and hangs up once the request waits for a call to Stripe that a fault delays.
    pub(crate) async fn hang_up(&self, call: Call<'_>) {
        let before = self.sandbox().fault_hits();
        let delayed = until("a delayed call", async || {
            (self.sandbox().fault_hits() > before).then_some(())
        });
        tokio::select! {
            answer = call.send() => panic!("there is an answer before the delay ends: {answer:?}"),
            () = delayed => {}
        }
    }

    /// Reads from Stripe directly.
    pub(crate) async fn stripe_get(&self, path: &str) -> Value {
        let answer = self.stripe.get(CLASSIC, any_path(path)).send().await;
        answer.expect("Stripe has it")
    }

    /// Writes to Stripe directly, without the server.
    pub(crate) async fn stripe_post(&self, path: &str, params: &[(&'static str, &str)]) -> Value {
        let request = params.iter().fold(
            self.stripe.post(CLASSIC, any_path(path)),
            |request, (name, value)| request.param(*name, value),
        );
        request.send().await.expect("Stripe takes it")
    }

    /// Deletes an object in Stripe directly, without the server.
    pub(crate) async fn stripe_delete(&self, path: &str) -> Value {
        let answer = self.stripe.delete(CLASSIC, any_path(path)).send().await;
        answer.expect("Stripe deletes it")
    }

    /// Advances the clock of the server and the sandbox.
    pub(crate) fn advance(&self, by: Duration) {
        let seconds = i64::try_from(by.as_secs()).expect("tests last less than an eternity");
        let clock = self.sandbox().clock();
        clock.set(clock.unix() + seconds);
    }

    /// Advances the clock as [`advance`](Self::advance) does, while the server delivers the usage in its own ledger.
    pub(crate) async fn pass(&self, by: Duration) {
        let deliver = async |after: Duration| {
            self.advance(after);
            self.domain().deliver().await.expect("Stripe takes it");
            self.settled().await;
        };
        let mut rest = by;
        if self.folder.is_some() && by > DAY {
            // Events have times in whole minutes, and each needs a minute of its own.
            let minutes = [Duration::from_secs(61); 3];
            let days = std::iter::repeat_n(DAY, 100);
            for step in minutes.into_iter().chain(days) {
                if rest > step {
                    deliver(step).await;
                    rest -= step;
                }
            }
        }
        self.advance(rest);
        if self.folder.is_some() {
            deliver(Duration::ZERO).await;
        }
    }

    /// Delays the next call of this kind by `by`. The call's idempotency key is in use from the beginning.
    pub(crate) fn slow_down(&self, method: &str, path: &str, by: Duration) {
        let mut rule = Rule::new(method, path, Action::Delay(by)).times(1);
        rule.account = Some(self.sandbox().account_id(STRIPE_KEY));
        self.sandbox().add_fault(rule);
    }

    /// Waits until a call that is [slowed down](Self::slow_down) has arrived.
    pub(crate) async fn until_slow(&self) {
        until("a call that is slowed down", async || {
            (self.sandbox().fault_hits() > 0).then_some(())
        })
        .await;
    }

    /// Waits for the server's background tasks.
    pub(crate) async fn settled(&self) {
        self.app.background.idle().await;
    }

    /// The number of Stripe calls since the start, or since [`forget_calls`](Self::forget_calls).
    pub(crate) fn stripe_calls(&self) -> u64 {
        self.sandbox().counts(None).values().sum()
    }

    /// The parameters of the calls to an endpoint, such as `POST /v1/customers/:id`, in order.
    pub(crate) fn sent(&self, endpoint: &str) -> Vec<Value> {
        let calls = self.sandbox().requests(None).into_iter();
        let calls = calls.filter(|call| call.endpoint == endpoint);
        calls.map(|call| call.params).collect()
    }

    /// Resets the count of Stripe calls.
    pub(crate) fn forget_calls(&self) {
        self.sandbox().clear_requests();
    }

    /// Sets the clock of the server and the sandbox, in Unix seconds.
    pub(crate) fn set_clock(&self, unix: i64) {
        self.sandbox().clock().set(unix);
    }

    /// The URL of this test's sandbox.
    pub(crate) fn stripe_url(&self) -> &str {
        self.sandbox.url()
    }

    /// The router of this server.
    pub(crate) fn router(&self) -> Router {
        self.router.clone()
    }

    /// The account that this server acts on.
    pub(crate) fn domain(&self) -> &Domain {
        match &self.app.accounts {
            Accounts::One(domain) => domain,
            Accounts::Many(_) => panic!("it serves many"),
        }
    }

    /// The slots for requests in flight.
    pub(crate) fn slots(&self) -> &RequestSlots {
        &self.app.slots
    }

    /// The metrics of this server.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.app.metrics
    }

    /// The sandbox of this test.
    pub(crate) fn sandbox(&self) -> &Sandbox {
        self.sandbox.sandbox()
    }
}
