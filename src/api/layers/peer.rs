//! The address that a request comes from.

use std::net::IpAddr;

use axum::http::{Extensions, HeaderMap};

use crate::net::{Peer, Proxies};

impl Proxies {
    /// The address that a request comes from. Each proxy appends the address of its client to `X-Forwarded-For`, so the
    /// last address that is not a trusted proxy's is the caller's. The addresses before it may be forged.
    pub(in crate::api) fn origin(
        &self,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Option<IpAddr> {
        let peer: &Peer = extensions.get()?;
        let mut address = peer.address.to_canonical();
        let forwarded = headers.get_all("x-forwarded-for").iter();
        let hops: Vec<&str> = forwarded
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .collect();
        for hop in hops.into_iter().rev() {
            if !self.contain(address) {
                break;
            }
            let Ok(hop) = hop.trim().parse::<IpAddr>() else {
                break;
            };
            address = hop.to_canonical();
        }
        Some(address)
    }

    /// Whether a request came over HTTPS, according to a trusted proxy.
    pub(in crate::api) fn says_https(&self, headers: &HeaderMap, extensions: &Extensions) -> bool {
        let peer: Option<&Peer> = extensions.get();
        let values = headers.get_all("x-forwarded-proto").iter();
        let last = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .next_back();
        let https = last.is_some_and(|scheme| scheme.trim().eq_ignore_ascii_case("https"));
        https && peer.is_some_and(|peer| self.contain(peer.address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Network;

    fn proxies(networks: &[&str]) -> Proxies {
        let networks = networks.iter().map(|text| text.parse().expect("a network"));
        Proxies(networks.collect())
    }

    fn origin(proxies: &Proxies, peer: &str, forwarded: &[&str]) -> String {
        let mut extensions = Extensions::new();
        extensions.insert(Peer {
            address: peer.parse().expect("an address"),
        });
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().expect("a header"));
        }
        let origin = proxies.origin(&headers, &extensions);
        origin.expect("a peer").to_string()
    }

    #[test]
    fn only_proxies_are_trusted_about_the_scheme() {
        let proxies = proxies(&["10.0.0.0/8"]);
        let says_https = |peer: &str, scheme: &'static str| {
            let mut extensions = Extensions::new();
            let address = peer.parse().expect("an address");
            extensions.insert(Peer { address });
            let scheme = axum::http::HeaderValue::from_static(scheme);
            let name = axum::http::HeaderName::from_static("x-forwarded-proto");
            proxies.says_https(&HeaderMap::from_iter([(name, scheme)]), &extensions)
        };
        assert!(says_https("10.1.2.3", "https"));
        assert!(says_https("10.1.2.3", "http, HTTPS"));
        assert!(!says_https("10.1.2.3", "https, http"));
        assert!(!says_https("11.1.2.3", "https"));
    }

    #[test]
    fn only_proxies_are_trusted_about_the_address() {
        let none = Proxies::default();
        assert_eq!(origin(&none, "192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        let own = proxies(&["10.0.0.0/8", "::1"]);
        for (peer, forwarded, expected) in [
            ("10.1.2.3", &["198.51.100.7"][..], "198.51.100.7"),
            ("10.1.2.3", &["203.0.113.9, 198.51.100.7"], "198.51.100.7"),
            (
                "10.1.2.3",
                &["203.0.113.9", "198.51.100.7, 10.9.9.9"],
                "198.51.100.7",
            ),
            ("::1", &["2001:db8::1"], "2001:db8::1"),
            ("::ffff:10.1.2.3", &["198.51.100.7"], "198.51.100.7"),
            ("10.1.2.3", &["unknown"], "10.1.2.3"),
            ("10.1.2.3", &[], "10.1.2.3"),
            ("11.1.2.3", &["198.51.100.7"], "11.1.2.3"),
        ] {
            assert_eq!(
                origin(&own, peer, forwarded),
                expected,
                "{peer} {forwarded:?}"
            );
        }
        assert_eq!(
            origin(&proxies(&["0.0.0.0/0"]), "1.2.3.4", &["5.6.7.8"]),
            "5.6.7.8"
        );
        for text in ["", "10.0.0.0/33", "10.0.0/8", "a", "::/129", "10.0.0.1/x"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
