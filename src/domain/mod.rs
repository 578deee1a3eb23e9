//! Tier's own rules: what an org may use, what it has used, and the Stripe calls that implement both.
//!
//! A [`Domain`] is one account's view: its key, its caches, and optionally a test clock. Each endpoint's handler calls
//! the method of the same name. Nothing here knows HTTP.

mod account;
mod archive;
mod background;
mod bill;
mod billing_cycle;
mod catalog;
mod checkout;
mod client_keys;
mod clock;
mod diff;
mod doctor;
mod entitlement;
mod error;
mod failure;
mod generation;
mod identity;
mod invoices;
mod isolation;
mod ledger;
mod locks;
mod memory;
mod meters;
mod migration;
mod money;
mod org;
mod orgs;
mod phases;
mod plan_change;
mod price;
pub mod pricing;
mod pricing_page;
mod pull;
mod push;
pub mod refs;
mod request_key;
mod revision;
mod schedule;
pub mod schema;
mod settle;
mod setup;
mod shared_model;
mod subscription;
mod usage;
mod webhooks;

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

pub use crate::billing::Generation;
pub use account::Whoami;
pub use background::{Background, Superseded};
pub use billing_cycle::BillingPeriod;
pub use checkout::{AlreadyBought, Checkout, Tax};
pub use clock::{ClockChange, ClockState};
pub use diff::{FeatureDiff, FieldDiff, diff};
pub use doctor::{Finding, Verdict};
pub use entitlement::{Answered, MaxAge, Source, StaleReason, SweepCounts};
pub use error::Error;
use failure::Failure;
pub use generation::GenerationSetting;
pub use invoices::{InvoicesQuery, OrgInvoices};
pub use isolation::IsolatedAccount;
pub use ledger::{
    DeliveryCounts, GrantedReservation, LedgerHandle, LedgerSettings, OrgReport, ParkedDecision,
    ParkedUsage, ReservationOutcome, ReservationRequest, UsageBy, UsageQuery, UsageSpan,
};
pub use memory::Memory;
pub use migration::{
    Exchange, Migrate, MigrateAt, MigrationFailure, MigrationPlan, MigrationState, PlannedMove,
};
pub use org::{OrgAccount, OrgInfo, OrgInfoUpdate, PaymentMethods};
pub use orgs::{
    FeatureFilter, FoundOrgs, ListedOrg, OrgSearch, OrgStatus, OrgsPage, OrgsQuery, PlanFilter,
    Position,
};
pub use phases::{Phase, Phases};
pub use pricing_page::{
    Bill, BillLine, DEFAULT_PAGE, PricedFeature, PricedPlan, PricingPage, PricingPages,
    PricingPagesError,
};
pub use pull::Pulled;
pub use push::{PushOutcome, PushResult, PushedPrice};
pub use schedule::{RequestedPhase, Subscribe};
pub use setup::StartedSetup;
pub use shared_model::{MAX_LINK_TEXT, ShareError, SharedModel};
pub use usage::{Allowance, FeatureUsage, RecordedUsage, Report};
pub use webhooks::{Event, EventTypes, METER_ERROR_EVENTS, WebhookEndpoint};

pub use crate::billing::{Coupon, Invoice, InvoiceLine, PaymentMethodDetails, SetupIntent};

use identity::Identity;

use crate::admission::Admission;
use crate::billing::Billing;
use crate::stripe;
use ::clock::Clock;

pub use crate::stripe::{CallerState, Lane};

/// The outcome of a request.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The maximum number of parallel calls. Stripe allows live keys several times as many calls as test keys.
const PARALLEL_TEST: usize = 20;
const PARALLEL_LIVE: usize = 50;

/// Tier for one account. Clones are cheap and share caches and locks.
#[derive(Clone)]
pub struct Domain {
    account: Arc<Account>,
    stripe: stripe::Client,
    test_clock: Option<Arc<str>>,
    /// Whether every read must ask Stripe.
    asks_stripe: bool,
    /// The admission of this request, if requests are limited.
    admission: Option<Admission>,
    /// The ledger that stores usage before it is sent to Stripe.
    ledger: Option<LedgerHandle>,
    /// The generation of metered prices that a push creates.
    generation: GenerationSetting,
}

struct Account {
    clock: Clock,
    key_source: String,
    identity: Identity,
    /// When an org was last read with this key, in Unix milliseconds.
    last_read: AtomicI64,
}

impl Domain {
    /// The account of `stripe`, with a memory of its own. `key_source` says where the API key came from, for `whoami`.
    pub fn new(stripe: stripe::Client, clock: Clock, key_source: impl Into<String>) -> Self {
        Self::with_own_memory(stripe, clock, key_source, Memory::default())
    }

    /// Like [`new`](Self::new), with a `memory` that no other account uses.
    pub fn with_own_memory(
        stripe: stripe::Client,
        clock: Clock,
        key_source: impl Into<String>,
        memory: Memory,
    ) -> Self {
        Self::of(stripe, clock, key_source, Identity::only(memory))
    }

    /// Like [`new`](Self::new), with a `memory` that other accounts also use. API keys of the same account share its
    /// entries; other accounts do not see them.
    pub fn with_memory(
        stripe: stripe::Client,
        clock: Clock,
        key_source: impl Into<String>,
        memory: Memory,
    ) -> Self {
        Self::of(stripe, clock, key_source, Identity::one_of(memory))
    }

