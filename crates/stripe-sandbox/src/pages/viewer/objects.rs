//! The pages of single objects.

use maud::{Markup, html};
use serde_json::Value;

use super::format::{View, amount, fields, json, name, price_text, time};
use super::lists::{invoices_of, prices_of, schedule, subscription};
use super::target::Kind;
use crate::resource::customer::Customer;
use crate::resource::event::Event;
use crate::resource::invoice::Invoice;
use crate::resource::invoice::view::line;
use crate::resource::price::{Amount, Price};
use crate::resource::render;
use crate::resource::test_clock::TestClock;

/// Whether the account has this object.
pub(super) fn exists(view: View<'_>, kind: &Kind, id: &str) -> bool {
    match kind.object {
        "event" => event(view, id).is_some(),
        object => render(view.account, view.now, &[object], id)
            .is_some_and(|found| found["object"] == object),
    }
}

/// An event that is still kept.
fn event<'a>(view: View<'a>, id: &str) -> Option<&'a Event> {
    let event = view.account.events.get(id);
    event.filter(|event| event.is_kept(view.now))
}

/// The title and the page of an object.
pub(super) fn object(view: View<'_>, kind: &Kind, id: &str) -> Option<(String, Markup)> {
    let account = view.account;
    let object = match kind.object {
        "event" => event(view, id)?.to_json(),
        kind => render(account, view.now, &[kind], id).filter(|found| found["object"] == kind)?,
    };
    let named = object["name"].as_str().or(object["number"].as_str());
    let title = match account.customers.get(id) {
        Some(customer) => name(customer).to_owned(),
        None => named.or(object["type"].as_str()).unwrap_or(id).to_owned(),
    };
    let body = html! {
        p class="note" {
            (kind.name) " of account "
            a href=(view.path(&[])) { (account.profile.id) }
        }
        h1 { (title) }
        (above_fields(view, kind, id))
        h2 { "Fields" }
        (fields(view, &object))
        (below_fields(view, kind, id, &object))
        (json(&object))
    };
    Some((title, body))
}

/// The sections above the fields.
fn above_fields(view: View<'_>, kind: &Kind, id: &str) -> Markup {
    let account = view.account;
    let billing = &account.billing;
    match kind.segment {
        "customers" => account.customers.get(id).map(|found| customer(view, found)),
        "subscriptions" => billing
            .subscriptions
            .get(id)
            .map(|found| subscription(view, found)),
        "subscription_schedules" => billing.schedules.get(id).map(|found| schedule(view, found)),
        "invoices" => billing.invoices.get(id).map(|found| invoice(view, found)),
        "test-clocks" => account.clocks.get(id).map(clock_buttons),
        _ => None,
    }
    .unwrap_or_default()
}

/// The sections below the fields.
fn below_fields(view: View<'_>, kind: &Kind, id: &str, object: &Value) -> Markup {
    let account = view.account;
    match kind.segment {
        "products" => html! {
            h2 { "Prices" }
            ul { @for price in prices_of(view, id) { li { (view.link("prices", &price.id, &price_text(price))) } } }
        },
        "prices" => account.prices.get(id).map(tiers).unwrap_or_default(),
        "subscriptions" => html! {
            h2 { "Items" }
            ul { @for item in object["items"]["data"].as_array().into_iter().flatten() { (item_row(view, item)) } }
            (invoices(view, id))
        },
        "subscription_schedules" => html! {
            h2 { "Phases" }
            @for phase in object["phases"].as_array().into_iter().flatten() {
                (fields(view, phase))
                ul { @for item in phase["items"].as_array().into_iter().flatten() { (item_row(view, item)) } }
            }
        },
        "test-clocks" => html! {
            h2 { "Customers" }
            ul {
                @for customer in account.clocks.get(id).into_iter().flat_map(|clock| &clock.customers) {
                    li { (view.customer(customer)) }
                }
            }
        },
        "events" => html! {
            h2 { "Object" }
            p { (view.id(object["data"]["object"]["id"].as_str().unwrap_or_default())) }
            (fields(view, &object["data"]["object"]))
        },
        _ => html! {},
    }
}

/// An item of a subscription or of a phase.
fn item_row(view: View<'_>, item: &Value) -> Markup {
    let price = item["price"]["id"].as_str().or(item["price"].as_str());
    html! {
        li {
            (view.price(price.unwrap_or_default()))
            @if let Some(quantity) = item["quantity"].as_i64() { " × " (quantity) }
        }
    }
}

fn invoices(view: View<'_>, subscription: &str) -> Markup {
    let account = view.account;
    let subscription_row = account.billing.subscriptions.get(subscription);
    let customer = subscription_row.and_then(|row| account.customers.get(&row.customer));
    let positions = customer.map_or(&[][..], |customer| &customer.invoices);
    html! {
        h2 { "Invoices" }
        (invoices_of(view, positions, Some(subscription)))
    }
}

