//! Errors of pages. People get a page, and programs get JSON.

use axum::http::Method;
use tier::api::Keys;
use tier::server::Options;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{Answer, TestApp};
use crate::web::Web;

/// The `accept` header of browsers.
const BROWSER: &str = "text/html,application/xhtml+xml,*/*;q=0.8";

/// `accept` headers of programs, which get JSON.
const PROGRAMS: [&str; 3] = [
    "application/json",
    "application/json, text/plain, */*",
    "*/*",
];

async fn ask(app: &TestApp, method: Method, path: &str, accept: &str) -> Answer {
    let call = app.request(method, path).header("accept", accept);
    call.send().await
}

/// Requests a path as a browser, and returns the page.
async fn page(app: &TestApp, method: Method, path: &str, status: u16) -> Answer {
    let page = ask(app, method.clone(), path, BROWSER).await;
    assert_eq!(page.status, status, "{method} {path}: {}", page.body);
    let content_type = page.header("content-type");
    assert_eq!(content_type, "text/html; charset=utf-8", "{method} {path}");
    assert_eq!(page.header("vary"), "accept");
    assert_eq!(page.header("cache-control"), "no-store");
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'self'"));
    assert!(page.body.contains("<h1>") && !page.body.contains("<script"));
    page
}

const NOT_FOUND: &str =
    "{\n    \"status\": 404,\n    \"code\": \"not_found\",\n    \"message\": \"Not Found\"\n}\n";

const METHOD_NOT_ALLOWED: &str = "{\n    \"status\": 405,\n    \"code\": \"method_not_allowed\",\n    \"message\": \"Method Not Allowed\"\n}\n";

#[tokio::test]
async fn an_address_without_a_page() {
    let app = TestApp::start().await;
    for path in [
        "/pay",
        "/pay/",
        "/console/",
        "/console/x",
        "/builder/",
        "/m/",
        "/docs/x",
    ] {
        let page = page(&app, Method::GET, path, 404).await;
        assert!(page.body.contains("Check the address"), "{}", page.body);
        for accept in PROGRAMS {
            let answer = ask(&app, Method::GET, path, accept).await;
            assert_eq!(answer.body, NOT_FOUND, "{path} {accept}");
        }
        assert_eq!(app.get(path).await.body, NOT_FOUND, "{path}");
    }
    // Paths without a page have none for browsers either.
    for path in ["/v1/nothing", "//", "/assets/x"] {
        let answer = ask(&app, Method::GET, path, BROWSER).await;
        assert_eq!(answer.body, NOT_FOUND, "{path}");
    }
    assert_eq!(app.stripe_calls(), 0);
}

#[tokio::test]
async fn a_method_that_a_page_does_not_have() {
    let app = TestApp::start().await;
    for (method, path, allowed) in [
        (Method::POST, "/builder", "GET,HEAD"),
        (Method::POST, "/console", "GET,HEAD"),
        (Method::POST, "/console/orgs", "GET,HEAD"),
        (Method::POST, "/pricing", "GET,HEAD"),
        (Method::PUT, "/pricing/x", "GET,HEAD"),
        (Method::POST, "/m/x", "GET,HEAD"),
        (Method::DELETE, "/pay/x", "GET,HEAD,POST"),
    ] {
        let page = page(&app, method.clone(), path, 405).await;
        assert_eq!(page.header("allow"), allowed, "{method} {path}");
        assert!(page.body.contains("That did not work"), "{}", page.body);
        let answer = ask(&app, method.clone(), path, "application/json").await;
        assert_eq!(answer.body, METHOD_NOT_ALLOWED, "{method} {path}");
        assert_eq!(answer.header("allow"), allowed, "{method} {path}");
        let silent = app.request(method, path).send().await;
        assert_eq!(silent.body, METHOD_NOT_ALLOWED, "{path}");
    }
    let answer = ask(&app, Method::POST, "/v1/whoami", BROWSER).await;
    assert_eq!(answer.body, METHOD_NOT_ALLOWED);
    assert_eq!(app.stripe_calls(), 0);
}

#[tokio::test]
async fn a_page_that_nobody_has_listed() {
    let app = TestApp::start().await;
    let unknown = page(&app, Method::GET, "/pricing/x", 404).await;
    assert!(unknown.body.contains("There is no such page"));
    let app = app.adjusted(|app| app.keys = Keys::new(["secret"]));
    let closed = page(&app, Method::GET, "/pricing", 401).await;
    assert!(closed.body.contains("A key is needed"), "{}", closed.body);
    // This header makes browsers prompt for the key.
    assert!(closed.header("www-authenticate").starts_with("Basic "));
    for accept in PROGRAMS {
        let answer = ask(&app, Method::GET, "/pricing", accept).await;
        answer.fails(401, "unauthorized");
    }
}

