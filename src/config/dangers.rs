//! Warnings about settings that are dangerous unless they are intended. The server starts anyway, because such a
//! setting can be right, for example behind a proxy that terminates TLS, or with files that Kubernetes mounts.

use std::fs::Metadata;
use std::os::unix::fs::PermissionsExt as _;

use super::Serve;
use crate::net::is_loopback_host;

impl Serve {
    /// The warnings for these settings, with Stripe at `stripe_url`.
    pub fn dangers(&self, stripe_url: &str, live_key: bool) -> Vec<String> {
        let mut dangers = Vec::new();
        if self.cloud && self.tls_cert.is_none() && !self.addr.is_loopback() {
            dangers.push(format!(
                "--cloud listens on {} without TLS: callers' Stripe keys can be read on the network, unless a proxy in front \
                 of it speaks HTTPS",
                self.addr
            ));
        }
        if self.login && self.tls_cert.is_none() && !self.addr.is_loopback() {
            dangers.push(format!(
                "--login asks for API keys on {} without TLS: they can be read on the network, unless a proxy in front of it \
                 speaks HTTPS",
                self.addr
            ));
        }
        if let Some(addr) = self.admin_addr.as_ref().filter(|addr| !addr.is_loopback()) {
            dangers.push(format!(
                "--admin-addr {addr} shows /metrics without a key to everybody who can reach it"
            ));
        }
        if (live_key || self.cloud) && is_plain_http(stripe_url) {
            let whose = if live_key {
                "the live key"
            } else {
                "callers' live keys"
            };
            dangers.push(format!(
                "STRIPE_BASE_API_URL begins with http://: {whose} can be read on the network"
            ));
        }
        let file = self.api_key_file.as_ref();
        let read = file.and_then(|path| Some((path, path.metadata().ok()?)));
        if let Some((path, mode)) = read.and_then(|(path, file)| Some((path, open_mode(&file)?))) {
            dangers.push(format!(
                "--api-key-file {} can be read by other users (mode {mode:o}): run chmod 600",
                path.display()
            ));
        }
        dangers
    }
}

/// The file's mode, if users other than its owner may read it.
fn open_mode(file: &Metadata) -> Option<u32> {
    let mode = file.permissions().mode() & 0o777;
    (mode & 0o044 != 0).then_some(mode)
}

/// Whether requests to this URL leave the machine unencrypted.
fn is_plain_http(url: &str) -> bool {
    let url = url::Url::parse(url);
    url.is_ok_and(|url| url.scheme() == "http" && !url.host_str().is_some_and(is_loopback_host))
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions};

    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        serve: Serve,
    }

    fn dangers(args: &[&str], stripe_url: &str, live_key: bool) -> Vec<String> {
        let args = std::iter::once("serve").chain(args.iter().copied());
        Cli::parse_from(args).serve.dangers(stripe_url, live_key)
    }

    const STRIPE: &str = "https://api.stripe.com";

    #[test]
    fn likely_mistakes_are_warned_about() {
        for (args, url, live, expected) in [
            (
                &["--admin-addr", "0.0.0.0:9090"][..],
                STRIPE,
                false,
                "--admin-addr 0.0.0.0:9090",
            ),
            (
                &["--admin-addr", ":9090"],
                STRIPE,
                false,
                "--admin-addr :9090",
            ),
            (
                &["--cloud", "--addr", ":8080"],
                STRIPE,
                false,
                "without TLS",
            ),
            (
                &["--login", "--addr", ":8080"],
                STRIPE,
                false,
                "--login asks for API keys",
            ),
            (&[], "http://stripe.internal", true, "the live key"),
            (
                &["--cloud"],
                "http://10.0.0.1:12111",
                false,
                "callers' live keys",
            ),
        ] {
            let dangers = dangers(args, url, live);
            assert!(
                dangers.len() == 1 && dangers[0].contains(expected),
                "{dangers:?}"
            );
        }
    }

    #[test]
    fn correct_settings_have_no_warnings() {
        for (args, url, live) in [
            (&[][..], STRIPE, true),
            (&["--admin-addr", "127.0.0.1:9090"], STRIPE, true),
            (&["--cloud"], STRIPE, false),
            (&["--login"], STRIPE, false),
            (
                &[
                    "--cloud",
                    "--addr",
                    ":1",
                    "--tls-cert",
                    "a",
                    "--tls-key",
                    "b",
                ],
                STRIPE,
                false,
            ),
            (&[], "http://127.0.0.1:12111", true),
            (&[], "http://stripe.internal", false),
        ] {
            assert_eq!(dangers(args, url, live), [""; 0], "{args:?}");
        }
    }

    #[test]
    fn a_key_file_is_readable_by_its_owner_only() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let path = file.path().to_str().expect("text");
        for (mode, is_warned) in [(0o600, false), (0o400, false), (0o644, true), (0o440, true)] {
            set_permissions(file.path(), Permissions::from_mode(mode)).expect("it is ours");
            let dangers = dangers(&["--api-key-file", path], STRIPE, false);
            assert_eq!(
                dangers.len() == 1 && dangers[0].contains("--api-key-file"),
                is_warned,
                "{mode:o}"
            );
        }
    }
}
