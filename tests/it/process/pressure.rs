//! A process under pressure: nobody reads its log, file descriptors run out, and requests do not end.

use std::time::Duration;

use serde_json::Value;
use stripe_sandbox::{Action, Rule};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::{exchange, get, serve, start, status, status_of};
use crate::binary::{Place, Server};
use testing::time::{TIMEOUT, until};

/// Sends requests with long log lines over one connection, and reads the answers.
async fn fill_the_log(server: &Server) {
    let host = server.address();
    let id = "x".repeat(128);
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\nX-Request-Id: {id}\r\n");
    let last = format!("{request}Connection: close\r\n\r\n");
    let all = format!("{request}\r\n").repeat(199) + &last;
    let mut stream = TcpStream::connect(host).await.expect("it listens");
    stream.write_all(all.as_bytes()).await.expect("it reads");
    let mut answers = String::new();
    let read = tokio::time::timeout(TIMEOUT, stream.read_to_string(&mut answers)).await;
    read.expect("it does not wait").expect("answers");
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 200);
}

async fn lines_dropped(server: &Server) -> u64 {
    let shown = get(server.address(), "/metrics", "x").await;
    let mut lines = shown.lines();
    let count = lines.find_map(|line| line.strip_prefix("tier_log_lines_dropped_total "));
    count.expect("it is counted").parse().expect("a number")
}

#[tokio::test]
async fn an_unread_log_blocks_nothing_and_reports_dropped_lines() {
    let place = Place::offline();
    let mut server = start(&place, &["--addr", "127.0.0.1:0"]).await;
    let mut log = BufReader::new(server.stderr()).lines();
    assert_eq!(lines_dropped(&server).await, 0);
    while lines_dropped(&server).await == 0 {
        fill_the_log(&server).await;
    }
    let said = loop {
        let line = log
            .next_line()
            .await
            .expect("text")
            .expect("the log goes on");
        let line: Value = serde_json::from_str(&line).expect("a line is JSON");
        if let Some(dropped) = line["dropped"].as_u64() {
            break dropped;
        }
    };
    assert!(said > 0);

    // The log is larger than the pipe, and the shutdown does not wait for a reader.
    fill_the_log(&server).await;
    let ended = tokio::time::timeout(TIMEOUT, server.stop("-TERM")).await;
    assert_eq!(ended.expect("it does not wait").code, Some(0));
    drop(log);
}

#[tokio::test]
async fn a_request_that_outlasts_the_drain_is_aborted_and_the_exit_code_is_0() {
    let place = Place::offline();
    let args = ["--addr", "127.0.0.1:0", "--drain-timeout", "50ms"];
    let server = start(&place, &args).await;
    let host = server.address();
    let head = "POST /v1/report HTTP/1.1\r\nContent-Length: 9\r\nExpect: 100-continue\r\n";
    let head = format!("{head}Host: {host}\r\n\r\n");
    let mut stream = TcpStream::connect(host).await.expect("it listens");
    stream.write_all(head.as_bytes()).await.expect("it reads");
    // The request is in flight now, and waits for a body that never arrives.
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).await.expect("an answer");
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    let ended = server.stop("-TERM").await;
    assert_eq!(ended.code, Some(0));
    let lines = ended.stderr.lines();
    let lines = lines.map(|line| serde_json::from_str(line).expect("a line is JSON"));
    let warned: Vec<Value> = lines
        .filter(|line: &Value| line["message"] == "stopped with requests still in flight")
        .collect();
    assert_eq!(warned.len(), 1, "{}", ended.stderr);
    assert_eq!(warned[0]["connections"], 1, "{warned:?}");
}

#[tokio::test]
async fn waiting_requests_are_refused_when_the_server_stops() {
    let place = Place::start().await;
    let server = place.tier(&["serve", "--addr", "127.0.0.1:0"]);
    let server = server.started().await;
    let post = |path: &str, body: &str| {
        let (host, length) = (server.address().to_owned(), body.len());
        let head = format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
        let request = format!("{head}Content-Length: {length}\r\n\r\n{body}");
        async move { exchange(&host, &request).await }
    };
    let model = r#"{"plans":{"plan:p@1":{"features":{"feature:f":{}}}}}"#;
    assert_eq!(status_of(&post("/v1/push", model).await), 200);
    let slow = Action::Delay(Duration::from_secs(600));
    let sandbox = place.sandbox().sandbox();
    sandbox.add_fault(Rule::new("POST", "/v1/subscription_schedules", slow));
    let subscribe = r#"{"org":"org:a","phases":[{"features":["plan:p@1"]}]}"#;
    let mut queued = JoinSet::new();
    for _ in 0..3 {
        queued.spawn(post("/v1/subscribe", subscribe));
    }
    let waiting = "tier_http_requests_waiting 2\n";
    until("two wait for the first", async || {
        let shown = get(server.address(), "/metrics", "x").await;
        shown.contains(waiting).then_some(())
    })
    .await;
    let answers = async {
        for _ in 0..2 {
            let answer = queued.join_next().await.expect("two wait");
            let answer = answer.expect("no panic");
            assert_eq!(status_of(&answer), 503, "{answer}");
            assert!(answer.contains("nothing was done"), "{answer}");
        }
        sandbox.clear_faults();
        let first = queued.join_next().await.expect("one works");
        assert_eq!(status_of(&first.expect("no panic")), 200);
    };
    let (ended, ()) = futures::join!(server.stop("-TERM"), answers);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let calls = sandbox.counts(None);
    assert_eq!(calls.get("POST /v1/subscription_schedules"), Some(&1));
}

