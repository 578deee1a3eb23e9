//! The sandbox without its server: options, accounts, faults, and methods to control and inspect it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clock::Clock;
use serde_json::Value;
use tokio_util::task::TaskTracker;

use crate::http::fault::Faults;
use crate::http::limit::Limits;
use crate::http::record::{CallRecord, Request};
use crate::http::routes;
use crate::http::rule::Rule;
use crate::resource::event::Event;
use crate::resource::{event_destination, webhook_endpoint};
use crate::store::accounts::Accounts;
use crate::store::{ids, locked};
use crate::version::ApiVersion;
use crate::webhook::{Deliveries, Webhooks};

/// The settings of a sandbox. By default it runs in real time, with seed 0, no delays and no limits.
#[derive(Clone, Debug)]
pub struct Options {
    /// The time of everything that is not on a test clock.
    pub clock: Clock,
    /// The version of calls without the header `Stripe-Version`, and of events: the account's default version.
    pub api_version: ApiVersion,
    /// The seed of ids and of random faults.
    pub seed: u64,
    /// The time until the search finds a new or changed customer.
    pub search_lag: Duration,
    /// The time until a meter event is processed: summaries and previews include it only then. Invoices include all
    /// events.
    pub meter_lag: Duration,
    /// Whether metered prices without a meter are refused in every version.
    pub meters_only: bool,
    /// Whether the last invoice of a canceled subscription becomes uncollectible if it only credits unused time, so
    /// that the customer's balance does not get the credit. It applies only to versions with meters. Stripe was
    /// recorded to do this in 2026, but does not document when.
    pub loses_last_credit: bool,
    /// How long renewals and the first invoices of schedules stay drafts before they are finalized and charged.
    /// Stripe's drafts last about an hour.
    pub invoice_draft: Duration,
    /// How long a failed webhook waits for its second try. Each wait after that is twice as long. Like Stripe in test
    /// mode, the sandbox tries three more times.
    pub webhook_backoff: Duration,
    /// The minimum duration of every call.
    pub latency: Option<Duration>,
    /// How many calls an account may make per second.
    pub rate_limit: Option<u32>,
    /// The URL at which people reach the sandbox, for links to its checkout pages. By default it is the address that
    /// the call was sent to.
    pub public_url: Option<String>,
    /// Whether only this machine can reach the sandbox. The controls and pages then accept only the host names of this
    /// machine, because an attacker's web page can point its own host name at this machine (DNS rebinding).
    pub loopback_only: bool,
}

impl Options {
    /// How long invoices are drafts, in seconds.
    pub(crate) fn invoice_draft_seconds(&self) -> i64 {
        i64::try_from(self.invoice_draft.as_secs()).unwrap_or(i64::MAX / 2)
    }

    /// The lag of meter events in milliseconds.
    pub(crate) fn meter_lag_millis(&self) -> i64 {
        i64::try_from(self.meter_lag.as_millis()).unwrap_or(i64::MAX / 2)
    }

    /// The search's lag in milliseconds.
    pub(crate) fn search_lag_millis(&self) -> i64 {
        i64::try_from(self.search_lag.as_millis()).unwrap_or(i64::MAX / 2)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            clock: Clock::system(),
            api_version: ApiVersion::default(),
            seed: 0,
            search_lag: Duration::from_secs(1),
            meter_lag: Duration::from_secs(1),
            meters_only: false,
            loses_last_credit: false,
            invoice_draft: Duration::ZERO,
            webhook_backoff: Duration::from_secs(30 * 60),
            latency: None,
            rate_limit: None,
            public_url: None,
            loopback_only: true,
        }
    }
}

/// A sandbox; see the [crate]. Clones share the same state.
#[derive(Clone, Debug)]
pub struct Sandbox(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) options: Options,
    pub(crate) accounts: Accounts,
    pub(crate) faults: Mutex<Faults>,
    pub(crate) record: Mutex<CallRecord>,
    pub(crate) limits: Mutex<Limits>,
    pub(crate) webhooks: Webhooks,
    /// The calls in progress.
    pub(crate) tasks: TaskTracker,
}

impl Sandbox {
    /// An empty sandbox.
    pub fn new(options: Options) -> Self {
        Self(Arc::new(Inner {
            accounts: Accounts::new(options.seed),
            faults: Mutex::default(),
            record: Mutex::default(),
            limits: Mutex::default(),
            webhooks: Webhooks::new(options.clock.clone(), options.webhook_backoff),
            tasks: TaskTracker::new(),
            options,
        }))
    }

    /// The account that belongs to a secret key.
    pub fn account_id(&self, key: &str) -> String {
        self.0.accounts.id_of_key(key).to_string()
    }

