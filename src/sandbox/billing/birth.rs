//! How a subscription begins, whoever makes it: the API, a schedule, or a checkout.

use std::sync::Arc;

use super::change::{self, Turn, held_mut};
use super::invoice::Reason;
use super::schedule::Want;
use super::subscription::{Status, Subscription};
use super::{catalog, phases, render};
use crate::sandbox::context::Ctx;
use crate::sandbox::coupon::Coupon;
use crate::sandbox::ids::Id;
use crate::sandbox::metadata::Metadata;
use crate::sandbox::price::Currency;

/// What a new subscription is made of; everything in it has been checked.
#[derive(Clone, Debug)]
pub(crate) struct Seed {
    pub(crate) customer: Id,
    pub(crate) clock: Option<Id>,
    pub(crate) currency: Currency,
    pub(crate) wants: Vec<Want>,
    /// In the past, periods are counted from then, and the first one is the one that runs.
    pub(crate) start_date: i64,
    pub(crate) trial_end: Option<i64>,
    pub(crate) metadata: Metadata,
    pub(crate) description: Option<String>,
    pub(crate) default_payment_method: Option<Id>,
    pub(crate) coupon: Option<Arc<Coupon>>,
    pub(crate) automatic_tax: bool,
    pub(crate) schedule: Option<Id>,
    pub(crate) cancel_at: Option<i64>,
    pub(crate) cancel_at_period_end: bool,
    /// Whether a declined first payment leaves it `incomplete`, not `past_due`.
    pub(crate) incomplete: bool,
}

/// Makes the subscription and its first invoice, and returns its id.
pub(crate) fn create(ctx: &mut Ctx<'_>, seed: Seed, at: i64) -> Id {
    let id = ctx.account.ids.next("sub", 24);
    let trial_end = seed.trial_end.filter(|end| *end > at);
    let every = catalog::every(ctx.account, &seed.wants);
    let (coupon, wants, incomplete) = (seed.coupon.clone(), seed.wants.clone(), seed.incomplete);
    let subscription = unborn(id.clone(), seed, every, at);
    let position = ctx.account.insert_subscription(subscription);
    if coupon.is_some() {
        phases::discount(ctx, position, coupon, at);
    }
    change::replace_items(ctx, position, &wants, &vec![None; wants.len()], at);
    let turn = trial_end.map_or(Turn::Renew, Turn::Trial);
    change::roll(ctx, position, at, turn, Reason::Create);
    let subscription = held_mut(ctx.account, position);
    if incomplete && subscription.status == Status::PastDue {
        subscription.status = Status::Incomplete;
    }
    super::timeline::reindex(ctx.account, position);
    let object = render::subscription(ctx.account, change::held(ctx.account, position));
    ctx.event("customer.subscription.created", &object, at);
    id
}

/// The subscription before its first period, which an empty one stands for.
fn unborn(
    id: Id,
    seed: Seed,
    every: crate::sandbox::cycle::period::Every,
    at: i64,
) -> Subscription {
    Subscription {
        id,
        customer: seed.customer,
        clock: seed.clock,
        created: at,
        start_date: seed.start_date,
        status: Status::Active,
        currency: seed.currency,
        every,
        anchor: seed.start_date,
        period: (at, at),
        items: Vec::new(),
        trial: None,
        cancel_at: seed.cancel_at,
        cancel_at_period_end: seed.cancel_at_period_end,
        canceled_at: (seed.cancel_at_period_end || seed.cancel_at.is_some()).then_some(at),
        ended_at: None,
        cancellation_reason: None,
        schedule: seed.schedule,
        default_payment_method: seed.default_payment_method,
        description: seed.description,
        metadata: seed.metadata,
        discount: None,
        automatic_tax: seed.automatic_tax,
        latest_invoice: None,
        pending: Vec::new(),
        due: None,
    }
}