    fn of(
        stripe: stripe::Client,
        clock: Clock,
        key_source: impl Into<String>,
        identity: Identity,
    ) -> Self {
        Self {
            stripe,
            account: Arc::new(Account {
                clock,
                key_source: key_source.into(),
                identity,
                last_read: AtomicI64::new(i64::MIN),
            }),
            test_clock: None,
            asks_stripe: false,
            admission: None,
            ledger: None,
            generation: GenerationSetting::default(),
        }
    }

    /// The same account, which records usage in `ledger`.
    #[must_use]
    pub fn with_ledger(self, ledger: LedgerHandle) -> Self {
        Self {
            ledger: Some(ledger),
            ..self
        }
    }

    /// The same account, for customers on the test clock `id`.
    #[must_use]
    pub fn on_test_clock(&self, id: impl Into<Arc<str>>) -> Self {
        Self {
            test_clock: Some(id.into()),
            ..self.clone()
        }
    }

    /// The test clock of this request's customers.
    pub fn test_clock_id(&self) -> Option<&str> {
        self.test_clock.as_deref()
    }

    /// The same account for a request that needs Stripe's current state.
    #[must_use]
    pub fn asking_stripe(&self) -> Self {
        Self {
            asks_stripe: true,
            ..self.clone()
        }
    }

    /// The same account for one request of a `caller`, who may leave before the answer. Work that has not begun by then
    /// is not begun. The request's calls to Stripe are counted together and wait in `lane`. While the request waits for
    /// others, it gives up its `admission`.
    #[must_use]
    pub fn for_caller(&self, lane: Lane, caller: CallerState, admission: Admission) -> Self {
        Self {
            account: self.account.clone(),
            stripe: self.stripe.for_caller(lane, caller),
            test_clock: self.test_clock.clone(),
            asks_stripe: self.asks_stripe,
            admission: Some(admission),
            ledger: self.ledger.clone(),
            generation: self.generation,
        }
    }

    /// The same account for background work, whose calls wait in `lane`.
    #[must_use]
    pub fn in_background(&self, lane: Lane) -> Self {
        Self {
            stripe: self.stripe.for_background(lane),
            admission: None,
            ..self.clone()
        }
    }

    /// The same account for one request, whose calls to Stripe are counted together and wait in `lane`.
    #[must_use]
    pub fn for_request(&self, lane: Lane) -> Self {
        Self {
            stripe: self.stripe.for_request(lane),
            ..self.clone()
        }
    }

    /// The background tasks of this account, and of the accounts that share its memory.
    pub fn background(&self) -> &Background {
        match &self.account.identity {
            Identity::Only(shared) => shared.memory.background(),
            Identity::OneOf(memory, _) => memory.background(),
        }
    }

    /// The admission of this request, if requests are limited.
    pub fn admission(&self) -> Option<&Admission> {
        self.admission.as_ref()
    }

    /// The Stripe client of this request.
    pub fn stripe(&self) -> &stripe::Client {
        &self.stripe
    }

    /// The calls of this request to Stripe.
    fn billing(&self) -> Billing<'_> {
        Billing::new(&self.stripe)
    }

    /// The error to report for a failed write. Once part of the write has taken effect, no error may make a client
    /// retry automatically, as `Retry-After` does (money rule 10).
    fn error_to_report(&self, error: Error) -> Error {
        let is_temporary = matches!(
            error,
            Error::RateLimited { .. }
                | Error::Busy { .. }
                | Error::Listing { .. }
                | Error::NotAdmitted(_)
        );
        if is_temporary && self.stripe().caller().has_effects() {
            Error::Unfinished(Box::new(error))
        } else {
            error
        }
    }

    /// The current time in Unix seconds: the test clock's, if this request has one.
    async fn now(&self) -> Result<i64> {
        match &self.test_clock {
            None => Ok(self.account.clock.unix()),
            Some(id) => Ok(self.test_clock(id).await?.frozen_time),
        }
    }

    /// The current time in Unix seconds by Stripe's clock, according to the date of its last answer; `now` if unknown.
    /// This machine's clock may differ, and Stripe refuses to end a phase in the second in which it began.
    fn at_stripe(&self, now: i64) -> i64 {
        match &self.test_clock {
            None => self.stripe().server_time().unwrap_or(now),
            Some(_) => now,
        }
    }

    /// The maximum number of parallel calls to Stripe.
    fn parallel(&self) -> usize {
        if self.stripe().credentials().is_live() {
            PARALLEL_LIVE
        } else {
            PARALLEL_TEST
        }
    }

    /// The URL of a page in this account's Stripe dashboard; `None` if there is no such page.
    fn dashboard_page(&self, page: &str) -> Option<String> {
        let dashboard = self.stripe().dashboard_url()?;
        let account = self.stripe().dashboard_account();
        let account = account.map(|id| format!("/{id}")).unwrap_or_default();
        let live = self.stripe().credentials().is_live();
        let mode = if live { "" } else { "/test" };
        Some(format!("{dashboard}{account}{mode}/{page}"))
    }
}
