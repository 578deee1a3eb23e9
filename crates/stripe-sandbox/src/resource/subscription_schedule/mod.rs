//! Subscription schedules with their phases.

mod input;
mod phase_input;
pub(crate) mod routes;
pub(crate) mod view;

use std::sync::Arc;

use super::coupon::Coupon;
use super::invoice_item::AddedItem;
use super::subscription::{BillingMode, Prorate};
use super::subscription_item::ItemSpec;
use crate::money::currency::Currency;
use crate::params::metadata::Metadata;
use crate::store::ids::Id;
use crate::store::table::Row;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    NotStarted,
    Active,
    Completed,
    Released,
    Canceled,
}

impl Status {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NotStarted => "not_started",
            Self::Active => "active",
            Self::Completed => "completed",
            Self::Released => "released",
            Self::Canceled => "canceled",
        }
    }

    /// Whether it still controls a subscription, or will.
    pub(crate) fn is_live(self) -> bool {
        matches!(self, Self::NotStarted | Self::Active)
    }
}

/// What happens after the last phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndBehavior {
    Release,
    Cancel,
}

impl EndBehavior {
    pub(crate) const ALL: [Self; 2] = [Self::Cancel, Self::Release];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Cancel => "cancel",
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Phase {
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) items: Vec<ItemSpec>,
    pub(crate) trial_end: Option<i64>,
    pub(crate) coupon: Option<Arc<Coupon>>,
    pub(crate) currency: Currency,
    /// The metadata that the subscription gets with the phase. A key with an empty value is removed.
    pub(crate) metadata: Metadata,
    pub(crate) description: Option<String>,
    pub(crate) prorate: Prorate,
    /// Invoice items that are added when the phase begins.
    pub(crate) added: Vec<AddedItem>,
    pub(crate) automatic_tax: Option<bool>,
    pub(crate) default_payment_method: Option<Id>,
    /// Whether `collection_method` was given; it can only be `charge_automatically`.
    pub(crate) has_collection_method: bool,
    /// `billing_cycle_anchor=phase_start`: a new period begins with the phase.
    pub(crate) resets_anchor: Option<bool>,
}

/// The default settings of phases.
#[derive(Clone, Debug, Default)]
pub(crate) struct Defaults {
    pub(crate) automatic_tax: bool,
    pub(crate) default_payment_method: Option<Id>,
    pub(crate) description: Option<String>,
    pub(crate) resets_anchor: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    pub(crate) id: Id,
    pub(crate) customer: Id,
    pub(crate) clock: Option<Id>,
    pub(crate) created: i64,
    pub(crate) status: Status,
    pub(crate) phases: Vec<Phase>,
    /// The index of the running phase, while the schedule is active.
    pub(crate) current: Option<usize>,
    pub(crate) end_behavior: EndBehavior,
    /// The billing mode of the subscription that it makes or controls.
    pub(crate) billing_mode: BillingMode,
    pub(crate) defaults: Defaults,
    pub(crate) metadata: Metadata,
    pub(crate) subscription: Option<Id>,
    pub(crate) released_subscription: Option<Id>,
    pub(crate) canceled_at: Option<i64>,
    pub(crate) completed_at: Option<i64>,
    pub(crate) released_at: Option<i64>,
}

impl Row for Schedule {
    fn id(&self) -> &Id {
        &self.id
    }
}

impl Schedule {
    /// The running phase.
    pub(crate) fn running(&self) -> Option<&Phase> {
        self.phases.get(self.current?)
    }

    /// When the subscription is to end, if the schedule cancels it and its last phase is running or next.
    pub(crate) fn ends_at(&self) -> Option<i64> {
        let coming = &self.phases[self.current.unwrap_or(0)..];
        match (self.end_behavior, coming) {
            (EndBehavior::Cancel, [last]) => Some(last.end),
            _ => None,
        }
    }

    /// Ends the schedule; the subscription goes on.
    pub(crate) fn release(&mut self, at: i64) {
        self.status = Status::Released;
        self.released_at = Some(at);
        self.released_subscription = self.subscription.take();
        self.current = None;
    }
}
