//! A subscription schedule to make, or what one that is there is to become.

use super::EndBehavior;
use super::object::Metadata;
use crate::stripe::Form;

/// What a schedule is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSchedule {
    /// When its first phase starts.
    pub start: ScheduleStart,
    /// At least one, in order.
    pub phases: Vec<NewPhase>,
    /// Whether the subscription ends with the last phase.
    pub ends: bool,
    /// Whether Stripe computes tax, in all phases.
    pub automatic_tax: bool,
    /// What invoices are paid with; none: the customer's default.
    pub payment_method: Option<String>,
    /// Whether what is unused is not credited, nor the rest of the period charged.
    pub unprorated: bool,
    /// Which phase begins now, or is changed in place; none if the first one is kept as it is.
    pub begins: Option<usize>,
}

/// When the first phase of a plan starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScheduleStart {
    /// When Stripe gets to it.
    Now,
    /// Unix seconds.
    At(i64),
    /// When the phase in force did, which must not change.
    WithCurrentPhase,
}

/// When a phase ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhaseEnd {
    /// When Stripe gets to it; the next phase begins.
    Now,
    /// Unix seconds.
    At(i64),
}

/// A phase as it is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewPhase {
    /// None on a last phase: one billing interval, then it goes on by itself.
    pub end: Option<PhaseEnd>,
    /// What is sold.
    pub items: Vec<NewPhaseItem>,
    /// Whether the whole phase is a trial.
    pub trial: bool,
    /// Unix seconds; for a kept phase whose trial ends in the middle.
    pub trial_end: Option<i64>,
    /// A coupon's id.
    pub coupon: Option<String>,
    /// Becomes the subscription's.
    pub metadata: Metadata,
}

/// An item of a phase as it is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewPhaseItem {
    /// `price_…`.
    pub price: String,
    /// None: one, or none of a metered price.
    pub quantity: Option<u64>,
    /// The app's own pairs.
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
        form.append(self.terms());
        form
    }

    /// The parameters that give a schedule other phases. `current_phase_start` is when the running one began, if any does.
    pub(super) fn replacement(&self, current_phase_start: Option<i64>) -> Form {
        let start = match (self.start, current_phase_start) {
            (ScheduleStart::WithCurrentPhase, Some(start)) | (ScheduleStart::At(start), _) => {
                start.to_string()
            }
            (ScheduleStart::WithCurrentPhase, None) | (ScheduleStart::Now, _) => "now".to_owned(),
        };
        let mut form = self.terms();
        form.push("phases[0][start_date]", start);
        form
    }

    /// What both have in common.
    fn terms(&self) -> Form {
        let mut form = Form::new();
        let end = if self.ends {
            EndBehavior::Cancel
        } else {
            EndBehavior::Release
        };
        form.push("end_behavior", end.as_str());
        // Said of the schedule alone: a phase without a word of its own follows it, the kept one too.
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
            phase.push_to(&mut form, i);
        }
        form
    }
}

impl NewPhase {
    fn push_to(&self, form: &mut Form, i: usize) {
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
        form.push_some(format!("phases[{i}][coupon]"), self.coupon.as_deref());
        for (key, value) in &self.metadata {
            form.push(format!("phases[{i}][metadata][{key}]"), value);
        }
    }
}
