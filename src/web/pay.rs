//! The page of a checkout link. It has one button, so that nothing begins when a mail program or a chat looks at the link.

use chrono::DateTime;
use maud::html;

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

/// What is wrong when somebody opens a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkProblem {
    /// The server has no links, or this is the address of none.
    NoLinks,
    /// The link has ended, or it is not complete.
    Ended,
    /// The org has what it sells.
    PlanInForce,
    /// It begins a trial, and the org has had one.
    TrialUsed,
    /// What it sells is not on sale any more.
    NotOnSale,
    /// What it sells cannot be bought by the org as things are.
    Impossible,
    /// The button was not pressed on the link's page, or the page has another address than the server's.
    NotFromItsPage,
    /// The server has too much to do.
    Busy,
    /// Stripe does not answer.
    StripeAway,
    /// The server has a fault.
    OwnFault,
}

impl LinkProblem {
    /// A title, what is wrong, and what to do.
    fn words(self) -> (&'static str, &'static str, &'static str) {
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
            Self::StripeAway => (
                AGAIN,
                "The payment service does not answer at the moment. Nothing was charged.",
                TELL,
            ),
            Self::OwnFault => (
                "Something went wrong",
                "The server has a fault. Nothing was charged.",
                TELL,
            ),
        }
    }

    /// Whether it may be over in a minute.
    fn is_passing(self) -> bool {
        matches!(self, Self::Busy | Self::StripeAway | Self::OwnFault)
    }

    /// Whether somebody has to look into it, who then needs the number of the request.
    fn needs_number(self) -> bool {
        matches!(
            self,
            Self::Impossible | Self::NotFromItsPage | Self::StripeAway | Self::OwnFault
        )
    }
}

/// What is wrong, and what to do. `request_id` is what the server's log calls the request.
pub fn link_problem(problem: LinkProblem, request_id: &str) -> Page<'static> {
    let (title, wrong, to_do) = problem.words();
    let body = html! {
        h1 { (title) }
        p.error role="alert" { (wrong) }
        p { (to_do) }
        // The page of the link, which this may be the answer to the button of.
        @if problem.is_passing() { p { a.button href="?" { "Try again" } } }
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
