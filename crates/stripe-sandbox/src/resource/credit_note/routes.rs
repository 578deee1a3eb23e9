//! `/v1/credit_notes`

use serde_json::Value;

use super::view::{self, URL};
use super::{CreditNote, CreditNoteLine, Payout, input};
use crate::engine::{balance, collection, payment};
use crate::error::{Error, Result};
use crate::params::Params;
use crate::params::metadata::Metadata;
use crate::resource::customer;
use crate::resource::customer_balance::Cause;
use crate::resource::route::Route;
use crate::store::context::Ctx;
use crate::store::ids::Id;
use crate::store::page::Page;
use crate::version::ApiVersion;

const NAME: &str = "credit note";

pub(crate) fn routes() -> Vec<Route> {
    let routes = vec![
        Route::new(
            "POST",
            "/v1/credit_notes",
            "credit_note",
            input::read,
            create,
        ),
        Route::new(
            "GET",
            "/v1/credit_notes",
            "list:credit_note",
            read_list,
            list,
        ),
        Route::new(
            "GET",
            "/v1/credit_notes/preview",
            "credit_note",
            read_preview,
            preview,
        ),
        Route::new(
            "GET",
            "/v1/credit_notes/preview/lines",
            "list:credit_note_line_item",
            read_preview_lines,
            preview_lines,
        ),
        Route::without_params("GET", "/v1/credit_notes/:id", "credit_note", retrieve),
        Route::new(
            "POST",
            "/v1/credit_notes/:id",
            "credit_note",
            read_update,
            update,
        ),
        Route::new(
            "GET",
            "/v1/credit_notes/:id/lines",
            "list:credit_note_line_item",
            read_lines,
            lines,
        ),
        Route::without_params("POST", "/v1/credit_notes/:id/void", "credit_note", void),
    ];
    // The sandbox does not model their shape in later versions.
    let routes = routes.into_iter();
    routes
        .map(|route| route.until(ApiVersion::V2022_11_15))
        .collect()
}

/// `POST /v1/credit_notes`
fn create(ctx: &mut Ctx<'_>, mut note: CreditNote) -> Result<Value> {
    note.id = ctx.account.ids.next("cn", 24);
    for line in &mut note.lines {
        line.id = ctx.account.ids.next("cnli", 24);
    }
    let (id, invoice, at) = (note.id.clone(), note.invoice.clone(), note.created);
    collection::with_events(ctx, &invoice, at, |ctx| {
        let note = apply(ctx, note);
        let object = view::note(ctx.account, &note);
        ctx.account.billing.credit_notes.insert(note);
        ctx.event("credit_note.created", &object, at);
        let invoice_now = ctx.account.invoice(&invoice);
        if invoice_now.is_payable() && invoice_now.amount_due == 0 {
            collection::mark_paid(ctx, &invoice, at);
        }
    });
    Ok(view::note(ctx.account, find(ctx, &id)?))
}

/// Reduces the invoice by the total, and pays out the payout of a paid invoice.
fn apply(ctx: &mut Ctx<'_>, mut note: CreditNote) -> CreditNote {
    let total = note.total();
    let invoice = ctx.account.invoice_mut(&note.invoice);
    match note.payout {
        Payout::BeforePayment => {
            invoice.credited.before_payment += total;
            let due = invoice.amount_due - total;
            collection::set_amount_due(ctx.account, &note.invoice, due);
        }
        Payout::AfterPayment {
            to_balance,
            to_card,
            ..
        } => {
            invoice.credited.after_payment += total;
            if to_card > 0 {
                let charge = ctx.account.charge_of_invoice(&note.invoice);
                let charge = charge.expect("the refund was checked").id.clone();
                let metadata = Metadata::default();
                let refund =
                    payment::refund_charge(ctx, &charge, to_card, None, metadata, note.created);
                note.refund = Some(refund);
            }
            let cause = Cause::CreditNote {
                invoice: note.invoice.clone(),
                note: note.id.clone(),
            };
            note.balance_transaction =
                balance::change(ctx, &note.customer, -to_balance, cause, note.created);
        }
    }
    note
}

