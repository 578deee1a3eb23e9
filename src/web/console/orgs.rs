//! The list in which an org is found.

use maud::{Markup, html};

use super::{Fragment, day, names};
use crate::domain::ListedOrg;

/// The orgs that were found.
pub struct OrgsView<'a> {
    /// What their names contain.
    pub text: &'a str,
    /// The orgs.
    pub orgs: &'a [ListedOrg],
    /// Whether there are more than these.
    pub has_more: bool,
}

/// The form, and below it the orgs.
pub fn orgs(view: &OrgsView<'_>) -> Fragment {
    let OrgsView {
        text,
        orgs,
        has_more,
    } = view;
    Fragment(html! {
        form data-does="find" role="search" {
            label for="find" { "Find an org" }
            div.row {
                input #find name="text" type="search" value=(text) placeholder="acme" autocomplete="off";
                button type="submit" { "Find" }
            }
        }
        @if orgs.is_empty() {
            p role="status" { "There is no such org with a subscription or a customer in Stripe." }
        } @else {
            div.scroll { table {
                caption { @if text.is_empty() { "Newest orgs" } @else { "Orgs with “" (text) "” in their name" } }
                thead { tr { @for head in ["Org", "Plan", "Status", "Since"] { th scope="col" { (head) } } } }
                tbody { @for org in *orgs { (row(org)) } }
            } }
            @if *has_more { p.note { "There are more: type a part of the name." } }
        }
    })
}

fn row(listed: &ListedOrg) -> Markup {
    let plans = [names(&listed.plans), names(&listed.fragments)].concat();
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("org", listed.org.as_str())
        .finish();
    html! {
        tr {
            th scope="row" { a href={ "#" (query) } { (listed.org) } }
            td { (plans.join(", ")) @if plans.is_empty() { "none" } }
            td { (listed.status.as_str()) @if listed.trial { " (trial)" } }
            td { (day(listed.since)) }
        }
    }
}
