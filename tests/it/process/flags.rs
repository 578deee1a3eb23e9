//! Each flag of a limit has its effect.

use tokio::net::{TcpListener, TcpStream};

use super::*;

const WHOAMI: &str = "/v1/whoami";

/// A server with these flags.
async fn with(flags: &[&str]) -> Server {
    let flags = [&["--addr", "127.0.0.1:0"], flags].concat();
    start(&Place::offline(), &flags).await
}

/// A server with these flags over a Stripe that accepts connections and never answers.
async fn over_a_silent_stripe(flags: &[&str]) -> (Server, TcpListener) {
    let stripe = TcpListener::bind("127.0.0.1:0").await;
    let stripe = stripe.expect("a free port");
    let url = format!("http://{}", stripe.local_addr().expect("it is bound"));
    let flags = [&["serve", "--addr", "127.0.0.1:0"], flags].concat();
    let place = Place::offline();
    let run = place.tier(&flags);
    (run.env("STRIPE_BASE_API_URL", &url).started().await, stripe)
}

/// The answer to a GET with one additional header.
async fn answer(server: &Server, path: &str, name: &str, value: &str) -> String {
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    let request = format!("{head}{name}: {value}\r\n\r\n");
    exchange(server.address(), &request).await
}

/// Opens a connection, and writes `bytes`.
async fn begin(server: &Server, bytes: &str) -> TcpStream {
    let stream = TcpStream::connect(server.address()).await;
    let mut stream = stream.expect("it listens");
    let written = stream.write_all(bytes.as_bytes()).await;
    written.expect("it reads");
    stream
}

/// A request that stays in flight until the connection is dropped, because its body never arrives.
async fn begin_report(server: &Server, key: &str) -> TcpStream {
    let head = "POST /v1/report HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n";
    let head = format!("{head}Authorization: Bearer {key}\r\nExpect: 100-continue\r\n\r\n");
    let mut stream = begin(server, &head).await;
    // The server asks for the body once the request has its slots.
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).await.expect("an answer");
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

/// The answer to a GET with a key.
async fn get_with(server: &Server, path: &str, key: &str) -> String {
    answer(server, path, "Authorization", &format!("Bearer {key}")).await
}

/// Polls until the status is 200, since the server may notice only later that a client has left.
async fn comes_to_ok(server: &Server, path: &str, key: &str) {
    until("200", async || {
        (get(server, path, key).await == 200).then_some(())
    })
    .await;
}

/// The 429 answer to one of many concurrent GETs. A number makes their paths differ, since equal reads share a call.
async fn one_too_many(server: &Server, path: &str) -> String {
    // On a slow machine, the requests may take longer than the period of the rate.
    until("429", async || {
        let paths: Vec<_> = (0..10).map(|n| format!("{path}{n}")).collect();
        let burst = paths.iter().map(|path| get_with(server, path, "x"));
        let answers = futures::future::join_all(burst).await;
        answers.into_iter().find(|answer| status_of(answer) == 429)
    })
    .await
}

async fn get(server: &Server, path: &str, key: &str) -> u16 {
    status(server.address(), path, key).await
}

#[tokio::test]
async fn limits_on_requests() {
    let server = with(&["--max-body", "100", "--max-head", "8192"]).await;
    for (size, expected) in [(100, 400), (101, 413)] {
        let body = " ".repeat(size);
        let head = format!("Content-Length: {size}\r\nConnection: close\r\n\r\n");
        let post = format!("POST /v1/report HTTP/1.1\r\nHost: localhost\r\n{head}{body}");
        let answer = exchange(server.address(), &post).await;
        assert_eq!(status_of(&answer), expected);
    }
    for (size, expected) in [(7_000, 200), (9_000, 431)] {
        let long = "x".repeat(size);
        let answer = answer(&server, WHOAMI, "X-Long", &long).await;
        assert_eq!(status_of(&answer), expected);
    }
}

#[tokio::test]
async fn writes_are_audited_in_a_file_with_the_callers_address() {
    let place = Place::offline();
    let flags = [
        "--addr",
        "127.0.0.1:0",
        "--audit",
        "audit",
        "--trusted-proxy",
        "127.0.0.0/8",
    ];
    let server = start(&place, &flags).await;
    let body = r#"{"org":"org:a","info":{}}"#;
    let head = "POST /v1/subscribe HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
    let head = format!(
        "{head}X-Forwarded-For: 198.51.100.7\r\nContent-Length: {}",
        body.len()
    );
    let answer = exchange(server.address(), &format!("{head}\r\n\r\n{body}")).await;
    assert_eq!(status_of(&answer), 200);
    let line: Value = serde_json::from_str(&place.read("audit")).expect("a line of JSON");
    assert_eq!(
        (&line["org"], &line["peer"]),
        (&"org:a".into(), &"198.51.100.7".into())
    );
    assert_eq!(server.stop("-TERM").await.code, Some(0));
}

#[tokio::test]
async fn limits_on_concurrent_requests() {
    let server = with(&["--max-requests", "1"]).await;
    let begun = begin_report(&server, "x").await;
    let refused = get_with(&server, WHOAMI, "x").await;
    assert_eq!(status_of(&refused), 503);
    assert!(refused.contains("overloaded"), "{refused}");
    assert_eq!(get(&server, "/healthz", "x").await, 200);
    drop(begun);
    comes_to_ok(&server, WHOAMI, "x").await;

    let flags = ["--addr", "127.0.0.1:0", "--max-requests-per-key", "1"];
    let place = Place::offline();
    let server = place.tier(&serve(&flags)).env("TIER_API_KEY", "one, two");
    let server = server.started().await;
    let _begun = begin_report(&server, "one").await;
    assert_eq!(get(&server, WHOAMI, "one").await, 429);
    assert_eq!(get(&server, WHOAMI, "two").await, 200);
}

