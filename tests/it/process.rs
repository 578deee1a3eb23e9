//! `tier serve` as a process: start-up, signals, and the log.

mod flags;
mod pressure;
mod start;
mod strangers;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::binary::{Place, Server};
use crate::{connections, logs};
use testing::time::until;

/// A server with its own sandbox, on a free port.
async fn start(place: &Place, args: &[&str]) -> Server {
    place.tier(&serve(args)).started().await
}

fn serve<'a>(args: &[&'a str]) -> Vec<&'a str> {
    let serve = ["serve", "--sandbox", "--sandbox-addr", "127.0.0.1:0"];
    [&serve[..], args].concat()
}

/// The status of a GET.
async fn status(address: &str, path: &str, key: &str) -> u16 {
    status_of(&get(address, path, key).await)
}

/// The answer to a GET over a plain socket, without retries or keep-alive.
async fn get(address: &str, path: &str, key: &str) -> String {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n\r\n"
    );
    exchange(address, &request).await
}

/// Sends `bytes`, and returns everything that the server sends until the connection ends.
async fn exchange(address: &str, bytes: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    // The request may be rejected before all of it is sent.
    let _ = stream.write_all(bytes.as_bytes()).await;
    rest(stream).await
}

/// Reads until the other side closes or resets the connection.
async fn rest(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8(bytes).expect("text")
}

#[track_caller]
fn status_of(answer: &str) -> u16 {
    let digits = answer.get(9..12).expect("an answer");
    digits.parse().expect("a status")
}

#[tokio::test]
async fn serving_beyond_loopback_requires_a_key() {
    let place = Place::offline();
    let refused = place.tier(&serve(&["--addr", "0.0.0.0:0"]));
    let said = refused.fault().await;
    for way in ["TIER_API_KEY", "--api-key-file", "--insecure-no-auth"] {
        assert!(said.contains(way), "{said}");
    }
    for meant in [
        &["--addr", "0.0.0.0:0", "--insecure-no-auth"][..],
        &["--addr", "0.0.0.0:0", "--cloud"],
    ] {
        let ended = start(&place, meant).await.stop("-TERM").await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
}

#[tokio::test]
async fn cloud_mode_refuses_keys_of_its_own() {
    let place = Place::offline();
    let cloud = place.tier(&serve(&["--addr", "127.0.0.1:0", "--cloud"]));
    let said = cloud.env("TIER_API_KEY", "one").fault().await;
    assert!(
        said.contains("TIER_API_KEY") && said.contains("--cloud"),
        "{said}"
    );
}

#[tokio::test]
async fn a_loopback_server_accepts_only_its_own_host_names() {
    let place = Place::offline();
    let get = async |address: &str, path: &str, host: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        status_of(&exchange(address, &request).await)
    };
    let loopback = start(&place, &["--addr", "127.0.0.1:0", "--insecure-no-auth"]).await;
    assert_eq!(
        get(loopback.address(), "/v1/whoami", "localhost").await,
        200
    );
    assert_eq!(
        get(loopback.address(), "/v1/whoami", "evil.example").await,
        403
    );

    let every = ["--addr", "0.0.0.0:0", "--insecure-no-auth"];
    let every = start(&place, &every).await;
    let address = every.address().replace("0.0.0.0", "127.0.0.1");
    assert_eq!(get(&address, "/v1/whoami", "tier.internal").await, 200);

    for (interface, keys, whoami, metrics) in
        [("0.0.0.0", "", 403, 200), ("127.0.0.1", "one", 401, 403)]
    {
        let listens = format!("{interface}:0");
        let server = place.tier(&serve(&["--addr", "127.0.0.1:0", "--admin-addr", &listens]));
        let mut server = server.env("TIER_API_KEY", keys).started().await;
        let admin = server.admin_address().await.replace("0.0.0.0", "127.0.0.1");
        assert_eq!(get(&admin, "/metrics", "tier.internal").await, metrics);
        assert_eq!(
            get(server.address(), "/v1/whoami", "tier.internal").await,
            whoami
        );
    }
}

