//! Errors as pages. A browser that opens a page gets a page, also for an error. Programs get JSON, as everywhere.

use axum::http::header::{ACCEPT, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};

use super::pay;
use crate::api::accept::names_html;
use crate::api::error::{Code, Message};
use crate::web;

/// The first part of the path of a checkout link.
const LINK: &str = "pay";

/// The first part of the path of a link that holds a model. Programs read these too.
const MODEL: &str = "m";

/// The first parts of the paths of other pages.
const OTHERS: [&str; 4] = ["builder", "console", "docs", "pricing"];

/// Who opens a page, which decides how its errors are worded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api) enum Reader {
    /// A customer with a checkout link.
    Customer,
    /// Somebody with a browser.
    Browser,
}

impl Reader {
    /// The reader of the pages that begin like `path`. The page itself need not exist.
    fn at(path: &str) -> Option<Self> {
        match first_part(path) {
            LINK => Some(Self::Customer),
            MODEL => Some(Self::Browser),
            part => OTHERS.contains(&part).then_some(Self::Browser),
        }
    }

    /// The reader of the answer to a request for `path` with these headers. None for a program.
    pub(in crate::api) fn of(path: &str, headers: &HeaderMap) -> Option<Self> {
        Self::at(path).filter(|_| names_html(headers))
    }
}

fn first_part(path: &str) -> &str {
    path.split('/').nth(1).unwrap_or_default()
}

/// Turns an error answer into a page that says what to do. Other answers stay as they are.
pub(in crate::api) fn error_page(reader: Reader, answer: Response, request_id: &str) -> Response {
    let code = Code::of(&answer);
    if code.is_empty() {
        return answer;
    }
    let (mut error, _) = answer.into_parts();
    let status = error.status;
    let mut page = match reader {
        Reader::Customer => {
            let problem = web::link_problem(pay::problem(status, code), request_id);
            pay::not_indexed(problem.status(status).into_response())
        }
        Reader::Browser => {
            let message = error.extensions.remove::<Message>();
            let message = message.map(|Message(text)| text).unwrap_or_default();
            web::problem(status, &message, Some(request_id)).into_response()
        }
    };
    // The error's headers, such as `Retry-After`, are for browsers too.
    error.headers.remove(CONTENT_TYPE);
    let headers = page.headers_mut();
    headers.extend(error.headers);
    if !headers.get_all(VARY).iter().any(|name| name == "accept") {
        headers.append(VARY, HeaderValue::from_static("accept"));
    }
    *page.extensions_mut() = error.extensions;
    page
}

/// The page that refuses a head which is too large, if a browser sent it. `accept` is empty if the head has no
/// `Accept`, and None if that was not read, because the address is so long.
pub fn refusal_page(
    path: &str,
    accept: Option<&str>,
    status: StatusCode,
) -> Option<(HeaderMap, String)> {
    match accept {
        Some(accept) => {
            let accept = HeaderValue::from_str(accept).ok()?;
            Reader::of(path, &HeaderMap::from_iter([(ACCEPT, accept)]))?;
        }
        None if first_part(path) == MODEL => return None,
        None => _ = Reader::at(path)?,
    }
    Some(web::problem(status, "", None).into_parts())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BROWSER: Option<&str> = Some("text/html,application/xhtml+xml,*/*;q=0.8");

    fn reader(path: &str, accept: Option<&str>) -> Option<Reader> {
        let accept = accept.map(|accept| HeaderValue::from_str(accept).expect("ASCII"));
        let headers = accept.map(|accept| (ACCEPT, accept));
        Reader::of(path, &headers.into_iter().collect())
    }

    #[test]
    fn browsers_get_pages_and_programs_json() {
        let pages = ["/builder", "/console/", "/pricing/x", "/m/x", "/docs", "/m"];
        for path in pages {
            assert_eq!(reader(path, BROWSER), Some(Reader::Browser), "{path}");
            for program in [None, Some("*/*"), Some("application/json")] {
                assert_eq!(reader(path, program), None, "{path} {program:?}");
            }
        }
        for path in ["/pay/x.y", "/pay/", "/pay"] {
            assert_eq!(reader(path, BROWSER), Some(Reader::Customer), "{path}");
            for program in [None, Some("*/*"), Some("application/json")] {
                assert_eq!(reader(path, program), None, "{path} {program:?}");
            }
        }
        for path in [
            "/v1/pricing",
            "/",
            "",
            "/payments",
            "/api/v1/pull",
            "//pay/x",
            "*",
        ] {
            assert_eq!(reader(path, BROWSER), None, "{path}");
        }
    }

    #[test]
    fn a_head_that_is_too_large_may_not_say_what_its_sender_accepts() {
        let large = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        let is_page = |path, accept| refusal_page(path, accept, large).is_some();
        for path in ["/pay/x", "/pricing", "/builder", "/console"] {
            assert!(is_page(path, None) && is_page(path, BROWSER), "{path}");
            for program in ["application/json", "*/*", ""] {
                assert!(!is_page(path, Some(program)), "{path} {program:?}");
            }
        }
        assert!(is_page("/m/x", BROWSER) && !is_page("/m/x", None));
        assert!(!is_page("/v1/limits", BROWSER) && !is_page("/pricing", Some("\u{1}")));
    }
}
