//! Changing what a subscription sells, and moving it from one period to the next.

use super::drafts::{self, Draft, Next};
use super::invoice::Reason;
use super::invoicing::issue;
use super::schedule::{ItemSpec, Prorate};
use super::subscription::{Item, Status, Subscription};
use super::{catalog, phases, proration, timeline};
use crate::sandbox::context::Ctx;
use crate::sandbox::cycle::usage::Records;
use crate::sandbox::ids::Id;
use crate::sandbox::state::Account;

/// A new set of items and a new trial for a subscription.
#[derive(Clone, Debug)]
pub(crate) struct Change<'a> {
    pub(crate) specs: &'a [ItemSpec],
    /// When the trial is to end; `None`, or a time that has come, is no trial.
    pub(crate) trial_end: Option<i64>,
    pub(crate) prorate: Prorate,
    /// A new period begins in any case.
    pub(crate) anchored: bool,
}

/// What a change does to the running period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Keep,
    /// The trial that runs gets another end.
    MoveTrial(i64),
    /// A trial begins, and with it a period that lasts as long.
    StartTrial(i64),
    /// A period begins now, and is counted from now.
    Restart,
}

impl Change<'_> {
    fn effect(&self, account: &Account, subscription: &Subscription, at: i64) -> Effect {
        let within = at < subscription.period.1;
        let goal = self.trial_end.filter(|end| *end > at);
        let every = catalog::every(account, self.specs);
        match (subscription.in_trial(), goal) {
            (true, Some(end)) => Effect::MoveTrial(end),
            (false, Some(end)) => Effect::StartTrial(end),
            (true, None) if within => Effect::Restart,
            _ if every != subscription.every || self.anchored => Effect::Restart,
            _ => Effect::Keep,
        }
    }
}

/// Applies a change at `at`. Everything that is invoiced at once is invoiced here.
pub(crate) fn apply(ctx: &mut Ctx<'_>, position: u32, change: &Change<'_>, at: i64) {
    let subscription = ctx.account.subscription(position);
    let effect = change.effect(ctx.account, subscription, at);
    let every = catalog::every(ctx.account, change.specs);
    let pairs = pair(&subscription.items, change.specs);
    let closed = (subscription.period.0, at);
    let within = at < subscription.period.1 && !subscription.in_trial();
    let prorated = within && change.prorate != Prorate::Never;
    let costs = proration::costs(ctx.account, subscription, change.specs, at);
    let prorations = if prorated {
        let restart = effect != Effect::Keep;
        let (account, specs) = (&*ctx.account, change.specs);
        proration::of_change(account, subscription, specs, &pairs, &costs, restart, at)
    } else {
        Vec::new()
    };
    let billed = proration::billed(&subscription.items, change.specs, &pairs, &costs, prorated);
    replace_items(ctx, position, change.specs, &pairs, at);
    proration::add(ctx, position, prorations);
    let subscription = ctx.account.subscription_mut(position);
    for (item, billed) in subscription.items.iter_mut().zip(billed) {
        item.billed = billed;
    }
    subscription.every = every;
    match effect {
        Effect::MoveTrial(end) => {
            subscription.anchor = end;
            subscription.period.1 = end;
            subscription.trial = subscription.trial.map(|(start, _)| (start, end));
        }
        Effect::StartTrial(end) => roll(ctx, position, at, Anchor::TrialEnd(end), Reason::Update),
        Effect::Restart => roll(ctx, position, at, Anchor::Now, Reason::Update),
        Effect::Keep if change.prorate == Prorate::Invoice => {
            let waiting = drafts::waiting(subscription).collect();
            issue(ctx, position, waiting, Reason::Update, closed, at);
        }
        Effect::Keep => {}
    }
    timeline::reindex(ctx.account, position);
}

/// From when the next period and those after it are counted: Stripe's `billing_cycle_anchor`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    Unchanged,
    Now,
    /// The end of the trial that begins.
    TrialEnd(i64),
}

/// Closes the running period at `at`, opens the next one and invoices both sides of it.
pub(crate) fn roll(ctx: &mut Ctx<'_>, position: u32, at: i64, anchoring: Anchor, reason: Reason) {
    let subscription = ctx.account.subscription(position);
    let (anchor, end) = match anchoring {
        Anchor::TrialEnd(end) => (end, end),
        Anchor::Now => (at, subscription.every.next_after(at, at)),
        Anchor::Unchanged => (
            subscription.anchor,
            subscription.every.next_after(subscription.anchor, at),
        ),
    };
    let trial = matches!(anchoring, Anchor::TrialEnd(_));
    let drafts = drafts::closing(
        ctx.account,
        subscription,
        at,
        Next::Period {
            start: at,
            end,
            trial,
        },
    );
    let closed = (subscription.period.0, at);
    let subscription = ctx.account.subscription_mut(position);
    subscription.trial = match subscription.trial {
        _ if trial => Some((at, end)),
        Some((start, end)) => Some((start, end.min(at))),
        None => None,
    };
    subscription.anchor = anchor;
    subscription.period = (at, end);
    subscription.status = match subscription.status {
        _ if trial => Status::Trialing,
        Status::Trialing => Status::Active,
        status => status,
    };
    issue(ctx, position, drafts, reason, closed, at);
    timeline::reindex(ctx.account, position);
}

