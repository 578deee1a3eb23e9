//! `tier connect`: gets keys from Stripe's dashboard through a browser, as Stripe's CLI does.

use std::time::Duration;

use anyhow::Context as _;
use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use serde::Deserialize;
use serde_json::json;

use super::error::CliError;
use super::{Context, http, output};
use crate::config::{KeyFile, Profile};

/// How long a request may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How often Stripe is polled for the user's consent.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long the user has to consent.
const CONSENT_TIMEOUT: Duration = Duration::from_secs(300);

/// Arguments of `tier connect`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The keys are kept in ~/.config/tier/config.json, which only you can read. STRIPE_API_KEY takes precedence.

Examples:
  tier connect")]
pub(super) struct Connect {}

/// The URL for the user's browser, and the one to poll.
#[derive(Deserialize)]
struct Links {
    browser_url: String,
    poll_url: String,
    verification_code: String,
}

/// Gets keys through the user's browser, and saves them.
pub(super) async fn run(context: &Context) -> anyhow::Result<()> {
    let path = KeyFile::path().context("HOME is not set, so there is no place to save the keys")?;
    // Fails early, before the user does anything in the browser.
    let file = KeyFile::open(path.clone())?;
    let dashboard = context.environment.dashboard();
    let auth = format!("{dashboard}/stripecli/auth");
    let auth = http::url(&auth, "TIER_DASHBOARD_URL")?;
    let client = http::client(&auth, TIMEOUT, Policy::none())?;
    let links = begin(&client, auth).await?;
    let steps = format!(
        "1. Open {} in your browser.\n2. Check that it shows the code: {}\n3. Allow access; tier waits here.",
        output::printable(&links.browser_url),
        output::printable(&links.verification_code)
    );
    if context.global.json {
        output::note(format_args!("\n{steps}"));
    } else {
        output::line(steps)?;
    }
    let poll = http::url(&links.poll_url, "the address to poll")?;
    let waiting = until_redeemed(async || poll_once(&client, poll.clone()).await);
    let profile = output::with_spinner("waiting for the browser", waiting).await?;
    file.save(&profile)
        .with_context(|| format!("cannot write {}", path.display()))?;
    if context.global.json {
        return output::json(&json!({
            "account_id": profile.account_id,
            "account_display_name": profile.account_display_name,
            "config": path,
        }));
    }
    let name = output::printable(&profile.account_display_name);
    output::line(format_args!(
        "Connected to {name} ({}).",
        profile.account_id
    ))
}

async fn begin(client: &reqwest::Client, auth: reqwest::Url) -> anyhow::Result<Links> {
    let device = gethostname::gethostname();
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("device_name", &device.to_string_lossy())
        .finish();
    let request = client.post(auth);
    let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    let cannot = "cannot ask Stripe's dashboard for access";
    let answer = request.body(form).send().await;
    let answer = answer
        .map_err(reqwest::Error::without_url)
        .context(cannot)?;
    let status = answer.status();
    anyhow::ensure!(status.is_success(), "{cannot}: HTTP {status}");
    let body = answer
        .bytes()
        .await
        .map_err(reqwest::Error::without_url)
        .context(cannot)?;
    serde_json::from_slice(&body)
        .map_err(|_| anyhow::anyhow!("{cannot}: its answer is unknown to this version"))
}

/// The result of one poll.
enum Poll {
    Redeemed(Box<Profile>),
    NotYet,
}

/// Polls once. Network errors count as no answer yet. Errors never quote an answer, because it may have keys.
async fn poll_once(client: &reqwest::Client, url: reqwest::Url) -> anyhow::Result<Poll> {
    let Ok(answer) = client.get(url).send().await else {
        return Ok(Poll::NotYet);
    };
    match answer.status() {
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            return Ok(Poll::NotYet);
        }
        status if !status.is_success() => {
            let message = format!("Stripe's dashboard did not grant access: HTTP {status}");
            return Err(CliError::new(message)
                .advise("run `tier connect` again")
                .into());
        }
        _ => {}
    }
    let Ok(body) = answer.bytes().await else {
        return Ok(Poll::NotYet);
    };
    let profile: Profile = serde_json::from_slice(&body)
        .map_err(|_| anyhow::anyhow!("the dashboard's answer is unknown to this version"))?;
    Ok(if profile.redeemed {
        Poll::Redeemed(Box::new(profile))
    } else {
        Poll::NotYet
    })
}

async fn until_redeemed(
    mut poll: impl AsyncFnMut() -> anyhow::Result<Poll>,
) -> anyhow::Result<Profile> {
    let polling = async {
        loop {
            match poll().await? {
                Poll::Redeemed(profile) => return Ok(*profile),
                Poll::NotYet => tokio::time::sleep(INTERVAL).await,
            }
        }
    };
    tokio::time::timeout(CONSENT_TIMEOUT, polling)
        .await
        .unwrap_or_else(|_| {
            Err(CliError::new("nobody allowed access within five minutes")
                .advise("run `tier connect` again, and open the page that it names")
                .into())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_after_five_minutes() {
        let mut polls = 0;
        let ended = until_redeemed(async || {
            polls += 1;
            Ok(Poll::NotYet)
        });
        let fault = ended.await.err().unwrap().to_string();
        assert!(
            fault.starts_with("nobody allowed access within five minutes"),
            "{fault}"
        );
        assert!((299..=301).contains(&polls), "polled {polls} times");
    }

    #[tokio::test(start_paused = true)]
    async fn polling_continues_until_access_is_granted() {
        let mut polls = 0;
        let profile = until_redeemed(async || {
            polls += 1;
            Ok(match polls {
                3 => Poll::Redeemed(Box::default()),
                _ => Poll::NotYet,
            })
        });
        assert!(profile.await.is_ok());
        assert_eq!(polls, 3);
    }
}
