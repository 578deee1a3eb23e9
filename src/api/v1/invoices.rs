//! An org's invoices, and its next one.

use std::borrow::Cow;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::Serialize;

use super::orgs::limit;
use super::phases::Span;
use crate::api::error::Error;
use crate::api::extract::{Org, parameter, query};
use crate::api::json::Json;
use crate::api::operation::{Access, Operation};
use crate::api::values::Time;
use crate::api::{Role, Shared};
use crate::domain::refs::{FeaturePlan, OrgName};
use crate::domain::{self, Domain, InvoicesQuery, Lane};

/// How many invoices a page has by default.
const PAGE: usize = 20;

/// The maximum number of invoices on a page: as many as Stripe lists at once.
const MAX_PAGE: usize = 100;

pub(in crate::api) fn operations() -> [Operation; 1] {
    let access = Access::Account(Lane::Check, Role::Admin);
    [Operation::get("invoices", "/v1/invoices", access, invoices)]
}

async fn invoices(
    domain: Domain,
    Org(org): Org,
    Parameters(query): Parameters,
) -> Result<Json<Page>, Error> {
    let page = domain.invoices(&org, &query).await?;
    let last = page.invoices.last().filter(|_| page.has_more);
    Ok(Json(Page {
        org,
        upcoming: page.upcoming.map(Invoice::from),
        next: last.map(|last| last.id.clone()),
        invoices: page.invoices.into_iter().map(Invoice::from).collect(),
    }))
}

/// The query parameters besides `org`.
struct Parameters(InvoicesQuery);

impl FromRequestParts<Shared> for Parameters {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Error> {
        let mut includes = query(parts).filter(|(name, _)| name == "include");
        Ok(Self(InvoicesQuery {
            limit: limit(parts, PAGE, MAX_PAGE)?,
            after: parameter(parts, "after").map(Cow::into_owned),
            upcoming: includes.any(|(_, value)| value == "upcoming"),
        }))
    }
}

/// `GET /v1/invoices`
#[derive(Serialize)]
struct Page {
    org: OrgName,
    invoices: Vec<Invoice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upcoming: Option<Invoice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// An invoice. What Stripe does not know yet is left out.
#[derive(Serialize)]
struct Invoice {
    #[serde(skip_serializing_if = "String::is_empty")]
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<String>,
    status: String,
    created: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<Time>,
    currency: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tax: Option<i64>,
    total: i64,
    paid: i64,
    remaining: i64,
    credited: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pdf: Option<String>,
    lines: Vec<Line>,
}

/// A line of an invoice.
#[derive(Serialize)]
struct Line {
    #[serde(skip_serializing_if = "Option::is_none")]
    feature: Option<FeaturePlan>,
    description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    quantity: Option<i64>,
    amount: i64,
    discount: i64,
    period: Span,
    proration: bool,
}

impl From<domain::Invoice> for Invoice {
    fn from(invoice: domain::Invoice) -> Self {
        let status = invoice.status.as_ref();
        Self {
            status: status
                .map(|status| status.as_str().to_owned())
                .unwrap_or_default(),
            credited: invoice.credited(),
            lines: invoice.lines().iter().map(Line::from).collect(),
            id: invoice.id,
            number: invoice.number,
            created: Time(invoice.created),
            due: invoice.due_date.map(Time),
            currency: invoice.currency,
            tax: invoice.tax,
            total: invoice.total,
            paid: invoice.amount_paid,
            remaining: invoice.amount_remaining,
            url: invoice.hosted_invoice_url,
            pdf: invoice.invoice_pdf,
        }
    }
}

impl From<&domain::InvoiceLine> for Line {
    fn from(line: &domain::InvoiceLine) -> Self {
        let discounts = line.discount_amounts.iter();
        Self {
            feature: line.feature(),
            description: line.description.clone().unwrap_or_default(),
            quantity: line.quantity,
            amount: line.amount,
            discount: discounts.fold(0, |sum, discount| sum.saturating_add(discount.amount)),
            period: Span::from(domain::BillingPeriod {
                start: line.period.start,
                end: line.period.end,
            }),
            proration: line.proration,
        }
    }
}
