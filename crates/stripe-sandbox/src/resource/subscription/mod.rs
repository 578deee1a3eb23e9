//! Subscriptions: their items, billing cycles, trial, end, and settings.

mod backdating_input;
pub(crate) mod cycle;
pub(crate) mod events;
pub(crate) mod input;
mod migration;
pub(crate) mod pause;
pub(crate) mod payment_input;
pub(crate) mod routes;
pub(crate) mod shared_input;
pub(crate) mod update_input;
pub(crate) mod view;

use serde_json::{Value, json};

use self::cycle::Cycle;
use self::pause::Pause;
use super::discount::Discount;
use super::subscription_item::{self, Item, ItemSpec};
use crate::money::currency::Currency;
use crate::params::metadata::Metadata;
use crate::store::ids::Id;
use crate::store::table::Row;

/// How long Stripe waits for a first payment before the subscription expires, in seconds: 23 hours.
pub(crate) const INCOMPLETE_FOR: i64 = 23 * 3600;

/// How long before the end of a trial Stripe announces it: three days.
const TRIAL_NOTICE: i64 = 3 * 24 * 3600;

/// Stripe's `status`, as far as the sandbox can reach it (`unpaid` needs a setting of the account).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Incomplete,
    IncompleteExpired,
    Trialing,
    Active,
    PastDue,
    /// The trial is over, and the subscription waits for a payment method.
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

    /// Whether the subscription has ended for good.
    pub(crate) fn is_ended(self) -> bool {
        matches!(self, Self::IncompleteExpired | Self::Canceled)
    }
}

/// Stripe's `billing_mode`: the rules of invoices, prorations and metered usage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum BillingMode {
    #[default]
    Classic,
    /// `updated_at` is the time of the migration, if it was classic before.
    Flexible { updated_at: Option<i64> },
}

impl BillingMode {
    pub(crate) fn is_flexible(self) -> bool {
        matches!(self, Self::Flexible { .. })
    }

    /// Classic billing has no field, as before Stripe had flexible billing.
    pub(crate) fn to_json(self) -> Value {
        let Self::Flexible { updated_at } = self else {
            return json!({});
        };
        let mut mode = json!({
            "flexible": {"proration_discounts": "included"},
            "type": "flexible",
        });
        if let Some(at) = updated_at {
            mode["updated_at"] = json!(at);
        }
        json!({"billing_mode": mode})
    }
}

/// Stripe's `trial_settings`: what happens if a trial ends without a payment method.
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

/// Stripe's `payment_settings`, as far as they concern cards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PaymentSettings {
    /// Whether `payment_method_types` was given; it can only name cards.
    pub(crate) has_card_types: bool,
    /// Whether the payment method that pays becomes the subscription's default.
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
    pub(crate) billing_mode: BillingMode,
    /// The time from which periods are counted.
    pub(crate) anchor: i64,
    /// One for each interval of the items.
    pub(crate) cycles: Vec<Cycle>,
    pub(crate) items: Vec<Item>,
    /// The start of the first trial, or in flexible billing of the latest one, and the end of the latest one, which may
    /// be over.
    pub(crate) trial: Option<(i64, i64)>,
    /// When to announce the end of the trial; `None` once that is done.
    pub(crate) trial_notice: Option<i64>,
    pub(crate) cancel_at: Option<i64>,
    pub(crate) cancel_at_period_end: bool,
    pub(crate) canceled_at: Option<i64>,
    pub(crate) ended_at: Option<i64>,
    pub(crate) cancellation_reason: Option<&'static str>,
    pub(crate) schedule: Option<Id>,
    /// Whether a schedule made it.
    pub(crate) is_from_schedule: bool,
    pub(crate) default_payment_method: Option<Id>,
    pub(crate) payment_settings: PaymentSettings,
    pub(crate) missing_method: MissingMethod,
    pub(crate) pause: Option<Pause>,
    /// The intent that collects a payment method if nothing was due at first.
    pub(crate) pending_setup_intent: Option<Id>,
    pub(crate) description: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) discount: Option<Discount>,
    /// The discount of the running period's charges, until a request changes the discounts.
    pub(crate) charged_discount: Option<Discount>,
    /// In flexible billing, the discount of a phase that ended with its period, at this time. The usage of the period
    /// still has it, but not that of a longer interval that goes on (our choice).
    pub(crate) ended_phase_discount: Option<(i64, Option<Discount>)>,
    /// For meters of ended items, the time up to which they counted, if that is later than their end. A new item of the
    /// meter counts from then on, so that no event counts twice.
    pub(crate) counted_until: Vec<(Id, i64)>,
    pub(crate) automatic_tax: bool,
    pub(crate) latest_invoice: Option<Id>,
    /// The time of its entry in the due queue.
    pub(crate) due: Option<i64>,
}

