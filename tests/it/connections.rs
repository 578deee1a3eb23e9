//! Idle connections, malformed heads, and the renewal of certificates.

mod bodies;
mod heads;
mod room;
mod streams;

use std::path::Path;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{get, post};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tier::server::{Options, Tls};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_rustls::TlsConnector;

use crate::web::Web;
use testing::time::{hold_time, until};

const SOON: Duration = Duration::from_millis(50);

/// A request whose answer waits until the test allows it.
const SLOW: &[u8] = b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n";

/// A server with a slow path.
struct Server {
    web: Web,
    /// Notified when a request arrives at the slow path.
    reached: Arc<Notify>,
    /// Notified when the slow path may answer.
    release: Arc<Notify>,
}

async fn server(options: Options) -> Server {
    let (reached, release) = (Arc::<Notify>::default(), Arc::<Notify>::default());
    let (signal, wait) = (reached.clone(), release.clone());
    let slow = async move || {
        signal.notify_one();
        wait.notified().await;
        "done"
    };
    let app = Router::new()
        .route("/", get(async || "here"))
        .route("/slow", get(slow))
        .route("/refuse", post(refuse));
    let web = Web::with(options, app).await;
    Server {
        web,
        reached,
        release,
    }
}

/// Answers without reading the body.
async fn refuse() -> (StatusCode, &'static str) {
    (StatusCode::PAYLOAD_TOO_LARGE, "no thanks")
}

impl Server {
    /// Opens a connection, and sends `bytes`.
    async fn begin(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = self.web.connect().await;
        stream.write_all(bytes).await.expect("it reads");
        stream
    }

    /// Sends a request for the slow path, lets a day pass while the request runs, and reads until `end`.
    async fn wait_for_a_day(&self, request: &[u8], end: &[u8]) {
        let mut stream = self.begin(request).await;
        self.reached.notified().await;
        for _ in 0..24 {
            tokio::time::advance(Duration::from_secs(3600)).await;
            tokio::task::yield_now().await;
        }
        self.release.notify_one();
        read_to(&mut stream, end).await;
    }
}

/// Reads until `part` arrives. The connection must not end before that.
async fn read_to(stream: &mut TcpStream, part: &[u8]) -> Vec<u8> {
    let mut said = Vec::new();
    while !part.is_empty() && !said.windows(part.len()).any(|window| window == part) {
        let read = stream.read_buf(&mut said).await;
        let read = read.expect("the connection stays open");
        assert!(read > 0, "the connection ended: {said:?}");
    }
    said
}

/// Reads until the server ends the connection.
async fn rest(mut stream: impl AsyncRead + Unpin) -> String {
    let mut text = Vec::new();
    // A reset also ends the connection.
    let _ = stream.read_to_end(&mut text).await;
    String::from_utf8_lossy(&text).into_owned()
}

/// Reads to the end while time passes, and takes a `step` at each interval.
async fn rest_in_time(stream: impl AsyncRead + Unpin, mut step: impl AsyncFnMut()) -> String {
    let mut rest = std::pin::pin!(rest(stream));
    until("the server ends the connection", async || {
        step().await;
        tokio::time::advance(SOON / 10).await;
        match futures::poll!(&mut rest) {
            Poll::Ready(text) => Some(text),
            Poll::Pending => None,
        }
    })
    .await
}

/// Reads to the end while time passes.
async fn rest_while_silent(stream: TcpStream) -> String {
    rest_in_time(stream, async || ()).await
}