/// What a cancellation is to do, by Stripe's names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cancellation {
    /// Makes a last invoice, with the metered usage.
    pub(crate) invoice_now: bool,
    /// Credits what is left of licensed items.
    pub(crate) prorate: bool,
}

/// Ends the subscription at `at`.
pub(crate) fn cancel(ctx: &mut Ctx<'_>, position: u32, how: Cancellation, at: i64) {
    let subscription = ctx.account.subscription(position);
    let closed = (subscription.period.0, at);
    if how.prorate && at < subscription.period.1 && !subscription.in_trial() {
        let credits = proration::of_end(ctx.account, subscription, at);
        proration::add(ctx, position, credits);
    }
    if how.invoice_now {
        let drafts = drafts::closing(
            ctx.account,
            ctx.account.subscription(position),
            at,
            Next::End,
        );
        issue(ctx, position, drafts, Reason::Update, closed, at);
    }
    let subscription = ctx.account.subscription_mut(position);
    subscription.status = Status::Canceled;
    subscription.canceled_at.get_or_insert(at);
    subscription.ended_at = Some(at);
    if let Some(schedule) = phases::schedule_of(ctx.account, position) {
        phases::subscription_ended(ctx, schedule, at);
    }
    timeline::reindex(ctx.account, position);
}

/// Finds the item that each spec keeps: the one it names, else the first of the same price that is not taken.
fn pair(items: &[Item], specs: &[ItemSpec]) -> Vec<Option<usize>> {
    let named = |spec: &ItemSpec| {
        spec.item
            .as_ref()
            .and_then(|id| items.iter().position(|item| item.id == *id))
    };
    let mut taken = vec![false; items.len()];
    for index in specs.iter().filter_map(named) {
        taken[index] = true;
    }
    let mut by_price = |spec: &ItemSpec| {
        let index =
            (0..items.len()).find(|index| !taken[*index] && items[*index].price == spec.price)?;
        taken[index] = true;
        Some(index)
    };
    specs
        .iter()
        .map(|spec| named(spec).or_else(|| by_price(spec)))
        .collect()
}

/// Invoices, on its own, the usage of metered items that no spec keeps: what Stripe does when a schedule moves to
/// its next phase. A change by request bills none of it.
pub(crate) fn bill_leaving(ctx: &mut Ctx<'_>, position: u32, specs: &[ItemSpec], at: i64) {
    let subscription = ctx.account.subscription(position);
    let closed = (subscription.period.0, at);
    let pairs = pair(&subscription.items, specs);
    let drafts = leaving(ctx.account, subscription, &pairs);
    issue(ctx, position, drafts, Reason::Update, closed, at);
}

fn leaving(account: &Account, subscription: &Subscription, pairs: &[Option<usize>]) -> Vec<Draft> {
    subscription
        .items
        .iter()
        .enumerate()
        .filter(|(index, item)| item.quantity.is_none() && !pairs.contains(&Some(*index)))
        .flat_map(|(_, item)| {
            drafts::attach(
                item,
                drafts::used(account, subscription, item, subscription.period.1),
            )
        })
        .collect()
}

pub(crate) fn replace_items(
    ctx: &mut Ctx<'_>,
    position: u32,
    specs: &[ItemSpec],
    pairs: &[Option<usize>],
    at: i64,
) {
    let mut old: Vec<Option<Item>> =
        std::mem::take(&mut ctx.account.subscription_mut(position).items)
            .into_iter()
            .map(Some)
            .collect();
    let mut items = Vec::with_capacity(specs.len());
    for (spec, pair) in specs.iter().zip(pairs) {
        let kept = pair.and_then(|index| old[index].take());
        items.push(match kept {
            Some(item) if item.price == spec.price => Item {
                quantity: spec.quantity,
                metadata: spec.metadata.clone(),
                ..item
            },
            // Another price on the same item: usage counts from here.
            Some(item) => Item {
                id: item.id,
                ..item_of(spec, at)
            },
            None => Item {
                id: ctx.account.ids.next("si", 14),
                ..item_of(spec, at)
            },
        });
    }
    for gone in old.into_iter().flatten() {
        ctx.account.billing.items.remove(&gone.id);
    }
    for item in &items {
        ctx.account.billing.items.insert(item.id.clone(), position);
    }
    ctx.account.subscription_mut(position).items = items;
}

impl ItemSpec {
    /// Whether the item is this spec already.
    pub(super) fn sells(&self, item: &Item) -> bool {
        item.price == self.price && item.quantity == self.quantity
    }
}

/// A fresh item for a spec, without an id.
fn item_of(spec: &ItemSpec, at: i64) -> Item {
    Item {
        id: Id::from(""),
        price: spec.price.clone(),
        quantity: spec.quantity,
        billed: 0,
        created: at,
        metadata: spec.metadata.clone(),
        records: Records::default(),
    }
}
