//! Refusals that no handler writes: of a connection without a slot, and of a head that is too large or malformed. They
//! have the same JSON body as every other error, or are a page if a browser opens one.

use axum::body::Body;
use hyper::header::{ACCEPT, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use hyper::{Request, Response, StatusCode, Version};

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Code and message for a head that is too large.
const LARGE_HEAD: (&str, &str) = ("headers_too_large", "the head of the request is too large");

/// Code and message when there are too many connections.
const CONNECTIONS: (&str, &str) = ("overloaded", "too many connections");

/// Writes the page, with its headers, that refuses a head which is too large. None if the request does not open a page.
///
/// The arguments are the path, the value of `Accept`, and the status. `Accept` is empty if the head has none, and None
/// if that part of the head was not read.
pub type RefusalPage = fn(&str, Option<&str>, StatusCode) -> Option<(HeaderMap, String)>;

/// The parts of a head that tell whether a browser opens a page.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sender {
    path: String,
    accept: Option<String>,
}

impl Sender {
    /// Reads the beginning of a head. None if the path cannot be read.
    pub(super) fn of(beginning: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(beginning);
        let (first, rest) = text.split_once("\r\n").unwrap_or((&text, ""));
        let target = first.split(' ').nth(1)?;
        let path = target.split(['?', '#']).next()?;
        // The last line may have been cut.
        let (fields, cut) = rest.rsplit_once("\r\n").unwrap_or(("", rest));
        let mut fields = fields.lines().filter_map(|line| line.split_once(':'));
        let accept = fields.find(|(name, _)| name.eq_ignore_ascii_case(ACCEPT.as_str()));
        let accept = accept.map(|(_, value)| value.trim().to_owned());
        // Browsers send `Accept` before the fields that make a head large, so after a later field there is none.
        let without_accept = || (!cut.is_empty() && !begins_accept(cut)).then(String::new);
        Some(Self {
            path: path.to_owned(),
            accept: accept.or_else(without_accept),
        })
    }

    fn of_request<B>(request: &Request<B>) -> Self {
        let accept = request.headers().get(ACCEPT);
        let accept = accept.and_then(|value| value.to_str().ok());
        Self {
            path: request.uri().path().to_owned(),
            accept: Some(accept.unwrap_or_default().to_owned()),
        }
    }

    /// The page for this sender.
    fn page(&self, write: RefusalPage, status: StatusCode) -> Option<(HeaderMap, String)> {
        write(&self.path, self.accept.as_deref(), status)
    }
}

/// Whether a line that was cut may be that of `Accept`.
fn begins_accept(line: &str) -> bool {
    let name = line.split(':').next().unwrap_or(line);
    let begins = ACCEPT.as_str().get(..name.len());
    begins.is_some_and(|begins| name.eq_ignore_ascii_case(begins))
}

/// The answer to a rejected connection that has not sent a request.
pub(super) fn without_request() -> Vec<u8> {
    let head = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close";
    with_body(head, &json(), &body(503, CONNECTIONS))
}

