//! Connections without requests are closed, there is a bound on how many there are, and TLS can be renewed.

mod heads;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tier::server::{Options, Tls};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::web::Web;

/// Long enough for whatever has to happen.
const PATIENCE: Duration = Duration::from_secs(30);
const SOON: Duration = Duration::from_millis(50);

async fn server(options: Options) -> Web {
    let app = Router::new()
        .route("/", get(async || "here"))
        .route("/slow", get(async || std::future::pending::<&str>().await));
    Web::with(options, app).await
}

/// Connects, sends `bytes` and reads until the server ends the connection.
async fn until_closed(server: &Web, bytes: &[u8]) -> String {
    let mut stream = server.connect().await;
    stream.write_all(bytes).await.expect("it reads");
    rest(stream).await
}

async fn rest(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut text)).await;
    // A reset is an end as well.
    drop(read.expect("the server ends the connection"));
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn a_head_that_does_not_come_to_its_end_is_not_waited_for() {
    let server = server(Options {
        head_timeout: SOON,
        ..Options::default()
    })
    .await;
    let answer = until_closed(&server, b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ").await;
    assert_eq!(answer, "");
    // The second head on a connection is no better.
    let mut stream = server.connect().await;
    let whole = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    stream.write_all(whole).await.expect("it reads");
    let mut start = [0; 15];
    stream.read_exact(&mut start).await.expect("an answer");
    assert_eq!(&start, b"HTTP/1.1 200 OK");
    stream.write_all(b"GET / HT").await.expect("it reads");
    assert!(rest(stream).await.ends_with("here"));
}

#[tokio::test]
async fn a_connection_without_requests_is_closed_before_and_after_a_request() {
    let server = server(Options {
        idle_timeout: SOON,
        ..Options::default()
    })
    .await;
    assert_eq!(until_closed(&server, b"").await, "");
    let answer = until_closed(&server, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(answer.ends_with("here"), "{answer}");
    // HTTP/2's opening, and then nothing.
    until_closed(
        &server,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
    )
    .await;
}

#[tokio::test]
async fn a_request_that_is_worked_on_is_not_idle() {
    let options = Options {
        idle_timeout: SOON,
        head_timeout: SOON,
        ..Options::default()
    };
    let server = server(options).await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .expect("it reads");
    let mut byte = [0];
    let read = tokio::time::timeout(SOON * 10, stream.read(&mut byte)).await;
    assert!(read.is_err(), "the connection stays open");
}

#[tokio::test]
async fn one_connection_too_many_is_told_to_come_back() {
    let server = server(Options {
        connections: 1,
        ..Options::default()
    })
    .await;
    let mut first = server.connect().await;
    first
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .expect("it reads");
    let mut start = [0; 12];
    first.read_exact(&mut start).await.expect("an answer");
    let refused = rest(server.connect().await).await;
    assert!(
        refused.starts_with("HTTP/1.1 503 ") && refused.contains("Retry-After: 1\r\n"),
        "{refused}"
    );
    drop(first);
    // It may take the server a moment to notice.
    while !until_closed(
        &server,
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    .await
    .ends_with("here")
    {
        tokio::task::yield_now().await;
    }
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
    let answer = until_closed(&server, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

/// Writes a new certificate for localhost; the client trusts exactly this one.
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

async fn call(server: &Web, trusting: &TlsConnector) -> std::io::Result<String> {
    get_over_tls(server.connect().await, "/", trusting).await
}

/// What a GET is answered.
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
