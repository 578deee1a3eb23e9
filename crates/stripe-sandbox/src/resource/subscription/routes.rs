//! `/v1/subscriptions`

use serde_json::Value;

use super::input::{self, find};
use super::update_input::{self, check_allowed_if_incomplete};
use super::{
    COLLECTION_METHODS, NAME, Status, Subscription, events, migration, payment_input, shared_input,
    view,
};
use crate::engine::cancellation::{self, Cancellation};
use crate::engine::new_subscription::{self, NewSubscription};
use crate::engine::next_period::Anchor;
use crate::engine::subscription_update::{self, Update};
use crate::engine::{collection, renewal};
use crate::error::{Error, Result};
use crate::params::Params;
use crate::params::filter::Created;
use crate::params::metadata::Metadata;
use crate::resource::customer;
use crate::resource::payment_method::card::Presence;
use crate::resource::payment_method::input::presence;
use crate::resource::route::Route;
use crate::store::context::Ctx;
use crate::store::ids::Id;
use crate::store::page::Page;
use crate::version::ApiVersion;

const URL: &str = "/v1/subscriptions";

const STATUSES: &[&str] = &[
    "active",
    "all",
    "canceled",
    "ended",
    "incomplete",
    "incomplete_expired",
    "past_due",
    "paused",
    "trialing",
    "unpaid",
];

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::new(
            "POST",
            "/v1/subscriptions",
            "subscription",
            read_create,
            create,
        ),
        Route::new(
            "GET",
            "/v1/subscriptions",
            "list:subscription",
            read_list,
            list,
        ),
        Route::without_params("GET", "/v1/subscriptions/:id", "subscription", retrieve),
        Route::new(
            "POST",
            "/v1/subscriptions/:id",
            "subscription",
            read_update,
            update,
        ),
        Route::new(
            "DELETE",
            "/v1/subscriptions/:id",
            "subscription",
            read_cancel,
            cancel,
        ),
        Route::new(
            "POST",
            "/v1/subscriptions/:id/resume",
            "subscription",
            read_resume,
            resume,
        ),
        Route::new(
            "POST",
            "/v1/subscriptions/:id/migrate",
            "subscription",
            migration::read,
            migration::migrate,
        )
        .since(ApiVersion::V2026_10_28),
    ]
}

