//! Subscription schedules to create, and the new phases of existing ones.

use super::object::Metadata;
use super::{EndBehavior, Generation};
use crate::stripe::Form;

/// The wanted state of a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSchedule {
    /// When its first phase starts.
    pub start: ScheduleStart,
    /// Its phases, in order. At least one.
    pub phases: Vec<NewPhase>,
    /// Whether the subscription ends with the last phase.
    pub ends: bool,
    /// Whether Stripe computes tax, in all phases.
    pub automatic_tax: bool,
    /// The payment method of invoices. None: the customer's default.
    pub payment_method: Option<String>,
    /// Whether proration is off: unused time is not credited, and the rest of the period is not charged.
    pub unprorated: bool,
    /// The index of the phase that begins now or is changed in place. None if the current phase is kept unchanged.
    pub begins: Option<usize>,
    /// The generation of its prices. With meters, its subscription bills in Stripe's flexible mode.
    pub generation: Generation,
}

/// When the first phase of a schedule starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScheduleStart {
    /// When Stripe processes the call.
    Now,
    /// Unix seconds.
    At(i64),
    /// At the start of the current phase, which must not change.
    WithCurrentPhase,
}

/// When a phase ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhaseEnd {
    /// When Stripe processes the call. The next phase begins then.
    Now,
    /// Unix seconds.
    At(i64),
}

/// A phase to send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewPhase {
    /// When it ends. None, on the last phase: after one billing interval, when the subscription continues without the
    /// schedule.
    pub end: Option<PhaseEnd>,
    /// What it sells.
    pub items: Vec<NewPhaseItem>,
    /// Whether the whole phase is a trial.
    pub trial: bool,
    /// When the trial of a kept phase ends, in Unix seconds, if before the phase.
    pub trial_end: Option<i64>,
    /// Whether a billing period begins with the phase. In the classic billing mode, a change of interval always begins
    /// one.
    pub restarts_period: bool,
    /// A coupon's id.
    pub coupon: Option<String>,
    /// Metadata that Stripe copies to the subscription when the phase begins.
    pub metadata: Metadata,
}

/// An item of a phase to send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewPhaseItem {
    /// `price_…`.
    pub price: String,
    /// The quantity. None: one, or no quantity for a metered price.
    pub quantity: Option<u64>,
    /// The app's own metadata.
    pub metadata: Metadata,
}

impl NewSchedule {
    /// The parameters of a new schedule for a customer.
    pub(super) fn creation(&self, customer: &str) -> Form {
        let mut form = Form::new();
        form.push("customer", customer);
        match self.start {
            ScheduleStart::At(start) => form.push("start_date", start),
            ScheduleStart::Now | ScheduleStart::WithCurrentPhase => form.push("start_date", "now"),
        }
        if self.generation == Generation::Meters {
            form.push("billing_mode[type]", "flexible");
        }
        form.append(self.shared());
        form
    }

    /// The parameters that replace the phases of a schedule. `current_phase_start` is when the current phase began, if
    /// there is one.
    pub(super) fn replacement(&self, current_phase_start: Option<i64>) -> Form {
        let start = match (self.start, current_phase_start) {
            (ScheduleStart::WithCurrentPhase, Some(start)) | (ScheduleStart::At(start), _) => {
                start.to_string()
            }
            (ScheduleStart::WithCurrentPhase, None) | (ScheduleStart::Now, _) => "now".to_owned(),
        };
        let mut form = self.shared();
        form.push("phases[0][start_date]", start);
        form
    }

    /// The parameters that creation and replacement have in common.
    fn shared(&self) -> Form {
        let mut form = Form::new();
        let end = if self.ends {
            EndBehavior::Cancel
        } else {
            EndBehavior::Release
        };
        form.push("end_behavior", end.as_str());
        // Set on the schedule only: all its phases, also the kept one, use this default.
        form.push(
            "default_settings[automatic_tax][enabled]",
            self.automatic_tax,
        );
        form.push_some(
            "default_settings[default_payment_method]",
            self.payment_method.as_deref(),
        );
        if self.unprorated {
            form.push("proration_behavior", "none");
        }
        for (i, phase) in self.phases.iter().enumerate() {
            if self.unprorated && self.begins == Some(i) {
                form.push(format!("phases[{i}][proration_behavior]"), "none");
            }
            phase.push_to(&mut form, i, self.generation);
        }
        form
    }
}

impl NewPhase {
    fn push_to(&self, form: &mut Form, i: usize, generation: Generation) {
        for (j, item) in self.items.iter().enumerate() {
            let name = format!("phases[{i}][items][{j}]");
            form.push(format!("{name}[price]"), &item.price);
            form.push_some(format!("{name}[quantity]"), item.quantity);
            for (key, value) in &item.metadata {
                form.push(format!("{name}[metadata][{key}]"), value);
            }
        }
        match self.end {
            Some(PhaseEnd::Now) => form.push(format!("phases[{i}][end_date]"), "now"),
            Some(PhaseEnd::At(end)) => form.push(format!("phases[{i}][end_date]"), end),
            None => {}
        }
        if self.trial {
            form.push(format!("phases[{i}][trial]"), true);
        }
        form.push_some(format!("phases[{i}][trial_end]"), self.trial_end);
        if self.restarts_period {
            form.push(format!("phases[{i}][billing_cycle_anchor]"), "phase_start");
        }
        let coupon = match generation {
            Generation::Classic => "[coupon]",
            Generation::Meters => "[discounts][0][coupon]",
        };
        form.push_some(format!("phases[{i}]{coupon}"), self.coupon.as_deref());
        for (key, value) in &self.metadata {
            form.push(format!("phases[{i}][metadata][{key}]"), value);
        }
    }
}
