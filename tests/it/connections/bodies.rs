//! Clients that are still sending their body when the answer arrives can read the answer.

use reqwest::Client;
use tier::server::Options;
use tokio::io::AsyncWriteExt as _;

use super::{SOON, Server, has_error_body, read_to, rest, rest_while_silent, server};
use testing::time::hold_time;

/// More than fits into socket buffers and HTTP/2 windows.
const LARGE: usize = 8 << 20;

/// A client that speaks HTTP/1, and one that speaks HTTP/2 from the first byte.
pub(super) fn clients() -> [Client; 2] {
    // Fails if another test was first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let one = Client::builder().no_proxy().http1_only();
    let two = Client::builder().no_proxy().http2_prior_knowledge();
    [one, two].map(|builder| builder.build().expect("a client"))
}

fn post(length: usize) -> String {
    format!("POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n")
}

async fn a_server() -> Server {
    server(Options::default()).await
}

#[tokio::test]
async fn a_client_that_sends_its_whole_body_first_reads_that_it_is_too_large() {
    let server = a_server().await;
    let mut stream = server.begin(post(LARGE).as_bytes()).await;
    for _ in 0..LARGE / 1024 {
        stream.write_all(&[b' '; 1024]).await.expect("it reads");
    }
    read_to(&mut stream, b"no thanks").await;
    // The connection stays open.
    let next = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(next).await.expect("it reads");
    assert!(rest(stream).await.ends_with("here"));
}

#[tokio::test]
async fn clients_read_why_their_body_is_refused() {
    let server = a_server().await;
    for client in clients() {
        for _ in 0..3 {
            let url = format!("{}/refuse", server.web.url());
            let refused = client.post(url).body(vec![b' '; LARGE]).send().await;
            let refused = refused.expect("an answer");
            assert_eq!(refused.status(), 413);
            assert_eq!(refused.text().await.expect("a body"), "no thanks");
        }
    }
}

#[tokio::test]
async fn an_endless_body_is_not_read_forever() {
    let server = a_server().await;
    let mut stream = server.begin(post(LARGE).as_bytes()).await;
    read_to(&mut stream, b"no thanks").await;
    let _time = hold_time();
    assert_eq!(rest_while_silent(stream).await, "");
    // The server does not even read everything that was sent.
    let mut stream = server.begin(post(LARGE * 1024).as_bytes()).await;
    while stream.write_all(&[b' '; 8 * 1024]).await.is_ok() {}
}

#[tokio::test]
async fn an_unread_body_is_not_waited_for() {
    let server = a_server().await;
    let head = post(LARGE).replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n");
    let answer = rest(server.begin(head.as_bytes()).await).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.ends_with("no thanks"), "{answer}");
}

#[tokio::test]
async fn a_stopping_server_does_not_read_on() {
    let mut server = a_server().await;
    let mut stream = server.begin(post(LARGE).as_bytes()).await;
    read_to(&mut stream, b"no thanks").await;
    let _time = hold_time();
    server.web.stop();
    server.web.ended().await;
}

#[tokio::test]
async fn clients_read_why_their_head_is_refused() {
    let server = server(Options {
        max_head: 8192,
        ..Options::default()
    })
    .await;
    for client in clients() {
        for size in [9000, 20_000] {
            let request = client.get(server.web.url());
            let refused = request.header("x-large", "x".repeat(size)).send().await;
            let refused = refused.expect("an answer");
            assert_eq!(refused.status(), 431);
            assert_eq!(refused.headers()["content-type"], "application/json");
            let body = refused.text().await.expect("a body");
            assert!(body.contains("headers_too_large"), "{body}");
        }
        let fits = client
            .get(server.web.url())
            .header("x-small", "x".repeat(7000));
        let fits = fits.send().await.expect("an answer");
        assert_eq!(fits.status(), 200);
    }
}

/// The head is larger than any socket buffer.
#[tokio::test]
async fn a_client_that_sends_its_whole_head_first_reads_that_it_is_too_large() {
    let server = a_server().await;
    let mut stream = server.begin(b"GET / HTTP/1.1\r\nX-Large: ").await;
    for _ in 0..LARGE / 1024 {
        stream.write_all(&[b'x'; 1024]).await.expect("it reads");
    }
    has_error_body(&rest(stream).await, 431, "headers_too_large");
    // The server does not read the head forever.
    let server = super::server(Options {
        head_timeout: SOON,
        ..Options::default()
    });
    let server = server.await;
    let mut stream = server.begin(&vec![b'x'; 64 * 1024]).await;
    let _time = hold_time();
    let answer = read_to(&mut stream, b"\r\n\r\n").await;
    assert!(answer.starts_with(b"HTTP/1.1 4"), "{answer:?}");
    rest_while_silent(stream).await;
}
