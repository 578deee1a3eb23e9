//! Subscription schedules and their phases.

use serde::Deserialize;

use super::new_schedule::NewSchedule;
use super::object::{Expandable, Metadata, identified};
use super::words::words;
use super::{AutomaticTax, Billing, Coupon, Customer, Done, Price, Subscription, Write};
use crate::stripe::Error;

/// A subscription schedule.
#[derive(Clone, Debug, Deserialize)]
pub struct Schedule {
    /// `sub_sched_…`.
    pub id: String,
    /// What has become of it.
    pub status: ScheduleStatus,
    /// Absent before it starts and after it ends.
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
    /// The subscription that it drives, or its id.
    #[serde(default)]
    pub subscription: Option<Expandable<Subscription>>,
    /// What holds in a phase that does not say otherwise.
    #[serde(default)]
    pub default_settings: ScheduleSettings,
    /// The schedule's own; that of a phase goes to the subscription.
    #[serde(default)]
    pub metadata: Metadata,
}

/// The terms that phases have in common.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ScheduleSettings {
    /// Whether tax is computed.
    pub automatic_tax: AutomaticTax,
    /// What invoices are paid with, if not the customer's default.
    pub default_payment_method: Option<String>,
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
    /// What is sold in it.
    #[serde(default)]
    pub items: Vec<PhaseItem>,
    /// The coupon, or its id.
    #[serde(default)]
    pub coupon: Option<Expandable<Coupon>>,
    /// Becomes the subscription's.
    #[serde(default)]
    pub metadata: Option<Metadata>,
    /// Whether tax is computed; unset: as the schedule's default says.
    #[serde(default)]
    pub automatic_tax: Option<AutomaticTax>,
}

/// An item of a phase.
#[derive(Clone, Debug, Deserialize)]
pub struct PhaseItem {
    /// The price, or its id.
    pub price: Expandable<Price>,
    /// Absent on metered items.
    #[serde(default)]
    pub quantity: Option<u64>,
    /// The app's own pairs.
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
    /// What has become of a schedule.
    ScheduleStatus {
        /// It waits for its first phase.
        NotStarted = "not_started",
        /// It drives a subscription.
        Active = "active",
        /// Its last phase is over.
        Completed = "completed",
        /// It let its subscription go.
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

    /// The subscription that it drives, where that was asked for.
    pub fn driven(&self) -> Option<&Subscription> {
        self.subscription.as_ref()?.object()
    }

    /// The same subscription, with this schedule.
    pub fn into_subscription(mut self) -> Option<Subscription> {
        let Expandable::Object(mut subscription) = self.subscription.take()? else {
            return None;
        };
        subscription.schedule = Some(Expandable::Object(Box::new(self)));
        Some(*subscription)
    }

    /// Whether it has not begun.
    pub fn is_not_started(&self) -> bool {
        self.status == ScheduleStatus::NotStarted
    }
}

impl Billing<'_> {
    /// A customer's schedules, newest first: those to come, the one in force, and past ones.
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

    /// Makes a schedule for a customer without a subscription, and answers with its subscription too, if it begins now.
    pub fn create_schedule(self, customer: &str, new: &NewSchedule) -> Write<Schedule> {
        let request = self.post(SCHEDULES).form(new.creation(customer));
        Write::new(request.expand("subscription"))
    }

    /// Gives a subscription a schedule. Stripe takes no metadata along with it.
    pub fn adopt_subscription(self, subscription: &str) -> Write<Schedule> {
        Write::new(
            self.post(SCHEDULES)
                .param("from_subscription", subscription),
        )
    }

    /// Gives a schedule other phases, and answers with its subscription too. `current_phase_start` is when the running
    /// phase began, if one runs.
    pub fn replace_phases(
        self,
        id: &str,
        new: &NewSchedule,
        current_phase_start: Option<i64>,
    ) -> Write<Schedule> {
        let form = new.replacement(current_phase_start);
        let request = self.post((SCHEDULE, id)).form(form);
        Write::new(request.expand("subscription"))
    }

    /// Lets a schedule's invoices be paid with `method`, also those of its later phases.
    pub fn set_schedule_payment_method(self, id: &str, method: &str) -> Write<Schedule> {
        let request = self.post((SCHEDULE, id));
        Write::new(request.param("default_settings[default_payment_method]", method))
    }

    /// Cancels a schedule that has not begun.
    pub fn cancel_schedule(self, id: &str) -> Write<Done> {
        Write::new(self.post(("/v1/subscription_schedules/*/cancel", id)))
    }
}

const SCHEDULES: &str = "/v1/subscription_schedules";
const SCHEDULE: &str = "/v1/subscription_schedules/*";
