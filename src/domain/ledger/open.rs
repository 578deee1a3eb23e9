//! Opening the ledger and checking its account.

use std::sync::PoisonError;

use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};

use super::LedgerHandle;
use crate::domain::{Domain, Error, Result};
use crate::ledger::{Ledger, StoreError};
use crate::num::hex;

impl Domain {
    /// Opens the ledger, unless it is open. Stripe is asked which account the key belongs to, unless the ledger has
    /// seen the key before.
    ///
    /// # Errors
    /// [`Error::LedgerUnavailable`] if the ledger belongs to another account or is unusable. Other errors if Stripe
    /// cannot be asked; then it can be retried.
    pub async fn open_ledger(&self) -> Result<()> {
        let Some(LedgerHandle(state)) = self.ledger() else {
            return Ok(());
        };
        let taken = || {
            let mut place = state.unclaimed.lock();
            place
                .as_mut()
                .unwrap_or_else(|poisoned| poisoned.get_mut())
                .take()
        };
        let Some(file) = taken() else {
            return Ok(());
        };
        let digest = self.credentials_digest();
        let account = match file.account_of_key(&digest) {
            Ok(Some(account)) => Ok(account),
            Ok(None) => self.ledger_account().await,
            Err(error) => Err(unusable(&error)),
        };
        let account = match account {
            Ok(account) => account,
            Err(error) => {
                let mut place = state
                    .unclaimed
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                *place = Some(file);
                return Err(error);
            }
        };
        let opened = file
            .remember_key(&account, &digest)
            .and_then(|()| file.claim(&account))
            .and_then(Ledger::start);
        let (ledger, writer) = opened.map_err(|error| unusable(&error))?;
        *state.writer.lock().unwrap_or_else(PoisonError::into_inner) = Some(writer);
        let _ = state.opened.set(ledger);
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

fn unusable(error: &StoreError) -> Error {
    Error::LedgerUnavailable(error.to_string())
}
