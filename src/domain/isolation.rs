//! Connected accounts for trying things out: each has a Stripe of its own, so that nobody gets in another's way.

use super::{Domain, Result};
use crate::stripe::types::{Account, Metadata};
use serde::Deserialize;

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

/// What Stripe answers to a deletion.
#[derive(Deserialize)]
struct Deleted {}

impl Domain {
    /// Makes an account that is connected to ours, to be thrown away.
    pub async fn make_isolated_account(&self) -> Result<IsolatedAccount> {
        let name = format!("tier.switch.{}", uuid::Uuid::new_v4().simple());
        let request = self.stripe().post("/v1/accounts");
        let account: Account = request
            .param("type", "standard")
            .param("business_profile[name]", name)
            .param(format!("metadata[{MADE_BY}]"), SWITCH)
            .send()
            .await?;
        Ok(account.into())
    }

    /// The accounts connected to ours that were made to be thrown away, at least `age` seconds ago.
    pub async fn isolated_accounts(&self, age: i64) -> Result<Vec<IsolatedAccount>> {
        let latest = self.account.clock.unix().saturating_sub(age);
        let accounts: Vec<Account> = self.stripe().get("/v1/accounts").list().await?;
        Ok(accounts
            .into_iter()
            .filter(|account| is_temporary(&account.metadata))
            .map(IsolatedAccount::from)
            .filter(|account| account.created <= latest)
            .collect())
    }

    /// Deletes a connected account and all that is in it.
    pub async fn delete_isolated_account(&self, account: &IsolatedAccount) -> Result<()> {
        let path = format!("/v1/accounts/{}", super::path_segment(&account.id));
        let Deleted {} = self.stripe().delete(path).send().await?;
        Ok(())
    }
}

fn is_temporary(metadata: &Metadata) -> bool {
    let made_by = metadata.get(MADE_BY);
    made_by.is_some_and(|made_by| TEMPORARY.contains(&made_by.as_str()))
}
