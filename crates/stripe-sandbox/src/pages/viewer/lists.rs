//! The lists of an account: fifty rows a page, newest first.

use maud::{Markup, html};
use serde_json::Value;

use super::format::{View, amount, name, plural, price_text, time};
use super::timeline;
use crate::error::Result;
use crate::resource::customer::Customer;
use crate::resource::event::Event;
use crate::resource::invoice::Invoice;
use crate::resource::price::Price;
use crate::resource::product::Product;
use crate::resource::subscription::Subscription;
use crate::resource::subscription_schedule::Schedule;
use crate::resource::test_clock::TestClock;
use crate::store::page::{Page, PageRows};
use crate::store::table::Row;

/// The rows of a page.
pub(super) const ROWS: usize = 50;

/// The lists on the overview of an account.
pub(super) const OVERVIEW: [&str; 5] =
    ["customers", "products", "invoices", "test-clocks", "events"];

/// A page of a list: a table, and a link to the next page.
pub(super) fn list(view: View<'_>, segment: &'static str, page: &Page) -> Result<Markup> {
    let account = view.account;
    let billing = &account.billing;
    Ok(match segment {
        "customers" => {
            let table = account.customers.table();
            let rows = page.of_table(table, "customer", |customer| !customer.deleted)?;
            let heads = ["Customer", "Created", "Subscriptions and schedules"];
            table_of(view, segment, &heads, &rows, |row| customer(view, row))
        }
        "products" => {
            let rows = page.of_table(&account.products, "product", |_| true)?;
            let heads = ["Product", "Created", "Prices"];
            table_of(view, segment, &heads, &rows, |row| product(view, row))
        }
        "prices" => {
            let rows = page.of_table(account.prices.table(), "price", |_| true)?;
            table_of(view, segment, &["Price", "Id", "Created"], &rows, |row| {
                price(view, row)
            })
        }
        "subscriptions" => {
            let rows = page.of_table(&billing.subscriptions, "subscription", |_| true)?;
            let heads = ["Customer", "Subscription"];
            table_of(view, segment, &heads, &rows, |row| {
                html! {
                    td { (view.customer(&row.customer)) }
                    td { (subscription(view, row)) }
                }
            })
        }
        "subscription_schedules" => {
            let rows = page.of_table(&billing.schedules, "schedule", |_| true)?;
            let heads = ["Customer", "Schedule"];
            table_of(view, segment, &heads, &rows, |row| {
                html! {
                    td { (view.customer(&row.customer)) }
                    td { (schedule(view, row)) }
                }
            })
        }
        "invoices" => {
            let rows = page.of_table(&billing.invoices, "invoice", |_| true)?;
            table_of(view, segment, &INVOICE, &rows, |row| invoice(view, row))
        }
        "payments" => {
            let rows = page.of_table(&account.payments.intents, "payment_intent", |_| true)?;
            let heads = ["Payment", "Amount", "Status"];
            table_of(view, segment, &heads, &rows, |row| {
                html! {
                    td { (view.id(&row.id)) }
                    td class="amount" { (amount(row.amount.into(), row.currency.as_str())) }
                    td { (row.to_json()["status"].as_str().unwrap_or_default()) }
                }
            })
        }
        "test-clocks" => {
            let rows = page.of_table(&account.clocks, "test clock", |_| true)?;
            let heads = ["Test clock", "Time", "Customers"];
            table_of(view, segment, &heads, &rows, |row| clock(view, row))
        }
        "events" => {
            let table = &account.events.table;
            let rows = page.of_table(table, "event", |event| event.is_kept(view.now))?;
            let heads = ["Event", "Created", "Object", "Id"];
            table_of(view, segment, &heads, &rows, |row| event(view, row))
        }
        _ => html! {
            ul {
                @for coupon in account.coupons.iter() {
                    li { (view.link(segment, &coupon.id, &coupon.id)) }
                }
            }
        },
    })
}

const INVOICE: [&str; 6] = ["Invoice", "Customer", "Created", "Status", "Lines", "Total"];

/// A customer's invoices, the newest first.
pub(super) fn invoices_of(view: View<'_>, positions: &[u32], only: Option<&str>) -> Markup {
    let table = &view.account.billing.invoices;
    let mine =
        |invoice: &Invoice| only.is_none_or(|id| invoice.subscription.as_deref() == Some(id));
    let page = Page::newest(ROWS, None);
    let Ok(rows) = page.of_positions(table, positions, "invoice", mine) else {
        return html! {};
    };
    // The link to older invoices leads to the account's list.
    table_of(view, "invoices", &INVOICE, &rows, |row| invoice(view, row))
}

/// The prices of a product.
pub(super) fn prices_of<'a>(view: View<'a>, product: &str) -> Vec<&'a Price> {
    let prices = view.account.prices.table().iter().rev();
    prices
        .filter(|price| &*price.product == product)
        .take(ROWS)
        .collect()
}

