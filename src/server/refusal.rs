//! Refusals that no handler sees: of a connection that is one too many, and of a head that is no request. Clients read
//! the same body from them as from every other error.

/// What a connection is told that is one too many.
pub(super) fn of_connection() -> Vec<u8> {
    let head = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close";
    answer(head, 503, "overloaded", "too many connections")
}

/// What hyper says of a head that it cannot read, which has no body, as it should be said. Nothing of ours looks like
/// it: our errors have bodies.
pub(super) fn of_head(bytes: &[u8]) -> Option<Vec<u8>> {
    let head = std::str::from_utf8(bytes).ok()?;
    let head = head.strip_suffix("\r\n\r\n")?;
    let (code, message) = match head.get(.."HTTP/1.1 400".len())? {
        "HTTP/1.1 400" => (
            "invalid_request",
            "the request is not HTTP that can be read",
        ),
        "HTTP/1.1 414" => ("uri_too_long", "the address of the request is too long"),
        "HTTP/1.1 431" => ("headers_too_large", "the head of the request is too large"),
        _ => return None,
    };
    let status = head["HTTP/1.1 ".len()..].get(..3)?.parse().ok()?;
    let lines: Vec<&str> = head.split("\r\n").collect();
    let is_length = |line: &&str| line.eq_ignore_ascii_case("content-length: 0");
    lines.iter().find(|line| is_length(line))?;
    let kept = lines.into_iter().filter(|line| !is_length(line));
    let head = kept.collect::<Vec<_>>().join("\r\n");
    Some(answer(&head, status, code, message))
}

fn answer(head: &str, status: u16, code: &str, message: &str) -> Vec<u8> {
    let body = format!(
        "{{\n    \"status\": {status},\n    \"code\": \"{code}\",\n    \"message\": \"{message}\"\n}}\n"
    );
    let length = body.len();
    format!("{head}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_hyper_says_of_heads_gets_a_body() {
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
