//! `/v1/checkout/sessions`. The page that a session's `url` leads to is in [`checkout_page`](crate::pages).

use serde_json::{Value, json};

use super::{Mode, Purchase, Session, Status, discount, input};
use crate::engine::new_subscription::{self, FirstPayment, NewSubscription};
use crate::engine::timeline::Due;
use crate::engine::{catalog, one_currency};
use crate::error::{Error, Result};
use crate::money::lines::Priced;
use crate::money::period::DAY;
use crate::params::Params;
use crate::resource::checkout_session;
use crate::resource::payment_method::card::{Charged, Presence};
use crate::resource::payment_method::{self, Named};
use crate::resource::subscription::{self, MissingMethod, PaymentSettings};
use crate::resource::{customer, setup_intent};
use crate::store::context::Ctx;
use crate::store::ids::Id;
use crate::store::page::Page;
use crate::store::state::Account;
use crate::store::table::Row;

const URL: &str = "/v1/checkout/sessions";
const WHAT: &str = "checkout session";

/// `POST /v1/checkout/sessions`
pub(crate) fn create(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let (mut session, intent) = input::read(ctx, params)?;
    params.finish()?;
    session.id = ctx.account.ids.next("cs_test", 58);
    session.url = format!("{}/c/pay/{}", ctx.origin.public_url, session.id);
    if let Some(metadata) = intent {
        let now = session
            .customer
            .as_ref()
            .map_or(ctx.now, |customer| ctx.time_of(customer));
        let intent = setup_intent::insert(ctx, session.customer.clone(), metadata, now);
        session.mode = Mode::Setup { intent };
    }
    let expires_at = session.expires_at;
    let answer = checkout_session::to_json(&session);
    let billing = &mut ctx.account.billing;
    let position = billing.sessions.insert(session);
    billing
        .timelines
        .add(None, expires_at, Due::Session(position));
    Ok(answer)
}

/// `GET /v1/checkout/sessions/:id`
pub(crate) fn retrieve(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    params.finish()?;
    Ok(checkout_session::to_json(find(ctx)?))
}

/// `GET /v1/checkout/sessions`
pub(crate) fn list(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let page = Page::read(params)?;
    let customer = params.string("customer")?;
    let subscription = params.string("subscription")?;
    params.unmodelled(&["customer_details", "payment_intent", "payment_link"])?;
    params.finish()?;
    let cut = page.of_table(&ctx.account.billing.sessions, WHAT, |session| {
        customer.is_none_or(|id| session.customer.as_deref() == Some(id))
            && subscription.is_none_or(|id| session.subscription.as_deref() == Some(id))
    })?;
    Ok(cut.to_json(URL, checkout_session::to_json))
}

/// One thing in the basket.
pub(crate) struct LineItem {
    id: Id,
    pub(crate) priced: Priced,
    pub(crate) quantity: Option<i64>,
    price: Id,
}

impl Row for LineItem {
    fn id(&self) -> &Id {
        &self.id
    }
}

/// What is in the basket.
pub(crate) fn basket(account: &Account, session: &Session) -> Vec<LineItem> {
    let Mode::Subscription(purchase) = &session.mode else {
        return Vec::new();
    };
    let name = session.id.trim_start_matches("cs_test_");
    let item =
        |(index, spec): (usize, &crate::resource::subscription_schedule::ItemSpec)| LineItem {
            id: format!("li_{}{index:02}", &name[..name.len().min(22)]).into(),
            priced: catalog::priced(account, &spec.price),
            quantity: spec.quantity,
            price: spec.price.clone(),
        };
    purchase.specs.iter().enumerate().map(item).collect()
}

/// `GET /v1/checkout/sessions/:id/line_items`
pub(crate) fn line_items(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let page = Page::read(params)?;
    params.finish()?;
    let session = find(ctx)?;
    let items = basket(ctx.account, session);
    let rows: Vec<&LineItem> = items.iter().collect();
    let url = format!("{URL}/{}/line_items", session.id);
    let trial = in_trial(session);
    Ok(page
        .of_rows(&rows, "line item")?
        .to_json(&url, |item| line_item(ctx.account, item, trial)))
}

/// What a session shows when `line_items` is expanded.
pub(crate) fn first_line_items(account: &Account, session: &Session) -> Value {
    let items = basket(account, session);
    let url = format!("{URL}/{}/line_items", session.id);
    let trial = in_trial(session);
    subscription::view::nested(
        &url,
        items.len(),
        items.iter().map(|item| line_item(account, item, trial)),
    )
}

/// Whether nothing is charged on paying because a trial begins.
pub(crate) fn in_trial(session: &Session) -> bool {
    match &session.mode {
        Mode::Subscription(purchase) => {
            purchase.trial_days.is_some() || purchase.trial_end.is_some()
        }
        Mode::Setup { .. } => false,
    }
}

fn line_item(account: &Account, item: &LineItem, trial: bool) -> Value {
    let amount = match item.quantity {
        Some(quantity) if !trial => item.priced.scheme.amount(quantity),
        _ => 0,
    };
    let price = catalog::price(account, &item.price);
    json!({
        "id": &*item.id,
        "object": "item",
        "amount_discount": 0,
        "amount_subtotal": amount,
        "amount_tax": 0,
        "amount_total": amount,
        "currency": price.currency.as_str(),
        "description": item.priced.name,
        "price": price.to_json(),
        "quantity": item.quantity,
    })
}