#[tokio::test]
async fn sighup_reloads_the_keys_and_sigterm_exits_with_0() {
    let place = Place::offline();
    place.write("keys", "sk_test_first\n");
    let args = ["--addr", "127.0.0.1:0", "--api-key-file", "keys"];
    let server = start(&place, &args).await;
    let status = async |key: &str| status(server.address(), "/v1/whoami", key).await;
    assert_eq!(status("sk_test_first").await, 200);
    assert_eq!(status("sk_test_second").await, 401);

    place.write("keys", "sk_test_second\n");
    server.signal("-HUP").await;
    until("the new key is in force", async || {
        (status("sk_test_second").await == 200).then_some(())
    })
    .await;
    assert_eq!(status("sk_test_first").await, 401);

    // A file without keys does not let requests without a key in.
    place.write("keys", "");
    server.signal("-HUP").await;
    assert_eq!(status("").await, 401);
    assert_eq!(status("sk_test_second").await, 200);

    let ended = server.stop("-TERM").await;
    assert_eq!(ended.code, Some(0));
    for line in ended.stderr.lines() {
        assert_eq!(logs::secret(line), None, "{line}");
    }
}

#[tokio::test]
async fn a_request_is_one_line_of_json_with_ids_and_calls() {
    let place = Place::offline();
    let server = start(&place, &["--addr", "127.0.0.1:0"]).await;
    for (path, expected) in [
        ("/v1/whois?org=org:jo@acme.example", 400),
        ("/v1/whoami", 200),
    ] {
        assert_eq!(status(server.address(), path, "x").await, expected);
    }
    let log = server.stop("-TERM").await.stderr;
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line is JSON"))
        .collect();
    let requests: Vec<_> = lines
        .iter()
        .filter(|line| line["message"] == "request")
        .collect();
    assert_eq!(requests.len(), 2, "{log}");
    assert_eq!(requests[0]["endpoint"], "/v1/whois");
    assert_eq!(
        (&requests[0]["status"], &requests[0]["code"]),
        (&400.into(), &"org_not_found".into())
    );
    assert!(requests[0]["stripe_calls"].as_u64() > Some(0));
    assert_eq!(requests[1]["stripe_calls"], 1);
    assert!(
        requests[1]["stripe_request_ids"]
            .as_str()
            .is_some_and(|id| id.starts_with("req_")),
        "{log}"
    );
    assert!(requests[1]["micros"].is_u64() && requests[1]["request_id"].is_string());
    assert_eq!(logs::secret(&log), None);
}

#[tokio::test]
async fn sighup_reloads_the_certificate() {
    let place = Place::offline();
    let old = connections::certify(place.path());
    let tls = ["--tls-cert", "cert.pem", "--tls-key", "key.pem"];
    let server = start(&place, &[&["--addr", "127.0.0.1:0"][..], &tls].concat()).await;
    let health = async |trusting| {
        let stream = TcpStream::connect(server.address()).await;
        connections::get_over_tls(stream.expect("it listens"), "/healthz", trusting).await
    };
    let answer = health(&old).await.expect("TLS");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    let new = connections::certify(place.path());
    health(&new).await.expect_err("it was not read yet");
    server.signal("-HUP").await;
    until("the new certificate is in use", async || {
        health(&new).await.ok()
    })
    .await;
    health(&old).await.expect_err("it was replaced");
    assert_eq!(server.stop("-TERM").await.code, Some(0));
}

#[tokio::test]
async fn the_admin_pages_can_have_their_own_address() {
    let place = Place::offline();
    let args = ["--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0"];
    let mut server = start(&place, &args).await;
    let admin = server.admin_address().await;
    assert_eq!(status(server.address(), "/metrics", "x").await, 404);
    assert_eq!(status(&admin, "/metrics", "x").await, 200);
    assert_eq!(status(&admin, "/readyz", "x").await, 200);
    assert_eq!(server.stop("-TERM").await.code, Some(0));
}
