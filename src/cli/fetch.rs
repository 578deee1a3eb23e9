//! `tier fetch` and `tier healthcheck`: plain requests to a server.

use std::time::Duration;

use anyhow::Context as _;
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use clap::builder::FalseyValueParser;
use serde_json::json;

use super::error::{CliError, usage};
use super::{Context, http, output};
use crate::config::{API_ADDR, ListenAddr};

/// How long a healthy server may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Arguments of `tier fetch`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The body of the answer goes to standard output, also that of an error (exit status 1).

Examples:
  tier fetch /v1/whoami
  tier fetch '/v1/limits?org=org:acme'
  tier fetch -d '{\"org\":\"org:acme\",\"feature\":\"feature:convert\",\"n\":1}' /v1/report
  tier fetch -d @pricing.json /v1/push
  tier fetch -H 'Tier-Clock: clock_1' '/v1/phase?org=org:acme'")]
pub(super) struct Fetch {
    /// The method [default: GET, or POST with a body]
    #[arg(short = 'X', value_name = "METHOD")]
    method: Option<Method>,

    /// A header as NAME: VALUE; may be repeated
    #[arg(short = 'H', value_name = "HEADER", value_parser = header)]
    headers: Vec<(HeaderName, HeaderValue)>,

    /// The body; @FILE reads it from a file, @- from standard input
    #[arg(short = 'd', value_name = "BODY", allow_hyphen_values = true)]
    body: Option<String>,

    /// The path, with a query if needed
    path: String,
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let fault = || format!("expected NAME: VALUE, not {text:?}");
    let (name, value) = text.split_once(':').ok_or_else(fault)?;
    let name = name.trim().parse().map_err(|_| fault())?;
    let value = value.trim().parse().map_err(|_| fault())?;
    Ok((name, value))
}

/// Sends a request, and prints the answer.
pub(super) async fn run(context: &Context, arguments: &Fetch) -> anyhow::Result<()> {
    if !arguments.path.starts_with('/') {
        return Err(usage(
            "fetch",
            "the path must begin with /, like /v1/whoami",
        ));
    }
    let body = match &arguments.body {
        None => Bytes::new(),
        Some(body) => body_of(body).await?,
    };
    let default = if arguments.body.is_some() {
        Method::POST
    } else {
        Method::GET
    };
    let method = arguments.method.clone().unwrap_or(default);
    let mut headers = HeaderMap::new();
    for (name, value) in &arguments.headers {
        headers.append(name, value.clone());
    }
    let client = context.client().await?;
    let request = client.send(method, &arguments.path, headers, body);
    let answer = output::with_spinner("waiting for the answer", request).await?;
    output::bytes(&answer.body)?;
    match client.failure(&answer) {
        None => Ok(()),
        Some(failure) => Err(failure.into()),
    }
}

async fn body_of(text: &str) -> anyhow::Result<Bytes> {
    match text.strip_prefix('@') {
        None => Ok(text.to_owned().into()),
        Some(file) => {
            let source = match file {
                "" => return Err(usage("fetch", "-d @ names no file")),
                "-" => super::document::Source::Stdin,
                path => super::document::Source::File(path.into()),
            };
            Ok(source.read().await?.bytes)
        }
    }
}

/// Arguments of `tier healthcheck`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Prints nothing if the server is healthy. For containers without curl.

Examples:
  tier healthcheck
  tier healthcheck --addr :9090
  tier healthcheck --tls               if the server has a certificate")]
pub(super) struct Healthcheck {
    /// The address of the server
    #[arg(
        long,
        env = "TIER_ADDR",
        value_name = "HOST:PORT",
        default_value_t = API_ADDR.into()
    )]
    addr: ListenAddr,

    /// Use TLS, which is the default if `TIER_TLS_CERT` is set; the certificate is not verified, since neither the
    /// request nor the answer has a secret
    #[arg(long, env = "TIER_TLS_CERT", hide_env_values = true, value_parser = FalseyValueParser::new())]
    tls: bool,
}

/// Fails unless the server answers that it is healthy.
pub(super) async fn healthcheck(context: &Context, arguments: &Healthcheck) -> anyhow::Result<()> {
    let addr = arguments.addr.reachable();
    let scheme = if arguments.tls { "https" } else { "http" };
    let url = http::url(&format!("{scheme}://{addr}/healthz"), "--addr")?;
    let client = http::unverified_client(&url, TIMEOUT)?;
    let answer = client
        .get(url)
        .send()
        .await
        .map_err(reqwest::Error::without_url);
    let answer = answer.with_context(|| format!("no healthy server at {addr}"))?;
    let status = answer.status();
    if !status.is_success() {
        let message = format!("the server at {addr} is not healthy: HTTP {status}");
        return Err(CliError::new(message).into());
    }
    if context.global.json {
        return output::json(&json!({ "healthy": true }));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_a_name_and_a_value() {
        let (name, value) = header("Tier-Clock: clock_1").unwrap();
        assert_eq!(
            (name.as_str(), value.to_str().unwrap()),
            ("tier-clock", "clock_1")
        );
        for text in ["", "x", ": y", "a b: c", "a: b\nc"] {
            assert!(header(text).is_err(), "{text:?}");
        }
    }
}
