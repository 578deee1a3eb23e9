//! Checkout pages, on which an org enters a card and may subscribe.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::schedule::TaxRequest;
use crate::api::anonymous::BaseUrl;
use crate::api::audit::Change;
use crate::api::checkout_link::LinkedCheckout;
use crate::api::error::Error;
use crate::api::extract::{AuditedJson, IdempotencyKey};
use crate::api::json::Json;
use crate::api::operation::{Access, Operation};
use crate::api::values::{Required, Time};
use crate::api::{CheckoutLinks, Role, Shared};
use crate::domain::refs::{OrgName, Reference};
use crate::domain::{Checkout, Domain, Lane, Tax};

/// How long a link is valid, in days, unless the request says otherwise.
const DEFAULT_LINK_DAYS: i64 = 30;

/// How long a link can be valid at most, in days.
const MAX_LINK_DAYS: i64 = 366;

const SECONDS_A_DAY: i64 = 86_400;

pub(in crate::api) fn operations() -> [Operation; 1] {
    let access = Access::Account(Lane::Interactive, Role::Admin);
    [Operation::post(
        "checkout",
        "/v1/checkout",
        access,
        checkout,
    )]
}

async fn checkout(
    State(app): State<Shared>,
    domain: Domain,
    BaseUrl(base_url): BaseUrl,
    IdempotencyKey(key): IdempotencyKey,
    AuditedJson(request): AuditedJson<CheckoutRequest>,
) -> Result<Json<CheckoutPage>, Error> {
    let lifetime = request.link_lifetime()?;
    let (org, checkout) = (request.org.0.clone(), request.into());
    if let Some(lifetime) = lifetime {
        let links = app.checkout_links.as_ref();
        let links = links.ok_or_else(Error::no_checkout_links)?;
        let linked = LinkedCheckout {
            org,
            checkout,
            test_clock: domain.test_clock_id().map(str::to_owned),
            live: app.accounts.is_live(),
            expires: links.now() + lifetime,
        };
        return link(links, base_url, &domain, &linked).await.map(Json);
    }
    let url = domain.checkout(&org, &checkout, key.as_deref()).await?;
    Ok(Json(CheckoutPage { url, expires: None }))
}

/// Makes a link, if its Checkout page could be opened now.
async fn link(
    links: &CheckoutLinks,
    base_url: Option<String>,
    domain: &Domain,
    linked: &LinkedCheckout,
) -> Result<CheckoutPage, Error> {
    let Checkout {
        success_url,
        cancel_url,
        ..
    } = &linked.checkout;
    // Stripe checks these too, but only once somebody follows the link.
    for (name, url) in [("success_url", success_url), ("cancel_url", cancel_url)] {
        if !url.is_empty() && !is_web_page(url) {
            return Err(Error::invalid(format!(
                "{name} must be the URL of a page, like https://app.example/welcome"
            )));
        }
    }
    let base = links.origin().map(str::to_owned).or(base_url);
    let base = base.ok_or_else(|| {
        Error::invalid(
            "the request does not say which host it is for, and there is no --link-origin",
        )
    })?;
    let path = links.path(linked)?;
    domain.check_checkout(&linked.checkout).await?;
    Ok(CheckoutPage {
        url: base + &path,
        expires: Some(Time(linked.expires)),
    })
}

fn is_web_page(text: &str) -> bool {
    let url = url::Url::parse(text);
    url.is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

/// `POST /v1/checkout`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckoutRequest {
    /// The org.
    pub org: Required<OrgName>,
    /// Where the browser goes afterwards.
    #[serde(default)]
    pub success_url: String,
    /// Where the browser goes if the customer cancels.
    #[serde(default)]
    pub cancel_url: String,
    /// Plans, and single features of plans. Empty: the page only asks for a card.
    #[serde(default)]
    pub features: Vec<Reference>,
    /// Length of the trial, in days. Zero or less is none.
    #[serde(default)]
    pub trial_days: i64,
    /// Whether the page asks for an address.
    #[serde(default)]
    pub require_billing_address: bool,
    /// Settings for tax.
    #[serde(default)]
    pub tax: TaxRequest,
    /// Whether to return a link that opens a new page at each visit, in place of a page.
    #[serde(default)]
    pub link: bool,
    /// After how many days the link ends.
    #[serde(default)]
    pub link_days: Option<i64>,
}

impl CheckoutRequest {
    /// How long the link is valid, in seconds; `None` if the request is for a page.
    fn link_lifetime(&self) -> Result<Option<i64>, Error> {
        match (self.link, self.link_days) {
            (false, None) => Ok(None),
            (false, Some(_)) => Err(Error::invalid("link_days is for links: set link to true")),
            (true, days) => {
                let days = days.unwrap_or(DEFAULT_LINK_DAYS);
                if !(1..=MAX_LINK_DAYS).contains(&days) {
                    return Err(Error::invalid(format!(
                        "link_days must be from 1 to {MAX_LINK_DAYS}"
                    )));
                }
                Ok(Some(days * SECONDS_A_DAY))
            }
        }
    }
}

impl From<CheckoutRequest> for Checkout {
    fn from(request: CheckoutRequest) -> Self {
        Self {
            success_url: request.success_url,
            cancel_url: request.cancel_url,
            features: request.features,
            trial_days: request.trial_days,
            require_billing_address: request.require_billing_address,
            tax: Tax {
                automatic: request.tax.automatic,
                collect_id: request.tax.collect_id,
            },
        }
    }
}

impl Change for CheckoutRequest {
    fn org(&self) -> Option<&OrgName> {
        Some(&self.org.0)
    }

    fn change(&self) -> Value {
        let features: Vec<_> = self.features.iter().map(ToString::to_string).collect();
        let mut change = json!({"features": features, "trial_days": self.trial_days});
        if self.link {
            change["link"] = true.into();
        }
        change
    }
}

/// `POST /v1/checkout`
#[derive(Serialize)]
struct CheckoutPage {
    url: String,
    /// When a link ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Time>,
}