    /// The endpoints that the sandbox has in a version, such as `GET /v1/customers/:id`. If two match a call, the first
    /// handles it.
    pub fn endpoints(&self, version: ApiVersion) -> Vec<String> {
        routes::names(version)
    }

    /// The last calls, at most 1,000, oldest first; of one account, or of all.
    pub fn requests(&self, account: Option<&str>) -> Vec<Request> {
        locked(&self.0.record).requests(account)
    }

    /// Stripe's events: the last 10,000 of every account, in order within an account.
    pub fn events(&self) -> Vec<Value> {
        let accounts = self.0.accounts.all();
        let events = accounts.iter().flat_map(|account| {
            let account = account.account();
            let events = account.events.iter().map(Event::to_json);
            events.collect::<Vec<_>>()
        });
        events.collect()
    }

    /// How often each endpoint (`GET /v1/customers/:id`) was called, by one account or by all.
    pub fn counts(&self, account: Option<&str>) -> BTreeMap<String, u64> {
        locked(&self.0.record).counts(account)
    }

    /// Deletes the recorded calls and their counts, and nothing else.
    pub fn clear_requests(&self) {
        locked(&self.0.record).clear(None);
    }

    /// Adds a fault; see [`Rule`].
    pub fn add_fault(&self, rule: Rule) {
        let seed = self.0.options.seed;
        locked(&self.0.faults).add(rule, seed);
    }

    /// How many calls and webhooks the current faults have applied to.
    pub fn fault_hits(&self) -> u64 {
        locked(&self.0.faults).hits()
    }

    /// Deletes all faults and ends their delays. Webhooks that wait for their first try are sent at once.
    pub fn clear_faults(&self) {
        self.clear_faults_of(None);
    }

    pub(crate) fn clear_faults_of(&self, account: Option<&str>) {
        locked(&self.0.faults).clear(account);
        self.0.webhooks.release(account);
    }

    /// Empties the sandbox and deletes all faults.
    pub fn reset(&self) {
        self.reset_only(None);
    }

    pub(crate) fn reset_only(&self, account: Option<&ids::Id>) {
        for forgotten in self.0.accounts.reset(account) {
            self.0.webhooks.forget(forgotten.webhook_endpoints());
        }
        locked(&self.0.faults).clear(account.map(|id| &**id));
        locked(&self.0.record).clear(account.map(|id| &**id));
    }

    /// Gives the account of a secret key a webhook endpoint and returns the secret of its signatures (`whsec_…`).
    /// `events` are event types, or `*`. The account has the endpoint again after every [reset](Self::reset). The
    /// endpoint does not change the ids of other objects, and the secret depends only on the seed.
    pub fn webhook_endpoint(
        &self,
        key: &str,
        url: &str,
        events: &[&str],
    ) -> Result<String, BadEndpoint> {
        let account = self.0.accounts.id_of_key(key);
        let now = self.0.options.clock.unix();
        let endpoint = webhook_endpoint::input::permanent(url, events, now);
        let endpoint = endpoint.map_err(|error| BadEndpoint(error.message))?;
        Ok(self.0.accounts.add_permanent_endpoint(&account, endpoint))
    }

    /// Like [`webhook_endpoint`](Self::webhook_endpoint), for an event destination, which receives thin events of these
    /// types.
    pub fn event_destination(
        &self,
        key: &str,
        url: &str,
        events: &[&str],
    ) -> Result<String, BadEndpoint> {
        let account = self.0.accounts.id_of_key(key);
        let now = self.0.options.clock.unix();
        let endpoint = event_destination::input::permanent(url, events, now);
        let endpoint = endpoint.map_err(|error| BadEndpoint(error.message))?;
        Ok(self.0.accounts.add_permanent_endpoint(&account, endpoint))
    }

    /// Waits until every webhook is settled: answered 2xx, or given up after the last try. The waits between tries
    /// follow the sandbox's clock.
    pub async fn deliveries_settled(&self) {
        self.0.webhooks.settled(None).await;
    }

    /// Like [`deliveries_settled`](Self::deliveries_settled), for the webhooks to this URL.
    pub async fn deliveries_settled_at(&self, url: &str) {
        self.0.webhooks.settled(Some(url)).await;
    }

    /// Counts of the webhooks so far.
    pub fn deliveries(&self) -> Deliveries {
        self.0.webhooks.counts()
    }

    /// The sandbox's clock.
    pub fn clock(&self) -> &Clock {
        &self.0.options.clock
    }

    pub(crate) fn faults_json(&self, account: Option<&str>) -> Value {
        locked(&self.0.faults).to_json(account)
    }
}

/// Why a webhook endpoint was refused, in Stripe's words.
#[derive(Debug)]
pub struct BadEndpoint(String);

impl std::fmt::Display for BadEndpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadEndpoint {}