#[tokio::test]
async fn text_in_error_pages_is_escaped() {
    let app = TestApp::start().await;
    let evil = "/console/change?org=org:a&plan=%3Cscript%3Ealert(1)%3C%2Fscript%3E";
    let page = page(&app, Method::GET, evil, 400).await;
    assert!(page.body.contains("&lt;script&gt;"), "{}", page.body);
}

/// The rest of the stream. A connection reset ends the stream, too.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8(bytes).expect("text")
}

/// Sends a request's head on a new connection, and returns the server's answer.
async fn refused(server: &Web, head: &str) -> (String, String) {
    let mut stream = server.connect().await;
    stream.write_all(head.as_bytes()).await.expect("it reads");
    let answer = rest(&mut stream).await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(
        head.contains(&format!("content-length: {}", body.len())),
        "{head}"
    );
    (head.to_owned(), body.to_owned())
}

#[tokio::test]
async fn a_head_that_is_too_large() {
    let options = |max_head| Options {
        max_head,
        refusal_page: Some(tier::api::refusal_page),
        ..Options::default()
    };
    let (small, large) = (
        Web::with(options(8192), axum::Router::new()).await,
        Web::with(options(256 << 10), axum::Router::new()).await,
    );
    let cookie = "x".repeat(9_000);
    let query = "x".repeat(70_000);
    let asks = |path: &str, accept: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\nCookie: {cookie}\r\n\r\n")
    };
    for path in ["/pay/x", "/pricing", "/builder", "/console"] {
        let long = format!("GET {path}?{query} HTTP/1.1\r\nHost: x\r\nAccept: {BROWSER}\r\n\r\n");
        for (server, head, status) in [
            (&small, asks(path, BROWSER), 431),
            (&small, format!("GET {path}?{cookie}"), 431),
            (&large, long, 414),
        ] {
            let (head, body) = refused(server, &head).await;
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
            assert!(head.contains("content-type: text/html; charset=utf-8"));
            assert!(head.contains("content-security-policy: default-src 'none'"));
            assert!(body.contains("<h1>The request is too large</h1>"), "{body}");
        }
        let silent = format!("GET {path} HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n");
        for program in [asks(path, "application/json"), asks(path, "*/*"), silent] {
            let (head, body) = refused(&small, &program).await;
            assert!(head.contains("content-type: application/json"), "{head}");
            assert_eq!(
                body,
                "{\n    \"status\": 431,\n    \"code\": \"headers_too_large\",\n    \"message\": \"the head of the request is too large\"\n}\n"
            );
        }
    }
    for path in ["/v1/limits", "/", "/m/x"] {
        let accept = if path == "/m/x" { "*/*" } else { BROWSER };
        let (head, _) = refused(&small, &asks(path, accept)).await;
        assert!(head.contains("content-type: application/json"), "{head}");
    }
}

/// A refusal depends only on the request, and not on earlier requests of the connection.
#[tokio::test]
async fn a_head_that_is_too_large_after_another_request() {
    let options = Options {
        max_head: 8192,
        refusal_page: Some(tier::api::refusal_page),
        ..Options::default()
    };
    let server = Web::with(options, axum::Router::new()).await;
    let mut stream = server.connect().await;
    let first = "GET /v1/limits HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n\r\n";
    stream.write_all(first.as_bytes()).await.expect("it reads");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 404");
    let cookie = "x".repeat(9_000);
    let second = format!(
        "GET /builder HTTP/1.1\r\nHost: x\r\nAccept: {BROWSER}\r\nCookie: {cookie}\r\n\r\n"
    );
    stream.write_all(second.as_bytes()).await.expect("it reads");
    let rest = rest(&mut stream).await;
    assert!(rest.contains("HTTP/1.1 431 "), "{rest}");
    assert!(rest.contains("<h1>The request is too large</h1>"), "{rest}");
}

#[tokio::test]
async fn a_head_of_http_2_that_is_too_large() {
    // Fails if another test has already installed the provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let options = Options {
        max_head: 8192,
        refusal_page: Some(tier::api::refusal_page),
        ..Options::default()
    };
    let server = Web::with(options, axum::Router::new()).await;
    let client = reqwest::Client::builder().no_proxy();
    let client = client.http2_prior_knowledge().build().expect("a client");
    for (path, accept, content_type) in [
        ("/pricing", BROWSER, "text/html; charset=utf-8"),
        ("/pricing", "*/*", "application/json"),
        ("/v1/limits", BROWSER, "application/json"),
    ] {
        let call = client.get(format!("{}{path}", server.url()));
        let call = call.header("accept", accept);
        let refused = call.header("cookie", "x".repeat(9_000)).send().await;
        let refused = refused.expect("an answer");
        assert_eq!(refused.status(), 431);
        assert_eq!(refused.headers()["content-type"], content_type, "{path}");
    }
}
