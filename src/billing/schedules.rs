//! Subscription schedules and their phases.

use serde::Deserialize;

use super::new_schedule::NewSchedule;
use super::object::{Expandable, Metadata, enabled, identified, is_enabled};
use super::words::words;
use super::{Billing, Coupon, Customer, Done, Generation, Price, Subscription, Write};
use crate::stripe::Error;

/// A subscription schedule.
#[derive(Clone, Debug, Deserialize)]
pub struct Schedule {
    /// `sub_sched_…`.
    pub id: String,
    /// Its status.
    pub status: ScheduleStatus,
    /// The phase in force. None before the schedule starts and after it ends.
    #[serde(default)]
    pub current_phase: Option<Span>,
    /// All phases, past ones too.
    #[serde(default)]
    pub phases: Vec<SchedulePhase>,
    /// What happens after the last phase.
    #[serde(default)]
    pub end_behavior: EndBehavior,
    /// The subscription that it drove until it was released.
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
    /// The schedule's own metadata. That of a phase goes to the subscription.
    #[serde(default)]
    pub metadata: Metadata,
}

/// The settings of phases that have none of their own.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Settings {
    #[serde(deserialize_with = "is_enabled")]
    automatic_tax: bool,
    default_payment_method: Option<String>,
}

/// From a second (included) to a second (excluded).
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub struct Span {
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
    /// Whether tax is computed. None: the schedule's default.
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

words! {
    /// The status of a schedule.
    ScheduleStatus {
        /// Its first phase has not begun.
        NotStarted = "not_started",
        /// It drives a subscription.
        Active = "active",
        /// Its last phase is over.
        Completed = "completed",
        /// It was released: its subscription continues without it.
        Released = "released",
        /// It was canceled.
        Canceled = "canceled",
    }
}

words! {
    /// What happens after the last phase.
    EndBehavior {
        /// The subscription ends.
        Cancel = "cancel",
        /// The subscription goes on.
        Release = "release",
    }
}

impl Schedule {
    /// Whether it drives a subscription.
    pub fn is_active(&self) -> bool {
        self.status == ScheduleStatus::Active
    }

    /// Whether tax is computed in phases that do not say it.
    pub fn automatic_tax(&self) -> bool {
        self.default_settings.automatic_tax
    }

    /// The payment method of its invoices. None: the customer's default.
    pub fn default_payment_method(&self) -> Option<&str> {
        self.default_settings.default_payment_method.as_deref()
    }

    /// The id of the subscription that it drives.
    pub fn subscription_id(&self) -> Option<&str> {
        Some(self.subscription.as_ref()?.id())
    }

    /// The subscription that it drives, if that was read too.
    pub fn subscription(&self) -> Option<&Subscription> {
        self.subscription.as_ref()?.object()
    }

    /// The subscription that it drives, with this schedule in it. None if that was not read too.
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

    /// Its coupon, if that was read too.
    pub fn coupon(&self) -> Option<&Coupon> {
        self.coupon.as_ref()?.object()
    }
}

impl PhaseItem {
    /// The id of the price.
    pub fn price_id(&self) -> &str {
        self.price.id()
    }

    /// The price, if that was read too.
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
    pub async fn schedules_to_come(self) -> Result<Vec<CustomerSchedule>, Error> {
        let request = self.get(SCHEDULES).param("scheduled", true);
        request.expand("data.customer").list().await
    }

    /// Creates a schedule for a customer without a subscription. The answer has the new subscription, if the schedule
    /// begins now.
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

    /// Replaces the phases of a schedule. The answer has its subscription. `current_phase_start` is when the phase in
    /// force began, if there is one.
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

    /// Sets the payment method of a schedule's invoices, also for its later phases.
    pub fn set_schedule_payment_method(self, id: &str, method: &str) -> Write<Schedule> {
        let request = self.post((SCHEDULE, id));
        Write::new(request.param("default_settings[default_payment_method]", method))
    }

    /// Cancels a schedule that has not started.
    pub fn cancel_schedule(self, id: &str) -> Write<Done> {
        Write::new(self.post(("/v1/subscription_schedules/*/cancel", id)))
    }
}

const SCHEDULES: &str = "/v1/subscription_schedules";
const SCHEDULE: &str = "/v1/subscription_schedules/*";
