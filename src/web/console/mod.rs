//! The console: what an org has, uses and pays. The page itself has no data: its script loads the parts, with an API
//! key.

mod change;
mod invoices;
mod org;
mod orgs;
mod timeline;

pub use change::{Change, planned_change};
pub use invoices::older_invoices;
pub use org::{OrgView, org};
pub use orgs::{OrgsView, orgs};

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};
use chrono::DateTime;
use maud::{Markup, html};
use rust_decimal::Decimal;

use super::Page;
use crate::domain::ClockState;
use crate::domain::pricing::Currency;

/// A part of the console, as HTML.
pub struct Fragment(Markup);

impl IntoResponse for Fragment {
    fn into_response(self) -> Response {
        // A browser may open the fragment as a page of its own.
        const HEADERS: [(HeaderName, &str); 4] = [
            (
                header::CONTENT_SECURITY_POLICY,
                "default-src 'none'; frame-ancestors 'none'",
            ),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::CACHE_CONTROL, "no-store"),
        ];
        let headers = HEADERS.map(|(name, value)| (name, HeaderValue::from_static(value)));
        (headers, Html(self.0.into_string())).into_response()
    }
}

/// The page. `is_live`: whether the server's Stripe account is in live mode.
pub fn console(is_live: bool) -> Page<'static> {
    let body = html! {
        @if is_live { p.live { "This is your live account. Customers pay what is changed here." } }
        h1 { a href="/console" { "Console" } }
        tier-console {
            noscript { p.error { "The console needs JavaScript. `tier orgs` and `tier phases` show the same." } }
        }
    };
    Page::new("Console", body)
        .styles(&["/assets/console.css"])
        .scripts(&["/assets/console.mjs"])
}

/// The day of a time in Unix seconds.
fn day(unix: i64) -> String {
    let time = DateTime::from_timestamp(unix, 0);
    time.map_or_else(String::new, |time| time.format("%Y-%m-%d").to_string())
}

/// An amount in the minor unit of its currency.
fn money(amount: i64, currency: &str) -> String {
    match Currency::new(currency) {
        Some(currency) => currency.amount(Decimal::from(amount)),
        None => format!("{amount} {currency}"),
    }
}

/// The URL fragment of a view in the console. Views of orgs on a test clock have the clock in it.
fn view_url(clock: Option<&ClockState>, parameters: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::for_suffix("#".to_owned(), 1);
    let clock = clock.map(|clock| ("clock", clock.id.as_str()));
    query.extend_pairs(clock).extend_pairs(parameters).finish()
}

/// If the orgs are on a test clock: a note with the clock and its time.
fn clock_note(clock: Option<&ClockState>) -> Markup {
    html! {
        @if let Some(clock) = clock {
            p.note {
                "On the test clock " span.id { (clock.id) } ", which shows " (day(clock.present)) ". "
                a href="#" { "Leave it" }
            }
        }
    }
}

/// Names as texts.
fn names<T: ToString>(names: &[T]) -> Vec<String> {
    names.iter().map(T::to_string).collect()
}
