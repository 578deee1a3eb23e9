//! Recognizes a form that was sent instead of JSON. Naming the encoding helps the client more than the position of a
//! syntax error.

use std::fmt;

use axum::http::HeaderValue;

/// The encoding of a body that is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotJson {
    /// URL-encoded, as browsers send fields and curl sends `-d`.
    Form,
    /// Multipart, as browsers send files and curl sends `-F`.
    Multipart,
}

/// How many bytes of a multipart body are inspected. They include the headers of its first part.
const INSPECTED: usize = 1024;

impl NotJson {
    /// The encoding of a body that is not JSON, if it is recognized. The content type alone does not decide, since curl
    /// sends JSON with the content type of a form.
    pub(super) fn of(body: &[u8], content_type: Option<&HeaderValue>) -> Option<Self> {
        let body = body.trim_ascii_start();
        let has_type = |media_type: &str| {
            let value = content_type.and_then(|value| value.to_str().ok());
            let value = value.and_then(|value| value.get(..media_type.len()));
            value.is_some_and(|value| value.eq_ignore_ascii_case(media_type))
        };
        if is_multipart(body) || has_type("multipart/") && body.starts_with(b"--") {
            return Some(Self::Multipart);
        }
        let is_form =
            is_form(body) || has_type("application/x-www-form-urlencoded") && begins_form(body);
        is_form.then_some(Self::Form)
    }
}

impl fmt::Display for NotJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encoding = match self {
            Self::Form => "form-encoded",
            Self::Multipart => "multipart",
        };
        write!(
            f,
            "invalid json syntax: the body must be JSON, and is {encoding}"
        )
    }
}

fn is_multipart(body: &[u8]) -> bool {
    let head = &body[..body.len().min(INSPECTED)];
    let head = head.to_ascii_lowercase();
    let name = b"content-disposition:";
    body.starts_with(b"--") && head.windows(name.len()).any(|window| window == name)
}

/// Whether the body has fields (`org=org:acme`), or is a single value as forms encode it (`org:acme`).
fn is_form(body: &[u8]) -> bool {
    let body = body.trim_ascii_end();
    if !begins_form(body) || std::str::from_utf8(body).is_err() {
        return false;
    }
    let name = body.split(|byte| *byte == b'=').next().unwrap_or_default();
    if name.len() < body.len() {
        return name.iter().copied().all(is_of_form);
    }
    body.iter().copied().all(is_of_form) && body.iter().any(|byte| b"&%:".contains(byte))
}

/// Whether a form can begin with this byte, while JSON, a comment in it and other kinds of documents cannot.
fn begins_form(body: &[u8]) -> bool {
    let first = body.first();
    first.is_some_and(|first| first.is_ascii_alphanumeric() || b"_.~*+%&=@$!(".contains(first))
}

fn is_of_form(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-~*+%&:@/[],$!'();?".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recognized(body: &str, content_type: Option<&'static str>) -> Option<NotJson> {
        let content_type = content_type.map(HeaderValue::from_static);
        NotJson::of(body.as_bytes(), content_type.as_ref())
    }

    #[test]
    fn forms_are_recognized_by_their_content() {
        for body in [
            "org=org:acme",
            "org=org%3Aacme&feature=feature%3Ax&n=1",
            " phases[0][features][0]=plan:free@1\n",
            "name=Jo Doe",
            "name=Zoë",
            "1=2",
            "=x",
            "&org=org:acme",
            "org%3Aacme",
            "org:acme",
            "a&b",
            "true=1",
        ] {
            assert_eq!(recognized(body, None), Some(NotJson::Form), "{body}");
        }
        for body in [
            "--b\r\nContent-Disposition: form-data; name=\"org\"\r\n\r\norg:acme\r\n--b--\r\n",
            "\r\n--b\r\ncontent-type: text/plain\r\ncontent-disposition: form-data\r\n\r\nx",
        ] {
            assert_eq!(recognized(body, None), Some(NotJson::Multipart), "{body}");
        }
    }

    #[test]
    fn the_content_type_decides_if_the_content_is_ambiguous() {
        let form = Some("Application/X-WWW-Form-Urlencoded; charset=utf-8");
        for body in ["org", "Jo Doe"] {
            assert_eq!(recognized(body, form), Some(NotJson::Form), "{body}");
            assert_eq!(recognized(body, None), None, "{body}");
        }
        let multipart = Some("multipart/form-data; boundary=b");
        assert_eq!(recognized("--b--\r\n", multipart), Some(NotJson::Multipart));
        for content_type in [form, multipart, Some("multi"), None] {
            for body in [
                "",
                "{\"org\" \"org:acme\"}",
                "[a=b",
                "\"a=b",
                "// a=b\n{",
                "<a href=\"b\">",
                "-",
                "{'org':1}",
            ] {
                assert_eq!(
                    recognized(body, content_type),
                    None,
                    "{body} {content_type:?}"
                );
            }
        }
    }
}
