//! What a checkout session takes off: the discount that it is made with, or a promotion code that is typed on its page.

use super::{Mode, Purchase, Session};
use crate::engine::catalog;
use crate::error::{Error, Result};
use crate::money::discount::spread;
use crate::params::Params;
use crate::resource::customer::Customer;
use crate::resource::discount::Applied;
use crate::resource::promotion_code;
use crate::resource::subscription::shared_input::{check_currency, discount};
use crate::resource::subscription_schedule::ItemSpec;
use crate::store::context::Ctx;
use crate::store::state::Account;

/// Works out what is due on paying: nothing, if a trial begins.
pub(crate) fn sum_up(account: &Account, purchase: &mut Purchase) {
    if purchase.trial_days.is_some() || purchase.trial_end.is_some() {
        return;
    }
    purchase.subtotal = catalog::in_advance(account, &purchase.specs);
    let off = purchase.coupon.as_ref();
    let off = off.map(|applied| catalog::off(&applied.coupon));
    let parts = off.map(|off| spread(off, &[(purchase.subtotal, true)]));
    purchase.discount = parts.into_iter().flatten().sum();
}

/// Applies the promotion code that a customer has typed on the page, if the session takes one.
pub(crate) fn redeem(
    ctx: &Ctx<'_>,
    session: &mut Session,
    holder: Option<&Customer>,
    code: &str,
) -> Result<()> {
    let takes = session.promotion_codes == Some(true);
    let Mode::Subscription(purchase) = &mut session.mode else {
        return Err(no_codes());
    };
    if !takes {
        return Err(no_codes());
    }
    let bought = promotion_code::Purchase {
        customer: holder,
        amount: Some((
            catalog::in_advance(ctx.account, &purchase.specs),
            purchase.currency,
        )),
        now: holder.map_or(ctx.now, |holder| ctx.time_of(&holder.id)),
    };
    let applied = promotion_code::typed(ctx, code, bought)?;
    check_currency(&applied.coupon, purchase.currency, "promotion_code")?;
    purchase.coupon = Some(applied);
    sum_up(ctx.account, purchase);
    Ok(())
}

fn no_codes() -> Error {
    Error::invalid("This checkout takes no promotion codes.").param("promotion_code")
}

/// `discounts`: one, by its coupon or its promotion code.
pub(crate) fn discounts(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    holder: Option<&Customer>,
    specs: &[ItemSpec],
    now: i64,
) -> Result<Option<Applied>> {
    let given = params.objects("discounts")?.unwrap_or_default();
    let [one] = &*given else {
        return match given.len() {
            0 => Ok(None),
            _ => Err(
                Error::invalid("You can only apply one discount to a Checkout Session.")
                    .param("discounts"),
            ),
        };
    };
    if params.has("allow_promotion_codes") {
        return Err(Error::invalid(
            "You may only specify one of these parameters: allow_promotion_codes, discounts.",
        )
        .param("discounts"));
    }
    Ok(discount(ctx, one, holder, specs, now)?.value())
}
