//! Verifies the signatures of Stripe's webhook deliveries.
//!
//! The header is `t=SECONDS,v1=HEX`, where HEX is the HMAC-SHA256 of `SECONDS.BODY` under the endpoint's secret. While
//! a secret is being replaced, there is a `v1` for each of the two. Other schemes are ignored.

use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

/// The maximum age of a signature. It limits for how long somebody who has seen a delivery could repeat it.
const TOLERANCE: Duration = Duration::from_secs(300);

/// Why a signature is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// There is no header, or it lacks a time or a signature.
    #[error("the header Stripe-Signature is missing, or is not like t=1700000000,v1=…")]
    Missing,
    /// The delivery was signed with another secret, or changed in transit.
    #[error("the signature does not match: is STRIPE_WEBHOOK_SECRET that of this endpoint?")]
    Wrong,
    /// The signature is too old, or the clocks disagree.
    #[error("the signature is older than 300 seconds")]
    TooOld,
}

/// The parsed header of a delivery.
#[derive(Debug)]
pub struct Signature<'a> {
    /// The time of the signature, as written.
    time: &'a str,
    signatures: Vec<[u8; 32]>,
}

impl<'a> Signature<'a> {
    /// Parses a header. `now` is in Unix seconds.
    ///
    /// # Errors
    /// If the time or the signature is missing, or the time is too long ago.
    pub fn read(header: &'a str, now: i64) -> Result<Self, SignatureError> {
        let mut signed_at = None;
        let mut signatures = Vec::new();
        let parts = header.split(',');
        for (scheme, value) in parts.filter_map(|part| part.trim().split_once('=')) {
            match scheme {
                "t" => signed_at = value.parse::<i64>().ok().map(|unix| (unix, value)),
                "v1" => signatures.extend(from_hex(value)),
                _ => {}
            }
        }
        let (unix, time) = signed_at.ok_or(SignatureError::Missing)?;
        if signatures.is_empty() {
            return Err(SignatureError::Missing);
        }
        let oldest = now.saturating_sub(TOLERANCE.as_secs().cast_signed());
        if unix < oldest {
            return Err(SignatureError::TooOld);
        }
        Ok(Self { time, signatures })
    }

    /// Checks that `body` was signed with one of `secrets`.
    ///
    /// # Errors
    /// [`SignatureError::Wrong`] if it was not.
    pub fn verify(&self, body: &[u8], secrets: &[SecretString]) -> Result<(), SignatureError> {
        let is_signed_with = |secret: &SecretString| {
            let mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes());
            let mac = mac.expect("a key of any length will do");
            let mac = mac
                .chain_update(self.time)
                .chain_update(".")
                .chain_update(body);
            // Compared in constant time.
            let is_right = |signature: &[u8; 32]| mac.clone().verify_slice(signature).is_ok();
            self.signatures.iter().any(is_right)
        };
        if secrets.iter().any(is_signed_with) {
            Ok(())
        } else {
            Err(SignatureError::Wrong)
        }
    }
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        let value = digit(pair[0])? * 16 + digit(pair[1])?;
        *byte = u8::try_from(value).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"id":"evt_1"}"#;

    /// Computed with `printf '1700000000.{"id":"evt_1"}' | openssl dgst -sha256 -hmac whsec_test`.
    const SIGNATURE: &str = "c89214b5b5da833daed6f0b8c5bb6bd58cea9022bd80ccc78230f3942d632925";

    fn check(header: &str, body: &[u8], now: i64) -> Result<(), SignatureError> {
        let secrets = ["whsec_other".into(), "whsec_test".into()];
        Signature::read(header, now)?.verify(body, &secrets)
    }

    #[test]
    fn a_valid_signature_is_accepted() {
        let at = 1_700_000_000;
        for header in [
            format!("t={at},v1={SIGNATURE}"),
            format!("t={at},v0=00,v1={},v1={SIGNATURE}", "0".repeat(64)),
            format!(" t={at} , v1={} ", SIGNATURE.to_uppercase()),
        ] {
            let header = header.replace(" ,", ",").trim().to_owned();
            assert_eq!(check(&header, BODY, at), Ok(()), "{header}");
            assert_eq!(check(&header, BODY, at + 300), Ok(()));
            assert_eq!(
                check(&header, BODY, at - 9_999),
                Ok(()),
                "our clock is slow"
            );
            assert_eq!(check(&header, BODY, at + 301), Err(SignatureError::TooOld));
            assert_eq!(check(&header, b"{}", at), Err(SignatureError::Wrong));
        }
    }

    #[test]
    fn an_invalid_signature_is_refused() {
        let at = 1_700_000_000;
        for header in [
            String::new(),
            format!("t={at}"),
            format!("v1={SIGNATURE}"),
            format!("t=now,v1={SIGNATURE}"),
            format!("t={at},v1={}", &SIGNATURE[1..]),
            format!("t={at},v0={SIGNATURE}"),
            format!("t={at},v1={}", "é".repeat(32)),
        ] {
            assert_eq!(
                check(&header, BODY, at),
                Err(SignatureError::Missing),
                "{header}"
            );
        }
        let moved = format!("t={},v1={SIGNATURE}", at + 1);
        assert_eq!(check(&moved, BODY, at), Err(SignatureError::Wrong));
        let signed = format!("t={at},v1={SIGNATURE}");
        let signed = Signature::read(&signed, at).expect("a header");
        assert_eq!(signed.verify(BODY, &[]), Err(SignatureError::Wrong));
    }
}
