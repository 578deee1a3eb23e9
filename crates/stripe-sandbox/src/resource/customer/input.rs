//! Reading the parameters of customers.

use serde_json::{Value, json};

use super::{Customer, NAME};
use crate::error::{Error, Result};
use crate::params::Params;
use crate::params::field_update::FieldUpdate;
use crate::resource::discount::{self, AppliedCoupon};
use crate::resource::payment_method::{self, MethodRef};
use crate::resource::promotion_code::input::Redemption;
use crate::resource::test_clock;
use crate::store::context::Ctx;
use crate::store::ids::Id;

/// A customer to create, and the objects to link to it afterwards.
pub(crate) struct NewCustomer {
    pub(crate) customer: Customer,
    pub(crate) payment_method: Option<MethodRef>,
    /// Whether the payment method becomes the default for invoices.
    pub(crate) becomes_default: bool,
    pub(crate) coupon: Option<AppliedCoupon>,
}

const UNMODELLED: &[&str] = &["cash_balance", "source", "tax", "validate"];

/// Parameters that Stripe has only for updates, and that the sandbox does not model.
const UPDATE_UNMODELLED: &[&str] = &[
    "bank_account",
    "card",
    "default_alipay_account",
    "default_bank_account",
    "default_card",
    "default_source",
];

/// Reads the parameters of a new customer. `created` is the time on its clock.
pub(super) fn read_new(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<NewCustomer> {
    let clock = match params.string("test_clock")? {
        Some(id) => Some(clock_for_new(ctx, id)?),
        None => None,
    };
    let mut customer = Customer::new(clock.as_ref().map_or(ctx.now, |(_, time)| *time));
    customer.test_clock = clock.map(|(id, _)| id);
    change_plain(&mut customer, params)?;
    let token = params.string("payment_method")?;
    let payment_method = token
        .map(|token| payment_method::input::attachable(ctx, token, None, "payment_method"))
        .transpose()?;
    let default = settings(&mut customer, params)?.value();
    let becomes_default = default.is_some();
    if let Some(default) = default
        && Some(default) != token
    {
        // A new customer can only have the payment method of this request.
        return Err(no_default(ctx, default));
    }
    let coupon =
        discount::input::of_customer(ctx, params, redemption(None, customer.created))?.value();
    params.unmodelled(UNMODELLED)?;
    params.unmodelled(&["tax_id_data"])?;
    Ok(NewCustomer {
        customer,
        payment_method,
        becomes_default,
        coupon,
    })
}

/// Reads the parameters of an update. The coupon is returned separately, because creating a discount uses an id.
pub(super) fn read_change(
    ctx: &Ctx<'_>,
    mut customer: Customer,
    params: &Params<'_>,
) -> Result<(Customer, FieldUpdate<AppliedCoupon>)> {
    change_plain(&mut customer, params)?;
    let default = settings(&mut customer, params)?.try_map(|id| {
        let method = ctx.account.payment_methods.get(id);
        let method = method.filter(|method| method.customer.as_ref() == Some(&customer.id));
        method
            .map(|method| method.id.clone())
            .ok_or_else(|| no_default(ctx, id))
    })?;
    default.apply(&mut customer.default_payment_method);
    let now = ctx.time_of(&customer.id);
    let coupon = discount::input::of_customer(ctx, params, redemption(Some(&customer), now))?;
    params.unmodelled(UNMODELLED)?;
    params.unmodelled(UPDATE_UNMODELLED)?;
    Ok((customer, coupon))
}

fn no_default(ctx: &Ctx<'_>, id: &str) -> Error {
    const PARAM: &str = "invoice_settings[default_payment_method]";
    if ctx.account.payment_methods.contains(id) {
        return payment_method::input::not_theirs(id, PARAM);
    }
    payment_method::input::missing(ctx.account, id, PARAM)
}

fn change_plain(customer: &mut Customer, params: &Params<'_>) -> Result<()> {
    let email = params.nullable("email")?;
    if let FieldUpdate::Set(email) = email {
        check_email(email)?;
    }
    email.map(Into::into).apply(&mut customer.email);
    params
        .nullable("name")?
        .map(Into::into)
        .apply(&mut customer.name);
    params
        .nullable("description")?
        .map(Into::into)
        .apply(&mut customer.description);
    params
        .nullable("phone")?
        .map(Into::into)
        .apply(&mut customer.phone);
    if let Some(balance) = params.integer("balance")? {
        if balance.abs() > crate::resource::price::MAX_AMOUNT {
            return Err(Error::malformed(
                "balance",
                "Invalid integer: the balance is too large.",
            ));
        }
        customer.balance = balance;
    }
    if let Some(sequence) = params.integer_from("next_invoice_sequence", 1)? {
        customer.next_invoice_sequence = u32::try_from(sequence).map_err(|_| {
            Error::malformed(
                "next_invoice_sequence",
                format!("Invalid integer: {sequence}"),
            )
        })?;
    }
    customer.metadata = params.metadata()?.apply(&customer.metadata)?;
    change_rare(customer, params)
}

fn change_rare(customer: &mut Customer, params: &Params<'_>) -> Result<()> {
    if let Some(given) = params.object("address")? {
        let unset = params.is_unset("address");
        customer.rare_mut().address = if unset { None } else { Some(given.address()?) };
    }
    if let Some(given) = params.object("shipping")? {
        let unset = params.is_unset("shipping");
        customer.rare_mut().shipping = if unset { None } else { Some(shipping(&given)?) };
    }
    if let Some(prefix) = params.string("invoice_prefix")? {
        let valid = (3..=12).contains(&prefix.len())
            && prefix
                .bytes()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        if !valid {
            return Err(Error::malformed(
                "invoice_prefix",
                "Invalid invoice_prefix: must be 3 to 12 uppercase letters or numbers.",
            ));
        }
        customer.rare_mut().invoice_prefix = Some(prefix.to_owned());
    }
    if let Some(locales) = params.strings("preferred_locales")? {
        customer.rare_mut().preferred_locales = locales.into_iter().map(str::to_owned).collect();
    }
    match params.nullable("tax_exempt")? {
        FieldUpdate::Keep => {}
        FieldUpdate::Unset => customer.rare_mut().tax_exempt = None,
        FieldUpdate::Set(_) => {
            customer.rare_mut().tax_exempt =
                params.one_of("tax_exempt", &["exempt", "none", "reverse"])?;
        }
    }
    Ok(())
}

/// Reads `invoice_settings` and returns the update of the default payment method.
fn settings<'a>(customer: &mut Customer, params: &Params<'a>) -> Result<FieldUpdate<&'a str>> {
    let Some(settings) = params.object("invoice_settings")? else {
        return Ok(FieldUpdate::Keep);
    };
    match settings.nullable("footer")? {
        FieldUpdate::Keep => {}
        footer => footer
            .map(str::to_owned)
            .apply(&mut customer.rare_mut().footer),
    }
    settings.unmodelled(&["custom_fields?", "rendering_options?"])?;
    settings.nullable("default_payment_method")
}

