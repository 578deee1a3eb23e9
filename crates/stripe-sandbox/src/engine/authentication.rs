//! Authentication by the customer (3D Secure), which a bank may require before a card is charged or set up. The sandbox
//! has a page on which a person confirms or refuses.

use super::collection::{self, PaymentOutcome};
use super::{payment, setup};
use crate::error::{Error, Result};
use crate::resource::payment_intent::PaymentIntent;
use crate::store::account::Account;
use crate::store::context::Ctx;

/// What the authentication page shows.
#[derive(Debug)]
pub(crate) struct AuthenticationRequest {
    /// The amount to pay and its currency, if there is a payment.
    pub(crate) sum: Option<(i64, String)>,
    /// Whether the customer has not answered yet.
    pub(crate) is_pending: bool,
}

/// The authentication request of a payment or set-up intent; `None` if there is no such intent.
pub(crate) fn request(account: &Account, id: &str) -> Option<AuthenticationRequest> {
    if let Some(intent) = account.payments.intents.get(id) {
        return Some(AuthenticationRequest {
            sum: Some((intent.amount, intent.currency.as_str().to_owned())),
            is_pending: intent.awaits_authentication(),
        });
    }
    let intent = account.setup_intents.get(id)?;
    Some(AuthenticationRequest {
        sum: None,
        is_pending: intent.awaits_authentication(),
    })
}

/// The customer authenticates or refuses. Returns the URL to go to next, if the intent has one.
///
/// # Errors
/// If no authentication is pending.
pub(crate) fn decide(ctx: &mut Ctx<'_>, id: &str, agrees: bool) -> Result<Option<String>> {
    let pending = request(ctx.account, id).filter(|request| request.is_pending);
    pending.ok_or_else(|| Error::invalid("There is nothing to authenticate any more."))?;
    let Some(intent) = ctx.account.payments.intents.get(id) else {
        return Ok(setup::authenticate(ctx, id, agrees));
    };
    let (id, invoice) = (intent.id.clone(), intent.invoice.clone());
    let customer = intent.customer.as_ref();
    let at = customer.map_or(ctx.now, |customer| ctx.time_of(customer));
    match invoice {
        Some(invoice) => collection::with_events(ctx, &invoice, at, |ctx| {
            let charged = payment::authenticate(ctx, &id, agrees, at);
            let outcome = charged.map_or(PaymentOutcome::NotAuthenticated, PaymentOutcome::from);
            collection::intent_confirmed(ctx, &invoice, outcome, at);
        }),
        None => {
            payment::authenticate(ctx, &id, agrees, at);
        }
    }
    let intent = ctx.account.payments.intents.get(&id);
    Ok(intent.and_then(PaymentIntent::url_to_return_to))
}
