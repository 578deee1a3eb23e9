//! Invoice items that come with a subscription, with a change of one, or with a phase: Stripe's `add_invoice_items`.

use serde_json::{Value, json};

use super::catalog;
use super::drafts::Draft;
use crate::error::{Error, Result};
use crate::money::currency::Currency;
use crate::money::lines::Line;
use crate::money::{round_half_up, times};
use crate::params::Params;
use crate::params::metadata::Metadata;
use crate::resource::invoice_item::input::{of_price, quantity};
use crate::resource::invoice_item::{self, InvoiceItem};
use crate::resource::subscription;
use crate::store::context::Ctx;
use crate::store::ids::Id;
use crate::store::state::Account;

const KEY: &str = "add_invoice_items";
/// Stripe's limit.
const MAX_ITEMS: usize = 20;

/// So many of a price that is paid once.
#[derive(Clone, Debug)]
pub(crate) struct AddedItem {
    price: Id,
    quantity: i64,
}

/// Reads `add_invoice_items`, which must be in the currency of the subscription.
pub(crate) fn read(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    currency: Currency,
) -> Result<Vec<AddedItem>> {
    let given = params.objects(KEY)?.unwrap_or_default();
    if given.len() > MAX_ITEMS {
        return Err(Error::invalid(format!(
            "You can add at most {MAX_ITEMS} invoice items at a time."
        ))
        .param(params.name(KEY)));
    }
    let read = |params: &Params<'_>| {
        params.unmodelled(&["price_data", "tax_rates?"])?;
        let id = params.required("price")?;
        let quantity = quantity(params)?.unwrap_or(1);
        let cost = of_price(ctx, params, id, quantity)?;
        if let Some(of_price) = cost.currency {
            subscription::shared_input::check_same(of_price, currency, params.name("price"))?;
        }
        Ok(AddedItem {
            price: id.into(),
            quantity,
        })
    };
    given.iter().map(read).collect()
}

impl AddedItem {
    fn line(&self, account: &Account, period: (i64, i64)) -> Line {
        let price = catalog::price(account, &self.price);
        let rate = catalog::rate(price);
        let amount = round_half_up(times(self.quantity.into(), rate));
        Line {
            quantity: self.quantity,
            amount,
            rate,
            description: catalog::product_name(account, price),
            period,
            proration: false,
            discountable: amount >= 0,
        }
    }

    /// Its line on the invoice that takes it.
    pub(crate) fn draft(&self, account: &Account, period: (i64, i64)) -> Draft {
        Draft {
            line: self.line(account, period),
            price: Some(self.price.clone()),
            item: None,
            invoice_item: None,
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({"price": &*self.price, "quantity": self.quantity, "tax_rates": []})
    }
}

/// Lets the items wait for the subscription's next invoice, which shows the first of them first. They are for the
/// `period`. Answers with their ids.
pub(crate) fn add(
    ctx: &mut Ctx<'_>,
    position: u32,
    items: &[AddedItem],
    period: (i64, i64),
    at: i64,
) -> Vec<Id> {
    let add = |item: &AddedItem| {
        let subscription = ctx.account.subscription(position);
        let waiting = InvoiceItem {
            id: Id::default(),
            customer: subscription.customer.clone(),
            clock: subscription.clock.clone(),
            created: at,
            currency: subscription.currency,
            subscription: Some(subscription.id.clone()),
            item: None,
            price: Some(item.price.clone()),
            line: item.line(ctx.account, period),
            credited: None,
            metadata: Metadata::default(),
            invoice: None,
        };
        invoice_item::add(ctx, waiting)
    };
    items.iter().rev().map(add).collect()
}
