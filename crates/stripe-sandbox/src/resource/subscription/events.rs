//! The events of subscriptions.

use serde_json::Value;

use super::view::subscription;
use crate::store::context::Ctx;

/// Records the event of a subscription that may have changed since `before`.
pub(crate) fn changed(ctx: &mut Ctx<'_>, position: u32, before: &Value, at: i64) {
    let after = subscription(ctx.account, ctx.account.subscription(position), ctx.now);
    if after == *before {
        return;
    }
    // A subscription that never began gets no `deleted` event.
    if after["ended_at"].is_null() || after["status"] == "incomplete_expired" {
        ctx.update_event("customer.subscription.updated", before, &after, at);
    } else {
        ctx.event("customer.subscription.deleted", &after, at);
    }
}
