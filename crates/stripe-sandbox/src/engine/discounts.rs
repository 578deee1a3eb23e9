//! The beginning and end of discounts.

use crate::resource::coupon::Duration;
use crate::resource::discount::{AppliedCoupon, Discount};
use crate::store::context::Ctx;
use crate::store::ids::Id;

/// Records the event for a change of the discount of a customer or a subscription.
pub(crate) fn record_change(
    ctx: &mut Ctx<'_>,
    before: Option<&Discount>,
    after: Option<&Discount>,
    at: i64,
) {
    let json = |discount: &Discount| discount.to_json(at);
    match (before.map(json), after.map(json)) {
        (Some(before), None) => ctx.event("customer.discount.deleted", &before, at),
        (None, Some(after)) => ctx.event("customer.discount.created", &after, at),
        (Some(before), Some(after)) if before != after => {
            ctx.update_event("customer.discount.updated", &before, &after, at);
        }
        _ => {}
    }
}

impl Discount {
    /// Creates a discount that begins at `start`. This uses an id and counts as a redemption.
    pub(crate) fn new(
        ctx: &mut Ctx<'_>,
        applied: AppliedCoupon,
        customer: Id,
        subscription: Option<Id>,
        start: i64,
    ) -> Self {
        let AppliedCoupon { coupon, code } = applied;
        coupon.redeem();
        if let Some(code) = &code {
            code.redeem();
        }
        let end = match coupon.duration {
            Duration::Repeating(months) => chrono::DateTime::from_timestamp(start, 0)
                .and_then(|start| start.checked_add_months(chrono::Months::new(months)))
                .map(|end| end.timestamp()),
            Duration::Forever | Duration::Once => None,
        };
        Self {
            id: ctx.account.ids.next("di", 24),
            coupon,
            promotion_code: code.map(|code| code.id.clone()),
            customer,
            subscription,
            start,
            end,
        }
    }
}
