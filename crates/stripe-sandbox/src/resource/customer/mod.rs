//! Customers: creation, update, deletion and lists. What their parameters are is read in
//! [`customer_params`], and how they are searched in [`search`](crate::resource::customer::search).

pub(crate) mod input;
pub(crate) mod search;
pub(crate) mod search_query;
pub(crate) mod tax_location;

use serde_json::{Value, json};

use self::search::Index;
use super::customer_balance::{self, Cause};
use super::discount::{Discount, tell_change};
use super::{billing, payment_method, test_clock};
use crate::error::{Error, Result};
use crate::money::currency::Currency;
use crate::params::Params;
use crate::params::field_update::FieldUpdate;
use crate::params::filter::Created;
use crate::params::metadata::Metadata;
use crate::store::context::Ctx;
use crate::store::ids::Id;
use crate::store::page::Page;
use crate::store::state::Account;
use crate::store::table::{Row, Table};

const URL: &str = "/v1/customers";
pub(crate) const WHAT: &str = "customer";

/// See the module's text. There may be a great many of them, so what few have is in [`More`].
#[derive(Clone, Debug)]
pub(crate) struct Customer {
    pub(crate) id: Id,
    pub(crate) created: i64,
    pub(crate) deleted: bool,
    pub(crate) email: Option<Box<str>>,
    pub(crate) name: Option<Box<str>>,
    pub(crate) description: Option<Box<str>>,
    pub(crate) phone: Option<Box<str>>,
    pub(crate) metadata: Metadata,
    pub(crate) test_clock: Option<Id>,
    /// `invoice_settings.default_payment_method`
    pub(crate) default_payment_method: Option<Id>,
    /// Cents; negative is a credit, which lowers what is to be paid.
    pub(crate) balance: i64,
    /// Of the last invoice.
    pub(crate) currency: Option<Currency>,
    /// Whether a payment has failed and is still due.
    pub(crate) delinquent: bool,
    /// Whether a payment method was ever attached.
    pub(crate) had_payment_method: bool,
    pub(crate) next_invoice_sequence: u32,
    pub(crate) more: Option<Box<More>>,
    /// Positions in the tables of the account, ascending.
    pub(crate) payment_methods: Vec<u32>,
    pub(crate) subscriptions: Vec<u32>,
    pub(crate) invoices: Vec<u32>,
    pub(crate) schedules: Vec<u32>,
}

/// What few customers have.
#[derive(Clone, Debug, Default)]
pub(crate) struct More {
    pub(crate) discount: Option<Discount>,
    pub(crate) address: Option<Value>,
    pub(crate) shipping: Option<Value>,
    pub(crate) invoice_prefix: Option<String>,
    pub(crate) preferred_locales: Vec<String>,
    pub(crate) tax_exempt: Option<&'static str>,
    pub(crate) footer: Option<String>,
}

impl Row for Customer {
    fn id(&self) -> &Id {
        &self.id
    }
}

impl Customer {
    pub(crate) fn new(created: i64) -> Self {
        Self {
            id: Id::default(),
            created,
            deleted: false,
            email: None,
            name: None,
            description: None,
            phone: None,
            metadata: Metadata::default(),
            test_clock: None,
            default_payment_method: None,
            balance: 0,
            currency: None,
            delinquent: false,
            had_payment_method: false,
            next_invoice_sequence: 1,
            more: None,
            payment_methods: Vec::new(),
            subscriptions: Vec::new(),
            invoices: Vec::new(),
            schedules: Vec::new(),
        }
    }