fn table_of<T: Row>(
    view: View<'_>,
    segment: &str,
    heads: &[&str],
    rows: &PageRows<'_, T>,
    row: impl Fn(&T) -> Markup,
) -> Markup {
    if rows.rows.is_empty() {
        return html! { p class="note" { "None." } };
    }
    let last = rows.rows.last().filter(|_| rows.has_more);
    html! {
        div class="scroll" tabindex="0" role="region" aria-label={ (plural(segment)) " of " (view.account.profile.id) } {
            table {
                thead { tr { @for head in heads { th scope="col" { (head) } } } }
                tbody { @for item in &rows.rows { tr { (row(item)) } } }
            }
        }
        @if let Some(last) = last {
            @let older = format!("{}?starting_after={}", view.path(&[segment]), encoded(last.id()));
            p { a href=(older) { "Older " (plural(segment).to_lowercase()) } }
        }
    }
}

/// An id as a value of a query.
fn encoded(id: &str) -> String {
    percent_encoding::utf8_percent_encode(id, percent_encoding::NON_ALPHANUMERIC).to_string()
}

fn customer(view: View<'_>, customer: &Customer) -> Markup {
    let billing = &view.account.billing;
    let subscriptions = customer.subscriptions.iter().rev().take(10);
    let schedules = customer.schedules.iter().rev().take(10);
    let not_started = schedules
        .filter_map(|position| billing.schedules.at(*position))
        .filter(|schedule| schedule.subscription.is_none() && schedule.status.is_live());
    html! {
        td {
            (view.customer(&customer.id))
            @for text in [&customer.email, &customer.description].into_iter().flatten() {
                @if **text != *name(customer) { br; (text) }
            }
            @for (key, value) in customer.metadata.iter() {
                br; span class="note" { (key) ": " (value) }
            }
        }
        td { (time(customer.created)) }
        td {
            @for position in subscriptions { (subscription(view, view.account.subscription(*position))) }
            @for item in not_started { (schedule(view, item)) }
        }
    }
}

/// A subscription: its status, id, end, and timeline.
pub(super) fn subscription(view: View<'_>, subscription: &Subscription) -> Markup {
    html! {
        div {
            strong { (subscription.status.as_str()) }
            " " (view.id(&subscription.id))
            @if let Some(end) = subscription.ends_at().filter(|_| !subscription.status.is_ended()) {
                ", ends " (time(end))
            }
            (timeline::of_subscription(view, subscription))
        }
    }
}

/// A schedule: its status, and its phases as a timeline.
pub(super) fn schedule(view: View<'_>, schedule: &Schedule) -> Markup {
    html! {
        div {
            strong { (schedule.status.as_str().replace('_', " ")) }
            " " (view.id(&schedule.id))
            ", then " (schedule.end_behavior.as_str())
            (timeline::of_schedule(view, schedule))
        }
    }
}

fn product(view: View<'_>, product: &Product) -> Markup {
    let prices = prices_of(view, &product.id);
    html! {
        td {
            (view.link("products", &product.id, &product.name))
            // A product without prices was never for sale, so it is not shown as archived.
            @if !product.active && !prices.is_empty() { " (archived)" }
        }
        td { (time(product.created)) }
        td {
            ul {
                @for price in prices {
                    li { (view.link("prices", &price.id, &price_text(price))) }
                }
            }
        }
    }
}

fn price(view: View<'_>, price: &Price) -> Markup {
    html! {
        td { (view.price(&price.id)) }
        td { (view.id(&price.id)) }
        td { (time(price.created)) }
    }
}

fn invoice(view: View<'_>, invoice: &Invoice) -> Markup {
    let currency = invoice.currency.as_str();
    let due = invoice.amount_due - invoice.amount_paid();
    html! {
        td { (view.link("invoices", &invoice.id, invoice.number.as_deref().unwrap_or(&invoice.id))) }
        td { (view.customer(&invoice.customer)) }
        td { (time(invoice.created)) }
        td { (invoice.status.as_str()) }
        td {
            ul {
                @for line in invoice.lines.iter().take(10) {
                    li { (line.line.description) ": " (amount(line.line.amount.into(), currency)) }
                }
                @if invoice.lines.len() > 10 { li { "and " (invoice.lines.len() - 10) " more" } }
            }
        }
        td class="amount" {
            (amount(invoice.total.into(), currency))
            @if due != 0 && invoice.is_payable() { br; (amount(due.into(), currency)) " due" }
        }
    }
}

fn clock(view: View<'_>, clock: &TestClock) -> Markup {
    html! {
        td { (view.link("test-clocks", &clock.id, clock.name.as_deref().unwrap_or(&clock.id))) }
        td { (time(clock.frozen_time)) }
        td {
            @for (n, customer) in clock.customers.iter().enumerate() {
                @if n > 0 { ", " }
                (view.customer(customer))
            }
        }
    }
}

fn event(view: View<'_>, event: &Event) -> Markup {
    let body = event.to_json();
    let object: &Value = &body["data"]["object"];
    html! {
        td { (view.link("events", &event.id, event.kind)) }
        td { (time(event.created)) }
        td { (view.id(object["id"].as_str().unwrap_or_default())) }
        td { (event.id) }
    }
}
