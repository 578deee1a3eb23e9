//! `tier share`: asks a server for a link that holds the model, so that people without an account can look at it.

use std::time::Duration;

use anyhow::Context as _;
use axum::http::{HeaderName, StatusCode};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::redirect::Policy;
use serde::Deserialize;
use serde_json::json;

use super::document::Source;
use super::error::CliError;
use super::{Context, http, output};

/// How long the server may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The header that says where a model was read from.
const ORIGIN: HeaderName = HeaderName::from_static("tier-origin");

/// The advice if the server does not know the path.
const CHECK_SERVER: &str = "check that a tier server is there, of this version or a later one";

/// Arguments of `tier share`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The link holds the whole model, and leads to the tier server that --base-url or TIER_MODEL_URL names. The server stores nothing: \
whoever has the link can see the model, and `tier push LINK` pushes it. The link contains no key and no account.

Examples:
  tier share --base-url https://tier.example pricing.json
  tier pull | TIER_MODEL_URL=https://tier.example tier share -")]
pub(super) struct Share {
    /// The model: a file, a URL, or - for standard input
    #[arg(value_name = "FILE|URL|-")]
    model: Source,
}

/// The answer of the server: a link, or an error.
#[derive(Deserialize)]
struct Shared {
    url: Option<String>,
    message: Option<String>,
}

/// Uploads a model, and prints its link.
pub(super) async fn run(context: &Context, arguments: &Share) -> anyhow::Result<()> {
    let upload = upload_url(context)?;
    let document = arguments.model.read().await?;
    document.model()?;
    let client = http::client(&upload, TIMEOUT, Policy::none())?;
    let mut request = client
        .post(upload.clone())
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, "application/json");
    if let Source::Web(_) = arguments.model {
        // Everybody with the link sees this URL, so its secret parts are removed.
        request = request.header(ORIGIN, &document.name);
    }
    let request = request.body(document.bytes).send();
    let cannot = format!("cannot share the model at {}", http::redacted(&upload));
    let answer = output::with_spinner("sharing", request).await;
    let answer = answer
        .map_err(reqwest::Error::without_url)
        .with_context(|| cannot.clone())?;
    let status = answer.status();
    let body = answer.bytes().await.map_err(reqwest::Error::without_url);
    let link = link(status, &body.with_context(|| cannot.clone())?);
    let link = link.context(cannot).map_err(|error| match status {
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
            CliError::new(format!("{error:#}"))
                .advise(CHECK_SERVER)
                .into()
        }
        _ => error,
    })?;
    if context.global.json {
        return output::json(&json!({ "url": link }));
    }
    output::line(link)
}

/// The URL for the upload.
fn upload_url(context: &Context) -> anyhow::Result<reqwest::Url> {
    let named = context.global.base_url.as_deref();
    let Some(base) = named.or(context.environment.model_url.as_deref()) else {
        let failure = CliError::new("there is no server to share the model at");
        return Err(failure
            .advise("name a tier server with --base-url or TIER_MODEL_URL: one runs at http://127.0.0.1:8080 after `tier serve --sandbox`")
            .wrong_usage()
            .into());
    };
    let url = format!("{}/upload", base.trim_end_matches('/'));
    http::url(&url, "the server to share at")
}

fn link(status: StatusCode, body: &[u8]) -> anyhow::Result<String> {
    let shared: Option<Shared> = serde_json::from_slice(body).ok();
    let (url, message) = shared.map_or((None, None), |shared| (shared.url, shared.message));
    if let Some(message) = message.filter(|_| !status.is_success()) {
        anyhow::bail!("error from server: {}", output::printable(&message));
    }
    anyhow::ensure!(status.is_success(), "HTTP {status}");
    let url = url.filter(|url| http::url(url, "").is_ok());
    url.context("its answer has no link")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_a_link_or_a_message() {
        let result = |status: u16, body: &str| {
            let status = StatusCode::from_u16(status).unwrap();
            link(status, body.as_bytes()).map_err(|error| error.to_string())
        };
        let shared = result(201, r#"{"url":"https://example.com/m/1"}"#);
        assert_eq!(shared, Ok("https://example.com/m/1".to_owned()));
        let refused = result(413, r#"{"status":413,"code":"c","message":"too large"}"#);
        assert_eq!(refused, Err("error from server: too large".to_owned()));
        for body in [
            "",
            "{}",
            "[]",
            "thanks",
            r#"{"url":7}"#,
            r#"{"url":"javascript:x"}"#,
        ] {
            assert_eq!(
                result(200, body),
                Err("its answer has no link".to_owned()),
                "{body}"
            );
        }
        assert_eq!(result(404, "<html>"), Err("HTTP 404 Not Found".to_owned()));
    }
}
