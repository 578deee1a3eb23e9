//! `tier share`: a model to look at in the Model Builder, for people without an account.

use std::time::Duration;

use anyhow::Context as _;
use reqwest::header::{ACCEPT, CONTENT_TYPE, LOCATION};
use reqwest::redirect::Policy;
use serde_json::{Value, json};

use super::document::Source;
use super::failure::Failure;
use super::{Context, http, output};

/// Where the Model Builder is unless `TIER_MODEL_URL` says otherwise.
const MODEL_BUILDER: &str = "https://model.tier.run";

/// How long the Model Builder may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Arguments of `tier share`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Whoever has the link can see the model. No key and no account goes with it.

Examples:
  tier share pricing.json
  tier pull | tier share -")]
pub(super) struct Share {
    /// The model: a file, a URL, or - for standard input
    #[arg(value_name = "FILE|URL|-")]
    model: Source,
}

/// Sends a model, and prints where it can be seen.
pub(super) async fn run(context: &Context, arguments: &Share) -> anyhow::Result<()> {
    let document = arguments.model.read().await?;
    let model = document.model()?;
    let builder = context
        .environment
        .model_url
        .as_deref()
        .unwrap_or(MODEL_BUILDER);
    let url = http::url(builder, "TIER_MODEL_URL")?;
    let cannot = format!("cannot share the model at {}", http::shown(&url));
    let client = http::client(&url, TIMEOUT, Policy::none())?;
    let request = client
        .post(url.clone())
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, "application/json")
        .body(model.to_json());
    let answer = output::watched("sharing", request.send()).await;
    let answer = answer
        .map_err(reqwest::Error::without_url)
        .with_context(|| cannot.clone())?;
    let status = answer.status();
    let location = answer.headers().get(LOCATION).cloned();
    let location = location.as_ref().and_then(|value| value.to_str().ok());
    anyhow::ensure!(
        status.is_success() || (status.is_redirection() && location.is_some()),
        "{cannot}: HTTP {status}"
    );
    let body = answer
        .text()
        .await
        .map_err(reqwest::Error::without_url)
        .with_context(|| cannot.clone())?;
    let Some(link) = link(&url, location, &body) else {
        return Err(Failure::new(format!("{cannot}: its answer has no link")).into());
    };
    if context.global.json {
        return output::json(&json!({ "url": link }));
    }
    output::line(link)
}

/// The link in an answer: where it leads to, a field of it, or all of it.
fn link(base: &reqwest::Url, location: Option<&str>, body: &str) -> Option<String> {
    let in_body = match serde_json::from_str::<Value>(body) {
        Ok(Value::String(text)) => Some(text),
        Ok(value) => ["url", "link"]
            .iter()
            .find_map(|field| value.get(field)?.as_str().map(str::to_owned)),
        Err(_) => Some(body.trim().to_owned()),
    };
    let in_body = in_body.filter(|text| http::url(text, "").is_ok());
    in_body.or_else(|| Some(base.join(location?).ok()?.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_wherever_an_answer_has_one() {
        let base = http::url("https://example.com/", "x").unwrap();
        let expected = Some("https://example.com/m/1".to_owned());
        for (location, body) in [
            (Some("/m/1"), ""),
            (Some("https://example.com/m/1"), "<html>"),
            (None, "https://example.com/m/1\n"),
            (None, r#""https://example.com/m/1""#),
            (None, r#"{"url":"https://example.com/m/1"}"#),
            (None, r#"{"link":"https://example.com/m/1"}"#),
        ] {
            assert_eq!(link(&base, location, body), expected, "{location:?} {body}");
        }
        for body in ["", "{}", "[]", "thanks", r#"{"url":7}"#] {
            assert_eq!(link(&base, None, body), None, "{body}");
        }
    }
}
