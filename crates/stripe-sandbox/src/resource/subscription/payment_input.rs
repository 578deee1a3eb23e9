//! Reading the payment parameters of subscriptions.

use super::{MissingMethod, PaymentSettings};
use crate::engine::new_subscription::{self, NewSubscription};
use crate::engine::subscription_update::{self, PaymentBehavior, Update};
use crate::engine::{catalog, collection, copy, payment_methods};
use crate::error::{Error, Result};
use crate::money::charge_amount;
use crate::params::Params;
use crate::resource::invoice::Status;
use crate::resource::payment_method;
use crate::resource::payment_method::card::{ChargeOutcome, Presence};
use crate::resource::subscription_item::ItemSpec;
use crate::store::context::Ctx;

/// `payment_behavior`
pub(super) fn behavior(params: &Params<'_>) -> Result<PaymentBehavior> {
    let modelled = PaymentBehavior::ALL.map(PaymentBehavior::as_str);
    let given =
        params.one_of_modelled("payment_behavior", &modelled, &["pending_if_incomplete"])?;
    let mut all = PaymentBehavior::ALL.into_iter();
    let given = given.and_then(|word| all.find(|behavior| behavior.as_str() == word));
    Ok(given.unwrap_or(PaymentBehavior::Allow))
}

/// `payment_settings`, applied to the current ones.
pub(super) fn payment_settings(
    params: &Params<'_>,
    before: PaymentSettings,
) -> Result<PaymentSettings> {
    let mut settings = before;
    let Some(given) = params.object("payment_settings")? else {
        return Ok(settings);
    };
    if let Some(types) = given.strings("payment_method_types")? {
        payment_method::cards_only(&given.name("payment_method_types"), &types)?;
        settings.has_card_types = !types.is_empty();
    }
    let save = given.one_of("save_default_payment_method", &["off", "on_subscription"])?;
    if let Some(save) = save {
        settings.save_default = save == "on_subscription";
    }
    given.unmodelled(&["payment_method_options"])?;
    Ok(settings)
}

/// `trial_settings`, applied to the current ones.
pub(super) fn trial_settings(params: &Params<'_>, before: MissingMethod) -> Result<MissingMethod> {
    let Some(settings) = params.object("trial_settings")? else {
        return Ok(before);
    };
    let behavior = settings
        .object("end_behavior")?
        .ok_or_else(|| settings.missing("end_behavior"))?;
    let missing = behavior.variant(
        "missing_payment_method",
        &MissingMethod::ALL,
        MissingMethod::as_str,
    )?;
    missing.ok_or_else(|| behavior.missing("missing_payment_method"))
}

/// Checks that there is a payment method for an amount due at once, and with `error_if_incomplete`, that its charge
/// succeeds.
pub(super) fn check(
    ctx: &Ctx<'_>,
    new: &NewSubscription,
    behavior: PaymentBehavior,
    presence: Presence,
    now: i64,
) -> Result<()> {
    let due = new_subscription::first_amount_due(ctx.account, new, now);
    charge_amount::check_largest(due, new.currency)?;
    if behavior == PaymentBehavior::Default || due == 0 {
        return Ok(());
    }
    let preferred = new.default_payment_method.as_ref();
    let method = collection::payment_method(ctx.account, preferred, &new.customer);
    let charged = method.map(|method| payment_methods::outcome(ctx.account, method, presence));
    match charged {
        Some(_) if behavior != PaymentBehavior::Error => Ok(()),
        charged => must_be_paid(charged),
    }
}

/// The error for a failed charge, or for a missing payment method.
fn must_be_paid(charged: Option<ChargeOutcome>) -> Result<()> {
    match charged {
        Some(ChargeOutcome::Paid) => Ok(()),
        Some(ChargeOutcome::Declined(decline)) => Err(decline.error()),
        Some(ChargeOutcome::NeedsAuthentication) => Err(needs_action()),
        None => Err(collection::no_payment_method()),
    }
}

/// Refuses a change whose immediate invoice is too large to be charged, or with `error_if_incomplete`, would not be
/// paid. The change is tried out on a copy.
pub(crate) fn check_change(
    ctx: &mut Ctx<'_>,
    position: u32,
    update: &Update,
    now: i64,
) -> Result<()> {
    let subscription = ctx.account.subscription(position);
    let currency = subscription.currency;
    let large = |specs: &Vec<ItemSpec>| {
        charge_amount::too_large(catalog::in_advance(ctx.account, specs), currency)
    };
    let must_be_paid_now = update.behavior == PaymentBehavior::Error;
    if !must_be_paid_now && !update.specs.as_ref().is_some_and(large) {
        return Ok(());
    }
    let (id, customer) = (subscription.id.clone(), subscription.customer.clone());
    copy::on_copy(ctx, &customer, |ctx| {
        let position = ctx.account.billing.subscriptions.position(&id);
        let position = position.expect("the copy has the customer's subscriptions");
        subscription_update::apply_update(ctx, position, update.without_redemption(), now);
        let mut invoices = ctx.account.billing.invoices.iter();
        let Some(open) = invoices.find(|invoice| invoice.status == Status::Open) else {
            return Ok(());
        };
        charge_amount::check_largest(open.amount_due, currency)?;
        if !must_be_paid_now {
            return Ok(());
        }
        let preferred = ctx
            .account
            .subscription(position)
            .default_payment_method
            .as_ref();
        let method = collection::payment_method(ctx.account, preferred, &customer);
        let outcome = |method| payment_methods::outcome(ctx.account, method, ctx.presence);
        must_be_paid(method.map(outcome))
    })
}

fn needs_action() -> Error {
    Error::invalid("Payment for this subscription requires additional user action before it can be completed successfully. Payment can be completed using the PaymentIntent associated with `subscription.latest_invoice`. For more details see: https://stripe.com/docs/billing/subscriptions/overview#requires-action")
        .kind("card_error")
        .code("subscription_payment_intent_requires_action")
        .status(402)
}
