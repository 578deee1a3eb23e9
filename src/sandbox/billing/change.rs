//! Changing what a subscription sells, and moving it from one period to the next.

use super::drafts::{self, Draft, Next};
use super::invoice::Reason;
use super::invoicing::issue;
use super::schedule::{Prorate, Want};
use super::subscription::{Item, Pending, Status, Subscription};
use super::{catalog, phases, proration, timeline};
use crate::sandbox::context::Ctx;
use crate::sandbox::cycle::usage::Records;
use crate::sandbox::ids::Id;
use crate::sandbox::state::Account;

/// A new set of items and a new trial for a subscription.
#[derive(Clone, Debug)]
pub(crate) struct Change<'a> {
    pub(crate) wants: &'a [Want],
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
        let every = catalog::every(account, self.wants);
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
    let subscription = held(ctx.account, position);
    let effect = change.effect(ctx.account, subscription, at);
    let every = catalog::every(ctx.account, change.wants);
    let pairs = pair(&subscription.items, change.wants);
    let closed = (subscription.period.0, at);
    let within = at < subscription.period.1 && !subscription.in_trial();
    let prorated = within && change.prorate != Prorate::Never;
    let costs = proration::costs(ctx.account, subscription, change.wants, at);
    let prorations = if prorated {
        let restart = effect != Effect::Keep;
        let (account, wants) = (&*ctx.account, change.wants);
        proration::of_change(account, subscription, wants, &pairs, &costs, restart, at)
    } else {
        Vec::new()
    };
    let billed = proration::billed(&subscription.items, change.wants, &pairs, &costs, prorated);
    replace_items(ctx, position, change.wants, &pairs, at);
    proration::add(ctx, position, prorations);
    let subscription = held_mut(ctx.account, position);
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
        Effect::StartTrial(end) => roll(ctx, position, at, Turn::Trial(end), Reason::Update),
        Effect::Restart => roll(ctx, position, at, Turn::Anchor, Reason::Update),
        Effect::Keep if change.prorate == Prorate::Invoice => {
            let waiting = waiting(subscription);
            issue(ctx, position, waiting, Reason::Update, closed, at);
        }
        Effect::Keep => {}
    }
    timeline::reindex(ctx.account, position);
}

/// How one period turns into the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// As the anchor says.
    Renew,
    /// From now on, counted from now.
    Anchor,
    /// A trial that ends then, from which periods are counted.
    Trial(i64),
}

