//! What a subscription's parameters say about paying it.

use super::collection;
use super::new_subscription::{self, NewSubscription};
use super::subscription::{MissingMethod, PaymentSettings};
use crate::sandbox::card::Charged;
use crate::sandbox::context::Ctx;
use crate::sandbox::error::{Error, Result};
use crate::sandbox::params::Params;
use crate::sandbox::payment_method;

/// Stripe's `payment_behavior`: what happens if what is due at once is not paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behavior {
    /// The subscription is made or changed all the same.
    Allow,
    /// Nobody tries to pay: the customer confirms the payment.
    Default,
    /// Nothing happens.
    Error,
}

const BEHAVIORS: [Behavior; 3] = [Behavior::Allow, Behavior::Default, Behavior::Error];

impl Behavior {
    fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow_incomplete",
            Self::Default => "default_incomplete",
            Self::Error => "error_if_incomplete",
        }
    }
}

/// `payment_behavior`, of those that are `modelled`.
pub(super) fn behavior(params: &Params<'_>, modelled: &[Behavior]) -> Result<Behavior> {
    let (known, mut others): (Vec<Behavior>, Vec<Behavior>) = BEHAVIORS
        .into_iter()
        .partition(|behavior| modelled.contains(behavior));
    let words = |behaviors: Vec<Behavior>| behaviors.into_iter().map(Behavior::as_str);
    let known: Vec<&str> = words(known).collect();
    let others: Vec<&str> = words(std::mem::take(&mut others))
        .chain(["pending_if_incomplete"])
        .collect();
    let given = params.one_of_modelled("payment_behavior", &known, &others)?;
    let given = BEHAVIORS
        .into_iter()
        .find(|behavior| Some(behavior.as_str()) == given);
    Ok(given.unwrap_or(Behavior::Allow))
}

/// `payment_settings`, over what they were.
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
        settings.cards_named = !types.is_empty();
    }
    let save = given.one_of("save_default_payment_method", &["off", "on_subscription"])?;
    if let Some(save) = save {
        settings.save_default = save == "on_subscription";
    }
    given.unmodelled(&["payment_method_options"])?;
    Ok(settings)
}

/// `trial_settings`, over what they were.
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

/// What is due at once needs something to pay with, and with `error_if_incomplete`, must be paid.
pub(super) fn check(
    ctx: &Ctx<'_>,
    new: &NewSubscription,
    behavior: Behavior,
    now: i64,
) -> Result<()> {
    if behavior == Behavior::Default
        || new_subscription::first_amount_due(ctx.account, new, now) == 0
    {
        return Ok(());
    }
    let own = new.default_payment_method.as_ref();
    let method = collection::payment_method(ctx.account, own, &new.customer);
    let method = method.ok_or_else(collection::nothing_to_pay_with)?;
    match method.charge(ctx.presence) {
        _ if behavior != Behavior::Error => Ok(()),
        Charged::Paid => Ok(()),
        Charged::Declined(decline) => Err(decline.error()),
        Charged::NeedsAuthentication => Err(needs_action()),
    }
}

fn needs_action() -> Error {
    Error::invalid("Payment for this subscription requires additional user action before it can be completed successfully. Payment can be completed using the PaymentIntent associated with `subscription.latest_invoice`. For more details see: https://stripe.com/docs/billing/subscriptions/overview#requires-action")
        .kind("card_error")
        .code("subscription_payment_intent_requires_action")
        .status(402)
}
