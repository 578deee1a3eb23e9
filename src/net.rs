//! Addresses, names of this machine, and the TLS settings of clients.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

/// The peer of a connection. Each request carries it as an extension.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    /// Its address.
    pub(crate) address: IpAddr,
}

/// The trusted proxies. A request from one of them counts for the address in its `X-Forwarded-For`.
#[derive(Clone, Debug, Default)]
pub struct Proxies(pub Arc<[Network]>);

/// A network, such as `10.0.0.0/8`, or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

impl FromStr for Network {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "expected an address or a network, for example 10.0.0.7 or 10.0.0.0/8";
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| expected)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), str::parse).map_err(|_| expected)?;
        if bits > most {
            return Err(expected);
        }
        Ok(Self { address, bits })
    }
}

impl Network {
    fn contains(self, address: IpAddr) -> bool {
        let same = |a: u128, b: u128, width: u32| {
            let rest = width - self.bits;
            rest == width || a >> rest == b >> rest
        };
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => same(a.to_bits().into(), b.to_bits().into(), 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => same(a.to_bits(), b.to_bits(), 128),
            _ => false,
        }
    }
}

impl Proxies {
    /// Whether an address belongs to a trusted proxy.
    pub fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

/// The address that limits count `address` as. An IPv6 subscriber can use all addresses of a /64 network, so they count
/// as one.
pub(crate) fn bounded_address(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

/// Whether `host` can only mean this machine: a loopback address, with or without the brackets of IPv6, `localhost`, or
/// a name below it, which RFC 6761 keeps out of the DNS. Other names are not looked up, because their owners decide
/// where they point, and can change that at any time.
pub(crate) fn is_loopback_host(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    host.eq_ignore_ascii_case("localhost")
        || host.to_ascii_lowercase().ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The TLS settings of clients, with Mozilla's root certificates compiled in, so that a container image needs no
/// certificate files.
pub(crate) fn client_tls() -> rustls::ClientConfig {
    client_tls_with(rustls::RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    })
}

/// Like [`client_tls`], with other root certificates.
pub(crate) fn client_tls_with(roots: rustls::RootCertStore) -> rustls::ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring supports TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_of_one_subscriber_count_as_one() {
        let bounded = |text: &str| bounded_address(text.parse().unwrap()).to_string();
        assert_eq!(bounded("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(bounded("2001:db8:1:2:ffff::"), "2001:db8:1:2::");
        assert_eq!(bounded("2001:db8:1:3::1"), "2001:db8:1:3::");
        assert_eq!(bounded("192.0.2.7"), "192.0.2.7");
        assert_eq!(bounded("::ffff:192.0.2.7"), "192.0.2.7");
    }

    #[test]
    fn only_names_that_never_leave_this_machine_are_loopback() {
        for host in [
            "localhost",
            "LOCALHOST",
            "app.localhost",
            "App.LocalHost",
            "127.0.0.1",
            "127.9.9.9",
            "[::1]",
            "::1",
        ] {
            assert!(is_loopback_host(host), "{host}");
        }
        for host in [
            "",
            "example.com",
            "localhost.example.com",
            "notlocalhost",
            "10.0.0.1",
            "0.0.0.0",
            "[::]",
            "127.0.0.1.example.com",
            "127.0.0.1:80",
        ] {
            assert!(!is_loopback_host(host), "{host}");
        }
    }
}
