//! Expiry and deletion of checkout sessions and portal sessions.

use crate::resource::checkout_session::Status;
use crate::resource::checkout_session::view::to_json;
use crate::store::account::Account;
use crate::store::context::Ctx;
use crate::store::due_queue::Due;
use crate::store::ids::Id;

/// Expires a session that was not paid.
pub(crate) fn expire(ctx: &mut Ctx<'_>, position: u32, at: i64) {
    let Some(session) = ctx.account.billing.sessions.at_mut(position) else {
        return;
    };
    let due = session.expires_at;
    session.status = Status::Expired;
    let object = to_json(session);
    let billing = &mut ctx.account.billing;
    billing.due_queue.remove(None, due, Due::Session(position));
    ctx.event("checkout.session.expired", &object, at);
}

/// Deletes the sessions of a customer.
pub(crate) fn erase(account: &mut Account, customer: &Id) {
    let billing = &mut account.billing;
    let sessions: Vec<(Id, i64)> = billing
        .sessions
        .iter()
        .filter(|session| session.customer.as_ref() == Some(customer))
        .map(|session| (session.id.clone(), session.expires_at))
        .collect();
    for (id, at) in sessions {
        if let Some(position) = billing.sessions.position(&id) {
            billing.due_queue.remove(None, at, Due::Session(position));
        }
        billing.sessions.remove(&id);
    }
    let sessions: Vec<Id> = billing
        .portal_sessions
        .iter()
        .filter(|session| session.customer == *customer)
        .map(|session| session.id.clone())
        .collect();
    for id in sessions {
        billing.portal_sessions.remove(&id);
    }
}
