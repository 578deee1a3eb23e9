//! The layout of all pages, and the headers that isolate them from other sites.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

/// The policy of a page without scripts: it may load the server's style sheets and images, and nothing else.
const STATIC: &str =
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'";

/// Hides the page's address from all sites, and from this server too when a form is sent. So a page with a form needs
/// [`SAME_ORIGIN`].
const NO_REFERRER: &str = "no-referrer";

/// Hides the page's address from other sites only. The server checks where a form comes from.
const SAME_ORIGIN: &str = "same-origin";

/// The policy of a page with scripts: it may also run the server's scripts, and call the server.
const SCRIPTED: &str = "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'";

/// A page. Its body goes into `main`.
pub struct Page<'a> {
    title: &'a str,
    body: Markup,
    status: StatusCode,
    scripts: &'a [&'a str],
    styles: &'a [&'a str],
    is_wide: bool,
    may_be_framed: bool,
    /// The sources for `form-action` besides this server: where the answer to a form may redirect to.
    form_targets: Option<&'a str>,
}

impl<'a> Page<'a> {
    /// A page without scripts that no other page may frame.
    pub fn new(title: &'a str, body: Markup) -> Self {
        Self {
            title,
            body,
            status: StatusCode::OK,
            scripts: &[],
            styles: &[],
            is_wide: false,
            may_be_framed: false,
            form_targets: None,
        }
    }

    /// Allows a form, which is sent to this server. The answer to it may redirect to `targets`, which are sources as in
    /// `form-action`.
    #[must_use]
    pub fn with_form(self, targets: &'a str) -> Self {
        Self {
            form_targets: Some(targets),
            ..self
        }
    }

    /// Sets the status.
    #[must_use]
    pub fn status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// Sets the scripts. Files named `….mjs` are modules.
    #[must_use]
    pub fn scripts(self, scripts: &'a [&'a str]) -> Self {
        Self { scripts, ..self }
    }

    /// Adds style sheets to the one that all pages have.
    #[must_use]
    pub fn styles(self, styles: &'a [&'a str]) -> Self {
        Self { styles, ..self }
    }

    /// Uses the full width of the window.
    #[must_use]
    pub fn wide(self) -> Self {
        Self {
            is_wide: true,
            ..self
        }
    }

    /// Allows pages of other sites to frame this one.
    #[must_use]
    pub fn allow_framing(self) -> Self {
        Self {
            may_be_framed: true,
            ..self
        }
    }

    fn document(&self) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="robots" content="noindex";
                    title { (self.title) }
                    link rel="icon" href="/assets/icon.svg" type="image/svg+xml";
                    link rel="stylesheet" href="/assets/style.css";
                    @for style in self.styles { link rel="stylesheet" href=(style); }
                    @for script in self.scripts {
                        @if script.rsplit('.').next() == Some("mjs") {
                            script type="module" src=(script) {}
                        } @else {
                            script src=(script) defer {}
                        }
                    }
                }
                body { main.wide[self.is_wide] { (self.body) } }
            }
        }
    }

    fn policy(&self) -> HeaderValue {
        let rules = if self.scripts.is_empty() {
            STATIC
        } else {
            SCRIPTED
        };
        let framing = if self.may_be_framed { "*" } else { "'none'" };
        let targets = self.form_targets.unwrap_or_default();
        let gap = if targets.is_empty() { "" } else { " " };
        // The last rule is `form-action`, so the targets are added to it.
        let policy = format!("{rules}{gap}{targets}; frame-ancestors {framing}");
        HeaderValue::from_str(&policy).expect("a policy is ASCII")
    }
}

impl Page<'_> {
    /// The headers, and the HTML.
    pub fn into_parts(self) -> (HeaderMap, String) {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_SECURITY_POLICY, self.policy());
        if !self.may_be_framed {
            headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        }
        let referrer = match self.form_targets {
            Some(_) => SAME_ORIGIN,
            None => NO_REFERRER,
        };
        for (name, value) in [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, referrer),
            (header::CACHE_CONTROL, "no-store"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        (headers, self.document().into_string())
    }
}

impl IntoResponse for Page<'_> {
    fn into_response(self) -> Response {
        let status = self.status;
        (status, self.into_parts()).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(page: Page<'_>) -> String {
        let response = page.into_response();
        let policy = &response.headers()[header::CONTENT_SECURITY_POLICY];
        policy.to_str().expect("ASCII").to_owned()
    }

    #[test]
    fn a_policy_allows_only_what_the_page_needs() {
        let page = || Page::new("<x>", html! { "y" });
        assert!(!policy(page()).contains("script-src"));
        assert!(policy(page()).ends_with("frame-ancestors 'none'"));
        let scripted = policy(page().scripts(&["/assets/a.mjs"]));
        assert!(scripted.contains("script-src 'self'; connect-src 'self'"));
        for policy in [policy(page()), scripted] {
            assert!(policy.starts_with("default-src 'none'"));
            assert!(!policy.contains("unsafe"));
        }
        assert!(policy(page().allow_framing()).ends_with("frame-ancestors *"));
        let form = policy(page().with_form("https:"));
        assert!(
            form.contains("; form-action 'self' https:; frame-ancestors 'none'"),
            "{form}"
        );
        let referrer =
            |page: Page<'_>| page.into_response().headers()[header::REFERRER_POLICY].clone();
        assert_eq!(referrer(page()), "no-referrer");
        assert_eq!(referrer(page().with_form("")), "same-origin");
        let html = page().document().into_string();
        assert!(html.contains("<title>&lt;x&gt;</title>"), "{html}");
    }
}
