//! The error page.

use axum::http::StatusCode;
use maud::html;

use super::Page;

/// The page that answers a failed request of a browser. `message` is the error's message in the API. `request_id` is
/// the request's id in the server's log, if it has one.
pub fn problem(status: StatusCode, message: &str, request_id: Option<&str>) -> Page<'static> {
    let (title, wrong, to_do) = words(status);
    let number = request_id.filter(|_| status.is_server_error());
    let body = html! {
        h1 { (title) }
        p.error role="alert" { (wrong.unwrap_or(message)) }
        @if !to_do.is_empty() { p { (to_do) } }
        @if let Some(number) = number { p.note { "Number of this request: " code { (number) } } }
    };
    Page::new(title, body).status(status)
}

/// The title, the problem (`None`: the API's message), and what to do about it.
fn words(status: StatusCode) -> (&'static str, Option<&'static str>, &'static str) {
    match status {
        StatusCode::UNAUTHORIZED => (
            "A key is needed",
            Some("This is only for holders of an API key of this server."),
            "A pricing page that is listed can be seen by everybody.",
        ),
        StatusCode::FORBIDDEN => ("This is not allowed", None, ""),
        StatusCode::NOT_FOUND => (
            "There is no such page",
            Some("There is nothing at this address."),
            "Check the address.",
        ),
        StatusCode::METHOD_NOT_ALLOWED => (
            "That did not work",
            Some("The page does not take what was sent to it."),
            "Open it by its address.",
        ),
        StatusCode::URI_TOO_LONG | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => (
            "The request is too large",
            Some("Its address is too long, or the browser has many cookies for this site."),
            "Check the address. If it is right, clear the cookies of this site.",
        ),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => (
            "Please try again",
            None,
            "Wait some seconds, and open the page again.",
        ),
        status if status.is_server_error() => (
            "Something went wrong",
            None,
            "If it stays like this, tell whoever runs this server.",
        ),
        _ => ("There is nothing to show", None, ""),
    }
}
