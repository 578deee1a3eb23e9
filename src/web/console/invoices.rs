//! An org's invoices, and its next bill.

use maud::{Markup, html};

use super::{Fragment, day, money};
use crate::domain::refs::OrgName;
use crate::domain::{Invoice, OrgInvoices};

/// The next bill and the newest invoices.
pub(super) fn bills(org: &OrgName, invoices: &OrgInvoices) -> Markup {
    html! {
        h3 { "Next bill" }
        @match &invoices.upcoming {
            Some(next) => {
                p { b { (money(next.total, &next.currency)) } " on " (day(next.created)) }
                ul { @for line in next.lines() {
                    li { (line.description.as_deref().unwrap_or("without a description")) ": " (money(line.amount, &line.currency)) }
                } }
            }
            None => p { "None." },
        }
        h3 { "Invoices" }
        @if invoices.invoices.is_empty() { p { "None." } } @else { (table(org, invoices)) }
    }
}

/// The invoices that follow those of a page.
pub fn older_invoices(org: &OrgName, invoices: &OrgInvoices) -> Fragment {
    Fragment(table(org, invoices))
}

/// The table of invoices, and a form that loads older ones.
fn table(org: &OrgName, invoices: &OrgInvoices) -> Markup {
    let last = invoices.invoices.last().filter(|_| invoices.has_more);
    html! {
        div.scroll { table {
            thead { tr { @for head in ["Date", "Number", "Status", "Total"] { th scope="col" { (head) } } } }
            tbody { @for invoice in &invoices.invoices { (row(invoice)) } }
        } }
        @if let Some(last) = last {
            form data-does="older" {
                input type="hidden" name="org" value=(org);
                input type="hidden" name="after" value=(last.id);
                button.quiet type="submit" { "Older invoices" }
            }
        }
    }
}

fn row(invoice: &Invoice) -> Markup {
    let number = invoice.number.as_deref().unwrap_or("draft");
    let credited = invoice.credited();
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
                @if credited > 0 { ", " (money(credited, &invoice.currency)) " credited" }
            }
        }
    }
}
