//! How payment methods are made, attached and detached.

use crate::resource::payment_method::card::Card;
use crate::resource::payment_method::{Named, PaymentMethod};
use crate::store::account::Account;
use crate::store::context::Ctx;
use crate::store::ids::Id;

impl Named {
    pub(crate) fn card(&self, ctx: &Ctx<'_>) -> &'static Card {
        match self {
            Self::Token(card) => card,
            Self::Existing(id) => {
                let found = ctx.account.payment_methods.get(id);
                found.expect("payment methods are never deleted").card
            }
        }
    }
}

/// Makes the payment method if it is a token still, attaches it and says its id. The customer exists, and
/// nobody else holds the payment method.
pub(crate) fn attach_to(ctx: &mut Ctx<'_>, named: Named, customer: &Id) -> Id {
    let now = ctx.time_of(customer);
    let id = match named {
        Named::Existing(id) => id,
        Named::Token(card) => insert(ctx, PaymentMethod::new(card, now)),
    };
    let position = ctx.account.payment_methods.position(&id);
    let Some(position) = position else { return id };
    let Some(method) = ctx.account.payment_methods.at_mut(position) else {
        return id;
    };
    if method.customer.is_some() {
        return id;
    }
    method.customer = Some(customer.clone());
    let rendered = method.to_json();
    if let Some(holder) = ctx.account.customers.get_mut(customer) {
        holder.payment_methods.push(position);
        holder.payment_methods.sort_unstable();
        holder.had_payment_method = true;
    }
    ctx.event("payment_method.attached", &rendered, now);
    id
}

/// Takes the payment method from its customer, from whom it can collect no more: it is the default of nothing,
/// and of no use to anybody.
pub(crate) fn detach_from(ctx: &mut Ctx<'_>, id: &Id, customer: &Id) {
    let position = ctx.account.payment_methods.position(id);
    if let Some(method) = ctx.account.payment_methods.get_mut(id) {
        method.customer = None;
        method.used_up = true;
    }
    if let Some(holder) = ctx.account.customers.get_mut(customer) {
        holder
            .payment_methods
            .retain(|held| Some(*held) != position);
        if holder.default_payment_method.as_ref() == Some(id) {
            holder.default_payment_method = None;
        }
    }
    payment_method_detached(ctx.account, customer, id);
}

/// Makes the payment method that a test token stands for, without attaching it.
pub(crate) fn insert_token(ctx: &mut Ctx<'_>, card: &'static Card) -> Id {
    insert(ctx, PaymentMethod::new(card, ctx.now))
}

pub(crate) fn insert(ctx: &mut Ctx<'_>, mut method: PaymentMethod) -> Id {
    method.id = ctx.account.ids.next("pm", 24);
    let id = method.id.clone();
    ctx.account.payment_methods.insert(method);
    id
}

/// A payment method is no longer the customer's, so it is the default of none of their subscriptions and schedules.
fn payment_method_detached(account: &mut Account, customer: &Id, method: &Id) {
    let forget = |default: &mut Option<Id>| {
        if default.as_ref() == Some(method) {
            *default = None;
        }
    };
    let Some(holder) = account.customers.get(customer) else {
        return;
    };
    for position in &holder.subscriptions {
        if let Some(held) = account.billing.subscriptions.at_mut(*position) {
            forget(&mut held.default_payment_method);
        }
    }
    for position in &holder.schedules {
        if let Some(schedule) = account.billing.schedules.at_mut(*position) {
            forget(&mut schedule.defaults.default_payment_method);
            for phase in &mut schedule.phases {
                forget(&mut phase.default_payment_method);
            }
        }
    }
}
