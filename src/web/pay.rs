//! The page of a checkout link. It has one button, so that nothing begins when a mail program or a chat looks at the link.

use chrono::DateTime;
use maud::{Markup, html};

use super::Page;
use crate::domain::Checkout;
use crate::domain::refs::OrgName;

/// The page of a link that is open until `expires`, in Unix seconds. `leads_to` has the schemes of the pages that the
/// button may lead to, as a policy writes them.
pub fn checkout_link<'a>(
    org: &OrgName,
    checkout: &Checkout,
    expires: i64,
    leads_to: &'a str,
) -> Page<'a> {
    let buys = !checkout.features.is_empty();
    let (title, button) = if buys {
        ("Subscribe", "Continue to payment")
    } else {
        ("Enter a card", "Continue")
    };
    let body = html! {
        h1 { (title) }
        @if buys {
            p { "For " strong { (org) } ":" }
            ul { @for feature in &checkout.features { li { code { (feature) } } } }
            @if checkout.trial_days > 0 { p { (free_days(checkout.trial_days)) } }
            p { "The price is on the next page. Nothing is charged before you confirm it there." }
        } @else {
            p { "Future invoices of " strong { (org) } " are paid with it." }
        }
        form method="post" { button type="submit" { (button) } }
        @if let Some(until) = until(expires) { p.note { (until) } }
    };
    Page::new(title, body).with_form(leads_to)
}

/// Why a link opens nothing, for people.
pub fn closed_link(reason: &str) -> Page<'static> {
    let body: Markup = html! {
        h1 { "This link cannot be used" }
        p.error role="alert" { (reason) }
        p { "Ask whoever sent it to you for a new one." }
    };
    Page::new("Checkout", body)
}

fn free_days(days: i64) -> String {
    match days {
        1 => "The first day is free.".to_owned(),
        days => format!("The first {days} days are free."),
    }
}

fn until(expires: i64) -> Option<String> {
    let time = DateTime::from_timestamp(expires, 0)?;
    let time = time.format("%Y-%m-%d, %H:%M");
    Some(format!("This link can be used until {time} UTC."))
}
