//! The limit on connections, and the answer to connections beyond it.

use reqwest::Client;
use tier::server::{Options, Tls};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::bodies::clients;
use super::{
    SLOW, Server, certify, get_over_tls, has_error_body, read_to, rest, rest_while_silent, server,
};
use testing::time::{hold_time, until};

#[tokio::test]
async fn connections_without_a_request_make_room() {
    let server = server(Options {
        connections: 2,
        connections_per_peer: Some(2),
        ..Options::default()
    })
    .await;
    let first = server.begin(b"").await;
    let mut others = Vec::new();
    for _ in 0..10 {
        others.push(server.begin(b"").await);
    }
    let request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = rest(server.begin(request).await).await;
    assert!(answer.ends_with("here"), "{answer}");
    assert_eq!(rest(first).await, "");
}

#[tokio::test]
async fn one_address_does_not_take_all_connections() {
    let server = server(Options {
        connections: 100,
        connections_per_peer: Some(1),
        ..Options::default()
    })
    .await;
    let _first = server.begin(SLOW).await;
    server.reached.notified().await;
    let refused = rest(server.begin(b"").await).await;
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
}

#[tokio::test]
async fn idle_connections_make_room_after_a_request() {
    let server = server(Options {
        connections: 2,
        connections_per_peer: Some(2),
        ..Options::default()
    })
    .await;
    let mut idle = server.begin(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    read_to(&mut idle, b"here").await;
    let mut works = server.begin(SLOW).await;
    server.reached.notified().await;
    let request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    // The idle connection's request may not have ended completely when the next connection arrives.
    until("the idle one makes room", async || {
        let mut stream = server.web.connect().await;
        let _ = stream.write_all(request).await;
        rest(stream).await.ends_with("here").then_some(())
    })
    .await;
    assert_eq!(rest(idle).await, "");
    server.release.notify_one();
    read_to(&mut works, b"done").await;
}

#[tokio::test]
async fn a_connection_beyond_the_limit_gets_503() {
    let server = server(Options {
        connections: 1,
        ..Options::default()
    })
    .await;
    let first = server.begin(SLOW).await;
    server.reached.notified().await;
    let refused = rest(server.begin(b"").await).await;
    assert!(
        refused.starts_with("HTTP/1.1 503 ") && refused.contains("Retry-After: 1\r\n"),
        "{refused}"
    );
    has_error_body(&refused, 503, "overloaded");
    drop(first);
    let request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    until("there is room again", async || {
        let mut stream = server.web.connect().await;
        // The server may reject the connection before the request is written.
        let _ = stream.write_all(request).await;
        rest(stream).await.ends_with("here").then_some(())
    })
    .await;
}

/// A server with room for one connection, and the connection that takes it.
async fn full(tls: Option<Tls>) -> (Server, TcpStream) {
    let server = server(Options {
        connections: 1,
        tls,
        ..Options::default()
    })
    .await;
    let first = server.begin(SLOW).await;
    (server, first)
}

async fn assert_overloaded_with_retry_after(client: &Client, url: &str, body: usize) {
    let refused = client.post(url).body(vec![b' '; body]).send().await;
    let refused = refused.expect("an answer");
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "1");
    let body = refused.text().await.expect("a body");
    assert!(body.contains("\"code\": \"overloaded\""), "{body}");
}

#[tokio::test]
async fn clients_read_that_there_are_too_many_connections() {
    let (server, _first) = full(None).await;
    server.reached.notified().await;
    for client in clients() {
        for body in [0, 1000, 300_000] {
            until("the one before has gone", async || {
                let raw = rest(server.begin(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await).await;
                raw.contains("\r\nretry-after: 1\r\n").then_some(())
            })
            .await;
            assert_overloaded_with_retry_after(&client, server.web.url(), body).await;
        }
    }
}

#[tokio::test]
async fn a_tls_connection_beyond_the_limit_gets_503() {
    let folder = tempfile::tempdir().expect("a folder");
    let trusting = certify(folder.path());
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
    let tls = Tls::load(cert, key).expect("it is well formed");
    let server = server(Options {
        connections: 1,
        tls: Some(tls),
        ..Options::default()
    })
    .await;
    let name = rustls::pki_types::ServerName::try_from("localhost").expect("a name");
    let stream = trusting.connect(name, server.web.connect().await).await;
    let mut first = stream.expect("TLS");
    first.write_all(SLOW).await.expect("it reads");
    server.reached.notified().await;
    let refused = get_over_tls(server.web.connect().await, "/", &trusting).await;
    has_error_body(&refused.expect("an answer"), 503, "overloaded");
}

#[tokio::test]
async fn a_silent_connection_beyond_the_limit_is_closed() {
    let (server, _first) = full(None).await;
    server.reached.notified().await;
    let half = server.begin(b"GET / HTTP/1.1\r\nX-Slow: ").await;
    // The number of rejected connections that the server keeps open is limited too.
    until("it is awaited", async || {
        let silent = rest(server.begin(b"").await).await;
        silent.contains("Retry-After: 1\r\n").then_some(())
    })
    .await;
    let _time = hold_time();
    assert_eq!(rest_while_silent(half).await, "");
}
