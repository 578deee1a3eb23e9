//! The list of orgs, with a search.

use maud::{Markup, html};

use super::{Fragment, clock_note, day, names, view_url};
use crate::domain::{ClockState, FoundOrgs, ListedOrg};

/// A page of the orgs that were found.
pub struct OrgsView<'a> {
    /// The text that their names contain.
    pub text: &'a str,
    /// The test clock that they are on.
    pub clock: Option<&'a ClockState>,
    /// Whether there may be test clocks.
    pub has_clocks: bool,
    /// Whether this is the first page.
    pub is_first: bool,
    /// The orgs, and where the next page begins.
    pub found: &'a FoundOrgs,
}

/// The search form, and below it the orgs.
pub fn orgs(view: &OrgsView<'_>) -> Fragment {
    let OrgsView {
        text,
        clock,
        has_clocks,
        is_first,
        found,
    } = view;
    let FoundOrgs {
        orgs,
        customers,
        next,
    } = found;
    Fragment(html! {
        (clock_note(*clock))
        form data-does="find" role="search" {
            @if let Some(clock) = clock { input type="hidden" name="clock" value=(clock.id); }
            label for="find" { "Find an org" }
            div.row {
                input #find name="text" type="search" value=(text) placeholder="acme" autocomplete="off";
                button type="submit" { "Find" }
            }
        }
        @if orgs.is_empty() {
            p role="status" {
                @if next.is_some() { "There is none among these " (customers) " customers in Stripe. Older ones follow." }
                @else if *is_first { "There is no such org with a customer in Stripe." }
                @else { "There are no more." }
            }
        } @else {
            div.scroll { table {
                caption { @if text.is_empty() { "Newest orgs" } @else { "Orgs with “" (text) "” in their name" } }
                thead { tr { @for head in ["Org", "Plan", "Status", "Since"] { th scope="col" { (head) } } } }
                tbody { @for org in orgs { (row(org, *clock)) } }
            } }
            @if next.is_some() && !text.is_empty() {
                p.note { "Found among " (customers) " customers in Stripe. Older ones follow on the next page." }
            }
        }
        @if !is_first || next.is_some() {
            nav.row aria-label="Pages" {
                @if !is_first { a href=(view_url(*clock, &[("text", text)])) { "First page" } }
                @if let Some(next) = next { a href=(view_url(*clock, &[("text", text), ("after", next)])) { "Next page" } }
            }
        }
        @if *has_clocks && clock.is_none() { (clock_form()) }
    })
}

/// A form for the test clock. Stripe lists the customers of a test clock only if a request names it.
fn clock_form() -> Markup {
    html! {
        details {
            summary { "Orgs on a test clock" }
            form data-does="find" {
                label for="clock" { "Test clock" }
                div.row {
                    input #clock name="clock" required placeholder="clock_…" autocomplete="off" spellcheck="false";
                    button.quiet type="submit" { "Show" }
                }
            }
        }
    }
}

fn row(listed: &ListedOrg, clock: Option<&ClockState>) -> Markup {
    let plans = [names(&listed.plans), names(&listed.fragments)].concat();
    html! {
        tr {
            th scope="row" { a href=(view_url(clock, &[("org", listed.org.as_str())])) { (listed.org) } }
            td { (plans.join(", ")) @if plans.is_empty() { "none" } }
            td {
                @if listed.has_ended { "ended" } @else { (listed.status.as_str()) }
                @if listed.trial { " (trial)" }
            }
            td { (day(listed.since)) }
        }
    }
}