    pub(crate) fn more_mut(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    /// The discount that holds for all of the customer's invoices.
    pub(crate) fn discount(&self) -> Option<&Discount> {
        self.more.as_ref()?.discount.as_ref()
    }

    /// What the numbers of the customer's invoices begin with.
    pub(crate) fn invoice_prefix(&self) -> String {
        let given = self
            .more
            .as_ref()
            .and_then(|more| more.invoice_prefix.clone());
        given.unwrap_or_else(|| {
            let end = self.id.len().saturating_sub(8);
            self.id[end..].to_ascii_uppercase()
        })
    }

    /// The number of the customer's next invoice, which is then taken.
    pub(crate) fn next_invoice_number(&mut self) -> String {
        let number = format!(
            "{}-{:04}",
            self.invoice_prefix(),
            self.next_invoice_sequence
        );
        self.next_invoice_sequence += 1;
        number
    }

    /// `now` is the customer's time.
    pub(crate) fn to_json(&self, now: i64) -> Value {
        if self.deleted {
            return json!({"id": &*self.id, "object": "customer", "deleted": true});
        }
        let more = self.more.as_deref();
        let locales = more.map_or(&[][..], |more| &more.preferred_locales);
        json!({
            "id": &*self.id,
            "object": "customer",
            "address": more.and_then(|more| more.address.clone()),
            "balance": self.balance,
            "created": self.created,
            "currency": self.currency.as_ref().map(Currency::as_str),
            "default_source": null,
            "delinquent": self.delinquent,
            "description": self.description,
            "discount": self.discount().map(|discount| discount.to_json(now)),
            "email": self.email,
            "invoice_prefix": self.invoice_prefix(),
            "invoice_settings": {
                "custom_fields": null,
                "default_payment_method": self.default_payment_method.as_deref(),
                "footer": more.and_then(|more| more.footer.as_deref()),
                "rendering_options": null,
            },
            "livemode": false,
            "metadata": self.metadata.to_json(),
            "name": self.name,
            "next_invoice_sequence": self.next_invoice_sequence,
            "phone": self.phone,
            "preferred_locales": locales,
            "shipping": more.and_then(|more| more.shipping.clone()),
            "tax_exempt": more.and_then(|more| more.tax_exempt).unwrap_or("none"),
            "test_clock": self.test_clock.as_deref(),
        })
    }
}

/// An account's customers. Deleted ones stay, as the tombstones that Stripe shows; see [`find`].
#[derive(Debug, Default)]
pub(crate) struct Customers {
    table: Table<Customer>,
    pub(crate) index: Index,
}

impl Customers {
    /// This customer alone, whom no search finds.
    pub(crate) fn only(customer: Customer) -> Self {
        let mut customers = Self::default();
        customers.table.insert(customer);
        customers
    }

    /// A customer that is not deleted.
    pub(crate) fn get(&self, id: &str) -> Option<&Customer> {
        self.table.get(id).filter(|customer| !customer.deleted)
    }

    /// A customer that is not deleted.
    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut Customer> {
        self.table.get_mut(id).filter(|customer| !customer.deleted)
    }

    /// A customer, perhaps a deleted one.
    pub(crate) fn even_deleted(&self, id: &str) -> Option<&Customer> {
        self.table.get(id)
    }