/// Closes the running period at `at`, opens the next one and invoices both sides of it.
pub(crate) fn roll(ctx: &mut Ctx<'_>, position: u32, at: i64, turn: Turn, reason: Reason) {
    let subscription = held(ctx.account, position);
    let (anchor, end) = match turn {
        Turn::Trial(end) => (end, end),
        Turn::Anchor => (at, subscription.every.next_after(at, at)),
        Turn::Renew => (
            subscription.anchor,
            subscription.every.next_after(subscription.anchor, at),
        ),
    };
    let trial = matches!(turn, Turn::Trial(_));
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
    let subscription = held_mut(ctx.account, position);
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

/// Ends the subscription at `at`: with `bill`, on a last invoice with the metered usage; with `prorate`, with
/// credits for what is left of licensed items.
pub(crate) fn cancel(ctx: &mut Ctx<'_>, position: u32, at: i64, bill: bool, prorate: bool) {
    let subscription = held(ctx.account, position);
    let closed = (subscription.period.0, at);
    if prorate && at < subscription.period.1 && !subscription.in_trial() {
        let credits = proration::of_end(ctx.account, subscription, at);
        proration::add(ctx, position, credits);
    }
    if bill {
        let drafts = drafts::closing(ctx.account, held(ctx.account, position), at, Next::End);
        issue(ctx, position, drafts, Reason::Update, closed, at);
    }
    let subscription = held_mut(ctx.account, position);
    subscription.status = Status::Canceled;
    subscription.canceled_at.get_or_insert(at);
    subscription.ended_at = Some(at);
    if let Some(schedule) = phases::schedule_of(ctx.account, position) {
        phases::subscription_ended(ctx, schedule, at);
    }
    timeline::reindex(ctx.account, position);
}

/// Finds the item that each want keeps: the one it names, else the first of the same price that is not taken.
fn pair(items: &[Item], wants: &[Want]) -> Vec<Option<usize>> {
    let named = |want: &Want| {
        want.item
            .as_ref()
            .and_then(|id| items.iter().position(|item| item.id == *id))
    };
    let mut taken = vec![false; items.len()];
    for index in wants.iter().filter_map(named) {
        taken[index] = true;
    }
    let mut by_price = |want: &Want| {
        let index =
            (0..items.len()).find(|index| !taken[*index] && items[*index].price == want.price)?;
        taken[index] = true;
        Some(index)
    };
    wants
        .iter()
        .map(|want| named(want).or_else(|| by_price(want)))
        .collect()
}

/// Invoices, on its own, the usage of metered items that no want keeps: what Stripe does when a schedule moves to
/// its next phase. A change by request bills none of it.
pub(crate) fn bill_leaving(ctx: &mut Ctx<'_>, position: u32, wants: &[Want], at: i64) {
    let subscription = held(ctx.account, position);
    let closed = (subscription.period.0, at);
    let pairs = pair(&subscription.items, wants);
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
    wants: &[Want],
    pairs: &[Option<usize>],
    at: i64,
) {
    let mut old: Vec<Option<Item>> = std::mem::take(&mut held_mut(ctx.account, position).items)
        .into_iter()
        .map(Some)
        .collect();
    let mut items = Vec::with_capacity(wants.len());
    for (want, pair) in wants.iter().zip(pairs) {
        let kept = pair.and_then(|index| old[index].take());
        items.push(match kept {
            Some(item) if item.price == want.price => Item {
                quantity: want.quantity,
                metadata: want.metadata.clone(),
                ..item
            },
            // Another price on the same item: usage counts from here.
            Some(item) => Item {
                id: item.id,
                ..item_of(want, at)
            },
            None => Item {
                id: ctx.account.ids.next("si", 14),
                ..item_of(want, at)
            },
        });
    }
    for gone in old.into_iter().flatten() {
        ctx.account.billing.items.remove(&gone.id);
    }
    for item in &items {
        ctx.account.billing.items.insert(item.id.clone(), position);
    }
    held_mut(ctx.account, position).items = items;
}

impl Want {
    /// Whether the item is this want already.
    pub(super) fn sells(&self, item: &Item) -> bool {
        item.price == self.price && item.quantity == self.quantity
    }
}

/// A fresh item for a want, without an id.
fn item_of(want: &Want, at: i64) -> Item {
    Item {
        id: Id::from(""),
        price: want.price.clone(),
        quantity: want.quantity,
        billed: 0,
        created: at,
        metadata: want.metadata.clone(),
        records: Records::default(),
    }
}

/// What waits for the subscription's next invoice, newest first.
fn waiting(subscription: &Subscription) -> Vec<Draft> {
    let draft = |pending: &Pending| Draft {
        line: pending.line.clone(),
        price: pending.price.clone(),
        item: pending.item.clone(),
        invoice_item: Some(pending.id.clone()),
    };
    subscription.pending.iter().rev().map(draft).collect()
}

/// The subscription at a position that an index or the timeline gave.
pub(crate) fn held(account: &Account, position: u32) -> &Subscription {
    let subscription = account.billing.subscriptions.at(position);
    subscription.expect("indexes drop a subscription's position together with it")
}

/// See [`held`].
pub(crate) fn held_mut(account: &mut Account, position: u32) -> &mut Subscription {
    let subscription = account.billing.subscriptions.at_mut(position);
    subscription.expect("indexes drop a subscription's position together with it")
}