/// `POST /v1/checkout/sessions/:id/expire`
pub(crate) fn expire(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    params.finish()?;
    let session = find(ctx)?;
    if session.status != Status::Open {
        return Err(Error::invalid(format!(
            "Only Checkout Sessions with a status in [\"open\"] can be expired. This Checkout Session has a status of {}.",
            session.status.as_str()
        )));
    }
    let position = ctx.account.billing.sessions.position(&ctx.arg(0));
    let position = position.expect("found above");
    checkout_session::expire(ctx, position, ctx.now);
    Ok(checkout_session::to_json(find(ctx)?))
}

fn find<'a>(ctx: &'a Ctx<'_>) -> Result<&'a Session> {
    let id = ctx.arg(0);
    let session = ctx.account.billing.sessions.get(&id);
    session.ok_or_else(|| Error::not_found(WHAT, &id))
}

/// Pays an open session with a test card (`pm_card_…`), less what a promotion code takes off: the card is kept, and the
/// subscription, if one is bought, starts. Returns where the person goes next.
///
/// # Errors
/// What to tell the person, if it cannot be: nothing has changed then.
pub(crate) fn pay(ctx: &mut Ctx<'_>, id: &str, card: &str, code: Option<&str>) -> Result<String> {
    let sessions = &ctx.account.billing.sessions;
    let (Some(position), Some(session)) = (sessions.position(id), sessions.get(id)) else {
        return Err(Error::not_found(WHAT, id));
    };
    let mut session = session.clone();
    if session.status != Status::Open {
        return Err(Error::invalid(format!(
            "This checkout is {} already.",
            session.status.as_str()
        )));
    }
    let holder = session.customer.clone();
    let holder = holder.and_then(|id| ctx.account.customers.get(&id));
    if let Some(code) = code {
        discount::redeem(ctx, &mut session, holder, code)?;
    }
    if let (Mode::Subscription(purchase), Some(holder)) = (&session.mode, holder) {
        one_currency::check(ctx.account, holder, purchase.currency, None)?;
    }
    let method = payment_method::named(ctx, card, "card")?;
    let due = match &session.mode {
        Mode::Subscription(purchase) => purchase.due(),
        Mode::Setup { .. } => 0,
    };
    ctx.presence = Presence::Authenticated;
    let bank = method.card(ctx);
    let declined = match bank.charge(ctx.presence, false) {
        Charged::Declined(_) if due > 0 => true,
        _ => bank.check_attachable().is_err(),
    };
    if declined {
        return Err(Error::invalid(
            "Your card was declined. Choose another one.",
        ));
    }
    let mut done = session.clone();
    match session.mode {
        Mode::Setup { ref intent } => setup_intent::succeed(ctx, intent, method),
        Mode::Subscription(purchase) => subscribe(ctx, &mut done, *purchase, method),
    }
    done.status = Status::Complete;
    done.details = done
        .customer
        .as_ref()
        .and_then(|id| details(ctx.account, id));
    ctx.account
        .billing
        .timelines
        .remove(None, done.expires_at, Due::Session(position));
    let object = checkout_session::to_json(&done);
    let target = done.success_url.replace("{CHECKOUT_SESSION_ID}", &done.id);
    if let Some(row) = ctx.account.billing.sessions.at_mut(position) {
        *row = done;
    }
    ctx.event("checkout.session.completed", &object, ctx.now);
    Ok(target)
}

/// Starts the subscription, for a new customer if the session has none.
fn subscribe(ctx: &mut Ctx<'_>, session: &mut Session, purchase: Purchase, method: Named) {
    let holder = match &session.customer {
        Some(id) => id.clone(),
        None => customer::insert_for_checkout(ctx, session.customer_email.clone()),
    };
    session.customer = Some(holder.clone());
    if session.automatic_tax {
        customer::tax_location::fill_in(ctx, &holder);
    }
    let now = ctx.time_of(&holder);
    let method = payment_method::attach_to(ctx, method, &holder);
    let clock = ctx
        .account
        .customers
        .get(&holder)
        .and_then(|customer| customer.test_clock.clone());
    let from_days = purchase.trial_days.map(|days| now + days * DAY);
    let new = NewSubscription {
        customer: holder,
        clock,
        currency: purchase.currency,
        specs: purchase.specs,
        added: Vec::new(),
        start_date: now,
        anchor: None,
        trial_end: from_days.or(purchase.trial_end),
        metadata: purchase.metadata,
        description: purchase.description,
        default_payment_method: Some(method),
        coupon: purchase.coupon,
        automatic_tax: session.automatic_tax,
        schedule: None,
        cancel_at: None,
        cancel_at_period_end: false,
        first_payment: FirstPayment::Owed,
        payment_settings: PaymentSettings::default(),
        missing_method: MissingMethod::default(),
    };
    let subscription = new_subscription::create(ctx, new, now);
    let made = ctx.account.billing.subscriptions.get(&subscription);
    session.invoice = made.and_then(|made| made.latest_invoice.clone());
    session.subscription = Some(subscription);
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