#[tokio::test]
async fn an_incomplete_head_times_out() {
    let server = server(Options {
        head_timeout: SOON,
        ..Options::default()
    })
    .await;
    let _time = hold_time();
    let begun = server.begin(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ").await;
    assert_eq!(rest_while_silent(begun).await, "");
    // The same applies to the second head on a connection.
    let mut stream = server.begin(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let answer = read_to(&mut stream, b"here").await;
    assert!(answer.starts_with(b"HTTP/1.1 200 OK"), "{answer:?}");
    stream.write_all(b"GET / HT").await.expect("it reads");
    assert_eq!(rest_while_silent(stream).await, "");
}

#[tokio::test]
async fn a_connection_without_requests_is_closed_before_and_after_a_request() {
    let server = server(Options {
        idle_timeout: SOON,
        ..Options::default()
    })
    .await;
    let _time = hold_time();
    assert_eq!(rest_while_silent(server.begin(b"").await).await, "");
    let mut stream = server.begin(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    read_to(&mut stream, b"here").await;
    assert_eq!(rest_while_silent(stream).await, "");
    // The opening of HTTP/2, followed by silence.
    let opening = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    rest_while_silent(server.begin(opening).await).await;
}

#[tokio::test]
async fn a_connection_with_a_request_in_progress_is_not_idle() {
    let options = Options {
        idle_timeout: SOON,
        head_timeout: SOON,
        ..Options::default()
    };
    let server = server(options).await;
    let _time = hold_time();
    server.wait_for_a_day(SLOW, b"done").await;
}

#[tokio::test]
async fn a_head_that_is_too_large_is_431() {
    let server = server(Options {
        max_head: 8192,
        ..Options::default()
    })
    .await;
    let head = format!(
        "GET / HTTP/1.1\r\nHost: x\r\nX-Large: {}\r\n\r\n",
        "x".repeat(9000)
    );
    let answer = rest(server.begin(head.as_bytes()).await).await;
    has_error_body(&answer, 431, "headers_too_large");
}

/// A head may have as many bytes as the limit allows, and no more, however it arrives.
#[tokio::test]
async fn a_head_has_as_many_bytes_as_are_allowed() {
    for most in [8192, 16 * 1024, 20_000] {
        let options = Options {
            max_head: most,
            ..Options::default()
        };
        let server = server(options).await;
        let of_size = |size: usize| {
            let (before, after) = (
                "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Large: ",
                "\r\n\r\n",
            );
            let rest = size - before.len() - after.len();
            format!("{before}{}{after}", "x".repeat(rest))
        };
        let answer = rest(server.begin(of_size(most).as_bytes()).await).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{most}: {answer}");
        for size in [most + 1, most + most / 4, 2 * most - 1, 2 * most, 3 * most] {
            let answer = rest(server.begin(of_size(size).as_bytes()).await).await;
            has_error_body(&answer, 431, "headers_too_large");
        }
    }
}

#[tokio::test]
async fn a_malformed_head_gets_the_usual_error_body() {
    let server = server(Options {
        max_head: 256 * 1024,
        ..Options::default()
    })
    .await;
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(70_000));
    for (head, status, code) in [
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n", 400, "invalid_request"),
        ("G\u{e9}T / HTTP/1.1\r\n\r\n", 400, "invalid_request"),
        ("GET / HTTP/9.9\r\n\r\n", 400, "invalid_request"),
        (
            "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
            400,
            "invalid_request",
        ),
        (&long, 414, "uri_too_long"),
    ] {
        let answer = rest(server.begin(head.as_bytes()).await).await;
        has_error_body(&answer, status, code);
    }
    // Earlier answers on the same connection are not affected.
    let both = "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nno colon\r\n\r\n";
    let answer = rest(server.begin(both.as_bytes()).await).await;
    let (first, second) = answer.split_once("here").unwrap();
    assert!(first.starts_with("HTTP/1.1 200 "), "{answer}");
    has_error_body(second, 400, "invalid_request");
}

/// Whether an answer has this `status`, and the body that every error has.
fn has_error_body(answer: &str, status: u16, code: &str) {
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {status} ")),
        "{answer}"
    );
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let head = head.to_lowercase();
    assert!(head.contains("content-type: application/json"), "{answer}");
    let length = format!("content-length: {}", body.len());
    assert!(head.contains(&length), "{answer}");
    let error: serde_json::Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(error["status"], status, "{answer}");
    assert_eq!(error["code"], code, "{answer}");
    assert!(error["message"].is_string(), "{answer}");
    assert!(body.starts_with("{\n    \"status\": "), "{answer}");
}

/// Writes a new certificate for localhost. The returned client trusts only that certificate.
pub(crate) fn certify(folder: &Path) -> TlsConnector {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).expect("a folder of ours");
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem())
        .expect("a folder of ours");
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from(made.cert.der().to_vec()))
        .expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has them")
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

async fn call(server: &Server, trusting: &TlsConnector) -> std::io::Result<String> {
    get_over_tls(server.web.connect().await, "/", trusting).await
}

/// The answer to a GET.
pub(crate) async fn get_over_tls(
    stream: TcpStream,
    path: &str,
    trusting: &TlsConnector,
) -> std::io::Result<String> {
    let name = ServerName::try_from("localhost").expect("a name");
    let mut stream = trusting.connect(name, stream).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}

#[tokio::test]
async fn a_certificate_is_served_and_replaced_but_not_by_a_broken_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let old = certify(folder.path());
    let tls = Tls::load(
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    )
    .expect("it is well formed");
    let server = server(Options {
        tls: Some(tls.clone()),
        ..Options::default()
    })
    .await;
    assert!(call(&server, &old).await.expect("TLS").ends_with("here"));

    let new = certify(folder.path());
    call(&server, &new).await.expect_err("it is not in use yet");
    tls.reload().expect("it is well formed");
    assert!(call(&server, &new).await.expect("TLS").ends_with("here"));
    call(&server, &old).await.expect_err("it was replaced");

    std::fs::write(folder.path().join("key.pem"), "no key").expect("a folder of ours");
    let fault = tls.reload().expect_err("no key").to_string();
    assert!(fault.contains("key.pem"), "{fault}");
    assert!(
        call(&server, &new)
            .await
            .expect("what was in use stays")
            .ends_with("here")
    );
}
