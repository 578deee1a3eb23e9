//! Opening the ledger and checking its account.

use std::sync::{Mutex, MutexGuard, PoisonError};

use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};

use super::LedgerHandle;
use crate::domain::{Domain, Error, Result};
use crate::ledger::Notice;
use crate::num::hex;

impl Domain {
    /// Opens the ledger, unless it is open. Asks Stripe which account the key belongs to, unless the ledger has seen
    /// the key before.
    ///
    /// # Errors
    /// [`Error::LedgerUnavailable`] if the ledger belongs to another account or is unusable. Other errors if Stripe
    /// cannot be asked; then the call can be retried.
    pub async fn open_ledger(&self) -> Result<()> {
        let Some(LedgerHandle(state)) = self.ledger() else {
            return Ok(());
        };
        let unclaimed = lock(&state.unclaimed).take();
        let Some(unclaimed) = unclaimed else {
            return Ok(());
        };
        let digest = self.credentials_digest();
        let (unclaimed, known) = unclaimed.account_of_key(&digest).await;
        let account = match known {
            Ok(Some(account)) => Ok(account),
            Ok(None) => self.ledger_account().await,
            Err(error) => Err(error.into()),
        };
        let account = match account {
            Ok(account) => account,
            Err(error) => {
                *lock(&state.unclaimed) = Some(unclaimed);
                return Err(error);
            }
        };
        let again = unclaimed.again();
        let opened = unclaimed.claim(&account, &digest).await;
        let (ledger, writer) = opened.map_err(|error| {
            *lock(&state.unclaimed) = again;
            Error::from(error)
        })?;
        *lock(&state.writer) = Some(writer);
        let _ = state.opened.set(ledger);
        Ok(())
    }

    /// Reads the changes of the other servers that share the ledger, and applies their notices. Does nothing if the
    /// ledger is not shared.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn sync_ledger(&self) -> Result<()> {
        let Some(ledger) = self.opened_ledger() else {
            return Ok(());
        };
        // Each notice is read only once, so a failure must not keep the others from being applied.
        let mut outcome = Ok(());
        for notice in ledger.sync().await? {
            outcome = outcome.and(self.apply_notice(&notice.text).await);
        }
        outcome
    }

    /// Sends the servers that share the ledger a notice of the Stripe event `id`.
    ///
    /// # Errors
    /// If the ledger cannot be written.
    pub(in crate::domain) async fn send_notice(&self, id: &str, text: String) -> Result<()> {
        if let Some(ledger) = self.opened_ledger() {
            let id = id.to_owned();
            ledger.send_notice(Notice { id, text }).await?;
        }
        Ok(())
    }

    fn credentials_digest(&self) -> String {
        let credentials = self.stripe().credentials();
        let digest = Sha256::new()
            .chain_update(credentials.key.expose_secret())
            .chain_update(credentials.account.as_deref().unwrap_or_default());
        hex(&digest.finalize())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