/// The answer to the request of a rejected connection. `is_last` adds `Connection: close`.
pub(super) fn of_connection(is_last: bool) -> Response<Body> {
    let mut response = response(StatusCode::SERVICE_UNAVAILABLE, CONNECTIONS);
    let headers = response.headers_mut();
    headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    if is_last {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Whether a head has more than `max` bytes. hyper refuses a head of HTTP/1 that has not ended by then. But its buffer
/// is up to twice as large, and it accepts a larger head that has ended.
pub(super) fn is_too_large<B>(request: &Request<B>, max: usize) -> bool {
    // In HTTP/1, a field has a colon, a space and an end. RFC 9113 counts 32 bytes.
    let (of_line, of_field) = if request.version() < Version::HTTP_2 {
        (
            request.method().as_str().len() + "  HTTP/1.1\r\n\r\n".len(),
            4,
        )
    } else {
        (0, 32)
    };
    let fields = request.headers().iter();
    let fields = fields.map(|(name, value)| name.as_str().len() + value.len() + of_field);
    let uri = request.uri();
    let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
    let authority = uri
        .authority()
        .map_or(0, |authority| authority.as_str().len());
    of_line + fields.sum::<usize>() + path + authority > max
}

/// The answer to a head that is too large, and was read all the same.
pub(super) fn of_large_head<B>(request: &Request<B>, write: Option<RefusalPage>) -> Response<Body> {
    const STATUS: StatusCode = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    let page = write.and_then(|write| Sender::of_request(request).page(write, STATUS));
    let Some((headers, html)) = page else {
        return response(STATUS, LARGE_HEAD);
    };
    let mut response = Response::new(Body::from(html));
    *response.status_mut() = STATUS;
    *response.headers_mut() = headers;
    response
}

fn json() -> HeaderMap {
    HeaderMap::from_iter([(CONTENT_TYPE, JSON)])
}

fn response(status: StatusCode, error: (&str, &str)) -> Response<Body> {
    let mut response = Response::new(Body::from(body(status.as_u16(), error)));
    *response.status_mut() = status;
    *response.headers_mut() = json();
    response
}

/// The refusal to write in place of `bytes`, if those are hyper's own answer to a head that it cannot read. hyper's
/// answer has no body, and all of ours have one, so they cannot be confused.
pub(super) fn of_head(
    bytes: &[u8],
    sender: impl FnOnce() -> Option<Sender>,
    write: Option<RefusalPage>,
) -> Option<Vec<u8>> {
    let head = std::str::from_utf8(bytes).ok()?;
    let head = head.strip_suffix("\r\n\r\n")?;
    let error = match head.get(.."HTTP/1.1 400".len())? {
        "HTTP/1.1 400" => (
            "invalid_request",
            "the request is not HTTP that can be read",
        ),
        "HTTP/1.1 414" => ("uri_too_long", "the address of the request is too long"),
        "HTTP/1.1 431" => LARGE_HEAD,
        _ => return None,
    };
    let status: StatusCode = head["HTTP/1.1 ".len()..].get(..3)?.parse().ok()?;
    let lines: Vec<&str> = head.split("\r\n").collect();
    let is_length = |line: &&str| line.eq_ignore_ascii_case("content-length: 0");
    lines.iter().find(|line| is_length(line))?;
    let kept = lines.into_iter().filter(|line| !is_length(line));
    let head = kept.collect::<Vec<_>>().join("\r\n");
    let write = write.filter(|_| status != StatusCode::BAD_REQUEST);
    let page = write.and_then(|write| sender()?.page(write, status));
    let (headers, body) = page.unwrap_or_else(|| (json(), body(status.as_u16(), error)));
    Some(with_body(&head, &headers, &body))
}

fn body(status: u16, (code, message): (&str, &str)) -> String {
    format!(
        "{{\n    \"status\": {status},\n    \"code\": \"{code}\",\n    \"message\": \"{message}\"\n}}\n"
    )
}

fn with_body(head: &str, headers: &HeaderMap, body: &str) -> Vec<u8> {
    let mut bytes = head.as_bytes().to_vec();
    for (name, value) in headers {
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
    }
    let length = format!("\r\ncontent-length: {}\r\n\r\n", body.len());
    bytes.extend_from_slice(length.as_bytes());
    bytes.extend_from_slice(body.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hypers_answers_to_heads_get_a_body() {
        let bare = "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\ndate: x\r\n\r\n";
        let refused = of_head(bare.as_bytes(), || None, None);
        let text = String::from_utf8(refused.unwrap()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.starts_with("HTTP/1.1 431 ") && head.contains("\r\ndate: x\r\n"),
            "{head}"
        );
        assert!(
            head.contains(&format!("content-length: {}", body.len())),
            "{head}"
        );
        assert!(!head.contains("content-length: 0"), "{head}");
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["status"], 431);
        for other in [
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\n{}",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 7\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
            "",
            "HTTP/1.1 431",
        ] {
            let refused = of_head(other.as_bytes(), || None, None);
            assert_eq!(refused, None, "{other:?}");
        }
    }

    #[test]
    fn the_sender_is_read_from_what_there_is_of_a_head() {
        let sender = |head: &str| {
            let sender = Sender::of(head.as_bytes());
            sender.map(|sender| (sender.path, sender.accept))
        };
        let read =
            |path: &str, accept: Option<&str>| Some((path.to_owned(), accept.map(str::to_owned)));
        for (head, expected) in [
            (
                "GET /a/b?c=d HTTP/1.1\r\nHost: x\r\nACCEPT:  text/html \r\nCookie: ",
                read("/a/b", Some("text/html")),
            ),
            (
                "GET /a HTTP/1.1\r\nHost: x\r\nAccept: text/h",
                read("/a", None),
            ),
            (
                "GET /a HTTP/1.1\r\nAccept: */*\r\n\r\nAccept: text/html\r\n",
                read("/a", Some("*/*")),
            ),
            (
                "GET /a HTTP/1.1\r\nHost: x\r\nCookie: aaaa",
                read("/a", Some("")),
            ),
            ("GET /a HTTP/1.1\r\nCookie: aaaa", read("/a", Some(""))),
            ("GET /a HTTP/1.1\r\nHost: x\r\naCc", read("/a", None)),
            (
                "GET /a HTTP/1.1\r\nAccept-Language: d",
                read("/a", Some("")),
            ),
            ("GET /aaaa", read("/aaaa", None)),
            ("GET /a?bbbb", read("/a", None)),
            ("GET http://x/a HTTP/1.1\r\n", read("http://x/a", None)),
            ("GET", None),
            ("", None),
        ] {
            assert_eq!(sender(head), expected, "{head:?}");
        }
        assert!(Sender::of(b"GET /\xff\xfe").is_some());
    }
}