impl Row for Subscription {
    fn id(&self) -> &Id {
        &self.id
    }
}

impl Subscription {
    /// Specs that keep its items unchanged.
    pub(crate) fn unchanged_specs(&self) -> Vec<ItemSpec> {
        self.items
            .iter()
            .map(subscription_item::unchanged_spec)
            .collect()
    }

    /// Schedules the announcement of a trial's end, for a trial that was started or moved at `at`: three days before,
    /// or at once.
    pub(crate) fn announce_trial_end(&mut self, end: i64, at: i64) {
        self.trial_notice = Some(at.max(end - TRIAL_NOTICE));
    }

    /// When the end of the trial is to be announced, if it is not announced yet.
    pub(crate) fn trial_notice(&self) -> Option<i64> {
        self.trial_notice
            .filter(|_| self.status == Status::Trialing)
    }

    /// Whether the running period is a trial. A trial covers all items.
    pub(crate) fn in_trial(&self) -> bool {
        let start = self.common_period().0;
        self.trial.is_some_and(|(_, end)| end > start)
    }

    /// When it is to end. With `cancel_at_period_end`, that is the end of the first period, even if items have a longer
    /// interval.
    pub(crate) fn ends_at(&self) -> Option<i64> {
        let at_end = self.cancel_at_period_end.then_some(self.first_end());
        self.cancel_at.or(at_end)
    }

    /// When it is to end, if that is at or before the end of the running period that ends first.
    pub(crate) fn ends_within_period(&self) -> Option<i64> {
        self.ends_at().filter(|at| *at <= self.first_end())
    }

    /// When it is to end within a period, which cuts the period short. The end of a schedule does not cut it short,
    /// because the last phase determines the credits (our choice).
    pub(crate) fn ends_between(&self, start: i64, end: i64) -> Option<i64> {
        let end_of_request = self.cancel_at.filter(|_| self.schedule.is_none());
        end_of_request.filter(|at| start < *at && *at < end)
    }

    /// Sets or removes the end that its schedule gives it. `now` is the time of that request, if there was none before.
    pub(crate) fn end_with_schedule(&mut self, end: Option<i64>, now: i64) {
        self.cancel_at = end;
        self.cancel_at_period_end = false;
        self.canceled_at = end.map(|_| self.canceled_at.unwrap_or(now));
        self.cancellation_reason = self.cancellation_reason.filter(|_| end.is_some());
    }

    /// When something happens to it next, apart from its schedule's phases.
    pub(crate) fn next_event(&self) -> Option<i64> {
        match self.status {
            Status::Canceled | Status::IncompleteExpired => None,
            Status::Paused => self.cancel_at,
            Status::Incomplete => Some(self.created + INCOMPLETE_FOR),
            Status::Trialing | Status::Active | Status::PastDue => {
                let resumes = self.pause.and_then(|pause| pause.resumes_at);
                let others = [self.cancel_at, resumes, self.trial_notice()];
                others.into_iter().flatten().chain([self.first_end()]).min()
            }
        }
    }
}

const NAME: &str = "subscription";

/// Stripe's `collection_method`; the sandbox does not model `send_invoice`.
pub(crate) const COLLECTION_METHODS: &[&str] = &["charge_automatically", "send_invoice"];

/// Stripe's `proration_behavior`: how a change within a period credits and charges licensed items.
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
