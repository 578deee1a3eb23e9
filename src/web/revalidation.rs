//! Answers that browsers may cache and revalidate.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest as _, Sha256};

use crate::num;

/// An answer that a browser may cache. If the browser has it already, it gets a 304 without a body.
pub struct Revalidated {
    /// The `Content-Type`.
    pub content_type: &'static str,
    /// The `Cache-Control`.
    pub cache_control: &'static str,
    /// The `ETag`: a digest of the body, in quotation marks.
    pub etag: HeaderValue,
    /// The `Content-Encoding`, if the body is compressed.
    pub encoding: Option<&'static str>,
    /// The body.
    pub body: std::borrow::Cow<'static, [u8]>,
}

/// The `ETag` of a body.
pub fn etag(content: &[u8]) -> HeaderValue {
    let digest = num::hex(&Sha256::digest(content)[..16]);
    HeaderValue::from_str(&format!("\"{digest}\"")).expect("hex is ASCII")
}

/// Whether the browser that sent `headers` has the body with this `ETag`.
fn has(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let sent = headers.get_all(header::IF_NONE_MATCH).iter();
    let mut tags = sent
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|tag| tag.trim().trim_start_matches("W/"));
    tags.any(|tag| tag == "*" || tag.as_bytes() == etag.as_bytes())
}

impl Revalidated {
    /// The answer to a request with these `headers`.
    pub fn answer(self, headers: &HeaderMap) -> Response {
        let is_known = has(headers, &self.etag);
        let own_headers = [
            (
                header::CONTENT_TYPE,
                HeaderValue::from_static(self.content_type),
            ),
            (
                header::CACHE_CONTROL,
                HeaderValue::from_static(self.cache_control),
            ),
            (header::ETAG, self.etag),
            (
                header::X_CONTENT_TYPE_OPTIONS,
                HeaderValue::from_static("nosniff"),
            ),
        ];
        let mut response = if is_known {
            (StatusCode::NOT_MODIFIED, own_headers).into_response()
        } else {
            (own_headers, self.body).into_response()
        };
        if let Some(encoding) = self.encoding {
            let encoding = HeaderValue::from_static(encoding);
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_ENCODING, encoding);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(if_none_match: &[&str]) -> StatusCode {
        let sent = if_none_match.iter().map(|value| {
            let value = HeaderValue::from_str(value).expect("a header");
            (header::IF_NONE_MATCH, value)
        });
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(name, value);
        }
        let content = Revalidated {
            content_type: "text/plain",
            cache_control: "no-cache",
            etag: HeaderValue::from_static("\"a\""),
            encoding: None,
            body: b"text".as_slice().into(),
        };
        content.answer(&headers).status()
    }

    #[test]
    fn a_cached_body_is_not_sent_again() {
        for same in [
            &["\"a\""][..],
            &["W/\"a\""],
            &["\"b\", \"a\""],
            &["\"b\"", "\"a\""],
            &["*"],
        ] {
            assert_eq!(status(same), StatusCode::NOT_MODIFIED, "{same:?}");
        }
        for other in [&[][..], &["\"b\""], &["a"], &["\"A\""]] {
            assert_eq!(status(other), StatusCode::OK, "{other:?}");
        }
        assert_ne!(etag(b"a"), etag(b"b"));
        assert_eq!(etag(b"a"), etag(b"a"));
    }
}
