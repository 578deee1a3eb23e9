//! Connected accounts for trying things out: each has a Stripe of its own, so that nobody gets in another's way.

use super::{Domain, Result};
use crate::billing::{Account, Metadata, NewAccount};

/// Says on a connected account what made it.
const MADE_BY: &str = "tier.account";

/// What `tier switch -c` makes.
const SWITCH: &str = "switch";

/// What makes an account that may go after a while: ourselves, and the original's own tests.
const TEMPORARY: [&str; 2] = [SWITCH, "stroke"];

/// A connected account that was made to be thrown away.
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
    /// Makes an account that is connected to ours, to be thrown away.
    pub async fn make_isolated_account(&self) -> Result<IsolatedAccount> {
        let name = format!("tier.switch.{}", uuid::Uuid::new_v4().simple());
        let new = NewAccount {
            name: &name,
            metadata: &Metadata::from([(MADE_BY.to_owned(), SWITCH.to_owned())]),
        };
        let account = self.billing().create_connected_account(new).send().await?;
        Ok(account.into())
    }

    /// The accounts connected to ours that were made to be thrown away, at least `age` seconds ago.
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

    /// Deletes a connected account and all that is in it.
    pub async fn delete_isolated_account(&self, account: &IsolatedAccount) -> Result<()> {
        self.billing().delete_connected_account(&account.id).await?;
        Ok(())
    }
}

fn is_temporary(metadata: &Metadata) -> bool {
    let made_by = metadata.get(MADE_BY);
    made_by.is_some_and(|made_by| TEMPORARY.contains(&made_by.as_str()))
}
