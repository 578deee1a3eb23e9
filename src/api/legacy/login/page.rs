//! The page where the user types a device's code and an API key. It has no script and no style, and loads nothing.

use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use maud::{DOCTYPE, Markup, html};

use super::codes::UserCode;
use super::{KEYLESS, PAGE};

/// Forbids the page to load or run anything and to be framed, and lets it send its form only to this server.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
);

/// The text above the form.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Notice {
    None,
    Keyless,
    WrongCode,
    WrongKey,
    Void,
}

impl Notice {
    fn text(self) -> Markup {
        html! {
            @match self {
                Self::None => {}
                Self::Keyless => p { "This server has no keys: type the word " code { (KEYLESS) } " as the key." }
                Self::WrongCode => p role="alert" { "No login waits for this code. It may have expired: begin again on the device." }
                Self::WrongKey => p role="alert" { "This server does not accept this key." }
                Self::Void => p role="alert" { "This server does not accept this key either, and the code is void now: begin again on the device." }
            }
        }
    }
}

/// The form, with the code if it is known.
pub(super) fn form(status: StatusCode, code: Option<&UserCode>, notice: Notice) -> Response {
    let code = code.map(ToString::to_string);
    let body = html! {
        h1 { "Log in a device" }
        (notice.text())
        p {
            "The device receives the key. Go on only if you have just started " code { "tier login" }
            " yourself, and it shows this code; if somebody has sent you here, close this page."
        }
        form method="post" action=(PAGE) {
            p {
                label for="user_code" { "The code that the device shows" } br;
                input #user_code name="user_code" value=[code] required autocomplete="off" autocapitalize="characters"
                    spellcheck="false" placeholder="BCDF-GHJK";
            }
            p {
                label for="key" { "An API key of this server" } br;
                input #key name="key" type="password" required autocomplete="off";
            }
            p { button { "Log in" } }
        }
    };
    page(status, &body)
}

/// The page after a login was approved.
pub(super) fn done() -> Response {
    let body = html! {
        h1 { "Logged in" }
        p { "The device goes on by itself. You may close this page." }
    };
    page(StatusCode::OK, &body)
}

fn page(status: StatusCode, body: &Markup) -> Response {
    const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
    // The page's own form must send its origin, and no other site may see the code in the address.
    const REFERRER: HeaderValue = HeaderValue::from_static("same-origin");
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                meta name="color-scheme" content="light dark";
                title { "Log in a device" }
            }
            body { main { (body) } }
        }
    };
    let headers = [
        (CONTENT_TYPE, HTML),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, REFERRER),
    ];
    (status, headers, page.into_string()).into_response()
}
