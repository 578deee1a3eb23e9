//! `/v1/subscription_schedules`

use serde_json::Value;

use super::{Schedule, Status, input, phase_input, view};
use crate::engine;
use crate::engine::cancellation::{self, Cancellation};
use crate::engine::next_due;
use crate::engine::phases::{self, PhaseChange};
use crate::error::{Error, Result};
use crate::params::Params;
use crate::params::filter::Created;
use crate::resource::customer;
use crate::resource::route::Route;
use crate::resource::subscription::{self, Prorate};
use crate::store::context::Ctx;
use crate::store::due_queue::Due;
use crate::store::ids::Id;
use crate::store::page::Page;

const URL: &str = "/v1/subscription_schedules";

const NAME: &str = "subscription schedule";

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::new(
            "POST",
            "/v1/subscription_schedules",
            "subscription_schedule",
            input::read_new,
            create,
        ),
        Route::new(
            "GET",
            "/v1/subscription_schedules",
            "list:subscription_schedule",
            read_list,
            list,
        ),
        Route::without_params(
            "GET",
            "/v1/subscription_schedules/:id",
            "subscription_schedule",
            retrieve,
        ),
        Route::new(
            "POST",
            "/v1/subscription_schedules/:id",
            "subscription_schedule",
            read_update,
            update,
        ),
        Route::new(
            "POST",
            "/v1/subscription_schedules/:id/release",
            "subscription_schedule",
            read_release,
            release,
        ),
        Route::new(
            "POST",
            "/v1/subscription_schedules/:id/cancel",
            "subscription_schedule",
            read_cancel,
            cancel,
        ),
    ]
}

/// `POST /v1/subscription_schedules`: with phases, or from an existing subscription. The schedule starts at once if its
/// start is due.
fn create(ctx: &mut Ctx<'_>, (mut schedule, now): (Schedule, i64)) -> Result<Value> {
    schedule.id = ctx.account.ids.next("sub_sched", 24);
    let id = schedule.id.clone();
    let subscription = schedule.subscription.clone();
    let (start, clock) = (schedule.phases[0].start, schedule.clock.clone());
    let position = ctx.account.insert_schedule(schedule);
    phases::record_event(ctx, position, "subscription_schedule.created", now);
    let subscription = subscription.and_then(|id| ctx.account.billing.subscriptions.position(&id));
    if let Some(subscription) = subscription {
        let was = subscription::view::subscription(
            ctx.account,
            ctx.account.subscription(subscription),
            ctx.now,
        );
        ctx.account.subscription_mut(subscription).schedule = Some(id);
        phases::follow_end(ctx.account, subscription, now);
        next_due::reindex(ctx.account, subscription);
        subscription::events::changed(ctx, subscription, &was, now);
    } else {
        let due = Due::Schedule(position);
        ctx.account
            .billing
            .due_queue
            .add(clock.as_ref(), start, due);
    }
    if start <= now && ctx.account.schedule(position).status == Status::NotStarted {
        phases::start(ctx, position, now);
        engine::run_until(ctx, clock.as_ref(), now);
    }
    Ok(view::schedule(ctx.account.schedule(position)))
}

/// `GET /v1/subscription_schedules/:id`
fn retrieve(ctx: &mut Ctx<'_>) -> Result<Value> {
    Ok(view::schedule(ctx.account.schedule(find(ctx)?)))
}

/// The filter of a list. The filters by an end time match only schedules that have ended in that way.
struct Filter {
    page: Page,
    customer: Option<Id>,
    created: Created,
    canceled: (bool, Created),
    completed: (bool, Created),
    released: (bool, Created),
    only_scheduled: bool,
}

