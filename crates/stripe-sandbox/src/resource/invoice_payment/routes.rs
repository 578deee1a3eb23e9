//! `/v1/invoice_payments`

use serde_json::Value;

use super::view::{self, id_of};
use crate::error::{Error, Result};
use crate::params::Params;
use crate::resource::invoice::Invoice;
use crate::resource::route::Route;
use crate::store::context::Ctx;
use crate::store::ids::Id;
use crate::store::page::Page;
use crate::store::table::Row;
use crate::version::ApiVersion;

const URL: &str = "/v1/invoice_payments";

const NAME: &str = "invoice payment";

pub(crate) fn routes() -> Vec<Route> {
    let routes = [
        Route::new("GET", URL, "list:invoice_payment", read_list, list),
        Route::without_params(
            "GET",
            "/v1/invoice_payments/:id",
            "invoice_payment",
            retrieve,
        ),
    ];
    let routes = routes.into_iter();
    routes
        .map(|route| route.since(ApiVersion::V2026_10_28))
        .collect()
}

/// The filter of a list.
struct Filter {
    page: Page,
    invoice: Option<String>,
    intent: Option<String>,
    status: Option<&'static str>,
}

fn read_list(_: &Ctx<'_>, params: &Params<'_>) -> Result<Filter> {
    let mut intent = None;
    if let Some(payment) = params.object("payment")? {
        payment.one_of_modelled("type", &["payment_intent"], &["charge", "payment_record"])?;
        intent = payment.string("payment_intent")?.map(str::to_owned);
    }
    params.unmodelled(&["created"])?;
    Ok(Filter {
        page: Page::read(params)?,
        invoice: params.string("invoice")?.map(str::to_owned),
        intent,
        status: params.one_of("status", &["canceled", "open", "paid"])?,
    })
}

/// A payment, by its id.
struct InvoicePayment {
    id: Id,
    json: Value,
}

impl Row for InvoicePayment {
    fn id(&self) -> &Id {
        &self.id
    }
}

/// `GET /v1/invoice_payments`
fn list(ctx: &mut Ctx<'_>, filter: Filter) -> Result<Value> {
    let accepts = |invoice: &&Invoice| {
        let intent = invoice.payment_intent.as_deref();
        (filter.invoice.as_deref()).is_none_or(|id| *invoice.id == *id)
            && (filter.intent.as_deref()).is_none_or(|id| intent == Some(id))
    };
    let invoices = ctx.account.billing.invoices.iter().rev().filter(accepts);
    let payments = invoices.filter_map(|invoice| {
        let json = view::of_invoice(ctx.account, invoice)?;
        let is_wanted = filter.status.is_none_or(|status| json["status"] == status);
        let id = id_of(invoice.payment_intent.as_deref()?);
        is_wanted.then_some(InvoicePayment { id, json })
    });
    let payments: Vec<InvoicePayment> = payments.collect();
    let rows: Vec<&InvoicePayment> = payments.iter().collect();
    let rows = filter.page.of_rows(&rows, NAME)?;
    Ok(rows.to_json(URL, |payment| payment.json.clone()))
}

/// `GET /v1/invoice_payments/:id`
fn retrieve(ctx: &mut Ctx<'_>) -> Result<Value> {
    let id = ctx.arg(0);
    let invoice = view::invoice_of(ctx.account, &id);
    let payment = invoice.and_then(|invoice| view::of_invoice(ctx.account, invoice));
    payment.ok_or_else(|| Error::not_found(NAME, &id))
}
