//! Subscriptions: what one sells, where in its cycle it stands, and what it will do next.

pub(crate) mod events;
pub(crate) mod input;
pub(crate) mod pause;
pub(crate) mod payment_input;
pub(crate) mod routes;
pub(crate) mod shared_input;
pub(crate) mod update_input;
pub(crate) mod view;

use self::pause::Pause;
use super::discount::Discount;
use super::subscription_item::Item;
use crate::money::currency::Currency;
use crate::money::period::Every;
use crate::params::metadata::Metadata;
use crate::store::ids::Id;
use crate::store::table::Row;

/// How long a first payment may be outstanding before Stripe gives the subscription up: 23 hours.
pub(crate) const INCOMPLETE_FOR: i64 = 23 * 3600;

/// How long before its end Stripe announces the end of a trial: three days.
const TRIAL_NOTICE: i64 = 3 * 24 * 3600;

/// Stripe's `status`, as far as the sandbox can reach it (`unpaid` needs a setting of the account).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Incomplete,
    IncompleteExpired,
    Trialing,
    Active,
    PastDue,
    /// A trial is over, and it waits for a payment method.
    Paused,
    Canceled,
}

impl Status {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Incomplete => "incomplete",
            Self::IncompleteExpired => "incomplete_expired",
            Self::Trialing => "trialing",
            Self::Active => "active",
            Self::PastDue => "past_due",
            Self::Paused => "paused",
            Self::Canceled => "canceled",
        }
    }

    /// Whether nothing will ever happen to it again.
    pub(crate) fn ended(self) -> bool {
        matches!(self, Self::IncompleteExpired | Self::Canceled)
    }
}

/// What a trial's end does if there is no payment method by then: Stripe's `trial_settings`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum MissingMethod {
    #[default]
    CreateInvoice,
    Cancel,
    Pause,
}

impl MissingMethod {
    pub(crate) const ALL: [Self; 3] = [Self::Cancel, Self::CreateInvoice, Self::Pause];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::CreateInvoice => "create_invoice",
            Self::Cancel => "cancel",
            Self::Pause => "pause",
        }
    }
}

/// Stripe's `payment_settings`, as far as there are cards only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PaymentSettings {
    /// Whether `payment_method_types` was given; it can name cards only.
    pub(crate) cards_named: bool,
    /// Whether what pays becomes the subscription's default.
    pub(crate) save_default: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Subscription {
    pub(crate) id: Id,
    pub(crate) customer: Id,
    pub(crate) clock: Option<Id>,
    pub(crate) created: i64,
    pub(crate) start_date: i64,
    pub(crate) status: Status,
    pub(crate) currency: Currency,
    pub(crate) every: Every,
    /// Where periods are counted from.
    pub(crate) anchor: i64,
    /// The running period, end exclusive. A trial is one period, whatever its length.
    pub(crate) period: (i64, i64),
    /// The period that a full price is for. The running one is shorter if the subscription began or will end
    /// within it: then only that part is charged.
    pub(crate) whole: (i64, i64),
    pub(crate) items: Vec<Item>,
    /// Start of the first trial and end of the latest one, which may be over: in classic billing, a further trial
    /// keeps the start of the first.
    pub(crate) trial: Option<(i64, i64)>,
    /// When the end of the trial is to be announced, until it is.
    pub(crate) trial_notice: Option<i64>,
    pub(crate) cancel_at: Option<i64>,
    pub(crate) cancel_at_period_end: bool,
    pub(crate) canceled_at: Option<i64>,
    pub(crate) ended_at: Option<i64>,
    pub(crate) cancellation_reason: Option<&'static str>,
    pub(crate) schedule: Option<Id>,
    /// Whether a schedule made it.
    pub(crate) from_schedule: bool,
    pub(crate) default_payment_method: Option<Id>,
    pub(crate) payment_settings: PaymentSettings,
    pub(crate) missing_method: MissingMethod,
    pub(crate) pause: Option<Pause>,
    /// What collects a payment method where nothing was due at first.
    pub(crate) pending_setup_intent: Option<Id>,
    pub(crate) description: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) discount: Option<Discount>,
    /// The discount that the running period was charged with in advance, until a request changes the discounts.
    pub(crate) charged_with: Option<Discount>,
    pub(crate) automatic_tax: bool,
    pub(crate) latest_invoice: Option<Id>,
    /// The key under which the timeline holds it.
    pub(crate) due: Option<i64>,
}

impl Row for Subscription {
    fn id(&self) -> &Id {
        &self.id
    }
}

impl Subscription {
    /// Announces the end of a trial that was begun or moved at `at`: three days ahead, or at once.
    pub(crate) fn announce_trial_end(&mut self, end: i64, at: i64) {
        self.trial_notice = Some(at.max(end - TRIAL_NOTICE));
    }

    /// When the end of the trial is announced, if it is still to be.
    pub(crate) fn trial_notice(&self) -> Option<i64> {
        self.trial_notice
            .filter(|_| self.status == Status::Trialing)
    }

    /// Whether the running period is a trial.
    pub(crate) fn in_trial(&self) -> bool {
        self.trial.is_some_and(|(_, end)| end > self.period.0)
    }

    /// When it is to end of itself.
    pub(crate) fn ends_at(&self) -> Option<i64> {
        let at_end = self.cancel_at_period_end.then_some(self.period.1);
        self.cancel_at.or(at_end)
    }

    /// When it ends of itself, if that is before or at the end of the running period.
    pub(crate) fn ends_within_period(&self) -> Option<i64> {
        self.ends_at().filter(|at| *at <= self.period.1)
    }

    /// When it ends of itself within a period, which is cut short by that. The end of a schedule does not do so:
    /// what that is to credit is said by its last phase (our choice).
    pub(crate) fn ends_between(&self, start: i64, end: i64) -> Option<i64> {
        let own = self.cancel_at.filter(|_| self.schedule.is_none());
        own.filter(|at| start < *at && *at < end)
    }

    /// Ends when its schedule says, or not at all. `now` is when that was asked for, if it was not before.
    pub(crate) fn end_with_schedule(&mut self, end: Option<i64>, now: i64) {
        self.cancel_at = end;
        self.cancel_at_period_end = false;
        self.canceled_at = end.map(|_| self.canceled_at.unwrap_or(now));
        self.cancellation_reason = self.cancellation_reason.filter(|_| end.is_some());
    }

    /// The next time at which something happens to it, its schedule's phases aside.
    pub(crate) fn next_event(&self) -> Option<i64> {
        match self.status {
            Status::Canceled | Status::IncompleteExpired => None,
            Status::Paused => self.cancel_at,
            Status::Incomplete => Some(self.created + INCOMPLETE_FOR),
            Status::Trialing | Status::Active | Status::PastDue => {
                let resumes = self.pause.and_then(|pause| pause.resumes_at);
                let others = [self.cancel_at, resumes, self.trial_notice()];
                others.into_iter().flatten().chain([self.period.1]).min()
            }
        }
    }
}

const WHAT: &str = "subscription";

/// Stripe's ways to be paid; nothing in the sandbox is paid in the second one.
pub(crate) const COLLECTION_METHODS: &[&str] = &["charge_automatically", "send_invoice"];

/// What a change within a period does about the licensed items it touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prorate {
    /// Credits and charges wait for the next invoice.
    Create,
    /// They are invoiced at once.
    Invoice,
    Never,
}

impl Prorate {
    pub(crate) const ALL: [Self; 3] = [Self::Create, Self::Invoice, Self::Never];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create_prorations",
            Self::Invoice => "always_invoice",
            Self::Never => "none",
        }
    }
}