fn read_list(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<Filter> {
    let ended = |key| Ok::<_, Error>((params.has(key), Created::read_from(params, key)?));
    Ok(Filter {
        page: Page::read(params)?,
        customer: customer::input::customer_param(ctx, params)?.map(|customer| customer.id.clone()),
        created: Created::read(params)?,
        canceled: ended("canceled_at")?,
        completed: ended("completed_at")?,
        released: ended("released_at")?,
        only_scheduled: params.boolean("scheduled")?.unwrap_or(false),
    })
}

impl Filter {
    fn accepts(&self, schedule: &Schedule) -> bool {
        let within = |(is_given, range): (bool, Created), at: Option<i64>| {
            !is_given || at.is_some_and(|at| range.accepts(at))
        };
        (self.customer.is_some() || schedule.clock.is_none())
            && self.created.accepts(schedule.created)
            && within(self.canceled, schedule.canceled_at)
            && within(self.completed, schedule.completed_at)
            && within(self.released, schedule.released_at)
            && (!self.only_scheduled || schedule.status == Status::NotStarted)
    }
}

/// `GET /v1/subscription_schedules`
fn list(ctx: &mut Ctx<'_>, filter: Filter) -> Result<Value> {
    let table = &ctx.account.billing.schedules;
    let keep = |schedule: &Schedule| filter.accepts(schedule);
    let rows = match &filter.customer {
        Some(id) => {
            let customer = customer::input::named(ctx, id, "customer")?;
            filter
                .page
                .of_positions(table, &customer.schedules, NAME, keep)?
        }
        None => filter.page.of_table(table, NAME, keep)?,
    };
    Ok(rows.to_json(URL, view::schedule))
}

/// A schedule after an update.
struct Changed {
    schedule: Schedule,
    /// The proration behavior, if the subscription changes.
    prorate: Option<Prorate>,
}

fn read_update(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<Changed> {
    let schedule = ctx.account.schedule(find(ctx)?);
    check_live(schedule, "update")?;
    let now = ctx.time_of(&schedule.customer);
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
    Ok(Changed {
        schedule: changed,
        prorate: touches.then_some(prorate),
    })
}

/// `POST /v1/subscription_schedules/:id`
fn update(ctx: &mut Ctx<'_>, changed: Changed) -> Result<Value> {
    let position = find(ctx)?;
    let schedule = ctx.account.schedule(position);
    let now = ctx.time_of(&schedule.customer);
    let before = view::schedule(schedule);
    let clock = changed.schedule.clock.clone();
    replace(ctx, position, changed.schedule, changed.prorate, now);
    let after = view::schedule(ctx.account.schedule(position));
    ctx.update_event("subscription_schedule.updated", &before, &after, now);
    engine::run_until(ctx, clock.as_ref(), now);
    Ok(view::schedule(ctx.account.schedule(position)))
}

/// Stores the changed schedule and updates the subscription to match.
fn replace(
    ctx: &mut Ctx<'_>,
    position: u32,
    changed: Schedule,
    prorate: Option<Prorate>,
    now: i64,
) {
    phases::unschedule_start(ctx.account, position);
    let old = ctx.account.schedule_mut(position);
    let previous_coupon = old.running().and_then(|phase| phase.coupon.clone());
    let (waits, clock) = (changed.status == Status::NotStarted, changed.clock.clone());
    let start = changed.phases[0].start;
    let subscription = changed.subscription.clone();
    *old = changed;
    if waits {
        let due = Due::Schedule(position);
        ctx.account
            .billing
            .due_queue
            .add(clock.as_ref(), start, due);
    }
    let subscription = subscription.and_then(|id| ctx.account.billing.subscriptions.position(&id));
    if let Some(subscription) = subscription {
        let was = subscription::view::subscription(
            ctx.account,
            ctx.account.subscription(subscription),
            ctx.now,
        );
        phases::follow_end(ctx.account, subscription, now);
        // A phase that ends now is skipped, because the next one begins at once.
        let goes_on = ctx.account.schedule(position).running();
        let goes_on = goes_on.is_some_and(|phase| now < phase.end);
        if let Some(prorate) = prorate.filter(|_| goes_on) {
            let cause = PhaseChange::Request(prorate);
            phases::apply_running_phase(
                ctx,
                subscription,
                position,
                previous_coupon.as_ref(),
                cause,
                now,
            );
        }
        next_due::reindex(ctx.account, subscription);
        subscription::events::changed(ctx, subscription, &was, now);
    }
}

fn read_release(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<()> {
    params.only_default("preserve_cancel_date", "false")?;
    check_live(ctx.account.schedule(find(ctx)?), "release")
}

/// `POST /v1/subscription_schedules/:id/release`
fn release(ctx: &mut Ctx<'_>, (): ()) -> Result<Value> {
    let position = find(ctx)?;
    let now = ctx.time_of(&ctx.account.schedule(position).customer);
    phases::release(ctx, position, now);
    Ok(view::schedule(ctx.account.schedule(position)))
}

fn read_cancel(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<Cancellation> {
    let options = Cancellation {
        invoice_now: params.boolean("invoice_now")?.unwrap_or(true),
        prorate: params.boolean("prorate")?.unwrap_or(true),
    };
    check_live(ctx.account.schedule(find(ctx)?), "cancel")?;
    Ok(options)
}

/// `POST /v1/subscription_schedules/:id/cancel`: also cancels its subscription.
fn cancel(ctx: &mut Ctx<'_>, options: Cancellation) -> Result<Value> {
    let position = find(ctx)?;
    let schedule = ctx.account.schedule(position);
    let now = ctx.time_of(&schedule.customer);
    let (id, subscription) = (schedule.id.clone(), schedule.subscription.clone());
    phases::cancel_schedule(ctx, &id, now);
    let subscription = subscription.and_then(|id| ctx.account.billing.subscriptions.position(&id));
    if let Some(subscription) = subscription {
        let before = subscription::view::subscription(
            ctx.account,
            ctx.account.subscription(subscription),
            ctx.now,
        );
        cancellation::cancel(ctx, subscription, options, now);
        subscription::events::changed(ctx, subscription, &before, now);
    }
    Ok(view::schedule(ctx.account.schedule(position)))
}

fn check_live(schedule: &Schedule, verb: &str) -> Result<()> {
    if schedule.status.is_live() {
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
    position.ok_or_else(|| Error::not_found(NAME, &id))
}
