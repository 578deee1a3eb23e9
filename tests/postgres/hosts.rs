//! A URL with several hosts, of which one has the ledger. After a failover, another host has it.

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::kept::submit;
use super::*;

/// The schema's URL, with another host before its own.
fn after(host: &str, schema: &Schema) -> String {
    schema
        .url()
        .replace("@127.0.0.1", &format!("@{host},127.0.0.1"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_gone_or_hangs_is_passed_over() {
    let schema = schema();
    let hangs = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let silent = hangs.local_addr().expect("an address").to_string();
    // This host accepts connections, reads requests, and never answers.
    let mut hanging = JoinSet::new();
    hanging.spawn(async move {
        let mut connections = Vec::new();
        while let Ok((mut one, _)) = hangs.accept().await {
            let _ = one.read(&mut [0; 1_024]).await;
            connections.push(one);
        }
    });
    for (n, host) in [(1, "127.0.0.1:1"), (2, &silent)] {
        let url = after(host, &schema);
        let (ledger, _writer) = process(&url);
        submit(&ledger, report("org:a", 1, None), now()).await;
        ledger.sync().await.expect("a server");
        assert_eq!(used(&ledger, "org:a"), n, "{host}");
        let place = tier::ledger::Location::named(url.as_ref()).expect("a URL");
        assert!(
            place
                .to_string()
                .starts_with("postgres://127.0.0.1,127.0.0.1/")
        );
        let readers = place.readers(1);
        let entries = readers.read(|reader| Ok(reader.status()?.entries)).await;
        assert_eq!(i64::try_from(entries.expect("a server")), Ok(n));
    }
}

/// The first host accepts no writes, like a standby.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_accepts_no_writes_is_passed_over() {
    let schema = schema();
    // Both hosts are the same server, so the process tries that server twice.
    let url = after(&server_of(&schema), &schema);
    let url = format!("{url}%20-cdefault_transaction_read_only%3Don");
    let refused = try_process(&url, ACCOUNT);
    assert!(
        matches!(refused, Err(StoreError::Unreachable(_))),
        "{refused:?}"
    );
}

/// The server's address in the schema's URL.
fn server_of(schema: &Schema) -> String {
    let (_, rest) = schema.url().split_once('@').expect("a URL of the test");
    rest.split_once('/')
        .expect("a URL of the test")
        .0
        .to_owned()
}
