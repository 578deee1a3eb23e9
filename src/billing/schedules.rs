//! Subscription schedules and their phases.

use serde::Deserialize;

use super::new_schedule::NewSchedule;
use super::object::{Expandable, Metadata, enabled, identified, is_enabled};
use super::string_enum::string_enum;
use super::{Ack, Billing, Coupon, Customer, Generation, Price, Subscription, Write};
use crate::stripe::Error;

/// A subscription schedule.
#[derive(Clone, Debug, Deserialize)]
pub struct Schedule {
    /// `sub_sched_…`.
    pub id: String,
    /// Its status.
    pub status: ScheduleStatus,
    /// The current phase. None before the schedule starts and after it ends.
    #[serde(default)]
    pub current_phase: Option<CurrentPhase>,
    /// All phases, past ones too.
    #[serde(default)]
    pub phases: Vec<SchedulePhase>,
    /// What happens after the last phase.
    #[serde(default)]
    pub end_behavior: EndBehavior,
    /// The subscription that it managed until it was released.
    #[serde(default)]
    pub released_subscription: Option<String>,
    /// Unix seconds.
    #[serde(default)]
    pub released_at: Option<i64>,
    /// Unix seconds.
    #[serde(default)]
    pub canceled_at: Option<i64>,
    /// Unix seconds.
    #[serde(default)]
    pub completed_at: Option<i64>,
    #[serde(default)]
    subscription: Option<Expandable<Subscription>>,
    #[serde(default)]
    default_settings: Settings,
    /// The schedule's metadata. Stripe copies only that of phases to the subscription.
    #[serde(default)]
    pub metadata: Metadata,
}

/// The defaults of its phases.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Settings {
    #[serde(deserialize_with = "is_enabled")]
    automatic_tax: bool,
    default_payment_method: Option<String>,
}

/// The times of the current phase: from `start_date` (inclusive) to `end_date` (exclusive).
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub struct CurrentPhase {
    /// Unix seconds.
    pub start_date: i64,
    /// Unix seconds.
    pub end_date: i64,
}

/// A phase of a schedule.
#[derive(Clone, Debug, Deserialize)]
pub struct SchedulePhase {
    /// Unix seconds.
    pub start_date: i64,
    /// Unix seconds.
    pub end_date: i64,
    /// Unix seconds.
    #[serde(default)]
    pub trial_end: Option<i64>,
    /// What it sells.
    #[serde(default)]
    pub items: Vec<PhaseItem>,
    #[serde(default)]
    coupon: Option<Expandable<Coupon>>,
    /// Metadata that Stripe copies to the subscription when the phase begins.
    #[serde(default)]
    pub metadata: Option<Metadata>,
    /// Whether Stripe computes tax. None: the schedule's default.
    #[serde(default, deserialize_with = "enabled")]
    pub automatic_tax: Option<bool>,
}

/// An item of a phase.
#[derive(Clone, Debug, Deserialize)]
pub struct PhaseItem {
    price: Expandable<Price>,
    /// The quantity. Metered items have none.
    #[serde(default)]
    pub quantity: Option<u64>,
    /// The app's own metadata.
    #[serde(default)]
    pub metadata: Metadata,
}

identified!(Schedule);

/// A schedule together with its customer.
#[derive(Clone, Debug, Deserialize)]
pub struct CustomerSchedule {
    /// The schedule.
    #[serde(flatten)]
    pub schedule: Schedule,
    /// The customer.
    pub customer: Customer,
}

impl crate::stripe::Identified for CustomerSchedule {
    fn id(&self) -> &str {
        &self.schedule.id
    }
}

string_enum! {
    /// The status of a schedule.
    ScheduleStatus {
        /// Its first phase has not begun.
        NotStarted = "not_started",
        /// It manages a subscription.
        Active = "active",
        /// Its last phase is over.
        Completed = "completed",
        /// It was released: its subscription continues without it.
        Released = "released",
        /// It was canceled.
        Canceled = "canceled",
    }
}

string_enum! {
    /// What happens after the last phase.
    EndBehavior {
        /// The subscription ends.
        Cancel = "cancel",
        /// The subscription goes on.
        Release = "release",
    }
}

