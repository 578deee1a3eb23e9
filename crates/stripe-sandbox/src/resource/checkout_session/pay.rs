//! Payment of a session on the checkout page.

use super::input::compute_due;
use super::{CheckoutSession, Mode, NAME, Purchase, Status, view};
use crate::engine::new_subscription::{self, FirstPayment, NewSubscription};
use crate::engine::{catalog, customers, one_currency, payment_methods, setup};
use crate::error::{Error, Result};
use crate::money::period::DAY;
use crate::resource::customer::Customer;
use crate::resource::payment_method::card::{ChargeOutcome, Presence};
use crate::resource::payment_method::{self, MethodRef};
use crate::resource::promotion_code;
use crate::resource::subscription::shared_input::check_currency;
use crate::resource::subscription::{MissingMethod, PaymentSettings};
use crate::store::account::Account;
use crate::store::context::Ctx;
use crate::store::due_queue::Due;
use crate::store::ids::Id;

/// Pays an open session with a test card (`pm_card_…`), less the discount of a promotion code. It saves the card and
/// starts the subscription, if one is bought. Returns the URL to go to next.
///
/// # Errors
/// The message for the customer, if the payment is not possible. Nothing has changed then.
pub(crate) fn pay(ctx: &mut Ctx<'_>, id: &str, card: &str, code: Option<&str>) -> Result<String> {
    let sessions = &ctx.account.billing.sessions;
    let (Some(position), Some(session)) = (sessions.position(id), sessions.get(id)) else {
        return Err(Error::not_found(NAME, id));
    };
    let mut session = session.clone();
    if session.status != Status::Open {
        return Err(Error::invalid(format!(
            "This checkout is {} already.",
            session.status.as_str()
        )));
    }
    let customer = session.customer.clone();
    let customer = customer.and_then(|id| ctx.account.customers.get(&id));
    if let Some(code) = code {
        redeem(ctx, &mut session, customer, code)?;
    }
    if let (Mode::Subscription(purchase), Some(customer)) = (&session.mode, customer) {
        one_currency::check(ctx.account, customer, purchase.currency, None)?;
    }
    let method = payment_method::input::named(ctx, card, "card")?;
    let due = amount_charged(ctx, &session);
    let fails = due > 0 && customer.is_some_and(Customer::next_payment_fails);
    ctx.presence = Presence::Authenticated;
    let bank = method.card(ctx);
    let declined = match bank.charge(ctx.presence, false) {
        ChargeOutcome::Declined(_) if due > 0 => true,
        _ => bank.check_attachable().is_err(),
    };
    if declined || fails {
        let customer = session.customer.as_ref().filter(|_| fails);
        if let Some(customer) = customer.and_then(|id| ctx.account.customers.get_mut(id)) {
            customer.set_next_payment_fails(false);
        }
        return Err(Error::invalid(
            "Your card was declined. Choose another one.",
        ));
    }
    let mut done = session.clone();
    match session.mode {
        Mode::Setup { ref intent } => setup::succeed(ctx, intent, method),
        Mode::Subscription(purchase) => subscribe(ctx, &mut done, &purchase, method),
    }
    done.status = Status::Complete;
    done.details = done
        .customer
        .as_ref()
        .and_then(|id| details(ctx.account, id));
    ctx.account
        .billing
        .due_queue
        .remove(None, done.expires_at, Due::Session(position));
    let object = view::to_json(&done);
    let target = done.success_url.replace("{CHECKOUT_SESSION_ID}", &done.id);
    if let Some(row) = ctx.account.billing.sessions.at_mut(position) {
        *row = done;
    }
    ctx.event("checkout.session.completed", &object, ctx.now);
    Ok(target)
}

/// The amount that payment charges: that of the first invoice, which may be too small to be charged.
fn amount_charged(ctx: &Ctx<'_>, session: &CheckoutSession) -> i64 {
    let Mode::Subscription(purchase) = &session.mode else {
        return 0;
    };
    let customer = session.customer.clone().unwrap_or_default();
    let new = bought(ctx, session, purchase, customer);
    new_subscription::first_amount_due(ctx.account, &new, new.start_date)
}

/// Starts the subscription, for a new customer if the session has none.
fn subscribe(
    ctx: &mut Ctx<'_>,
    session: &mut CheckoutSession,
    purchase: &Purchase,
    method: MethodRef,
) {
    let customer_id = match &session.customer {
        Some(id) => id.clone(),
        None => customers::insert_for_checkout(ctx, session.customer_email.clone()),
    };
    session.customer = Some(customer_id.clone());
    if session.automatic_tax {
        customers::fill_in_address(ctx, &customer_id);
    }
    let method = payment_methods::attach_to(ctx, method, &customer_id);
    let new = NewSubscription {
        default_payment_method: Some(method),
        ..bought(ctx, session, purchase, customer_id)
    };
    let subscription = new_subscription::create(ctx, &new, new.start_date);
    let created = ctx.account.billing.subscriptions.get(&subscription);
    session.invoice = created.and_then(|created| created.latest_invoice.clone());
    session.subscription = Some(subscription);
}

/// The subscription that a customer buys, without its payment method.
fn bought(
    ctx: &Ctx<'_>,
    session: &CheckoutSession,
    purchase: &Purchase,
    customer: Id,
) -> NewSubscription {
    let now = ctx.time_of(&customer);
    let row = ctx.account.customers.get(&customer);
    let from_days = purchase.trial_days.map(|days| now + days * DAY);
    NewSubscription {
        clock: row.and_then(|row| row.test_clock.clone()),
        customer,
        currency: purchase.currency,
        billing_mode: purchase.billing_mode,
        prorates: true,
        specs: purchase.specs.clone(),
        added: Vec::new(),
        start_date: now,
        anchor: None,
        trial_end: from_days.or(purchase.trial_end),
        metadata: purchase.metadata.clone(),
        description: purchase.description.clone(),
        default_payment_method: None,
        coupon: purchase.coupon.clone(),
        automatic_tax: session.automatic_tax,
        schedule: None,
        cancel_at: None,
        cancel_at_period_end: false,
        first_payment: FirstPayment::Owed,
        payment_settings: PaymentSettings::default(),
        missing_method: MissingMethod::default(),
    }
}

fn details(account: &Account, customer: &str) -> Option<[Option<String>; 3]> {
    let customer = account.customers.get(customer)?;
    let text = |field: &Option<Box<str>>| field.as_deref().map(str::to_owned);
    Some([
        text(&customer.email),
        text(&customer.name),
        text(&customer.phone),
    ])
}

/// Applies the promotion code that the customer entered, if the session allows one.
fn redeem(
    ctx: &Ctx<'_>,
    session: &mut CheckoutSession,
    customer: Option<&Customer>,
    code: &str,
) -> Result<()> {
    let takes = session.promotion_codes == Some(true);
    let Mode::Subscription(purchase) = &mut session.mode else {
        return Err(no_codes());
    };
    if !takes {
        return Err(no_codes());
    }
    let redemption = promotion_code::input::Redemption {
        customer,
        amount: Some((
            catalog::in_advance(ctx.account, &purchase.specs),
            purchase.currency,
        )),
        now: customer.map_or(ctx.now, |customer| ctx.time_of(&customer.id)),
    };
    let applied = promotion_code::input::entered(ctx, code, redemption)?;
    check_currency(&applied.coupon, purchase.currency, "promotion_code")?;
    purchase.coupon = Some(applied);
    compute_due(ctx.account, purchase);
    Ok(())
}

fn no_codes() -> Error {
    Error::invalid("This checkout does not accept promotion codes.").param("promotion_code")
}
