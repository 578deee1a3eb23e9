//! A process that gets less than it wants: a reader of its log, file descriptors, an end to its requests.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::{get, start};
use crate::binary::{Place, Server};

/// Long enough for whatever has to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sends requests whose lines are long, over one connection, and reads the answers.
async fn fill_the_log(server: &Server) {
    let host = server.address();
    let id = "x".repeat(128);
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\nX-Request-Id: {id}\r\n");
    let last = format!("{request}Connection: close\r\n\r\n");
    let all = format!("{request}\r\n").repeat(199) + &last;
    let mut stream = TcpStream::connect(host).await.expect("it listens");
    stream.write_all(all.as_bytes()).await.expect("it reads");
    let mut answers = String::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answers)).await;
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
async fn a_log_that_nobody_reads_holds_nothing_up_and_says_what_it_lost() {
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

    // More than a pipe holds: the end does not wait for a reader either.
    fill_the_log(&server).await;
    let ended = tokio::time::timeout(PATIENCE, server.stop("-TERM")).await;
    assert_eq!(ended.expect("it does not wait").code, Some(0));
    drop(log);
}
