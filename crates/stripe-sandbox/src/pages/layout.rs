//! The layout of all pages, and their assets: one style sheet, and one script for the viewer.

use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use maud::{DOCTYPE, Markup, html};

/// The pages load nothing but the sandbox's own style sheet, run no scripts, and cannot be framed.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The viewer's pages also run the sandbox's script, which asks for the same page again.
const VIEWER_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A page for customers of an app: checkout, authentication, thanks.
pub(crate) fn page(status: StatusCode, title: &str, body: &Markup) -> Response {
    let document = document(
        title,
        false,
        &html! {
            main class="narrow" {
                (body)
                p class="note" { "This is a sandbox: no card is charged and nothing is bought." }
            }
        },
    );
    respond(status, POLICY, document)
}

/// A page of the viewer.
pub(super) fn viewer(status: StatusCode, title: &str, body: &Markup) -> Response {
    let document = document(
        title,
        true,
        &html! {
            header { a href="/" { "Stripe sandbox" } }
            main { (body) }
        },
    );
    respond(status, VIEWER_POLICY, document)
}

fn document(title: &str, is_viewer: bool, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                link rel="stylesheet" href="/_sandbox/style.css";
                @if is_viewer {
                    script type="module" src="/_sandbox/refresh.js" {}
                }
            }
            body { (body) }
        }
    }
}

fn respond(status: StatusCode, policy: &'static str, document: Markup) -> Response {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Browsers hide the origin of a form from its own server if no referrer is sent.
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (status, headers, Html(document.into_string())).into_response()
}

pub(super) async fn style() -> Response {
    asset("text/css; charset=utf-8", include_str!("style.css"))
}

pub(super) async fn refresh() -> Response {
    asset("text/javascript; charset=utf-8", include_str!("refresh.js"))
}

pub(super) fn asset(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}
