//! `setup`: a customer enters a card on the app's own page, with Stripe Elements.
//!
//! It begins with a set-up intent, whose secret the page gets. When Stripe returns the browser to the page, the app
//! finishes the set-up, and the card pays for the org from then on.

use super::org::{OrgInfoUpdate, ResolvedOrg};
use super::refs::OrgName;
use super::{Domain, Error, Result, Subscribe};
use crate::billing::SetupIntent;

/// What a page needs in order to ask for a card.
#[derive(Clone, Debug)]
pub struct StartedSetup {
    /// `seti_…`.
    pub id: String,
    /// The secret with which the page confirms the intent.
    pub client_secret: String,
    /// `acct_…`: the account in use.
    pub account: String,
    /// Whether that is a connected account, which the page must name to Stripe.
    pub connected: bool,
}

impl Domain {
    /// Creates a set-up intent for the org, and its customer if needed.
    pub async fn start_setup(&self, org: &OrgName) -> Result<StartedSetup> {
        let connected = self.stripe().credentials().account.as_ref();
        let account = match connected {
            Some(account) => account.clone(),
            None => self.billing().account().await?.id,
        };
        let outcome = self.create_setup_intent(org).await;
        let intent = outcome.map_err(|error| self.error_to_report(error))?;
        Ok(StartedSetup {
            id: intent.id,
            client_secret: intent.client_secret.unwrap_or_default(),
            account,
            connected: connected.is_some(),
        })
    }

    async fn create_setup_intent(&self, org: &OrgName) -> Result<SetupIntent> {
        let shared = self.shared().await?;
        let _lock = self.hold_org(org).await?;
        let _changing = self.changing(&shared, org);
        match self.create_setup_intent_once(org).await {
            Err(Error::CustomerVanished { .. }) => {
                self.forget_customer(org).await?;
                self.create_setup_intent_once(org).await
            }
            outcome => outcome,
        }
    }

    async fn create_setup_intent_once(&self, org: &OrgName) -> Result<SetupIntent> {
        let (org, is_new) = self.resolve_or_create_org(org).await?;
        let create = self.billing().create_setup_intent(&org.customer);
        let created = create.send().await.map_err(Error::from);
        if let Err(error) = &created
            && is_new
            && error.is_definite_refusal()
        {
            self.undo_creation(&org).await;
        }
        let created = created?;
        if is_new {
            self.note_new_customer(&org).await?;
        } else {
            self.note_no_change(&org).await?;
        }
        Ok(created)
    }

    /// Reads a set-up intent of the org. If it has succeeded, makes its card the org's payment method. Can be repeated.
    ///
    /// # Errors
    /// [`Error::SetupIntentNotFound`], also for an intent of another org, since knowing its id must not be enough to
    /// use its card.
    pub async fn finish_setup(&self, org: &OrgName, id: &str) -> Result<SetupIntent> {
        let resolved = self.resolve_org(org).await?;
        let intent = self.setup_intent_of(&resolved, id).await?;
        if let (true, Some(method)) = (intent.has_succeeded(), &intent.payment_method) {
            let info = OrgInfoUpdate {
                default_payment_method: method.clone(),
                ..OrgInfoUpdate::default()
            };
            let request = Subscribe {
                info: Some(info),
                ..Subscribe::default()
            };
            // Boxed, since few requests get here, and all would reserve its space.
            Box::pin(self.subscribe(org, &request)).await?;
        }
        Ok(intent)
    }

    async fn setup_intent_of(&self, org: &ResolvedOrg, id: &str) -> Result<SetupIntent> {
        if !is_setup_intent(id) {
            return Err(Error::SetupIntentNotFound);
        }
        match self.billing().setup_intent(id).await {
            Ok(intent) if intent.customer.as_deref() == Some(&*org.customer) => Ok(intent),
            Ok(_) => Err(Error::SetupIntentNotFound),
            Err(error) if error.is_missing() => Err(Error::SetupIntentNotFound),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether a text can be the id of a set-up intent.
fn is_setup_intent(id: &str) -> bool {
    let rest = id.strip_prefix("seti_").unwrap_or_default();
    !rest.is_empty()
        && rest
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
