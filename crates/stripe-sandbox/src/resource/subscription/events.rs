//! What is told of a subscription.

use serde_json::Value;

use super::view::subscription;
use crate::store::context::Ctx;

/// Records what became of a subscription that was `before`, if anything did.
pub(crate) fn changed(ctx: &mut Ctx<'_>, position: u32, before: &Value, at: i64) {
    let after = subscription(ctx.account, ctx.account.subscription(position));
    if after == *before {
        return;
    }
    // One that never began is not told to be deleted.
    if after["ended_at"].is_null() || after["status"] == "incomplete_expired" {
        ctx.update_event("customer.subscription.updated", before, &after, at);
    } else {
        ctx.event("customer.subscription.deleted", &after, at);
    }
}
