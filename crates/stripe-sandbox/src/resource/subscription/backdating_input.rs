//! Reading `backdate_start_date`: a new subscription that began in the past.

use crate::engine::draft_lines::MAX_LINES;
use crate::engine::new_subscription::{self, NewSubscription};
use crate::error::{Error, Result};
use crate::params::Params;
use crate::store::context::Ctx;

const NAME: &str = "backdate_start_date";

/// The start date, which is not in the future.
pub(super) fn start_date(params: &Params<'_>, now: i64) -> Result<i64> {
    match params.timestamp(NAME)? {
        Some(start) if start > now => {
            Err(Error::invalid("`backdate_start_date` must be in the past.").param(NAME))
        }
        start => Ok(start.unwrap_or(now)),
    }
}

/// Checks that the time since the start date can be charged: Stripe limits the lines of an invoice.
pub(super) fn check(ctx: &Ctx<'_>, new: &NewSubscription, now: i64) -> Result<()> {
    if new.start_date >= now {
        return Ok(());
    }
    if new.prorates && new.trial_end.is_some() {
        return Err(Error::invalid(
            "The sandbox does not model `backdate_start_date` with a trial, unless `proration_behavior` is `none`: use Stripe's test mode for it.",
        )
        .param(NAME));
    }
    if new_subscription::first_lines(ctx.account, new, now) > MAX_LINES {
        return Err(Error::invalid(format!(
            "The subscription cannot start then, because its first invoice would have more than {MAX_LINES} lines."
        ))
        .param(NAME));
    }
    Ok(())
}
