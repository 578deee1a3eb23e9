//! The view of one org.

use maud::{Markup, html};

use super::invoices::bills;
use super::timeline::timeline;
use super::{Fragment, clock_note, view_url};
use crate::domain::pricing::NO_LIMIT;
use crate::domain::refs::OrgName;
use crate::domain::{ClockState, FeatureUsage, OrgInvoices, Phases, PricedPlan};

/// What the console shows of an org.
pub struct OrgView<'a> {
    /// Its name.
    pub org: &'a OrgName,
    /// The test clock that it is on, if the request names one.
    pub clock: Option<&'a ClockState>,
    /// Its page in Stripe's dashboard.
    pub url: Option<&'a str>,
    /// All its phases.
    pub phases: &'a Phases,
    /// Its usage of each feature.
    pub usage: &'a [FeatureUsage],
    /// Its invoices; `None` if the API key may not read them.
    pub invoices: Option<&'a OrgInvoices>,
    /// The plans that it can be moved to; `None` if the API key may not change plans.
    pub plans: Option<&'a [PricedPlan]>,
}

/// The view of an org.
pub fn org(view: &OrgView<'_>) -> Fragment {
    Fragment(html! {
        p { a href=(view_url(view.clock, &[])) { "All orgs" } }
        (clock_note(view.clock))
        h2 { (view.org) }
        @if let Some(url) = view.url {
            p { a href=(url) target="_blank" rel="noreferrer" { "In Stripe" } }
        }
        h3 { "Plan" }
        (timeline(view.phases))
        @if let Some(plans) = view.plans { (change_form(view, plans)) }
        h3 { "Used" }
        (used(view.usage))
        @if let Some(invoices) = view.invoices { (bills(view.org, invoices)) }
    })
}

fn change_form(view: &OrgView<'_>, plans: &[PricedPlan]) -> Markup {
    let current_phase = view
        .phases
        .current_index
        .and_then(|index| view.phases.phases.get(index));
    let has = |plan: &PricedPlan| current_phase.is_some_and(|phase| phase.plans.contains(&plan.id));
    let others: Vec<_> = plans.iter().filter(|plan| !has(plan)).collect();
    html! {
        @if !others.is_empty() {
            form data-does="preview" {
                input type="hidden" name="org" value=(view.org);
                label for="plan" { "Change to" }
                div.row {
                    select #plan name="plan" {
                        @for plan in others { option value=(plan.id) { (plan.id) ", " (plan.text) } }
                    }
                    @if current_phase.is_some_and(|phase| !phase.features.is_empty()) {
                        select name="at" aria-label="When" {
                            option value="now" { "now" }
                            option value="period_end" { "when the period ends" }
                        }
                    }
                    button.quiet type="submit" { "What would change?" }
                }
            }
            div data-shows="preview" aria-live="polite" {}
        }
    }
}

fn used(usage: &[FeatureUsage]) -> Markup {
    html! {
        @if usage.is_empty() { p { "It has no features." } }
        ul.used {
            @for feature in usage {
                li {
                    span.id { (feature.feature) }
                    @if feature.limit == NO_LIMIT {
                        span { (feature.used) " used, without a limit" }
                    } @else {
                        // With a maximum of 0, the bar would be full.
                        meter min="0" max=(feature.limit.max(1)) value=(feature.used.clamp(0, feature.limit.max(1)))
                            aria-label={ "Used of " (feature.feature) } {}
                        span.over[feature.used > feature.limit] { (feature.used) " of " (feature.limit) }
                    }
                    @if feature.reserved > 0 { span.note { (feature.reserved) " reserved" } }
                }
            }
        }
    }
}
