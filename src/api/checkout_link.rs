//! Checkout links: `/pay/<payload>.<mac>` names an org and the plan to sell to it, and opens a new Checkout page at
//! each visit. Unlike the URL of a Checkout page, which ends after a day, a link can be sent by mail.
//!
//! Everybody can read the payload, but only a server with the secret can make one, because it is signed with
//! HMAC-SHA-256.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clock::Clock;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::error::Error;
use crate::domain::refs::OrgName;
use crate::domain::{Checkout, Tax};

/// A prefix of the signed bytes, so that nothing else that is signed with the same secret passes for a link.
const PURPOSE: &[u8] = b"tier checkout link 1\n";

/// The maximum length of the signed part, in bytes. Some mail programs cut longer links, and servers refuse much longer
/// ones.
const MAX_PAYLOAD: usize = 4096;

/// Makes links, and opens them. Clones share the secrets.
#[derive(Clone)]
pub struct CheckoutLinks(Arc<Inner>);

struct Inner {
    /// The first one signs. The others are being replaced.
    secrets: Vec<SecretString>,
    /// Where browsers reach the server. None if that is the host that requests for links are sent to.
    origin: Option<String>,
    clock: Clock,
}

/// The checkout that a link opens.
#[derive(Clone, Debug)]
pub(super) struct LinkedCheckout {
    pub(super) org: OrgName,
    pub(super) checkout: Checkout,
    /// The test clock that the org is on.
    pub(super) test_clock: Option<String>,
    /// Whether it is for an account in live mode. A server may be given another account, and keep its secret.
    pub(super) live: bool,
    /// When the link ends, in Unix seconds.
    pub(super) expires: i64,
}

impl CheckoutLinks {
    /// None without a secret. `origin` is where browsers reach the server, unless that is the host that requests for
    /// links are sent to.
    pub fn new(secrets: Vec<SecretString>, origin: Option<String>, clock: Clock) -> Option<Self> {
        let inner = Inner {
            secrets,
            origin,
            clock,
        };
        (!inner.secrets.is_empty()).then(|| Self(Arc::new(inner)))
    }

    /// Where browsers reach the server, if it is configured.
    pub(super) fn origin(&self) -> Option<&str> {
        self.0.origin.as_deref()
    }

    /// The time in Unix seconds.
    pub(super) fn now(&self) -> i64 {
        self.0.clock.unix()
    }

    /// The path of a link.
    pub(super) fn path(&self, linked: &LinkedCheckout) -> Result<String, Error> {
        let payload = Payload::from(linked);
        let payload = serde_json::to_vec(&payload).map_err(|cause| Error::internal(&cause))?;
        if payload.len() > MAX_PAYLOAD {
            return Err(Error::invalid(
                "this is too much for a link: shorten success_url and cancel_url, or name whole plans",
            ));
        }
        Ok(format!("/pay/{}", self.sign(&payload)))
    }

    /// The checkout that a link opens. None if this server did not make the link, or if the link has ended or is for
    /// another mode.
    pub(super) fn open(&self, segment: &str, live: bool) -> Option<LinkedCheckout> {
        let payload: Payload = serde_json::from_slice(&self.verify(segment)?).ok()?;
        let linked = payload.read()?;
        (linked.live == live && self.now() < linked.expires).then_some(linked)
    }

    fn sign(&self, payload: &[u8]) -> String {
        let mac = mac(&self.0.secrets[0], payload).finalize().into_bytes();
        let [payload, mac] = [payload, &mac].map(|bytes| URL_SAFE_NO_PAD.encode(bytes));
        format!("{payload}.{mac}")
    }

    /// The payload that was signed with one of the secrets.
    fn verify(&self, segment: &str) -> Option<Vec<u8>> {
        let (payload, signature) = segment.split_once('.')?;
        let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        // Compared in constant time.
        let is_right = |secret| mac(secret, &payload).verify_slice(&signature).is_ok();
        self.0.secrets.iter().any(is_right).then_some(payload)
    }
}

fn mac(secret: &SecretString, payload: &[u8]) -> Hmac<Sha256> {
    let mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes());
    let mac = mac.expect("a key of any length will do");
    mac.chain_update(PURPOSE).chain_update(payload)
}

/// The signed part of a link. A field that this version does not know makes the link invalid, since it may be about
/// money.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    org: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    features: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trial_days: Option<i64>,
    success_url: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    cancel_url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    require_billing_address: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    automatic_tax: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    collect_tax_id: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    clock: Option<String>,
    live: bool,
    exp: i64,
}