/// A customer's buttons, subscriptions, schedules, cards and invoices.
fn customer(view: View<'_>, customer: &Customer) -> Markup {
    let account = view.account;
    let methods = customer.payment_methods.iter();
    let methods = methods.filter_map(|position| account.payment_methods.at(*position));
    let newest = customer.schedules.iter().rev().take(10);
    let newest = newest.filter_map(|position| account.billing.schedules.at(*position));
    html! {
        @match &customer.test_clock {
            Some(clock) => {
                p { "On test clock " (view.id(clock)) ", at " (time(view.account.time_of(&customer.id, view.now))) "." }
                (advance("customer", &customer.id))
            }
            None => p class="note" {
                "This customer is not on a test clock: its time is that of the sandbox, which only passes by itself. Create a customer with "
                code { "test_clock" } " to let time pass."
            },
        }
        (payment_button(customer))
        h2 { "Subscriptions" }
        @if customer.subscriptions.is_empty() { p class="note" { "None." } }
        @for position in customer.subscriptions.iter().rev().take(10) {
            (subscription(view, view.account.subscription(*position)))
        }
        h2 { "Schedules" }
        @if customer.schedules.is_empty() { p class="note" { "None." } }
        @for item in newest { (schedule(view, item)) }
        h2 { "Cards" }
        ul {
            @for method in methods {
                li {
                    (method.card.brand) " ending in " (method.card.last4())
                    @if customer.default_payment_method.as_ref() == Some(&method.id) { " (default)" }
                }
            }
        }
        h2 { "Invoices" }
        (invoices_of(view, &customer.invoices, None))
    }
}

/// The buttons that let time pass, for a customer or a test clock.
fn advance(what: &str, id: &str) -> Markup {
    html! {
        div class="buttons" {
            @for (by, label) in [("month", "A month passes"), ("day", "A day passes")] {
                form method="post" action="/_sandbox/advance" {
                    input type="hidden" name=(what) value=(id);
                    button class="small" name="by" value=(by) { (label) }
                }
            }
        }
    }
}

fn clock_buttons(clock: &TestClock) -> Markup {
    html! {
        p { "It is " (time(clock.frozen_time)) " on this clock." }
        (advance("test_clock", &clock.id))
    }
}

fn payment_button(customer: &Customer) -> Markup {
    let fails = customer.next_payment_fails();
    let (outcome, label) = if fails {
        ("succeeds", "Let the next payment succeed")
    } else {
        ("fails", "Next payment fails")
    };
    html! {
        @if fails { p { "The next payment of this customer will be declined, whatever the card." } }
        div class="buttons" {
            form method="post" action="/_sandbox/next_payment" {
                input type="hidden" name="customer" value=(customer.id);
                button class="small" name="outcome" value=(outcome) { (label) }
            }
        }
    }
}

fn invoice(view: View<'_>, invoice: &Invoice) -> Markup {
    let currency = invoice.currency.as_str();
    let total = |name: &str, minor: i64| {
        html! { tr { th scope="row" colspan="3" { (name) } td class="amount" { (amount(minor.into(), currency)) } } }
    };
    html! {
        p { strong { (invoice.status.as_str()) } ", for " (view.customer(&invoice.customer)) }
        div class="scroll" tabindex="0" role="region" aria-label="Lines" {
            table {
                thead { tr { th scope="col" { "Line" } th scope="col" { "Period" } th scope="col" { "Quantity" } th scope="col" class="amount" { "Amount" } } }
                tbody {
                    @for invoice_line in &invoice.lines {
                        @let json_line = line(view.account, invoice, invoice_line);
                        tr {
                            td {
                                (invoice_line.line.description)
                                @if let Some(price) = json_line["price"]["id"].as_str() { br; (view.price(price)) }
                            }
                            td { (time(invoice_line.line.period.0)) " to " (time(invoice_line.line.period.1)) }
                            td { (invoice_line.line.quantity) }
                            td class="amount" { (amount(invoice_line.line.amount.into(), currency)) }
                        }
                    }
                    (total("Subtotal", invoice.subtotal))
                    @if invoice.total_discount() != 0 { (total("Discount", -invoice.total_discount())) }
                    (total("Total", invoice.total))
                    (total("Amount due", invoice.amount_due))
                    (total("Amount paid", invoice.amount_paid()))
                }
            }
        }
    }
}

fn tiers(price: &Price) -> Markup {
    let Amount::Tiered { tiers, .. } = &price.amount else {
        return html! {};
    };
    let currency = price.currency.as_str();
    html! {
        h2 { "Tiers" }
        div class="scroll" tabindex="0" role="region" aria-label="Tiers" {
            table {
                thead { tr { th scope="col" { "Up to" } th scope="col" class="amount" { "Per unit" } th scope="col" class="amount" { "Flat" } } }
                tbody {
                    @for tier in tiers {
                        tr {
                            td { (tier.up_to.map_or("no end".to_owned(), |up_to| up_to.to_string())) }
                            td class="amount" { (tier.unit.map_or(String::new(), |unit| amount(unit, currency))) }
                            td class="amount" { (tier.flat.map_or(String::new(), |flat| amount(flat, currency))) }
                        }
                    }
                }
            }
        }
    }
}
