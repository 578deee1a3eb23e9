//! Customer balances. A negative balance is a credit, which Stripe takes off the next invoice.

use serde::Deserialize;

use super::object::{Metadata, identified};
use super::{Ack, Billing, Write};
use crate::stripe::Error;

/// A balance transaction.
#[derive(Clone, Debug, Deserialize)]
pub struct BalanceTransaction {
    /// `cbtxn_…`.
    pub id: String,
    /// Its metadata.
    #[serde(default)]
    pub metadata: Metadata,
}

identified!(BalanceTransaction);

/// A balance transaction to create.
#[derive(Clone, Copy, Debug)]
pub struct NewBalanceTransaction<'a> {
    /// `cus_…`.
    pub customer: &'a str,
    /// Cents. A negative amount is a credit.
    pub amount: i64,
    /// The currency: three lower-case letters.
    pub currency: &'a str,
    /// The description in the dashboard.
    pub description: &'a str,
    /// Its metadata.
    pub metadata: &'a Metadata,
}

impl Billing<'_> {
    /// All balance transactions of a customer, newest first.
    pub async fn balance_transactions(
        self,
        customer: &str,
    ) -> Result<Vec<BalanceTransaction>, Error> {
        self.get((TRANSACTIONS, customer)).list().await
    }

    /// Changes a customer's balance.
    pub fn change_balance(self, new: &NewBalanceTransaction<'_>) -> Write<Ack> {
        let request = self
            .post((TRANSACTIONS, new.customer))
            .param("amount", new.amount)
            .param("currency", new.currency)
            .param("description", new.description)
            .metadata(new.metadata);
        Write::new(request)
    }
}

const TRANSACTIONS: &str = "/v1/customers/*/balance_transactions";