/// Reads the credit note of a preview. Its ids are temporary.
fn read_preview(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<CreditNote> {
    let mut note = input::read(ctx, params)?;
    let name = note.invoice.trim_start_matches("in_").to_owned();
    note.id = format!("cn_tmp_{name}").into();
    for (index, line) in note.lines.iter_mut().enumerate() {
        line.id = format!("cnli_tmp_{name}{index:04}").into();
    }
    Ok(note)
}

/// `GET /v1/credit_notes/preview`: the credit note that a request would create.
fn preview(ctx: &mut Ctx<'_>, note: CreditNote) -> Result<Value> {
    Ok(view::note(ctx.account, &note))
}

fn read_preview_lines(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<(Page, CreditNote)> {
    Ok((Page::read(params)?, read_preview(ctx, params)?))
}

/// `GET /v1/credit_notes/preview/lines`
fn preview_lines(ctx: &mut Ctx<'_>, (page, note): (Page, CreditNote)) -> Result<Value> {
    page_of_lines(ctx, &page, &note, &format!("{URL}/preview/lines"))
}

/// The filter of a list.
struct Filter {
    page: Page,
    customer: Option<Id>,
    invoice: Option<Id>,
}

fn read_list(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<Filter> {
    let page = Page::read(params)?;
    let customer = customer::input::customer_param(ctx, params)?.map(|found| found.id.clone());
    let invoice = match params.string("invoice")? {
        Some(id) => {
            let found = ctx.account.billing.invoices.get(id);
            let found = found.ok_or_else(|| Error::no_such("invoice", id, "invoice"))?;
            Some(found.id.clone())
        }
        None => None,
    };
    Ok(Filter {
        page,
        customer,
        invoice,
    })
}

/// `GET /v1/credit_notes`: includes those on a test clock only if the customer or the invoice is named.
fn list(ctx: &mut Ctx<'_>, filter: Filter) -> Result<Value> {
    let Filter {
        page,
        customer,
        invoice,
    } = filter;
    let on_clock = |note: &CreditNote| ctx.account.invoice(&note.invoice).clock.is_some();
    let rows = page.of_table(&ctx.account.billing.credit_notes, NAME, |note| {
        (customer.as_ref()).is_none_or(|id| *id == note.customer)
            && (invoice.as_ref()).is_none_or(|id| *id == note.invoice)
            && (customer.is_some() || invoice.is_some() || !on_clock(note))
    })?;
    Ok(rows.to_json(URL, |note| view::note(ctx.account, note)))
}

/// `GET /v1/credit_notes/:id`
fn retrieve(ctx: &mut Ctx<'_>) -> Result<Value> {
    Ok(view::note(ctx.account, find(ctx, &ctx.arg(0))?))
}

fn read_lines(_: &Ctx<'_>, params: &Params<'_>) -> Result<Page> {
    Page::read(params)
}

/// `GET /v1/credit_notes/:id/lines`
fn lines(ctx: &mut Ctx<'_>, page: Page) -> Result<Value> {
    let note = find(ctx, &ctx.arg(0))?;
    page_of_lines(ctx, &page, note, &format!("{URL}/{}/lines", note.id))
}

fn page_of_lines(ctx: &Ctx<'_>, page: &Page, note: &CreditNote, url: &str) -> Result<Value> {
    let rows: Vec<&CreditNoteLine> = note.lines.iter().collect();
    let rows = page.of_rows(&rows, "credit note line item")?;
    Ok(rows.to_json(url, |line| view::line(ctx.account, note, line)))
}

fn read_update(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<CreditNote> {
    let mut note = find(ctx, &ctx.arg(0))?.clone();
    params
        .nullable("memo")?
        .map(str::to_owned)
        .apply(&mut note.memo);
    note.metadata = params.metadata()?.apply(&note.metadata)?;
    Ok(note)
}

/// `POST /v1/credit_notes/:id`: updates its texts.
fn update(ctx: &mut Ctx<'_>, note: CreditNote) -> Result<Value> {
    let before = view::note(ctx.account, find(ctx, &note.id)?);
    let at = ctx.time_of(&note.customer);
    changed(ctx, &note, &before, "credit_note.updated", at);
    Ok(view::note(ctx.account, find(ctx, &note.id)?))
}

/// `POST /v1/credit_notes/:id/void`: the credited amount is due again.
fn void(ctx: &mut Ctx<'_>) -> Result<Value> {
    let mut note = find(ctx, &ctx.arg(0))?.clone();
    let invoice = note.invoice.clone();
    if !note.is_issued() {
        return Err(Error::invalid("This credit note is void already."));
    }
    if note.payout != Payout::BeforePayment || !ctx.account.invoice(&invoice).is_payable() {
        return Err(Error::invalid(
            "You can only void credit notes of invoices that are open.",
        ));
    }
    let (id, at) = (note.id.clone(), ctx.time_of(&note.customer));
    let before = view::note(ctx.account, &note);
    note.voided_at = Some(at);
    collection::with_events(ctx, &invoice, at, |ctx| {
        let row = ctx.account.invoice_mut(&invoice);
        row.credited.before_payment -= note.total();
        let due = row.amount_due + note.total();
        collection::set_amount_due(ctx.account, &invoice, due);
        changed(ctx, &note, &before, "credit_note.voided", at);
    });
    Ok(view::note(ctx.account, find(ctx, &id)?))
}

/// Stores a changed credit note and records its event.
fn changed(ctx: &mut Ctx<'_>, note: &CreditNote, before: &Value, kind: &'static str, at: i64) {
    let after = view::note(ctx.account, note);
    if let Some(row) = ctx.account.billing.credit_notes.get_mut(&note.id) {
        row.clone_from(note);
    }
    if after != *before {
        ctx.update_event(kind, before, &after, at);
    }
}

fn find<'a>(ctx: &'a Ctx<'_>, id: &str) -> Result<&'a CreditNote> {
    let note = ctx.account.billing.credit_notes.get(id);
    note.ok_or_else(|| Error::not_found(NAME, id))
}
