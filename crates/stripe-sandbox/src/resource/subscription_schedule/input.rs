//! Reading new schedules and the phases of an update.

use super::phase_input::{self, PhaseContext};
use super::{Defaults, EndBehavior, Phase, Schedule, Status};
use crate::engine::one_currency;
use crate::error::{Error, Result};
use crate::params::Params;
use crate::params::metadata::Metadata;
use crate::resource::customer::{self, Customer};
use crate::resource::subscription::shared_input::billing_mode;
use crate::resource::subscription::{self, BillingMode, Prorate, Subscription};
use crate::store::context::Ctx;
use crate::store::ids::Id;

/// Reads a new schedule, with phases or from an existing subscription. Also returns the customer's time.
pub(super) fn read_new(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<(Schedule, i64)> {
    match params.string("from_subscription")? {
        Some(subscription) => from_subscription(ctx, params, subscription),
        None => with_phases(ctx, params),
    }
}

fn with_phases(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<(Schedule, i64)> {
    let customer = customer::input::named(ctx, params.required("customer")?, "customer")?;
    let now = ctx.time_of(&customer.id);
    let start = params.timestamp_or_now("start_date", now)?.unwrap_or(now);
    check_start(start, now, "start_date")?;
    let billing_mode = billing_mode(ctx, params)?;
    let phase_context = PhaseContext {
        customer: &customer.id,
        billing_mode,
        now,
        start: Some(start),
        running: None,
        allows_start_dates: false,
        anchor: None,
        currency: None,
        current_prices: &[],
        coupon: None,
    };
    let phases =
        phase_input::read(ctx, params, phase_context)?.ok_or_else(|| params.missing("phases"))?;
    one_currency::check(ctx.account, customer, phases[0].currency, None)?;
    crate::resource::subscription::input::check_room(ctx.account, customer)?;
    let schedule = Schedule {
        end_behavior: end_behavior(params)?.unwrap_or(EndBehavior::Release),
        billing_mode,
        defaults: phase_input::defaults(ctx, params, &customer.id, &Defaults::default())?,
        metadata: params.metadata()?.apply(&Metadata::default())?,
        ..blank(customer, phases, now)
    };
    Ok((schedule, now))
}

/// Refuses a start in the past. Stripe bills the time since the start; the sandbox does not model that.
fn check_start(start: i64, now: i64, param: &str) -> Result<()> {
    if start < now {
        return Err(Error::malformed(
            param,
            format!(
                "The sandbox does not model schedules that start in the past: `{param}` must be `now` or later, or use Stripe's test mode for it."
            ),
        ));
    }
    Ok(())
}

fn blank(customer: &Customer, phases: Vec<Phase>, now: i64) -> Schedule {
    Schedule {
        id: "".into(),
        customer: customer.id.clone(),
        clock: customer.test_clock.clone(),
        created: now,
        status: Status::NotStarted,
        phases,
        current: None,
        end_behavior: EndBehavior::Release,
        billing_mode: BillingMode::Classic,
        defaults: Defaults::default(),
        metadata: Metadata::default(),
        subscription: None,
        released_subscription: None,
        canceled_at: None,
        completed_at: None,
        released_at: None,
    }
}

/// `end_behavior`
pub(super) fn end_behavior(params: &Params<'_>) -> Result<Option<EndBehavior>> {
    let modelled = EndBehavior::ALL.map(EndBehavior::as_str);
    let given = params.one_of_modelled("end_behavior", &modelled, &["none", "renew"])?;
    let mut all = EndBehavior::ALL.into_iter();
    Ok(given.and_then(|word| all.find(|behavior| behavior.as_str() == word)))
}

/// `from_subscription`: a schedule with one phase, the running period. Few other parameters are allowed. If the
/// subscription is to end, the phase lasts until then, and the schedule cancels it.
fn from_subscription(ctx: &Ctx<'_>, params: &Params<'_>, id: &str) -> Result<(Schedule, i64)> {
    let others = [
        "phases",
        "customer",
        "start_date",
        "end_behavior",
        "default_settings",
    ];
    if ctx.has_meters() {
        params.unmodelled(&["billing_mode", "pause_schedules"])?;
    }
    if let Some(other) = others.iter().find(|other| params.has(other)) {
        return Err(Error::invalid(format!(
            "You cannot set `{other}` if `from_subscription` is set"
        ))
        .param(*other));
    }
    let subscription = ctx.account.billing.subscriptions.get(id);
    let subscription =
        subscription.ok_or_else(|| Error::no_such("subscription", id, "from_subscription"))?;
    if subscription.status.is_ended() {
        return Err(Error::invalid(format!(
            "You cannot migrate a subscription that is in the `{}` status.",
            subscription.status.as_str()
        ))
        .param("from_subscription"));
    }
    subscription::update_input::check_begun(subscription)
        .map_err(|error| error.param("from_subscription"))?;
    if subscription.schedule.is_some() {
        return Err(Error::invalid(
            "You cannot migrate a subscription that is already attached to a schedule.",
        )
        .param("from_subscription"));
    }
    let customer = customer::input::named(ctx, &subscription.customer, "from_subscription")?;
    let now = ctx.time_of(&customer.id);
    let (start, period_end) = subscription.first_period();
    let end = subscription.ends_at().unwrap_or(period_end);
    let trial_end = subscription.in_trial().then_some(period_end.min(end));
    let phase = Phase {
        start,
        end,
        trial_end,
        items: subscription.unchanged_specs(),
        coupon: subscription
            .discount
            .as_ref()
            .map(|discount| discount.coupon.clone()),
        currency: subscription.currency,
        metadata: subscription.metadata.clone(),
        description: None,
        prorate: Prorate::Create,
        added: Vec::new(),
        automatic_tax: None,
        default_payment_method: None,
        has_collection_method: false,
        resets_anchor: None,
    };
    let schedule = Schedule {
        status: Status::Active,
        current: Some(0),
        end_behavior: match subscription.ends_at() {
            Some(_) => EndBehavior::Cancel,
            None => EndBehavior::Release,
        },
        billing_mode: subscription.billing_mode,
        subscription: Some(subscription.id.clone()),
        metadata: params.metadata()?.apply(&Metadata::default())?,
        defaults: Defaults {
            automatic_tax: subscription.automatic_tax,
            default_payment_method: subscription.default_payment_method.clone(),
            description: subscription.description.clone(),
            resets_anchor: false,
        },
        ..blank(customer, vec![phase], now)
    };
    Ok((schedule, now))
}

/// The current prices of a schedule or its subscription.
fn current_prices(schedule: &Schedule, subscription: Option<&Subscription>) -> Vec<Id> {
    let phases = schedule.phases.iter().flat_map(|phase| &phase.items);
    let items = subscription
        .into_iter()
        .flat_map(|current_prices| &current_prices.items);
    let prices = phases.map(|spec| &spec.price);
    prices
        .chain(items.map(|item| &item.price))
        .cloned()
        .collect()
}

/// The phases after an update, and the index of the running phase. Past phases stay, whether or not the request repeats
/// them.
pub(super) fn new_phases(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    schedule: &Schedule,
    now: i64,
) -> Result<Option<(Vec<Phase>, Option<usize>)>> {
    let subscription = schedule.subscription.as_ref();
    let subscription = subscription.and_then(|id| ctx.account.billing.subscriptions.get(id));
    let current_prices = current_prices(schedule, subscription);
    let waits = schedule.status == Status::NotStarted;
    let phase_context = PhaseContext {
        customer: &schedule.customer,
        billing_mode: schedule.billing_mode,
        now,
        start: waits.then(|| schedule.phases[0].start),
        running: schedule.running().map(|phase| phase.start),
        allows_start_dates: true,
        anchor: subscription.map(|subscription| subscription.anchor),
        currency: subscription.map(|subscription| subscription.currency),
        current_prices: &current_prices,
        coupon: schedule.running().and_then(|phase| phase.coupon.as_ref()),
    };
    let Some(given) = phase_input::read(ctx, params, phase_context)? else {
        return Ok(None);
    };
    let (Some(current), Some(running)) = (schedule.current, schedule.running()) else {
        let customer = customer::input::named(ctx, &schedule.customer, "customer")?;
        check_start(given[0].start, now, "phases[0][start_date]")?;
        one_currency::check(ctx.account, customer, given[0].currency, Some(&schedule.id))?;
        return Ok(Some((given, None)));
    };
    let index = given.iter().position(|phase| phase.start == running.start);
    let Some(index) = index else {
        return Err(
            Error::invalid("You can not modify the start date of the current phase.")
                .param("phases[0][start_date]"),
        );
    };
    let mut phases = schedule.phases[..current].to_vec();
    phases.extend(given.into_iter().skip(index));
    Ok(Some((phases, Some(current))))
}