#[tokio::test]
async fn limits_on_connections() {
    let server = with(&["--max-connections", "1"]).await;
    let first = begin_report(&server, "x").await;
    assert_eq!(get(&server, "/healthz", "x").await, 503);
    drop(first);
    // A new connection replaces a connection without a request.
    let _silent = begin(&server, "").await;
    comes_to_ok(&server, "/healthz", "x").await;
}

#[tokio::test]
async fn time_limits() {
    // In each case, the other time limits are long.
    let server = with(&["--body-timeout", "50ms"]).await;
    let answer = rest(begin_report(&server, "x").await).await;
    assert_eq!(status_of(&answer), 408);
    let (server, _stripe) = over_a_silent_stripe(&["--request-timeout", "50ms"]).await;
    assert_eq!(get(&server, WHOAMI, "x").await, 504);
    // The server ends these connections.
    let server = with(&["--head-timeout", "50ms"]).await;
    rest(begin(&server, "GET / HT").await).await;
    let server = with(&["--idle-timeout", "50ms"]).await;
    let request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let answer = until(
        "a request that is sent before its connection ends",
        async || {
            let mut stream = TcpStream::connect(server.address())
                .await
                .expect("it listens");
            let _ = stream.write_all(request.as_bytes()).await;
            Some(rest(stream).await).filter(|answer| !answer.is_empty())
        },
    )
    .await;
    assert_eq!(status_of(&answer), 200);
}

#[tokio::test]
async fn time_limit_of_the_shutdown() {
    let server = with(&["--drain-timeout", "50ms", "--max-requests", "1"]).await;
    let _begun = begin_report(&server, "x").await;
    assert_eq!(get(&server, WHOAMI, "x").await, 503);
    let ended = server.stop("-TERM").await;
    assert_eq!(ended.code, Some(0));
    let said = "stopped with requests still in flight";
    assert!(ended.stderr.contains(said), "{ended:?}");
}

#[tokio::test]
async fn limits_on_calls_to_stripe() {
    let whois = "/v1/whois?org=org:nobody";
    let rate = ["--stripe-rate", "100"];
    for (flags, path) in [
        (
            ["--stripe-rate", "1", "--stripe-endpoint-rate", "100"],
            "/v1/clock?id=clock_",
        ),
        (
            [rate[0], rate[1], "--stripe-endpoint-rate", "1"],
            "/v1/clock?id=clock_",
        ),
        ([rate[0], rate[1], "--stripe-search-rate", "1"], whois),
    ] {
        let server = with(&flags).await;
        let refused = one_too_many(&server, path).await;
        assert!(refused.contains("rate_limited"), "{refused}");
        assert!(refused.contains("retry-after: "), "{refused}");
    }
    // For hosts other than Stripe's, the two other flags have no effect without `--stripe-rate`.
    let flags = ["--stripe-endpoint-rate", "1", "--stripe-search-rate", "1"];
    let server = with(&flags).await;
    for _ in 0..3 {
        assert_eq!(get(&server, WHOAMI, "x").await, 200);
        assert_eq!(get(&server, whois, "x").await, 400);
    }

    let flags = [rate[0], rate[1], "--stripe-concurrency", "1"];
    let (server, stripe) = over_a_silent_stripe(&flags).await;
    let request = "GET /v1/whoami HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let _first = begin(&server, request).await;
    let _call = stripe.accept().await.expect("a call");
    assert_eq!(get(&server, whois, "x").await, 429);
}

#[tokio::test]
async fn limits_on_accounts_in_memory() {
    let flags = ["--cloud", "--max-accounts", "1"];
    let server = with(&[&flags[..], &["--max-requests-per-key", "1"]].concat()).await;
    let begun = begin_report(&server, "sk_test_one").await;
    assert_eq!(get(&server, WHOAMI, "sk_test_two").await, 503);
    assert_eq!(get(&server, WHOAMI, "sk_test_one").await, 429);
    drop(begun);
    comes_to_ok(&server, WHOAMI, "sk_test_two").await;

    for (idle, lookups) in [("0s", "\"miss\"} 3\n"), ("30m", "\"hit\"} 2\n")] {
        let own = ["--admin-addr", "127.0.0.1:0"];
        let mut server = with(&[&["--cloud", "--account-idle", idle], &own[..]].concat()).await;
        let admin = server.admin_address().await;
        for _ in 0..3 {
            assert_eq!(get(&server, WHOAMI, "sk_test_one").await, 200);
        }
        let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let numbers = exchange(&admin, request).await;
        let expected = format!("tier_cache_lookups_total{{cache=\"accounts\",outcome={lookups}");
        assert!(numbers.contains(&expected), "{numbers}");
    }
}

#[tokio::test]
async fn allowed_origins() {
    let origins = "https://App.Example:443,http://localhost:3000/";
    let server = with(&["--cors-origin", origins]).await;
    for origin in ["https://app.example", "http://localhost:3000"] {
        let answer = answer(&server, WHOAMI, "Origin", origin).await;
        assert_eq!(status_of(&answer), 200, "{answer}");
        let allowed = format!("access-control-allow-origin: {origin}\r\n");
        assert!(answer.contains(&allowed), "{answer}");
    }
    for origin in ["https://app.example:8443", "http://app.example", "null"] {
        let answer = answer(&server, WHOAMI, "Origin", origin).await;
        assert_eq!(status_of(&answer), 403, "{origin}");
    }
    for refused in ["https://app.example/path", "app.example", "*", "null"] {
        let place = Place::offline();
        let run = place.tier(&serve(&["--cors-origin", refused]));
        let said = run.misused().await;
        assert!(said.contains("--cors-origin"), "{said}");
    }
}
