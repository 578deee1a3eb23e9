//! Refusals that no handler writes: of a connection without a slot, and of a head that is too large or malformed. They
//! have the same body as every other error.

use axum::body::Body;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Request, Response, StatusCode, Version};

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Code and message for a head that is too large.
const LARGE_HEAD: (&str, &str) = ("headers_too_large", "the head of the request is too large");

/// Code and message where there are too many connections.
const CONNECTIONS: (&str, &str) = ("overloaded", "too many connections");

/// The answer to a rejected connection that has not sent a request.
pub(super) fn without_request() -> Vec<u8> {
    let head = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close";
    with_body(head, &body(503, CONNECTIONS))
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

/// Whether a head of HTTP/2 is larger than `most`. hyper checks those of HTTP/1 itself.
pub(super) fn is_too_large<B>(request: &Request<B>, most: usize) -> bool {
    if request.version() < Version::HTTP_2 {
        return false;
    }
    // RFC 9113 counts 32 bytes for each field.
    let fields = request.headers().iter();
    let fields = fields.map(|(name, value)| name.as_str().len() + value.len() + 32);
    let uri = request.uri();
    let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
    let authority = uri
        .authority()
        .map_or(0, |authority| authority.as_str().len());
    fields.sum::<usize>() + path + authority > most
}

/// The answer to a head that is too large.
pub(super) fn of_large_head() -> Response<Body> {
    response(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, LARGE_HEAD)
}

fn response(status: StatusCode, what: (&str, &str)) -> Response<Body> {
    let mut response = Response::new(Body::from(body(status.as_u16(), what)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

/// The refusal to write in place of `bytes`, if those are hyper's own answer to a head that it cannot read. hyper's has no
/// body, and all of ours do, so they cannot be confused.
pub(super) fn of_head(bytes: &[u8]) -> Option<Vec<u8>> {
    let head = std::str::from_utf8(bytes).ok()?;
    let head = head.strip_suffix("\r\n\r\n")?;
    let what = match head.get(.."HTTP/1.1 400".len())? {
        "HTTP/1.1 400" => (
            "invalid_request",
            "the request is not HTTP that can be read",
        ),
        "HTTP/1.1 414" => ("uri_too_long", "the address of the request is too long"),
        "HTTP/1.1 431" => LARGE_HEAD,
        _ => return None,
    };
    let status = head["HTTP/1.1 ".len()..].get(..3)?.parse().ok()?;
    let lines: Vec<&str> = head.split("\r\n").collect();
    let is_length = |line: &&str| line.eq_ignore_ascii_case("content-length: 0");
    lines.iter().find(|line| is_length(line))?;
    let kept = lines.into_iter().filter(|line| !is_length(line));
    let head = kept.collect::<Vec<_>>().join("\r\n");
    Some(with_body(&head, &body(status, what)))
}

fn body(status: u16, (code, message): (&str, &str)) -> String {
    format!(
        "{{\n    \"status\": {status},\n    \"code\": \"{code}\",\n    \"message\": \"{message}\"\n}}\n"
    )
}

fn with_body(head: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("{head}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hypers_answers_to_heads_get_a_body() {
        let bare = "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\ndate: x\r\n\r\n";
        let text = String::from_utf8(of_head(bare.as_bytes()).unwrap()).unwrap();
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
            assert_eq!(of_head(other.as_bytes()), None, "{other:?}");
        }
    }
}
