//! Reading a new checkout session.

use super::{CheckoutSession, Mode, Purchase, Status};
use crate::engine::catalog;
use crate::error::{Error, Result};
use crate::money::charge_amount;
use crate::money::discount::spread;
use crate::money::period::DAY;
use crate::params::Params;
use crate::params::metadata::Metadata;
use crate::resource::customer::{self, Customer};
use crate::resource::discount::AppliedCoupon;
use crate::resource::payment_method;
use crate::resource::subscription::input::LONGEST_TRIAL;
use crate::resource::subscription::shared_input::{
    automatic_tax, billing_mode, coupon, default_mode, named_discount, same_currency,
};
use crate::resource::subscription_item::{self, ItemSpec};
use crate::store::account::Account;
use crate::store::context::Ctx;

const UNMODELLED: &[&str] = &[
    "after_expiration",
    "consent_collection",
    "custom_fields",
    "custom_text",
    "customer_creation",
    "payment_intent_data",
    "payment_method_options",
    "shipping_address_collection",
    "shipping_options",
    "shipping_rates",
    "submit_type",
];

const DATA_UNMODELLED: &[&str] = &[
    "application_fee_percent",
    "billing_cycle_anchor",
    "default_tax_rates",
    "on_behalf_of",
    "proration_behavior",
    "transfer_data",
    "trial_from_plan",
    "trial_settings",
];

/// The languages of Stripe's page; the sandbox's page is always in English.
const LOCALES: &[&str] = &[
    "auto", "bg", "cs", "da", "de", "el", "en", "en-GB", "es", "es-419", "et", "fi", "fil", "fr",
    "fr-CA", "hr", "hu", "id", "it", "ja", "ko", "lt", "lv", "ms", "mt", "nb", "nl", "pl", "pt",
    "pt-BR", "ro", "ru", "sk", "sl", "sv", "th", "tr", "vi", "zh", "zh-HK", "zh-TW",
];

/// Reads a new session, without its id and URL, and in `setup` mode the metadata of its set-up intent.
pub(super) fn read(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
) -> Result<(CheckoutSession, Option<Metadata>)> {
    let mode = params.one_of("mode", &["payment", "setup", "subscription"])?;
    let customer = match params.string("customer")? {
        Some(id) => Some(customer::input::named(ctx, id, "customer")?),
        None => None,
    };
    let (mode, intent) = match mode {
        Some("subscription") => (purchase(ctx, params, customer)?, None),
        Some("setup") => {
            let data = setup(ctx, params)?;
            (Mode::Setup { intent: "".into() }, Some(data))
        }
        Some(_) => {
            return Err(Error::malformed(
                "mode",
                "The sandbox models checkout in the modes `setup` and `subscription` only.",
            ));
        }
        None => return Err(params.missing("mode")),
    };
    let email = params.string("customer_email")?.map(str::to_owned);
    if email.is_some() && customer.is_some() {
        return Err(Error::invalid(
            "You may only specify one of these parameters: customer, customer_email.",
        )
        .param("customer_email"));
    }
    let tax = automatic_tax(params)?.unwrap_or(false);
    let collects_tax_ids = collects_tax_ids(params)?;
    updates(params, customer, tax && intent.is_none(), collects_tax_ids)?;
    card_only(ctx, params)?;
    hosted_only(ctx, params)?;
    params.disabled("invoice_creation")?;
    params.disabled("phone_number_collection")?;
    params.unmodelled(UNMODELLED)?;
    let session = CheckoutSession {
        id: "".into(),
        created: ctx.now,
        expires_at: expires_at(params, ctx.now)?,
        status: Status::Open,
        mode,
        customer: customer.map(|customer| customer.id.clone()),
        customer_email: email,
        success_url: params
            .web_address("success_url")?
            .ok_or_else(|| params.missing("success_url"))?,
        cancel_url: params.web_address("cancel_url")?,
        url: String::new(),
        automatic_tax: tax,
        collects_tax_ids,
        billing_address: params.one_of("billing_address_collection", &["auto", "required"])?,
        client_reference: params
            .nullable("client_reference_id")?
            .value()
            .map(str::to_owned),
        locale: params.one_of("locale", LOCALES)?,
        promotion_codes: params.boolean("allow_promotion_codes")?,
        collection: params
            .one_of("payment_method_collection", &["always", "if_required"])?
            .unwrap_or("always"),
        metadata: params.metadata()?.apply(&Metadata::default())?,
        subscription: None,
        invoice: None,
        details: None,
    };
    Ok((session, intent))
}

