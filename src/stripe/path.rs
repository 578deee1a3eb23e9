//! The path of a call: an endpoint, and the id in it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All characters that Stripe's ids do not have. They are escaped, so that an id from a client cannot reach another
/// endpoint.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'-');

/// A path of Stripe's API: an endpoint such as `/v1/customers`, or one such as `/v1/customers/*` with the id in place
/// of the `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// The path with `*` for the id. As a label it has few values, and none identifies a customer.
    pub(super) endpoint: &'static str,
    pub(super) path: String,
}

impl From<&'static str> for Path {
    fn from(endpoint: &'static str) -> Self {
        Self {
            endpoint,
            path: endpoint.to_owned(),
        }
    }
}

impl From<(&'static str, &str)> for Path {
    fn from((endpoint, id): (&'static str, &str)) -> Self {
        let id = utf8_percent_encode(id, ESCAPED).to_string();
        Self {
            endpoint,
            path: endpoint.replacen('*', &id, 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stays_one_segment_of_its_endpoint() {
        for (id, path) in [
            ("cus_1-a", "/v1/customers/cus_1-a/payment_methods"),
            (
                "../*?a=b",
                "/v1/customers/%2E%2E%2F%2A%3Fa%3Db/payment_methods",
            ),
        ] {
            let endpoint = "/v1/customers/*/payment_methods";
            let path = path.to_owned();
            assert_eq!(Path::from((endpoint, id)), Path { endpoint, path });
        }
    }
}
