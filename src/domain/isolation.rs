//! Connected accounts for experiments, each with its own data in Stripe.

use super::{Domain, Result};
use crate::billing::{Account, Metadata, NewAccount};

/// The metadata key that names the creator of a connected account.
const MADE_BY: &str = "tier.account";

/// The value of [`MADE_BY`] for accounts created by `tier switch -c`.
const SWITCH: &str = "switch";

/// The values of [`MADE_BY`] for temporary accounts, which may be deleted after a while: Tier's, and those of the
/// original Tier's tests.
const TEMPORARY: [&str; 2] = [SWITCH, "stroke"];

/// A connected account for experiments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsolatedAccount {
    /// `acct_…`.
    pub id: String,
    /// Unix seconds.
    pub created: i64,
}

impl From<Account> for IsolatedAccount {
    fn from(account: Account) -> Self {
        Self {
            id: account.id,
            created: account.created.unwrap_or_default(),
        }
    }
}

impl Domain {
    /// Creates a connected account for experiments.
    pub async fn make_isolated_account(&self) -> Result<IsolatedAccount> {
        let name = format!("tier.switch.{}", uuid::Uuid::new_v4().simple());
        let new = NewAccount {
            name: &name,
            metadata: &Metadata::from([(MADE_BY.to_owned(), SWITCH.to_owned())]),
        };
        let account = self.billing().create_connected_account(new).send().await?;
        Ok(account.into())
    }

    /// The connected accounts for experiments that are at least `age` seconds old.
    pub async fn isolated_accounts(&self, age: i64) -> Result<Vec<IsolatedAccount>> {
        let latest = self.account.clock.unix().saturating_sub(age);
        let accounts = self.billing().connected_accounts().await?;
        Ok(accounts
            .into_iter()
            .filter(|account| is_temporary(&account.metadata))
            .map(IsolatedAccount::from)
            .filter(|account| account.created <= latest)
            .collect())
    }

    /// Deletes a connected account with all its data.
    pub async fn delete_isolated_account(&self, account: &IsolatedAccount) -> Result<()> {
        self.billing().delete_connected_account(&account.id).await?;
        Ok(())
    }
}

fn is_temporary(metadata: &Metadata) -> bool {
    let made_by = metadata.get(MADE_BY);
    made_by.is_some_and(|made_by| TEMPORARY.contains(&made_by.as_str()))
}
