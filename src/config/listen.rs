//! Addresses to listen on.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use tokio::net::TcpListener;

use crate::net::is_loopback_host;

/// An address to listen on: `HOST:PORT`, or `:PORT` for every interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenAddr(String);

impl FromStr for ListenAddr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.rsplit_once(':') {
            Some((_, port)) if port.parse::<u16>().is_ok() => Ok(Self(text.to_owned())),
            _ => Err("expected HOST:PORT or :PORT, for example 127.0.0.1:8080".to_owned()),
        }
    }
}

impl From<SocketAddr> for ListenAddr {
    fn from(addr: SocketAddr) -> Self {
        Self(addr.to_string())
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl ListenAddr {
    /// The address for clients on this machine. An address of all interfaces becomes a loopback one.
    pub fn reachable(&self) -> String {
        let (host, port) = self.0.rsplit_once(':').unwrap_or(("", &self.0));
        match host {
            "" | "0.0.0.0" | "[::]" => format!("127.0.0.1:{port}"),
            _ => self.0.clone(),
        }
    }

    /// Whether only this machine can reach it. False for names that are not known to be loopback.
    pub fn is_loopback(&self) -> bool {
        let host = self.0.rsplit_once(':').map_or("", |(host, _)| host);
        is_loopback_host(host)
    }

    /// Binds the first free address that the name resolves to.
    ///
    /// # Errors
    /// If the name does not resolve, or if none of its addresses can be bound.
    pub async fn bind(&self) -> std::io::Result<TcpListener> {
        match self.0.strip_prefix(':').map(str::parse) {
            // On a machine with IPv6, one IPv6 socket accepts both families.
            Some(Ok(port)) => {
                let every = [
                    IpAddr::V6(Ipv6Addr::UNSPECIFIED),
                    IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                ]
                .map(|ip| SocketAddr::new(ip, port));
                TcpListener::bind(&every[..]).await
            }
            _ => TcpListener::bind(&self.0).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reachable_address_can_be_called() {
        let called = |text: &str| text.parse::<ListenAddr>().map(|addr| addr.reachable());
        for every in [":80", "0.0.0.0:80", "[::]:80"] {
            assert_eq!(called(every).as_deref(), Ok("127.0.0.1:80"));
        }
        assert_eq!(called("localhost:80").as_deref(), Ok("localhost:80"));
    }

    #[test]
    fn only_loopback_addresses_are_loopback() {
        let is_loopback = |text: &str| text.parse::<ListenAddr>().unwrap().is_loopback();
        for text in ["127.0.0.1:1", "localhost:1", "[::1]:1", "127.8.0.1:1"] {
            assert!(is_loopback(text), "{text}");
        }
        for text in [":1", "0.0.0.0:1", "[::]:1", "10.0.0.1:1", "app.example:1"] {
            assert!(!is_loopback(text), "{text}");
        }
    }

    #[test]
    fn an_address_has_a_port() {
        for text in [":8080", "127.0.0.1:0", "localhost:80", "[::1]:80"] {
            assert!(text.parse::<ListenAddr>().is_ok(), "{text}");
        }
        for text in ["", "8080", "localhost", "a:b", "a:70000"] {
            assert!(text.parse::<ListenAddr>().is_err(), "{text}");
        }
    }
}
