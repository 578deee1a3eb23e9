//! When a subscription is due next: its entry in the [due queue](crate::store::due_queue).

use crate::resource::subscription::Status;
use crate::store::account::Account;
use crate::store::due_queue::Due;

/// Updates the subscription's entry in the due queue. Call it after any change to the subscription or its schedule.
pub(crate) fn reindex(account: &mut Account, position: u32) {
    let subscription = account.subscription(position);
    let phase_end = subscription
        .schedule
        .as_ref()
        .and_then(|id| account.billing.schedules.get(id))
        .and_then(|schedule| Some(schedule.running()?.end))
        // Phases do not advance before the first payment.
        .filter(|_| subscription.status != Status::Incomplete);
    let next = subscription
        .next_event()
        .map(|at| phase_end.map_or(at, |end| at.min(end)));
    let before = subscription.due;
    if before == next {
        return;
    }
    let clock = subscription.clock.clone();
    account.subscription_mut(position).due = next;
    let due_queue = &mut account.billing.due_queue;
    if let Some(at) = before {
        due_queue.remove(clock.as_ref(), at, Due::Subscription(position));
    }
    if let Some(at) = next {
        due_queue.add(clock.as_ref(), at, Due::Subscription(position));
    }
}