impl From<&LinkedCheckout> for Payload {
    fn from(linked: &LinkedCheckout) -> Self {
        let checkout = &linked.checkout;
        let if_set = |flag: bool| flag.then_some(true);
        Self {
            org: linked.org.to_string(),
            features: checkout.features.iter().map(ToString::to_string).collect(),
            trial_days: Some(checkout.trial_days).filter(|days| *days > 0),
            success_url: checkout.success_url.clone(),
            cancel_url: checkout.cancel_url.clone(),
            require_billing_address: if_set(checkout.require_billing_address),
            automatic_tax: checkout.tax.automatic,
            collect_tax_id: if_set(checkout.tax.collect_id),
            clock: linked.test_clock.clone(),
            live: linked.live,
            exp: linked.expires,
        }
    }
}

impl Payload {
    /// Parses the names. None if one of them is not valid any more.
    fn read(self) -> Option<LinkedCheckout> {
        let features = self.features.iter().map(|name| name.parse().ok());
        Some(LinkedCheckout {
            org: self.org.parse().ok()?,
            checkout: Checkout {
                success_url: self.success_url,
                cancel_url: self.cancel_url,
                features: features.collect::<Option<_>>()?,
                trial_days: self.trial_days.unwrap_or_default(),
                require_billing_address: self.require_billing_address.unwrap_or_default(),
                tax: Tax {
                    automatic: self.automatic_tax,
                    collect_id: self.collect_tax_id.unwrap_or_default(),
                },
            },
            test_clock: self.clock,
            live: self.live,
            expires: self.exp,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(secrets: &[&str]) -> CheckoutLinks {
        let secrets = secrets.iter().map(|secret| (*secret).into()).collect();
        CheckoutLinks::new(secrets, None, Clock::manual(0)).expect("a secret")
    }

    #[test]
    fn a_payload_is_as_it_was_signed_or_none() {
        let links = links(&["one"]);
        let link = links.sign(b"{\"org\":\"org:a\"}");
        assert_eq!(links.verify(&link), Some(b"{\"org\":\"org:a\"}".to_vec()));
        let (payload, mac) = link.split_once('.').expect("two parts");
        let other = links.sign(b"{\"org\":\"org:b\"}");
        let (other, _) = other.split_once('.').expect("two parts");
        for wrong in [
            format!("{other}.{mac}"),
            format!("{payload}.{}", &mac[1..]),
            format!("{payload}."),
            format!("{payload}.{payload}"),
            format!("{link}="),
            payload.to_owned(),
            String::new(),
            ".".to_owned(),
        ] {
            assert_eq!(links.verify(&wrong), None, "{wrong}");
        }
        for at in 0..link.len() {
            let mut changed = link.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).expect("ASCII");
            assert_eq!(links.verify(&changed), None, "{changed}");
        }
    }

    #[test]
    fn a_secret_that_is_being_replaced_still_counts() {
        let (old, both, new) = (links(&["old"]), links(&["new", "old"]), links(&["new"]));
        let (of_old, of_both) = (old.sign(b"x"), both.sign(b"x"));
        assert!(both.verify(&of_old).is_some() && new.verify(&of_both).is_some());
        assert!(new.verify(&of_old).is_none() && old.verify(&of_both).is_none());
        assert!(CheckoutLinks::new(Vec::new(), None, Clock::manual(0)).is_none());
    }

    #[test]
    fn a_link_opens_what_it_was_made_for_and_ends() {
        let links = links(&["one"]);
        let linked = LinkedCheckout {
            org: "org:a".parse().expect("an org"),
            checkout: Checkout {
                success_url: "https://a.example/thanks?session={CHECKOUT_SESSION_ID}".into(),
                cancel_url: "https://a.example/".into(),
                features: vec![
                    "plan:p@1".parse().expect("a plan"),
                    "feature:f@plan:q@1".parse().expect("a feature"),
                ],
                trial_days: 14,
                require_billing_address: true,
                tax: Tax {
                    automatic: Some(false),
                    collect_id: true,
                },
            },
            test_clock: Some("clock_1".into()),
            live: false,
            expires: 60,
        };
        let path = links.path(&linked).expect("a link");
        let segment = path.strip_prefix("/pay/").expect("a path");
        let opened = links.open(segment, false).expect("it is open");
        assert_eq!(format!("{opened:?}"), format!("{linked:?}"));
        assert!(links.open(segment, true).is_none(), "live mode");
        let (payload, _) = segment.split_once('.').expect("two parts");
        let payload = URL_SAFE_NO_PAD.decode(payload).expect("Base64");
        // A later version may add a coupon, which this one would leave out.
        let later = String::from_utf8(payload).expect("JSON");
        let later = later.replacen('{', "{\"coupon\":\"half\",", 1);
        assert!(links.open(&links.sign(later.as_bytes()), false).is_none());
        links.0.clock.set(59);
        assert!(links.open(segment, false).is_some());
        links.0.clock.set(60);
        assert!(links.open(segment, false).is_none());
        let mut long = linked;
        long.checkout.cancel_url = format!("https://a.example/{}", "x".repeat(MAX_PAYLOAD));
        assert!(links.path(&long).is_err());
    }
}
