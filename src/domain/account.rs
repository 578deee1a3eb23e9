//! `whoami`: the Stripe account of an API key.

use super::{Domain, Error, Result};

/// The current Stripe account.
#[derive(Clone, Debug)]
pub struct Whoami {
    /// `acct_…`.
    pub id: String,
    /// The owner's e-mail address, or empty.
    pub email: String,
    /// Unix seconds.
    pub created: i64,
    /// Where the key came from: `STRIPE_API_KEY`, a file's path, `sandbox`, `authorization`.
    pub key_source: String,
    /// Whether a connected account is used.
    pub isolated: bool,
    /// The account's page in Stripe's dashboard; empty if it has none.
    pub url: String,
}

impl Domain {
    /// Checks that Stripe is reachable and accepts the key. A rate-limit answer counts as reachable.
    pub async fn reach_stripe(&self) -> Result<()> {
        match self.billing().account().await.map_err(Error::from) {
            Ok(_) | Err(Error::RateLimited { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The account's name in a ledger: its id, and `live` or `test`. Rolling the key does not change it.
    pub async fn ledger_account(&self) -> Result<String> {
        let account = self.billing().account().await?;
        let is_live = self.stripe().credentials().is_live();
        let mode = if is_live { "live" } else { "test" };
        Ok(format!("{}:{mode}", account.id))
    }

    /// Asks Stripe which account the key belongs to.
    pub async fn whoami(&self) -> Result<Whoami> {
        let account = self.billing().account().await?;
        Ok(Whoami {
            url: (self.stripe().dashboard_url())
                .map(|dashboard| format!("{dashboard}/{}", account.id))
                .unwrap_or_default(),
            id: account.id,
            email: account.email.unwrap_or_default(),
            created: account.created.unwrap_or_default(),
            key_source: self.account.key_source.clone(),
            isolated: self.stripe().credentials().account.is_some(),
        })
    }
}
