//! Stripe accounts: the account of the key, and those connected to it.

use serde::Deserialize;

use super::object::{Metadata, identified};
use super::{Ack, Billing, Write};
use crate::stripe::Error;

/// `GET /v1/account`.
#[derive(Clone, Debug, Deserialize)]
pub struct Account {
    /// `acct_…`.
    pub id: String,
    /// The owner's e-mail address.
    #[serde(default)]
    pub email: Option<String>,
    /// Unix seconds; absent on some older accounts.
    #[serde(default)]
    pub created: Option<i64>,
    /// Its metadata.
    #[serde(default)]
    pub metadata: Metadata,
}

identified!(Account);

/// A connected account to create.
#[derive(Clone, Copy, Debug)]
pub struct NewAccount<'a> {
    /// The display name.
    pub name: &'a str,
    /// Its metadata.
    pub metadata: &'a Metadata,
}

impl Billing<'_> {
    /// The account that the key belongs to.
    pub async fn account(self) -> Result<Account, Error> {
        self.get("/v1/account").send().await
    }

    /// The connected accounts.
    pub async fn connected_accounts(self) -> Result<Vec<Account>, Error> {
        self.get("/v1/accounts").list().await
    }

    /// Creates a connected account.
    pub fn create_connected_account(self, new: NewAccount<'_>) -> Write<Account> {
        let request = self
            .post("/v1/accounts")
            .param("type", "standard")
            .param("business_profile[name]", new.name);
        Write::new(request.metadata(new.metadata))
    }

    /// Deletes a connected account and everything in it.
    pub async fn delete_connected_account(self, id: &str) -> Result<Ack, Error> {
        let path = ("/v1/accounts/*", id);
        self.delete(path).send().await
    }
}