    pub(crate) fn table(&self) -> &Table<Customer> {
        &self.table
    }
}

/// The customer that the URL names: 404 if there is none.
pub(crate) fn find<'a>(ctx: &'a Ctx<'_>, id: &str) -> Result<&'a Customer> {
    let customer = ctx.account.customers.get(id);
    customer.ok_or_else(|| Error::not_found(WHAT, id))
}

/// The customer that a parameter names: 400 if there is none.
pub(crate) fn named<'a>(ctx: &'a Ctx<'_>, id: &str, param: &str) -> Result<&'a Customer> {
    let customer = ctx.account.customers.get(id);
    customer.ok_or_else(|| Error::no_such(WHAT, id, param))
}

/// `POST /v1/customers`
pub(crate) fn create(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let given = input::read_new(ctx, params)?;
    params.finish()?;
    let mut customer = given.customer;
    let id = ctx.account.ids.next("cus", 14);
    let now = customer.created;
    customer.id = id.clone();
    if let Some(clock) = &customer.test_clock
        && let Some(clock) = ctx.account.clocks.get_mut(clock)
    {
        clock.customers.push(id.clone());
    }
    let position = ctx.account.customers.table.insert(customer);
    let method = given
        .payment_method
        .map(|method| payment_method::attach_to(ctx, method, &id));
    let discount = given
        .coupon
        .map(|coupon| Discount::new(ctx, coupon, id.clone(), None, now));
    if let Some(customer) = ctx.account.customers.get_mut(&id) {
        if given.becomes_default {
            customer.default_payment_method = method;
        }
        if discount.is_some() {
            customer.more_mut().discount.clone_from(&discount);
        }
    }
    changed(ctx, position);
    let balance = find(ctx, &id)?.balance;
    customer_balance::note(ctx, &id, balance, Cause::Initial, now);
    let answer = find(ctx, &id)?.to_json(now);
    ctx.event("customer.created", &answer, now);
    tell_change(ctx, None, discount.as_ref(), now);
    Ok(answer)
}

/// A customer that checkout makes, off any clock, when a session that names none is paid.
pub(crate) fn insert_for_checkout(ctx: &mut Ctx<'_>, email: Option<String>) -> Id {
    let mut customer = Customer::new(ctx.now);
    let id = ctx.account.ids.next("cus", 14);
    customer.id = id.clone();
    customer.email = email.map(String::into_boxed_str);
    let rendered = customer.to_json(ctx.now);
    let position = ctx.account.customers.table.insert(customer);
    changed(ctx, position);
    ctx.event("customer.created", &rendered, ctx.now);
    id
}

/// `GET /v1/customers/:id`: of a deleted one, that it is deleted.
pub(crate) fn retrieve(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    params.finish()?;
    let id = ctx.arg(0);
    let customer = ctx.account.customers.even_deleted(&id);
    let customer = customer.ok_or_else(|| Error::not_found(WHAT, &id))?;
    Ok(customer.to_json(ctx.time_of(&id)))
}

/// `POST /v1/customers/:id`; without parameters it changes nothing.
pub(crate) fn update(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let id = ctx.arg(0);
    let old = find(ctx, &id)?;
    let now = ctx.time_of(&id);
    let (before, balance) = (old.to_json(now), old.balance);
    let (mut customer, coupon) = input::read_change(ctx, old.clone(), params)?;
    params.finish()?;
    let id = customer.id.clone();
    if !matches!(coupon, FieldUpdate::Keep) {
        let discount = coupon.map(|coupon| Discount::new(ctx, coupon, id.clone(), None, now));
        let before = customer.discount().cloned();
        discount.apply(&mut customer.more_mut().discount);
        tell_change(ctx, before.as_ref(), customer.discount(), now);
    }
    let after = customer.to_json(now);
    let position = ctx.account.customers.table.position(&id);
    if let Some(row) = ctx.account.customers.get_mut(&id) {
        *row = customer;
    }
    let added = find(ctx, &id)?.balance - balance;
    customer_balance::note(ctx, &id, added, Cause::Adjustment, now);
    if after != before {
        if let Some(position) = position {
            changed(ctx, position);
        }
        ctx.update_event("customer.updated", &before, &after, now);
    }
    Ok(after)
}

/// `DELETE /v1/customers/:id`: cancels its subscriptions at once.
pub(crate) fn delete(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    params.finish()?;
    let id = find(ctx, &ctx.arg(0))?.id.clone();
    billing::customer_deleted(ctx, &id);
    let now = ctx.time_of(&id);
    let before = find(ctx, &id)?.to_json(now);
    erase_links(ctx.account, &id);
    let position = ctx.account.customers.table.position(&id);
    if let Some(customer) = ctx.account.customers.get_mut(&id) {
        customer.deleted = true;
        customer.more = None;
    }
    if let Some(position) = position {
        changed(ctx, position);
    }
    ctx.event("customer.deleted", &before, now);
    Ok(json!({"id": &*id, "object": "customer", "deleted": true}))
}

/// Takes a customer away without a trace, with its test clock. What the billing half holds of it is gone
/// already.
pub(crate) fn erase(account: &mut Account, id: &Id) {
    erase_links(account, id);
    customer_balance::customer_erased(account, id);
    if let Some(position) = account.customers.table.position(id) {
        account.customers.index.forget(position);
    }
    account.customers.table.remove(id);
}

/// Detaches the payment methods, and leaves the clock.
fn erase_links(account: &mut Account, id: &Id) {
    let Some(customer) = account.customers.get_mut(id) else {
        return;
    };
    let clock = customer.test_clock.clone();
    let methods = std::mem::take(&mut customer.payment_methods);
    customer.default_payment_method = None;
    for position in methods {
        if let Some(method) = account.payment_methods.at_mut(position) {
            method.customer = None;
            method.used_up = true;
        }
    }
    if let Some(clock) = clock.and_then(|clock| account.clocks.get_mut(&clock)) {
        clock.customers.retain(|other| other != id);
    }
}

/// The search will know of it after its lag.
fn changed(ctx: &mut Ctx<'_>, position: u32) {
    let due = ctx.now_millis + ctx.origin.search_lag;
    ctx.account.customers.index.note(position, due);
    ctx.account.customers.settle(ctx.now_millis);
}

/// `GET /v1/customers`: those on a test clock only if the clock is named.
pub(crate) fn list(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let page = Page::read(params)?;
    let created = Created::read(params)?;
    let email = params.string("email")?;
    let clock = params.string("test_clock")?;
    if let Some(clock) = clock
        && !ctx.account.clocks.contains(clock)
    {
        return Err(Error::no_such("test clock", clock, "test_clock"));
    }
    params.finish()?;
    let cut = page.of_table(&ctx.account.customers.table, WHAT, |customer| {
        !customer.deleted
            && customer.test_clock.as_deref() == clock
            && created.accepts(customer.created)
            && email.is_none_or(|email| customer.email.as_deref() == Some(email))
    })?;
    Ok(cut.to_json(URL, |customer| {
        customer.to_json(ctx.account.time_on(customer.test_clock.as_ref(), ctx.now))
    }))
}

/// The clock that a new customer is to live on, if there is room.
pub(crate) fn clock_for_new(ctx: &Ctx<'_>, id: &str) -> Result<(Id, i64)> {
    let clock = ctx.account.clocks.get(id);
    let clock = clock.ok_or_else(|| Error::no_such("test clock", id, "test_clock"))?;
    if clock.customers.len() >= test_clock::MAX_CUSTOMERS {
        return Err(Error::invalid(format!(
            "A test clock takes at most {} customers.",
            test_clock::MAX_CUSTOMERS
        ))
        .param("test_clock"));
    }
    Ok((clock.id.clone(), clock.frozen_time))
}