impl Schedule {
    /// Whether it manages a subscription.
    pub fn is_active(&self) -> bool {
        self.status == ScheduleStatus::Active
    }

    /// Whether Stripe computes tax in phases without a setting.
    pub fn automatic_tax(&self) -> bool {
        self.default_settings.automatic_tax
    }

    /// The payment method of its invoices. None: the customer's default.
    pub fn default_payment_method(&self) -> Option<&str> {
        self.default_settings.default_payment_method.as_deref()
    }

    /// The id of the subscription that it manages.
    pub fn subscription_id(&self) -> Option<&str> {
        Some(self.subscription.as_ref()?.id())
    }

    /// The subscription that it manages, if expanded.
    pub fn subscription(&self) -> Option<&Subscription> {
        self.subscription.as_ref()?.object()
    }

    /// The subscription that it manages, with this schedule in it. None if it was not expanded.
    pub fn into_subscription(mut self) -> Option<Subscription> {
        let Expandable::Object(mut subscription) = self.subscription.take()? else {
            return None;
        };
        subscription.schedule = Some(Expandable::Object(Box::new(self)));
        Some(*subscription)
    }

    /// Whether it has not started.
    pub fn is_not_started(&self) -> bool {
        self.status == ScheduleStatus::NotStarted
    }
}

impl SchedulePhase {
    /// The id of its coupon.
    pub fn coupon_id(&self) -> Option<&str> {
        Some(self.coupon.as_ref()?.id())
    }

    /// Its coupon, if expanded.
    pub fn coupon(&self) -> Option<&Coupon> {
        self.coupon.as_ref()?.object()
    }
}

impl PhaseItem {
    /// The id of the price.
    pub fn price_id(&self) -> &str {
        self.price.id()
    }

    /// The price, if expanded.
    pub fn price(&self) -> Option<&Price> {
        self.price.object()
    }
}

impl Billing<'_> {
    /// A customer's schedules, newest first: future, current and past ones.
    pub async fn schedules(self, customer: &str) -> Result<Vec<Schedule>, Error> {
        let request = self
            .get(SCHEDULES)
            .param("customer", customer)
            .expand("data.phases.coupon")
            .expand("data.phases.items.price");
        request.list().await
    }

    /// All schedules that have not started, with their customers, newest first.
    pub async fn not_started_schedules(self) -> Result<Vec<CustomerSchedule>, Error> {
        let request = self.get(SCHEDULES).param("scheduled", true);
        request.expand("data.customer").list().await
    }

    /// Creates a schedule, and its subscription when it begins. The answer has the subscription if that is now.
    pub fn create_schedule(self, customer: &str, new: &NewSchedule) -> Write<Schedule> {
        let request = self.client.post(new.generation.version(), SCHEDULES);
        let request = request.form(new.creation(customer));
        Write::new(request.expand("subscription"))
    }

    /// Creates a schedule from a subscription. Stripe accepts no metadata in this call.
    pub fn adopt_subscription(self, subscription: &str, generation: Generation) -> Write<Schedule> {
        let request = self.client.post(generation.version(), SCHEDULES);
        Write::new(request.param("from_subscription", subscription))
    }

    /// Replaces the phases of a schedule. The answer has its subscription. `current_phase_start` is when the current
    /// phase began, if there is one.
    pub fn replace_phases(
        self,
        id: &str,
        new: &NewSchedule,
        current_phase_start: Option<i64>,
    ) -> Write<Schedule> {
        let form = new.replacement(current_phase_start);
        let request = self.client.post(new.generation.version(), (SCHEDULE, id));
        let request = request.form(form);
        Write::new(request.expand("subscription"))
    }

    /// Sets the payment method of a schedule's invoices, in all its phases.
    pub fn set_schedule_payment_method(self, id: &str, method: &str) -> Write<Schedule> {
        let request = self.post((SCHEDULE, id));
        Write::new(request.param("default_settings[default_payment_method]", method))
    }

    /// Cancels a schedule that has not started.
    pub fn cancel_schedule(self, id: &str) -> Write<Ack> {
        Write::new(self.post(("/v1/subscription_schedules/*/cancel", id)))
    }
}

const SCHEDULES: &str = "/v1/subscription_schedules";
const SCHEDULE: &str = "/v1/subscription_schedules/*";
