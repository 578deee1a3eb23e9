//! What a command fails with: what is wrong, the code that programs know it by, and what to do next.

use std::fmt;

use serde::Deserialize;

use super::output;

/// Displayed as `message (code)`, and what to do on the lines below.
#[derive(Debug)]
pub(super) struct Failure {
    message: String,
    code: Option<String>,
    advice: Option<String>,
}

impl Failure {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            code: None,
            advice: None,
        }
    }

    #[must_use]
    pub(super) fn code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// Says what to do about it; the last advice given counts.
    #[must_use]
    pub(super) fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Whether the API gave this code.
    pub(super) fn has_code(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }

    /// The body of an error answer of the API, with what can be said to each code.
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
            // Stripe's own words may be in it.
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
        failure.code(body.code)
    }
}

fn advice(code: &str, is_remote: bool) -> Option<&'static str> {
    Some(match code {
        "org_not_found" => "create it, and subscribe it to a plan, with `tier subscribe`",
        "feature_not_found" => "`tier limits ORG` lists the features that the org has",
        "TERR1020" => "`tier ls` lists what there is to subscribe to",
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

impl fmt::Display for Failure {
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

impl std::error::Error for Failure {}

/// A command line that clap could not find wrong by itself: told like clap's own errors, with exit status 2.
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
        let failure = Failure::new("two faults\na\nb").code("c").advise("do");
        assert_eq!(failure.to_string(), "two faults (c)\na\nb\ndo");
    }

    #[test]
    fn an_answer_of_something_else_is_told_as_such() {
        let failure = Failure::of_answer(502, b"<html>", true).to_string();
        assert_eq!(
            failure,
            "the server answered HTTP 502\ncheck that TIER_BASE_URL or --base-url names a tier server"
        );
        let failure = Failure::of_answer(400, br#"{"status":400,"code":"c","message":"m"}"#, true);
        assert_eq!(failure.to_string(), "m (c)");
    }
}
