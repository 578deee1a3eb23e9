//! `/v1/subscription_schedules`

use serde_json::Value;

use super::{Schedule, Status, input, phase_input, view};
use crate::engine;
use crate::engine::change::{self, Cancellation};
use crate::engine::phases::{self, Cause};
use crate::engine::timeline;
use crate::error::{Error, Result};
use crate::params::Params;
use crate::params::filter::Created;
use crate::resource::customer;
use crate::resource::route::{Route, route};
use crate::resource::subscription::{self, Prorate};
use crate::store::context::Ctx;
use crate::store::page::Page;
use crate::store::timelines::Due;

const URL: &str = "/v1/subscription_schedules";

const WHAT: &str = "subscription schedule";

pub(crate) const ROUTES: &[Route] = &[
    route(
        "POST",
        "/v1/subscription_schedules",
        create,
        "subscription_schedule",
    ),
    route(
        "GET",
        "/v1/subscription_schedules",
        list,
        "list:subscription_schedule",
    ),
    route(
        "GET",
        "/v1/subscription_schedules/:id",
        retrieve,
        "subscription_schedule",
    ),
    route(
        "POST",
        "/v1/subscription_schedules/:id",
        update,
        "subscription_schedule",
    ),
    route(
        "POST",
        "/v1/subscription_schedules/:id/release",
        release,
        "subscription_schedule",
    ),
    route(
        "POST",
        "/v1/subscription_schedules/:id/cancel",
        cancel,
        "subscription_schedule",
    ),
];

/// `POST /v1/subscription_schedules`: with phases of its own, or over a subscription that is there.
pub(crate) fn create(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let (schedule, now) = input::read_new(ctx, params)?;
    params.finish()?;
    Ok(begin(ctx, schedule, now))
}

/// Stores a schedule, and starts it if its time has come.
fn begin(ctx: &mut Ctx<'_>, mut schedule: Schedule, now: i64) -> Value {
    schedule.id = ctx.account.ids.next("sub_sched", 24);
    let id = schedule.id.clone();
    let subscription = schedule.subscription.clone();
    let (start, clock) = (schedule.phases[0].start, schedule.clock.clone());
    let position = ctx.account.insert_schedule(schedule);
    phases::tell(ctx, position, "subscription_schedule.created", now);
    let subscription = subscription.and_then(|id| ctx.account.billing.subscriptions.position(&id));
    if let Some(subscription) = subscription {
        let was =
            subscription::view::subscription(ctx.account, ctx.account.subscription(subscription));
        ctx.account.subscription_mut(subscription).schedule = Some(id);
        phases::follow_end(ctx.account, subscription, now);
        timeline::reindex(ctx.account, subscription);
        subscription::events::changed(ctx, subscription, &was, now);
    } else {
        let due = Due::Schedule(position);
        ctx.account
            .billing
            .timelines
            .add(clock.as_ref(), start, due);
    }
    if start <= now && ctx.account.schedule(position).status == Status::NotStarted {
        phases::start(ctx, position, now);
        engine::run_until(ctx, clock.as_ref(), now);
    }
    view::schedule(ctx.account.schedule(position))
}

/// `GET /v1/subscription_schedules/:id`
pub(crate) fn retrieve(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    params.finish()?;
    Ok(view::schedule(ctx.account.schedule(find(ctx)?)))
}

/// `GET /v1/subscription_schedules`
pub(crate) fn list(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let page = Page::read(params)?;
    let holder = match params.string("customer")? {
        Some(id) => Some(customer::input::named(ctx, id, "customer")?),
        None => None,
    };
    let created = Created::read(params)?;
    let ends = ["canceled_at", "completed_at", "released_at"];
    let [canceled, completed, released] =
        ends.map(|key| (params.has(key), Created::read_from(params, key)));
    let (canceled, completed, released) = (
        (canceled.0, canceled.1?),
        (completed.0, completed.1?),
        (released.0, released.1?),
    );
    let waiting = params.boolean("scheduled")?.unwrap_or(false);
    params.finish()?;
    let within = |(asked, range): (bool, Created), at: Option<i64>| {
        !asked || at.is_some_and(|at| range.accepts(at))
    };
    let keep = |schedule: &Schedule| {
        (holder.is_some() || schedule.clock.is_none())
            && created.accepts(schedule.created)
            && within(canceled, schedule.canceled_at)
            && within(completed, schedule.completed_at)
            && within(released, schedule.released_at)
            && (!waiting || schedule.status == Status::NotStarted)
    };
    let table = &ctx.account.billing.schedules;
    let cut = match holder {
        Some(holder) => page.of_positions(table, &holder.schedules, WHAT, keep)?,
        None => page.of_table(table, WHAT, keep)?,
    };
    Ok(cut.to_json(URL, view::schedule))
}

