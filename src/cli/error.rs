//! The error of a command: a message, a code for programs, and advice.

use std::fmt;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::output;

/// The code of a command that was used wrongly.
const WRONG_USAGE: &str = "usage";

/// The code of an error that has no code of its own.
const FAILED: &str = "failed";

/// The advice for a plan or feature that does not exist.
pub(super) const LIST_ADVICE: &str = "`tier ls` lists what there is to subscribe to";

/// The error of a command. It is displayed as `message (code)`, with the advice on the lines below.
#[derive(Debug)]
pub(super) struct CliError {
    message: String,
    /// The HTTP status, if it comes from the API.
    status: Option<u16>,
    code: Option<String>,
    advice: Option<String>,
    is_wrong_usage: bool,
}

impl CliError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            status: None,
            code: None,
            advice: None,
            is_wrong_usage: false,
        }
    }

    /// Wrong usage. The exit status is 2.
    #[must_use]
    pub(super) fn wrong_usage(mut self) -> Self {
        self.is_wrong_usage = true;
        self
    }

    #[must_use]
    pub(super) fn code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// Sets the advice, and replaces an earlier one.
    #[must_use]
    pub(super) fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Whether the error has this code of the API.
    pub(super) fn has_code(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }

    /// Whether the message ends with `text` in quotes, which is how messages name the wrong part of a request.
    pub(super) fn is_about(&self, text: &str) -> bool {
        self.message.ends_with(&format!(": {text:?}"))
    }

    /// The error for an error answer of the API, with advice for its code.
    pub(super) fn of_answer(status: u16, body: &[u8], is_remote: bool) -> Self {
        #[derive(Deserialize)]
        struct ErrorBody {
            code: String,
            message: String,
        }
        let Ok(body) = serde_json::from_slice::<ErrorBody>(body) else {
            return Self::new(format!("the server answered HTTP {status}"))
                .advise("check that TIER_BASE_URL or --base-url names a tier server");
        };
        let message = match body.message.as_str() {
            "" => "Stripe does not let this key use the account".to_owned(),
            // The message may be Stripe's own.
            message => message
                .lines()
                .map(output::printable)
                .collect::<Vec<_>>()
                .join("\n"),
        };
        let failure = Self::new(message);
        let failure = match advice(&body.code, is_remote) {
            Some(advice) => failure.advise(advice),
            None => failure,
        };
        Self {
            status: Some(status),
            ..failure.code(body.code)
        }
    }
}

fn advice(code: &str, is_remote: bool) -> Option<&'static str> {
    Some(match code {
        "org_not_found" => "create it, and subscribe it to a plan, with `tier subscribe`",
        "feature_not_found" => "`tier limits ORG` lists the features that the org has",
        "TERR1020" => LIST_ADVICE,
        "invalid_api_key" if is_remote => "the Stripe key of the server is not accepted",
        "invalid_api_key" => {
            "check the key in STRIPE_API_KEY, or run `tier connect` to get another"
        }
        "unauthorized" => "put one of the server's keys into TIER_API_KEY",
        "stripe_unavailable" => "try again in a moment; status.stripe.com knows of outages",
        "rate_limited" => "wait a moment, and try again",
        "internal_error" if is_remote => "the server's log has the cause",
        "internal_error" => "run the command again with -v to see the cause",
        _ => return None,
    })
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, rest) = match self.message.split_once('\n') {
            Some((first, rest)) => (first, Some(rest)),
            None => (self.message.as_str(), None),
        };
        f.write_str(first)?;
        if let Some(code) = &self.code {
            write!(f, " ({code})")?;
        }
        for more in [rest, self.advice.as_deref()].into_iter().flatten() {
            write!(f, "\n{more}")?;
        }
        Ok(())
    }
}

impl std::error::Error for CliError {}

/// Whether an error is wrong usage.
pub(super) fn is_wrong_usage(error: &anyhow::Error) -> bool {
    let failure = error.downcast_ref::<CliError>();
    error.downcast_ref::<clap::Error>().is_some() || failure.is_some_and(|f| f.is_wrong_usage)
}

/// An error as JSON: the fields of the API's errors, and the advice.
pub(super) fn in_json(error: &anyhow::Error) -> Value {
    if let Some(usage) = error.downcast_ref::<clap::Error>() {
        let text = usage.render().to_string();
        let (text, _) = text.split_once("\n\nUsage:").unwrap_or((&text, ""));
        let message = text.strip_prefix("error: ").unwrap_or(text).trim_end();
        return json!({ "code": WRONG_USAGE, "message": message });
    }
    let Some(failure) = error.downcast_ref::<CliError>() else {
        return json!({ "code": FAILED, "message": format!("{error:#}") });
    };
    let default = if failure.is_wrong_usage {
        WRONG_USAGE
    } else {
        FAILED
    };
    let code = failure.code.as_deref().unwrap_or(default);
    let fields = [
        ("status", failure.status.map(Value::from)),
        ("code", Some(code.into())),
        ("message", Some(failure.message.as_str().into())),
        ("advice", failure.advice.as_deref().map(Value::from)),
    ];
    let fields = fields.into_iter();
    let fields = fields.filter_map(|(name, value)| Some((name.to_owned(), value?)));
    fields.collect::<Map<_, _>>().into()
}

/// Wrong usage that clap cannot detect. It is printed as clap prints its own errors, and the exit status is 2.
pub(super) fn usage(command: &str, message: impl fmt::Display) -> anyhow::Error {
    use clap::CommandFactory as _;
    let mut cli = super::Cli::command();
    cli.build();
    let command = match cli.find_subcommand_mut(command) {
        Some(command) => command,
        None => &mut cli,
    };
    command
        .error(clap::error::ErrorKind::ArgumentConflict, message)
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_on_the_first_line() {
        let failure = CliError::new("two faults\na\nb").code("c").advise("do");
        assert_eq!(failure.to_string(), "two faults (c)\na\nb\ndo");
    }

    #[test]
    fn programs_get_the_fields_of_an_error() {
        let answer = br#"{"status":400,"code":"org_not_found","message":"org not found"}"#;
        let failure = CliError::of_answer(400, answer, false).advise("create it");
        assert_eq!(
            in_json(&failure.into()).to_string(),
            r#"{"status":400,"code":"org_not_found","message":"org not found","advice":"create it"}"#
        );
        let wrong = CliError::new("x").wrong_usage().into();
        assert_eq!(
            in_json(&wrong).to_string(),
            r#"{"code":"usage","message":"x"}"#
        );
        let other = anyhow::anyhow!("cause").context("what");
        assert_eq!(
            in_json(&other).to_string(),
            r#"{"code":"failed","message":"what: cause"}"#
        );
        let clap = in_json(&usage("subscribe", "no plans"));
        assert_eq!(clap.to_string(), r#"{"code":"usage","message":"no plans"}"#);
    }

    #[test]
    fn an_answer_that_is_not_tiers_is_reported_as_such() {
        let failure = CliError::of_answer(502, b"<html>", true).to_string();
        assert_eq!(
            failure,
            "the server answered HTTP 502\ncheck that TIER_BASE_URL or --base-url names a tier server"
        );
        let failure = CliError::of_answer(400, br#"{"status":400,"code":"c","message":"m"}"#, true);
        assert_eq!(failure.to_string(), "m (c)");
    }
}