/// Reads the parameters of `setup` mode: the metadata of the set-up intent.
fn setup(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<Metadata> {
    if let Some(key) = ["discounts", "line_items", "subscription_data"]
        .iter()
        .find(|key| params.has(key))
    {
        return Err(
            Error::invalid(format!("You can not pass `{key}` in `setup` mode.")).param(*key),
        );
    }
    let currency = params.currency("currency")?;
    if ctx.has_meters() && currency.is_none() {
        return Err(params.missing("currency"));
    }
    let Some(data) = params.object("setup_intent_data")? else {
        return Ok(Metadata::default());
    };
    data.unmodelled(&["description", "on_behalf_of"])?;
    data.metadata()?.apply(&Metadata::default())
}

fn purchase(ctx: &Ctx<'_>, params: &Params<'_>, customer: Option<&Customer>) -> Result<Mode> {
    if params.has("setup_intent_data") {
        return Err(
            Error::invalid("You can not pass `setup_intent_data` in `subscription` mode.")
                .param("setup_intent_data"),
        );
    }
    let data = params.object("subscription_data")?;
    let mode = match &data {
        Some(data) => billing_mode(ctx, data)?,
        None => default_mode(ctx),
    };
    let specs = subscription_item::input::read(ctx, params, "line_items", &[], mode)?;
    let given = params.objects("line_items")?.unwrap_or_default();
    for (index, (spec, item)) in specs.iter().zip(&given).enumerate() {
        if spec.quantity.is_some() && !item.has("quantity") {
            return Err(Error::invalid(format!(
                "Quantity is required. Add `quantity` to `line_items[{index}]`"
            ))
            .param(item.name("quantity")));
        }
    }
    let currency = subscription_item::input::currency(ctx, &specs);
    same_currency(params, currency)?;
    if let Some(customer) = customer {
        crate::engine::one_currency::check(ctx.account, customer, currency, None)?;
        crate::resource::subscription::input::check_room(ctx.account, customer)?;
    }
    let now = customer.map_or(ctx.now, |customer| ctx.time_of(&customer.id));
    let mut purchase = Purchase {
        specs,
        currency,
        billing_mode: mode,
        metadata: Metadata::default(),
        description: None,
        coupon: None,
        trial_days: None,
        trial_end: None,
        subtotal: 0,
        discount: 0,
    };
    if let Some(data) = data {
        purchase.metadata = data.metadata()?.apply(&Metadata::default())?;
        purchase.description = data.nullable("description")?.value().map(str::to_owned);
        if !ctx.has_meters() {
            purchase.coupon = coupon(ctx, &data, currency, now)?.map(AppliedCoupon::from);
        }
        (purchase.trial_days, purchase.trial_end) = trial(&data, now)?;
        data.unmodelled(DATA_UNMODELLED)?;
    }
    if let Some(applied) = discounts(ctx, params, customer, &purchase.specs, now)? {
        purchase.coupon = Some(applied);
    }
    compute_due(ctx.account, &mut purchase);
    charge_amount::check_largest(purchase.due(), currency)?;
    Ok(Mode::Subscription(Box::new(purchase)))
}

fn trial(data: &Params<'_>, now: i64) -> Result<(Option<i64>, Option<i64>)> {
    let days = data.integer_from("trial_period_days", 1)?;
    let end = data.timestamp("trial_end")?;
    if days.is_some_and(|days| days > LONGEST_TRIAL) {
        return Err(Error::malformed(
            data.name("trial_period_days"),
            format!("Invalid integer: a trial can last at most {LONGEST_TRIAL} days."),
        ));
    }
    if days.is_some() && end.is_some() {
        return Err(Error::invalid(
            "You may only specify one of these parameters: trial_end, trial_period_days.",
        )
        .param(data.name("trial_end")));
    }
    if end.is_some_and(|end| end < now + 2 * DAY) {
        return Err(Error::malformed(
            data.name("trial_end"),
            "The `trial_end` date has to be at least 2 days in the future.",
        ));
    }
    Ok((days, end))
}

fn collects_tax_ids(params: &Params<'_>) -> Result<bool> {
    let Some(collection) = params.object("tax_id_collection")? else {
        return Ok(false);
    };
    collection
        .boolean("enabled")?
        .ok_or_else(|| collection.missing("enabled"))
}

/// `customer_update`, and the parameters that require it.
fn updates(
    params: &Params<'_>,
    customer: Option<&Customer>,
    tax: bool,
    collects_tax_ids: bool,
) -> Result<()> {
    let given = params.object("customer_update")?;
    let mut auto = [false; 3];
    if let Some(update) = &given {
        for (auto, key) in auto.iter_mut().zip(["address", "name", "shipping"]) {
            *auto = update.one_of(key, &["auto", "never"])? == Some("auto");
        }
    }
    let [address, name, shipping] = auto;
    let Some(customer) = customer else {
        return match given {
            Some(_) => Err(
                Error::invalid("`customer_update` can only be used with `customer`.")
                    .param("customer_update"),
            ),
            None => Ok(()),
        };
    };
    if collects_tax_ids && !name {
        return Err(Error::invalid("Tax ID collection requires updating business name on the customer. To enable tax ID collection for an existing customer, please set `customer_update[name]` to `auto`.").param("customer_update[name]"));
    }
    if tax && !address && !shipping && !customer::tax_location::is_recognized(customer) {
        return Err(Error::invalid("Automatic tax calculation in Checkout requires a valid address on the Customer. Add a valid address to the Customer or set either `customer_update[address]` to 'auto' or `customer_update[shipping]` to 'auto' to save the address entered in Checkout to the Customer.").code("customer_tax_location_invalid"));
    }
    Ok(())
}

/// Checks the types of payment methods, whose parameter depends on the version: cards only.
fn card_only(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<()> {
    let name = payment_method::types_param(ctx.settings.version);
    let types = params.strings(name)?.unwrap_or_default();
    payment_method::cards_only(name, &types)
}

/// `ui_mode` of later versions: only the hosted page.
fn hosted_only(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<()> {
    if ctx.has_meters() {
        let others = ["elements", "embedded_page", "form"];
        params.one_of_modelled("ui_mode", &["hosted_page"], &others)?;
    }
    Ok(())
}

/// `expires_at`: from half an hour to a day from now, by default a day.
fn expires_at(params: &Params<'_>, now: i64) -> Result<i64> {
    match params.timestamp("expires_at")? {
        None => Ok(now + DAY),
        Some(at) if (now + 1800..=now + DAY).contains(&at) => Ok(at),
        Some(_) => Err(Error::malformed(
            "expires_at",
            "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation.",
        )),
    }
}

/// Computes the amount due on payment; it is 0 if a trial begins.
pub(super) fn compute_due(account: &Account, purchase: &mut Purchase) {
    if purchase.trial_days.is_some() || purchase.trial_end.is_some() {
        return;
    }
    purchase.subtotal = catalog::in_advance(account, &purchase.specs);
    let off = purchase.coupon.as_ref();
    let off = off.map(|applied| catalog::reduction(&applied.coupon));
    let parts = off.map(|off| spread(off, &[(purchase.subtotal, true)]));
    purchase.discount = parts.into_iter().flatten().sum();
}

/// `discounts`: at most one, by coupon or promotion code.
fn discounts(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    customer: Option<&Customer>,
    specs: &[ItemSpec],
    now: i64,
) -> Result<Option<AppliedCoupon>> {
    let given = params.objects("discounts")?.unwrap_or_default();
    let [discount] = &*given else {
        return match given.len() {
            0 => Ok(None),
            _ => Err(
                Error::invalid("You can only apply one discount to a Checkout Session.")
                    .param("discounts"),
            ),
        };
    };
    if params.has("allow_promotion_codes") {
        return Err(Error::invalid(
            "You may only specify one of these parameters: allow_promotion_codes, discounts.",
        )
        .param("discounts"));
    }
    Ok(named_discount(ctx, discount, customer, specs, now)?.value())
}
