//! A planned schedule as Stripe's parameters.

use crate::domain::plan_change::{End, NewSchedule, PlannedPhase, Start};
use crate::domain::revision::Revision;
use crate::stripe::Form;

/// The parameters of a new schedule.
pub(super) fn create_form(customer: &str, plan: &NewSchedule, revision: &Revision) -> Form {
    let mut form = Form::new();
    form.push("customer", customer);
    match plan.start {
        Start::At(start) => form.push("start_date", start),
        Start::Now | Start::WithCurrentPhase => form.push("start_date", "now"),
    }
    form.append(common_form(plan, revision));
    form
}

/// The parameters that give a schedule other phases. `current_phase_start` is when the running one began, if any does.
pub(super) fn replace_form(
    plan: &NewSchedule,
    current_phase_start: Option<i64>,
    revision: &Revision,
) -> Form {
    let start = match (plan.start, current_phase_start) {
        (Start::WithCurrentPhase, Some(start)) | (Start::At(start), _) => start.to_string(),
        (Start::WithCurrentPhase, None) | (Start::Now, _) => "now".to_owned(),
    };
    let mut form = common_form(plan, revision);
    form.push("phases[0][start_date]", start);
    form
}

/// What creating and replacing have in common.
fn common_form(plan: &NewSchedule, revision: &Revision) -> Form {
    let mut form = Form::new();
    form.push("end_behavior", if plan.ends { "cancel" } else { "release" });
    // Said of the schedule alone: a phase without a word of its own follows it, the kept one too.
    form.push(
        "default_settings[automatic_tax][enabled]",
        plan.automatic_tax,
    );
    form.push_some(
        "default_settings[default_payment_method]",
        plan.payment_method.as_deref(),
    );
    if plan.unprorated {
        form.push("proration_behavior", "none");
    }
    for (i, phase) in plan.phases.iter().enumerate() {
        if plan.unprorated && plan.begins == Some(i) {
            form.push(format!("phases[{i}][proration_behavior]"), "none");
        }
        push_phase(&mut form, i, phase, revision);
    }
    form
}

fn push_phase(form: &mut Form, i: usize, phase: &PlannedPhase, revision: &Revision) {
    for (j, item) in phase.items.iter().enumerate() {
        let name = format!("phases[{i}][items][{j}]");
        form.push(format!("{name}[price]"), &item.price);
        form.push_some(format!("{name}[quantity]"), item.quantity);
        for (key, value) in &item.metadata {
            form.push(format!("{name}[metadata][{key}]"), value);
        }
    }
    match phase.end {
        Some(End::Now) => form.push(format!("phases[{i}][end_date]"), "now"),
        Some(End::At(end)) => form.push(format!("phases[{i}][end_date]"), end),
        None => {}
    }
    if phase.trial {
        form.push(format!("phases[{i}][trial]"), true);
    }
    form.push_some(format!("phases[{i}][trial_end]"), phase.trial_end);
    form.push_some(format!("phases[{i}][coupon]"), phase.coupon.as_deref());
    let mut metadata = phase.metadata.clone();
    revision.mark(&mut metadata);
    for (key, value) in &metadata {
        form.push(format!("phases[{i}][metadata][{key}]"), value);
    }
}
