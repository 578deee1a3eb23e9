//! One org.

use maud::{Markup, html};

use super::timeline::timeline;
use super::{Fragment, day, money};
use crate::domain::pricing::NO_LIMIT;
use crate::domain::refs::OrgName;
use crate::domain::{FeatureUsage, Invoice, OrgInvoices, Phases, PricedPlan};

/// What is known of an org.
pub struct OrgView<'a> {
    /// Its name.
    pub org: &'a OrgName,
    /// Its page in Stripe's dashboard.
    pub url: Option<&'a str>,
    /// All its phases.
    pub phases: &'a Phases,
    /// What it has used.
    pub usage: &'a [FeatureUsage],
    /// Its invoices. None if the key does not show them.
    pub invoices: Option<&'a OrgInvoices>,
    /// The plans that it may be moved to. None if the key changes nothing.
    pub plans: Option<&'a [PricedPlan]>,
}

/// The org's page.
pub fn org(view: &OrgView<'_>) -> Fragment {
    Fragment(html! {
        p { a href="#" { "All orgs" } }
        h2 { (view.org) }
        @if let Some(url) = view.url {
            p { a href=(url) target="_blank" rel="noreferrer" { "In Stripe" } }
        }
        h3 { "Plan" }
        (timeline(view.phases))
        @if let Some(plans) = view.plans { (change_form(view, plans)) }
        h3 { "Used" }
        (used(view.usage))
        @if let Some(invoices) = view.invoices { (bills(invoices)) }
    })
}

fn change_form(view: &OrgView<'_>, plans: &[PricedPlan]) -> Markup {
    let in_force = view
        .phases
        .in_force
        .and_then(|index| view.phases.phases.get(index));
    let has = |plan: &PricedPlan| in_force.is_some_and(|phase| phase.plans.contains(&plan.id));
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
                    @if in_force.is_some_and(|phase| !phase.features.is_empty()) {
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
                        // A meter of nothing would be full.
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

fn bills(invoices: &OrgInvoices) -> Markup {
    html! {
        h3 { "Next bill" }
        @match &invoices.upcoming {
            Some(next) => {
                p { b { (money(next.total, &next.currency)) } " on " (day(next.created)) }
                ul { @for line in &next.lines.data {
                    li { (line.description.as_deref().unwrap_or("without a description")) ": " (money(line.amount, &line.currency)) }
                } }
            }
            None => p { "None." },
        }
        h3 { "Invoices" }
        @if invoices.invoices.is_empty() {
            p { "None." }
        } @else {
            div.scroll { table {
                thead { tr { @for head in ["Date", "Number", "Status", "Total"] { th scope="col" { (head) } } } }
                tbody { @for invoice in &invoices.invoices { (row(invoice)) } }
            } }
            @if invoices.has_more { p.note { "Older ones are in Stripe." } }
        }
    }
}

fn row(invoice: &Invoice) -> Markup {
    let number = invoice.number.as_deref().unwrap_or("draft");
    let given_back =
        invoice.pre_payment_credit_notes_amount + invoice.post_payment_credit_notes_amount;
    html! {
        tr {
            td { (day(invoice.created)) }
            td {
                @match &invoice.hosted_invoice_url {
                    Some(url) => a href=(url) target="_blank" rel="noreferrer" { (number) },
                    None => (number),
                }
            }
            td { @if let Some(status) = &invoice.status { (status.as_str()) } }
            td {
                (money(invoice.total, &invoice.currency))
                @if given_back > 0 { ", " (money(given_back, &invoice.currency)) " credited" }
            }
        }
    }
}
