//! Web origins, as browsers send them.

use std::str::FromStr;

use url::{Position, Url};

/// The origin of web pages, such as `https://app.example`, in the form in which browsers send it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebOrigin(String);

impl WebOrigin {
    /// Scheme, host in lower case, and the port unless it is the scheme's own. It is ASCII.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for WebOrigin {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "null" {
            return Err(
                "any sandboxed page and any file has the origin \"null\", so it cannot be allowed",
            );
        }
        if text.contains('*') {
            return Err(
                "wildcards are not supported, because a page that may call can bill: name each origin, for example https://app.example",
            );
        }
        let expected =
            "expected a scheme, a host and perhaps a port, for example https://app.example";
        let url = Url::parse(text).map_err(|_| expected)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(expected);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("an origin has no user: leave out what is before the @");
        }
        if !matches!(&url[Position::BeforePath..], "" | "/") {
            return Err("an origin has no path and no query: leave out what follows the host");
        }
        Ok(Self(url.origin().ascii_serialization()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_send_it() {
        for (text, sent) in [
            ("https://app.example", "https://app.example"),
            ("https://app.example/", "https://app.example"),
            ("HTTPS://App.Example", "https://app.example"),
            ("https://app.example:443", "https://app.example"),
            ("http://app.example:80", "http://app.example"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
            ("http://[0:0:0:0:0:0:0:1]:8080", "http://[::1]:8080"),
        ] {
            let origin: WebOrigin = text.parse().unwrap();
            assert_eq!(origin.as_str(), sent, "{text}");
        }
    }

    #[test]
    fn what_no_browser_sends_as_an_origin_is_refused() {
        for (text, hint) in [
            ("https://app.example/path", "no path"),
            ("https://app.example?q", "no path and no query"),
            ("https://app.example/#top", "no path and no query"),
            ("https://jo@app.example", "no user"),
            ("app.example", "a scheme"),
            ("app.example:8080", "a scheme"),
            ("ftp://app.example", "a scheme"),
            ("", "a scheme"),
            ("https://", "a scheme"),
            ("null", "cannot be allowed"),
            ("*", "wildcards"),
            ("https://*.example", "wildcards"),
        ] {
            let refused = text.parse::<WebOrigin>().unwrap_err();
            assert!(refused.contains(hint), "{text}: {refused}");
        }
    }
}