/// `POST /v1/subscription_schedules/:id`
pub(crate) fn update(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let position = find(ctx)?;
    let schedule = ctx.account.schedule(position);
    live(schedule, "update")?;
    let now = ctx.time_of(&schedule.customer);
    let before = view::schedule(schedule);
    let mut changed = schedule.clone();
    let phases = input::new_phases(ctx, params, schedule, now)?;
    let touches = phases.is_some() || params.has("default_settings");
    if let Some((phases, current)) = phases {
        changed.phases = phases;
        changed.current = current;
    }
    if let Some(behavior) = input::end_behavior(params)? {
        changed.end_behavior = behavior;
    }
    changed.defaults = phase_input::defaults(ctx, params, &schedule.customer, &schedule.defaults)?;
    changed.metadata = params.metadata()?.apply(&schedule.metadata)?;
    let prorate = subscription::shared_input::prorate(params)?.unwrap_or(Prorate::Create);
    params.finish()?;
    let clock = changed.clock.clone();
    replace(ctx, position, changed, touches.then_some(prorate), now);
    let after = view::schedule(ctx.account.schedule(position));
    ctx.update_event("subscription_schedule.updated", &before, &after, now);
    engine::run_until(ctx, clock.as_ref(), now);
    Ok(view::schedule(ctx.account.schedule(position)))
}

/// Puts the changed schedule in place of the old one, and makes the subscription what it says now.
fn replace(
    ctx: &mut Ctx<'_>,
    position: u32,
    changed: Schedule,
    prorate: Option<Prorate>,
    now: i64,
) {
    phases::forget_start(ctx.account, position);
    let old = ctx.account.schedule_mut(position);
    let over = old.running().and_then(|phase| phase.coupon.clone());
    let (waits, clock) = (changed.status == Status::NotStarted, changed.clock.clone());
    let start = changed.phases[0].start;
    let subscription = changed.subscription.clone();
    *old = changed;
    if waits {
        let due = Due::Schedule(position);
        ctx.account
            .billing
            .timelines
            .add(clock.as_ref(), start, due);
    }
    let subscription = subscription.and_then(|id| ctx.account.billing.subscriptions.position(&id));
    if let Some(subscription) = subscription {
        let was =
            subscription::view::subscription(ctx.account, ctx.account.subscription(subscription));
        phases::follow_end(ctx.account, subscription, now);
        // A phase that ends now is not made the subscription's for no time: the next one begins instead.
        let goes_on = ctx.account.schedule(position).running();
        let goes_on = goes_on.is_some_and(|phase| now < phase.end);
        if let Some(prorate) = prorate.filter(|_| goes_on) {
            let cause = Cause::Request(prorate);
            phases::enter(ctx, subscription, position, over.as_ref(), cause, now);
        }
        timeline::reindex(ctx.account, subscription);
        subscription::events::changed(ctx, subscription, &was, now);
    }
}

/// `POST /v1/subscription_schedules/:id/release`
pub(crate) fn release(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    params.only("preserve_cancel_date", "false")?;
    let position = find(ctx)?;
    let schedule = ctx.account.schedule(position);
    live(schedule, "release")?;
    let now = ctx.time_of(&schedule.customer);
    params.finish()?;
    phases::release(ctx, position, now);
    Ok(view::schedule(ctx.account.schedule(position)))
}

/// `POST /v1/subscription_schedules/:id/cancel`: its subscription ends with it.
pub(crate) fn cancel(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let how = Cancellation {
        invoice_now: params.boolean("invoice_now")?.unwrap_or(true),
        prorate: params.boolean("prorate")?.unwrap_or(true),
    };
    let position = find(ctx)?;
    let schedule = ctx.account.schedule(position);
    live(schedule, "cancel")?;
    let now = ctx.time_of(&schedule.customer);
    let (id, subscription) = (schedule.id.clone(), schedule.subscription.clone());
    params.finish()?;
    phases::call_off(ctx, &id, now);
    let subscription = subscription.and_then(|id| ctx.account.billing.subscriptions.position(&id));
    if let Some(subscription) = subscription {
        let before =
            subscription::view::subscription(ctx.account, ctx.account.subscription(subscription));
        change::cancel(ctx, subscription, how, now);
        subscription::events::changed(ctx, subscription, &before, now);
    }
    Ok(view::schedule(ctx.account.schedule(position)))
}

fn live(schedule: &Schedule, verb: &str) -> Result<()> {
    if schedule.status.live() {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "You cannot {verb} a subscription schedule that is currently in the `{}` status. It must be in one of the following statuses: `not_started`, `active`.",
        schedule.status.as_str()
    )))
}

fn find(ctx: &Ctx<'_>) -> Result<u32> {
    let id = ctx.arg(0);
    let position = ctx.account.billing.schedules.position(&id);
    position.ok_or_else(|| Error::not_found(WHAT, &id))
}