/// The redemption of a promotion code on a customer, without an amount yet.
fn redemption(customer: Option<&Customer>, now: i64) -> Redemption<'_> {
    Redemption {
        customer,
        amount: None,
        now,
    }
}

/// Checks an e-mail address as leniently as Stripe: some text, an at sign, and a domain with a dot.
fn check_email(email: &str) -> Result<()> {
    let valid = email.split_once('@').is_some_and(|(name, domain)| {
        let labels = || domain.split('.');
        !name.is_empty()
            && labels().count() > 1
            && labels().all(|label| !label.is_empty())
            && !domain.contains('@')
            && !email.contains(|c: char| c.is_whitespace() || c.is_control())
    });
    if valid && email.len() <= 512 {
        return Ok(());
    }
    Err(Error::invalid(format!("Invalid email address: {email}"))
        .code("email_invalid")
        .param("email"))
}

fn shipping(params: &Params<'_>) -> Result<Value> {
    let to = params
        .object("address")?
        .ok_or_else(|| params.missing("address"))?;
    let name = params.required("name")?;
    let phone = params.nullable("phone")?.value();
    Ok(json!({"address": to.address()?, "name": name, "phone": phone}))
}

/// The customer in the URL; 404 if there is none.
pub(crate) fn find<'a>(ctx: &'a Ctx<'_>, id: &str) -> Result<&'a Customer> {
    let customer = ctx.account.customers.get(id);
    customer.ok_or_else(|| Error::not_found(NAME, id))
}

/// The customer in a parameter; 400 if there is none.
pub(crate) fn named<'a>(ctx: &'a Ctx<'_>, id: &str, param: &str) -> Result<&'a Customer> {
    let customer = ctx.account.customers.get(id);
    customer.ok_or_else(|| Error::no_such(NAME, id, param))
}

/// The test clock for a new customer, if there is room on it.
fn clock_for_new(ctx: &Ctx<'_>, id: &str) -> Result<(Id, i64)> {
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

/// The `customer` parameter, if it is given.
pub(crate) fn customer_param<'a>(
    ctx: &'a Ctx<'_>,
    params: &Params<'_>,
) -> Result<Option<&'a Customer>> {
    let id = params.string("customer")?;
    id.map(|id| named(ctx, id, "customer")).transpose()
}
