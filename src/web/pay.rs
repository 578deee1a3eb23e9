//! The page of a checkout link. It has a button to continue, so that a mail program or a chat that opens the link for a
//! preview does not begin a checkout.

use chrono::DateTime;
use maud::html;

use super::Page;
use crate::domain::Checkout;
use crate::domain::refs::OrgName;

/// The page of a link that can be used until `expires`, in Unix seconds. `targets`: the schemes of the pages that the
/// button may lead to, as in a content security policy.
pub fn checkout_link<'a>(
    org: &OrgName,
    checkout: &Checkout,
    expires: i64,
    targets: &'a str,
) -> Page<'a> {
    let has_features = !checkout.features.is_empty();
    let (title, button) = if has_features {
        ("Subscribe", "Continue to payment")
    } else {
        ("Enter a card", "Continue")
    };
    let body = html! {
        h1 { (title) }
        @if has_features {
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
    Page::new(title, body).with_form(targets)
}

/// Why a checkout link cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkProblem {
    /// The server has no checkout links, or the address is not that of one.
    NoLinks,
    /// The link has expired, or its address is incomplete.
    Ended,
    /// The org already has the plan that the link sells.
    PlanInForce,
    /// The link begins a trial, and the org has already had one.
    TrialUsed,
    /// The plan is no longer on sale.
    NotOnSale,
    /// The org cannot buy the plan in its current state.
    Impossible,
    /// The request does not come from the link's page, or the page's address is not the server's.
    NotFromItsPage,
    /// The server is overloaded.
    Busy,
    /// Stripe does not answer.
    StripeUnreachable,
    /// An error of this server.
    ServerFault,
}

impl LinkProblem {
    /// The title, the problem, and what to do about it.
    fn texts(self) -> (&'static str, &'static str, &'static str) {
        const CLOSED: &str = "This link cannot be used";
        const AGAIN: &str = "Please try again";
        const ASK: &str = "Ask whoever sent it to you for a new one.";
        const TELL: &str = "If it stays like this, tell whoever sent you the link.";
        match self {
            Self::NoLinks => (
                "There is nothing here",
                "This is not the address of a checkout link.",
                "Check the address, or ask whoever sent it to you.",
            ),
            Self::Ended => (
                CLOSED,
                "It is not complete, or its time is over.",
                "Open it from the message once more. If that does not help, ask whoever sent it to you for a new one.",
            ),
            Self::PlanInForce => (
                "This link has been used",
                "The plan that it offers is in force.",
                "There is nothing left to do. To change the plan, ask whoever sent you the link.",
            ),
            Self::TrialUsed => (
                CLOSED,
                "It begins a free trial, and there has been one already.",
                "Ask whoever sent it to you for a link without a trial.",
            ),
            Self::NotOnSale => (CLOSED, "What it offers is not sold any more.", ASK),
            Self::Impossible => (
                CLOSED,
                "What it offers cannot be bought as things are.",
                "Tell whoever sent it to you, with the number below.",
            ),
            Self::NotFromItsPage => (
                "That did not work",
                "The server did not accept the request, and nothing was charged.",
                "Open the link from the message once more, and press the button there. If that does not help, tell whoever sent you the link.",
            ),
            Self::Busy => (
                AGAIN,
                "The server has too much to do at the moment. Nothing was charged.",
                "Wait some seconds, and try again.",
            ),
            Self::StripeUnreachable => (
                AGAIN,
                "The payment service does not answer at the moment. Nothing was charged.",
                TELL,
            ),
            Self::ServerFault => (
                "Something went wrong",
                "The server has a fault. Nothing was charged.",
                TELL,
            ),
        }
    }

    /// Whether trying again in a minute may help.
    fn is_temporary(self) -> bool {
        matches!(
            self,
            Self::Busy | Self::StripeUnreachable | Self::ServerFault
        )
    }

    /// Whether somebody has to investigate it, and so needs the id of the request.
    fn needs_number(self) -> bool {
        matches!(
            self,
            Self::Impossible | Self::NotFromItsPage | Self::StripeUnreachable | Self::ServerFault
        )
    }
}

/// The page that explains a problem. `request_id`: the id of the request in the server's log.
pub fn link_problem(problem: LinkProblem, request_id: &str) -> Page<'static> {
    let (title, wrong, to_do) = problem.texts();
    let body = html! {
        h1 { (title) }
        p.error role="alert" { (wrong) }
        p { (to_do) }
        // This page may be the answer to a POST, so the link leads back to the page with the button.
        @if problem.is_temporary() { p { a.button href="?" { "Try again" } } }
        @if problem.needs_number() { p.note { "Number of this request: " code { (request_id) } } }
    };
    Page::new(title, body)
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
