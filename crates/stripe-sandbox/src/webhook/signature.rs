//! Stripe's webhook signature: an HMAC of the time and the body with the endpoint's secret.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The `Stripe-Signature` header of a body that is sent at `unix` seconds.
pub(crate) fn header(secret: &str, unix: i64, body: &str) -> String {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(format!("{unix}.").as_bytes());
    mac.update(body.as_bytes());
    let mut header = format!("t={unix},v1=");
    for byte in mac.finalize().into_bytes() {
        write!(header, "{byte:02x}").expect("a String takes any text");
    }
    header
}

#[cfg(test)]
mod tests {
    use super::header;

    /// Expected value from `printf '1492774577.{"id": "evt_1"}' | openssl dgst -sha256 -hmac whsec_test_secret`.
    #[test]
    fn the_signature_is_the_one_that_openssl_makes() {
        assert_eq!(
            header("whsec_test_secret", 1_492_774_577, r#"{"id": "evt_1"}"#),
            "t=1492774577,v1=10b0a2815816a45e6b874658b928cae03296be10637343405aaf1e8306ddffdc"
        );
    }
}