#[tokio::test]
async fn a_write_that_ends_after_its_caller_has_hung_up_is_logged_with_its_request_id() {
    let place = Place::start().await;
    let server = place.tier(&["serve", "--addr", "127.0.0.1:0"]);
    let server = server.started().await;
    let host = server.address().to_owned();
    let post = |path: &str, body: &str| {
        let head = format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
        let length = body.len();
        format!("{head}X-Request-Id: hung-up-1\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    let model = r#"{"plans":{"plan:p@1":{"features":{"feature:f":{}}}}}"#;
    assert_eq!(
        status_of(&exchange(&host, &post("/v1/push", model)).await),
        200
    );
    let sandbox = place.sandbox().sandbox();
    let slow = Action::Delay(Duration::from_secs(600));
    sandbox.add_fault(Rule::new("POST", "/v1/subscription_schedules", slow));
    let subscribe = r#"{"org":"org:a","phases":[{"features":["plan:p@1"]}]}"#;
    let mut caller = TcpStream::connect(&host).await.expect("it listens");
    let request = post("/v1/subscribe", subscribe);
    caller
        .write_all(request.as_bytes())
        .await
        .expect("it reads");
    until("the change has begun", async || {
        (sandbox.fault_hits() > 0).then_some(())
    })
    .await;
    drop(caller);
    until("the server has seen that nobody waits", async || {
        let shown = get(&host, "/metrics", "x").await;
        shown.contains("client_gone").then_some(())
    })
    .await;
    sandbox.clear_faults();
    until("it has ended", async || {
        let shown = get(&host, "/metrics", "x").await;
        shown.contains("tier_http_writes_left_total{").then_some(())
    })
    .await;
    let ended = server.stop("-TERM").await;
    let lines = ended.stderr.lines().map(serde_json::from_str);
    let lines: Vec<Value> = lines.filter_map(Result::ok).collect();
    let line = lines
        .iter()
        .find(|line| line["message"] == "a write ended after its caller had left");
    let line = line.unwrap_or_else(|| panic!("it is logged: {}", ended.stderr));
    assert_eq!(
        (&line["request_id"], &line["endpoint"], &line["status"]),
        (
            &Value::from("hung-up-1"),
            &Value::from("/v1/subscribe"),
            &Value::from(200)
        ),
    );
}

/// Opens connections that send nothing.
async fn idle(server: &Server, count: usize) -> Vec<TcpStream> {
    let mut idle = Vec::new();
    for _ in 0..count {
        let stream = TcpStream::connect(server.address()).await;
        idle.push(stream.expect("it listens"));
    }
    idle
}

#[tokio::test]
async fn connections_leave_file_descriptors_for_other_uses() {
    let place = Place::offline();
    let run = place.tier_after("ulimit -n 64", &serve(&["--addr", "127.0.0.1:0"]));
    let server = run.started().await;
    let mut idle = idle(&server, 100).await;
    // Each connection beyond the limit replaces the oldest one.
    let mut rest = Vec::new();
    let first = idle.first_mut().expect("a hundred");
    let read = first.read_to_end(&mut rest).await;
    assert!(rest.is_empty(), "{read:?}");
    let host = server.address();
    let request = format!("GET /v1/whoami HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let last = idle.last_mut().expect("a hundred");
    let written = last.write_all(request.as_bytes()).await;
    written.expect("it reads");
    let mut answer = [0; 12];
    last.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 200");

    let ended = server.stop("-TERM").await;
    assert_eq!(ended.code, Some(0));
    let log = ended.stderr;
    let warned: Vec<_> = log.lines().filter(|line| line.contains("ulimit")).collect();
    assert_eq!(warned.len(), 1, "{log}");
    assert!(warned[0].contains(r#""connections":32"#), "{warned:?}");
}

#[tokio::test]
async fn the_limit_on_open_files_is_raised_as_far_as_allowed() {
    let place = Place::offline();
    let run = place.tier_after("ulimit -Sn 64", &serve(&["--addr", "127.0.0.1:0"]));
    let server = run.started().await;
    let idle = idle(&server, 100).await;
    assert_eq!(status(server.address(), "/v1/whoami", "").await, 200);
    drop(idle);
    assert_eq!(server.stop("-TERM").await.code, Some(0));
}

#[tokio::test]
async fn a_refresh_that_hangs_does_not_prevent_the_shutdown() {
    let place = Place::start().await;
    let model = r#"{"plans": {"plan:free@1": {"features": {"feature:x": {}}}}}"#;
    place.write("pricing.json", model);
    place.tier(&["push", "pricing.json"]).ok().await;
    let subscribe = ["subscribe", "org:a", "plan:free@1"];
    place.tier(&subscribe).ok().await;
    let serve = ["serve", "--addr", "127.0.0.1:0", "--max-age", "3s"];
    let server = place.tier(&serve).started().await;
    let check = async || status(server.address(), "/v1/limits?org=org:a", "x").await;
    assert_eq!(check().await, 200);
    let sandbox = place.sandbox().sandbox();
    let hangs = Action::Delay(Duration::from_secs(3_600));
    sandbox.add_fault(Rule::new("GET", "/v1/subscriptions", hangs));
    until("a refresh has begun", async || {
        assert_eq!(check().await, 200);
        (sandbox.fault_hits() > 0).then_some(())
    })
    .await;
    let ended = server.stop("-TERM").await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(
        !ended.stderr.contains("still in flight"),
        "{}",
        ended.stderr
    );
}
