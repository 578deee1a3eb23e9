//! The changes that a customer can make in the portal.

use crate::engine::subscription_update::{self, Update};
use crate::error::{Error, Result};
use crate::params::Params;
use crate::params::field_update::FieldUpdate;
use crate::resource::subscription::cycle::CancelAt;
use crate::resource::subscription::{Status, Subscription};
use crate::store::context::Ctx;

/// A change of a subscription, by its id.
pub(crate) enum PortalChange {
    /// Cancel at the end of the paid period.
    Cancel(String),
    /// Undo the cancellation.
    Renew(String),
}

impl PortalChange {
    /// Reads the form of the page.
    pub(crate) fn read(params: &Params<'_>) -> Result<Self> {
        let canceled = params.string("cancel")?;
        let renewed = params.string("renew")?;
        params.finish()?;
        match (canceled, renewed) {
            (Some(id), None) => Ok(Self::Cancel(id.to_owned())),
            (None, Some(id)) => Ok(Self::Renew(id.to_owned())),
            _ => Err(Error::invalid(
                "Choose one subscription to cancel or to renew.",
            )),
        }
    }
}

/// Whether the customer may cancel and renew a subscription. Stripe's portal does not change subscriptions with a
/// schedule; showing them without buttons is our choice. So is refusing to cancel subscriptions before their first
/// payment and while they are paused, because their period does not end then.
pub(crate) fn is_changeable(subscription: &Subscription) -> bool {
    let runs = matches!(
        subscription.status,
        Status::Trialing | Status::Active | Status::PastDue
    );
    runs && subscription.schedule.is_none()
}

/// Makes the change.
///
/// # Errors
/// The message for the customer, if the change is not possible. Nothing has changed then.
pub(crate) fn apply(ctx: &mut Ctx<'_>, session: &str, change: &PortalChange) -> Result<()> {
    let (PortalChange::Cancel(id) | PortalChange::Renew(id)) = change;
    let billing = &ctx.account.billing;
    let session = billing.portal_sessions.get(session);
    let Some(session) = session.filter(|session| session.is_open(ctx.now)) else {
        return Err(Error::invalid("This page has expired."));
    };
    let subscription = billing.subscriptions.get(id);
    let subscription =
        subscription.filter(|subscription| subscription.customer == session.customer);
    let (Some(position), Some(subscription)) = (billing.subscriptions.position(id), subscription)
    else {
        return Err(Error::no_such("subscription", id, "subscription"));
    };
    if !is_changeable(subscription) {
        return Err(Error::invalid("This subscription cannot be changed here."));
    }
    let update = update(subscription, change)?;
    let now = ctx.time_of(&subscription.customer);
    subscription_update::apply_update(ctx, position, update, now);
    Ok(())
}

/// The update with which Stripe's portal makes a change: in classic billing it sets `cancel_at_period_end`; in flexible
/// billing it sets `cancel_at` to the end of the last running period.
fn update(subscription: &Subscription, change: &PortalChange) -> Result<Update> {
    let kept = Update::unchanged(subscription);
    match (change, subscription.ends_at()) {
        (PortalChange::Cancel(_), Some(_)) => {
            Err(Error::invalid("This subscription is already set to end."))
        }
        (PortalChange::Renew(_), None) => {
            Err(Error::invalid("This subscription is not set to end."))
        }
        (PortalChange::Cancel(_), None) if subscription.billing_mode.is_flexible() => Ok(Update {
            cancel_at: FieldUpdate::Set(CancelAt::LastEnd),
            ..kept
        }),
        (PortalChange::Cancel(_), None) => Ok(Update {
            cancel_at_period_end: Some(true),
            ..kept
        }),
        (PortalChange::Renew(_), Some(_)) => Ok(Update {
            cancel_at: FieldUpdate::Unset,
            cancel_at_period_end: Some(false),
            ..kept
        }),
    }
}
