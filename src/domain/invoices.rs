//! `invoices`: an org's invoices, and its upcoming one.

use super::org::ResolvedOrg;
use super::refs::{FeaturePlan, OrgName};
use super::subscription::Detail;
use super::{Domain, Error, Result};
use crate::billing::{Invoice, InvoiceLine};

/// A query for an org's invoices.
#[derive(Clone, Debug)]
pub struct InvoicesQuery {
    /// How many invoices a page has at most.
    pub limit: usize,
    /// The id of the last invoice of the page before.
    pub after: Option<String>,
    /// Whether to include the upcoming invoice.
    pub upcoming: bool,
}

/// A page of an org's invoices.
#[derive(Clone, Debug)]
pub struct OrgInvoices {
    /// The invoices, newest first, with all their lines. Some may be of subscriptions that Tier does not manage.
    pub invoices: Vec<Invoice>,
    /// Whether there are older invoices.
    pub has_more: bool,
    /// The upcoming invoice of the org's subscription, as of now.
    pub upcoming: Option<Invoice>,
}

impl InvoiceLine {
    /// The feature that it bills. None if the price is not Tier's.
    pub fn feature(&self) -> Option<FeaturePlan> {
        self.price.as_ref()?.feature_plan()
    }
}

impl Domain {
    /// A page of the invoices of the org's customer, read from Stripe.
    pub async fn invoices(&self, org: &OrgName, query: &InvoicesQuery) -> Result<OrgInvoices> {
        let mut org = self.resolve_org(org).await?;
        loop {
            match self.read_invoices(&org, query).await {
                Ok(invoices) => return Ok(invoices),
                Err(error) => org = self.resolve_again(&org, error).await?,
            }
        }
    }

    async fn read_invoices(&self, org: &ResolvedOrg, query: &InvoicesQuery) -> Result<OrgInvoices> {
        let page = async {
            let (billing, after) = (self.billing(), query.after.as_deref());
            let invoices = billing.invoices_after(&org.customer, query.limit, after);
            Ok::<_, Error>(invoices.await?)
        };
        // Stripe lists the invoices of a deleted customer too.
        let customer = self.existing_customer(&org.customer);
        let (_, page, upcoming) = tokio::try_join!(customer, page, self.upcoming(org, query))?;
        Ok(OrgInvoices {
            has_more: page.next.is_some(),
            invoices: page.items,
            upcoming,
        })
    }

    async fn upcoming(&self, org: &ResolvedOrg, query: &InvoicesQuery) -> Result<Option<Invoice>> {
        if !query.upcoming {
            return Ok(None);
        }
        let found = self.subscriptions(&org.customer, Detail::Items).await?;
        let Some(subscription) = found.current else {
            return Ok(None);
        };
        let (id, generation) = (&subscription.id, subscription.generation());
        Ok(self.billing().next_invoice(id, generation).await?)
    }
}
