//! The basket of a checkout session.

use serde_json::{Value, json};

use super::{CheckoutSession, Mode, URL};
use crate::engine::catalog;
use crate::money::lines::PriceTerms;
use crate::resource::json;
use crate::store::account::Account;
use crate::store::ids::Id;
use crate::store::table::Row;

/// An item in the basket.
pub(crate) struct LineItem {
    id: Id,
    pub(crate) terms: PriceTerms,
    pub(crate) quantity: Option<i64>,
    price: Id,
}

impl Row for LineItem {
    fn id(&self) -> &Id {
        &self.id
    }
}

/// The items in the basket.
pub(crate) fn basket(account: &Account, session: &CheckoutSession) -> Vec<LineItem> {
    let Mode::Subscription(purchase) = &session.mode else {
        return Vec::new();
    };
    let name = session.id.trim_start_matches("cs_test_");
    let item = |(index, spec): (usize, &crate::resource::subscription_item::ItemSpec)| LineItem {
        id: format!("li_{}{index:02}", &name[..name.len().min(22)]).into(),
        terms: catalog::price_terms(account, &spec.price),
        quantity: spec.quantity,
        price: spec.price.clone(),
    };
    purchase.specs.iter().enumerate().map(item).collect()
}

/// The value of `line_items` when it is expanded.
pub(crate) fn first_line_items(account: &Account, session: &CheckoutSession) -> Value {
    let items = basket(account, session);
    let url = format!("{URL}/{}/line_items", session.id);
    let trial = in_trial(session);
    json::nested(
        &url,
        items.len(),
        items.iter().map(|item| line_item(account, item, trial)),
    )
}

/// Whether a trial begins, so that nothing is charged.
pub(crate) fn in_trial(session: &CheckoutSession) -> bool {
    match &session.mode {
        Mode::Subscription(purchase) => {
            purchase.trial_days.is_some() || purchase.trial_end.is_some()
        }
        Mode::Setup { .. } => false,
    }
}

pub(super) fn line_item(account: &Account, item: &LineItem, trial: bool) -> Value {
    let amount = match item.quantity {
        Some(quantity) if !trial => item.terms.scheme.amount(quantity),
        _ => 0,
    };
    let price = account.price(&item.price);
    json!({
        "id": &*item.id,
        "object": "item",
        "amount_discount": 0,
        "amount_subtotal": amount,
        "amount_tax": 0,
        "amount_total": amount,
        "currency": price.currency.as_str(),
        "description": item.terms.name,
        "price": price.to_json(),
        "quantity": item.quantity,
    })
}