/// Reads a new subscription, its start, and whether the customer is present to pay.
fn read_create(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<(NewSubscription, i64, Presence)> {
    let presence = presence(params)?;
    let (new, now) = input::read_new(ctx, params, presence)?;
    Ok((new, now, presence))
}

/// `POST /v1/subscriptions`
fn create(
    ctx: &mut Ctx<'_>,
    (new, now, presence): (NewSubscription, i64, Presence),
) -> Result<Value> {
    ctx.presence = presence;
    let id = new_subscription::create(ctx, &new, now);
    let subscription = ctx.account.billing.subscriptions.get(&id);
    Ok(view::subscription(
        ctx.account,
        subscription.expect("just created"),
        ctx.now,
    ))
}

/// `GET /v1/subscriptions/:id`
fn retrieve(ctx: &mut Ctx<'_>) -> Result<Value> {
    Ok(view::subscription(
        ctx.account,
        ctx.account.subscription(find(ctx)?),
        ctx.now,
    ))
}

/// The filter of a list.
struct Filter {
    page: Page,
    customer: Option<Id>,
    clock: Option<String>,
    status: Option<&'static str>,
    price: Option<String>,
    created: Created,
    starts: Created,
    ends: Created,
    only_sent: bool,
}

fn read_list(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<Filter> {
    let filter = Filter {
        page: Page::read(params)?,
        customer: customer::input::customer_param(ctx, params)?.map(|customer| customer.id.clone()),
        clock: params.string("test_clock")?.map(str::to_owned),
        status: params.one_of("status", STATUSES)?,
        price: params.string("price")?.map(str::to_owned),
        created: Created::read(params)?,
        starts: Created::read_from(params, "current_period_start")?,
        ends: Created::read_from(params, "current_period_end")?,
        only_sent: params.one_of("collection_method", COLLECTION_METHODS)? == Some("send_invoice"),
    };
    params.unmodelled(&["automatic_tax", "plan"])?;
    Ok(filter)
}

impl Filter {
    fn accepts(&self, subscription: &Subscription) -> bool {
        let (clock, price) = (self.clock.as_deref(), self.price.as_deref());
        !self.only_sent
            && (self.customer.is_some() || subscription.clock.as_deref() == clock)
            && clock.is_none_or(|clock| subscription.clock.as_deref() == Some(clock))
            && in_status(subscription.status, self.status)
            && price.is_none_or(|price| subscription.items.iter().any(|item| &*item.price == price))
            && self.created.accepts(subscription.created)
            && self.starts.accepts(subscription.first_period().0)
            && self.ends.accepts(subscription.first_end())
    }
}

/// `GET /v1/subscriptions`: includes those on a test clock only if the clock or the customer is named, and ended ones
/// only if a status is named.
fn list(ctx: &mut Ctx<'_>, filter: Filter) -> Result<Value> {
    let table = &ctx.account.billing.subscriptions;
    let keep = |subscription: &Subscription| filter.accepts(subscription);
    let rows = match &filter.customer {
        Some(id) => {
            let positions = ctx.account.subscriptions_of(id);
            filter.page.of_positions(table, &positions, NAME, keep)?
        }
        None => filter.page.of_table(table, NAME, keep)?,
    };
    Ok(rows.to_json(URL, |subscription| {
        view::subscription(ctx.account, subscription, ctx.now)
    }))
}

fn in_status(status: Status, wanted: Option<&str>) -> bool {
    match wanted {
        None => !status.is_ended(),
        Some("all") => true,
        Some("ended") => status.is_ended(),
        Some(word) => status.as_str() == word,
    }
}

/// The content of an update.
enum SubscriptionUpdate {
    /// An ended subscription can only change its metadata.
    Describe(Metadata),
    Update(Box<Update>, Presence),
}

fn read_update(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<SubscriptionUpdate> {
    let presence = presence(params)?;
    let subscription = ctx.account.subscription(find(ctx)?);
    if subscription.status.is_ended() {
        let metadata = params.metadata()?.apply(&subscription.metadata)?;
        if params.finish().is_err() {
            return Err(Error::invalid(
                "A canceled subscription can only update its cancellation_details and metadata.",
            ));
        }
        return Ok(SubscriptionUpdate::Describe(metadata));
    }
    check_allowed_if_incomplete(subscription, params)?;
    let now = ctx.time_of(&subscription.customer);
    let update = update_input::read(ctx, params, subscription, now)?;
    Ok(SubscriptionUpdate::Update(Box::new(update), presence))
}

/// `POST /v1/subscriptions/:id`
fn update(ctx: &mut Ctx<'_>, change: SubscriptionUpdate) -> Result<Value> {
    let position = find(ctx)?;
    let subscription = ctx.account.subscription(position);
    let now = ctx.time_of(&subscription.customer);
    match change {
        SubscriptionUpdate::Describe(metadata) => {
            let before = view::subscription(ctx.account, subscription, ctx.now);
            ctx.account.subscription_mut(position).metadata = metadata;
            events::changed(ctx, position, &before, now);
        }
        SubscriptionUpdate::Update(update, presence) => {
            ctx.presence = presence;
            payment_input::check_change(ctx, position, &update, now)?;
            subscription_update::apply_update(ctx, position, *update, now);
        }
    }
    Ok(view::subscription(
        ctx.account,
        ctx.account.subscription(position),
        ctx.now,
    ))
}

fn read_resume(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<Presence> {
    let presence = presence(params)?;
    params.one_of_modelled("billing_cycle_anchor", &["now"], &["unchanged"])?;
    shared_input::prorate(params)?;
    params.unmodelled(&["proration_date"])?;
    let subscription = ctx.account.subscription(find(ctx)?);
    if subscription.status != Status::Paused {
        return Err(Error::invalid(format!(
            "Only paused subscriptions can be resumed; this one is {}.",
            subscription.status.as_str()
        )));
    }
    let preferred = subscription.default_payment_method.as_ref();
    if collection::payment_method(ctx.account, preferred, &subscription.customer).is_none() {
        return Err(collection::no_payment_method());
    }
    Ok(presence)
}

/// `POST /v1/subscriptions/:id/resume`: resumes a paused one. A period begins now and is charged.
fn resume(ctx: &mut Ctx<'_>, presence: Presence) -> Result<Value> {
    ctx.presence = presence;
    let position = find(ctx)?;
    let subscription = ctx.account.subscription(position);
    let now = ctx.time_of(&subscription.customer);
    let before = view::subscription(ctx.account, subscription, ctx.now);
    ctx.account.subscription_mut(position).status = Status::Active;
    renewal::restart(ctx, position, now, Anchor::Now, None);
    events::changed(ctx, position, &before, now);
    let after = view::subscription(ctx.account, ctx.account.subscription(position), ctx.now);
    ctx.event("customer.subscription.resumed", &after, now);
    Ok(after)
}

fn read_cancel(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<Cancellation> {
    let options = Cancellation {
        invoice_now: params.boolean("invoice_now")?.unwrap_or(false),
        prorate: params.boolean("prorate")?.unwrap_or(false),
    };
    params.unmodelled(&["cancellation_details"])?;
    let subscription = ctx.account.subscription(find(ctx)?);
    if subscription.status.is_ended() {
        return Err(Error::not_found(NAME, &subscription.id));
    }
    Ok(options)
}

/// `DELETE /v1/subscriptions/:id`: cancels at once.
fn cancel(ctx: &mut Ctx<'_>, options: Cancellation) -> Result<Value> {
    let position = find(ctx)?;
    let subscription = ctx.account.subscription(position);
    let now = ctx.time_of(&subscription.customer);
    let before = view::subscription(ctx.account, subscription, ctx.now);
    cancellation::cancel(ctx, position, options, now);
    ctx.account.subscription_mut(position).cancellation_reason = Some("cancellation_requested");
    ctx.account.subscription_mut(position).canceled_at = Some(now);
    events::changed(ctx, position, &before, now);
    Ok(view::subscription(
        ctx.account,
        ctx.account.subscription(position),
        ctx.now,
    ))
}
