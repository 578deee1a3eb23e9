//! What each layer of the API costs for a warm `GET /v1/whois`, and what a check (`GET /v1/limits` of five features)
//! costs that is answered from memory. A plain axum that answers the same bytes is measured beside each of them. The
//! benchmark also measures the memory of an org.
//!
//! ```sh
//! cargo bench --bench layers 2> /dev/null             # stderr is the log, which is on for the last rows
//! cargo bench --bench layers -- checks 2> /dev/null   # checks alone
//! cargo bench --bench layers -- memory                # what an org takes in memory alone
//! ```
//!
//! The figures are the CPU time of the server's threads for each request, over loopback, with 64 concurrent
//! connections. Each figure is the least of several rounds, in which all rows take turns. Other work on the machine
//! makes the figures slightly larger. Time spent waiting does not count.
#![expect(
    clippy::print_stdout,
    reason = "the figures are what people run this for"
)]

mod fake_stripe;

use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use clock::Clock;
use futures::{StreamExt as _, stream};
use rustix::time::{ClockId, clock_gettime};
use tier::api::{App, Keys};
use tier::domain::refs::OrgName;
use tier::domain::{Domain, MaxAge, Memory};
use tier::stripe::{Client, Credentials, Options, Transport};
use tier::{internals, server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use fake_stripe::Stripe;

const CONNECTIONS: usize = 64;
const ANSWER: &str = "{\n\t\"org\": \"org:00\",\n\t\"stripe_id\": \"cus_NffrFeUfNV2Hib\"\n}\n";

/// A row of the table: the router that is measured, and how it is served.
struct Row {
    name: &'static str,
    path: &'static str,
    router: Router,
    by_axum: bool,
}

impl Row {
    /// A router that is served as in `tier serve`.
    fn served((name, router): (&'static str, Router)) -> Self {
        Self {
            name,
            path: "/v1/whois",
            router,
            by_axum: false,
        }
    }

    /// A plain axum that answers `answer` from a constant.
    fn constant(name: &'static str, path: &'static str, answer: String) -> Self {
        let answer = Bytes::from(answer);
        let constant = move || async move { ([(CONTENT_TYPE, "application/json")], answer) };
        Self {
            name,
            path,
            router: Router::new().route(path, get(constant)),
            by_axum: true,
        }
    }
}

/// How much load the benchmark generates.
#[derive(Clone, Copy)]
struct Load {
    rounds: usize,
    requests: usize,
    orgs: usize,
}

fn main() {
    let load = if std::env::args().any(|arg| arg == "--bench") {
        Load {
            rounds: 5,
            requests: 40_000,
            orgs: 100_000,
        }
    } else {
        // Without `--bench`, the benchmark only has to run.
        Load {
            rounds: 1,
            requests: CONNECTIONS,
            orgs: CONNECTIONS,
        }
    };
    let stripe = Stripe::start();
    let is_asked_for = |part: &str| std::env::args().any(|arg| arg == part);
    if is_asked_for("memory") {
        print_memory(&stripe, load);
    } else if is_asked_for("checks") {
        let _log = log();
        print_checks(&stripe, load);
    } else {
        print_layers(&stripe, load);
        print_memory(&stripe, load);
    }
}

/// Prints what each layer costs, and then what a check costs.
fn print_layers(stripe: &Stripe, load: Load) {
    let constant = Row::constant(
        "a plain axum, the same answer",
        "/v1/whois",
        ANSWER.to_owned(),
    );
    let bounded = constant.router.clone();
    let mut rows = vec![
        constant,
        Row::served(("connections: bounds and time-outs", bounded)),
    ];
    let stacked = internals::layers(app(&stripe.url));
    rows.extend(stacked.into_iter().map(Row::served));
    let without_log = measure(&rows, load, stripe);

    let _log = log();
    let (_, router) = internals::layers(app(&stripe.url))
        .pop()
        .expect("there are layers");
    let logged = [
        Row::served(("the line in the log", router)),
        Row::served((
            "the customer in memory, and the call to Stripe",
            tier::api::router(app(&stripe.url)),
        )),
    ];
    let with_log = measure(&logged, load, stripe);
    println!("{:48}{:>8}{:>8}", "µs of CPU a request", "in all", "adds");
    let mut before = 0.0;
    let rows = rows.iter().chain(&logged);
    for (row, cost) in rows.zip(without_log.into_iter().chain(with_log)) {
        println!("{:48}{cost:8.1}{:8.1}", row.name, cost - before);
        before = cost;
    }
    print_checks(stripe, load);
}

/// Prints what a check costs. The log must be on by then.
fn print_checks(stripe: &Stripe, load: Load) {
    let checks = checks(tier::api::router(app(&stripe.url)));
    let costs = measure(&checks, load, stripe);
    for (row, cost) in checks.iter().zip(&costs) {
        println!("{:48}{cost:8.1}", row.name);
    }
    println!(
        "{:48}{:7.0}%",
        "a plain axum needs",
        100.0 * costs[0] / costs[1]
    );
}

/// The log as `tier serve` writes it.
fn log() -> impl Sized {
    telemetry::init("info", None, || unreachable!("there is no collector"))
}

fn print_memory(stripe: &Stripe, load: Load) {
    let bytes = memory_of_an_org(&stripe.url, load.orgs);
    println!("{:48}{bytes:8}", "bytes of memory an org of five features");
}

/// Two rows with the log on: a check that is answered from memory, and a plain axum that answers the same bytes.
fn checks(router: Router) -> [Row; 2] {
    let path = "/v1/limits";
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let answer = runtime.expect("a runtime").block_on(async {
        let request = Request::get("/v1/limits?org=org:00").header("authorization", "Bearer bench");
        let answer = router
            .clone()
            .oneshot(request.body(Body::empty()).expect("a request"));
        let body = answer.await.expect("it answers").into_body();
        axum::body::to_bytes(body, usize::MAX)
            .await
            .expect("a body")
    });
    let answer = String::from_utf8(answer.to_vec()).expect("text");
    assert!(answer.contains("feature:4"), "{answer}");
    let checked = Row {
        path,
        ..Row::served(("a check from memory, with the log", router))
    };
    [
        Row::constant("a check: a plain axum, the same answer", path, answer),
        checked,
    ]
}

/// An API with its own API key, over the account at `stripe`.
fn app(stripe: &str) -> App {
    let mut app = App::new(domain(stripe));
    app.keys = Keys::new(["bench"]);
    app
}

fn domain(stripe: &str) -> Domain {
    let options = Options {
        base_url: stripe.to_owned(),
        ..Options::default()
    };
    let transport = Transport::new(options).expect("a URL");
    let client = Client::new(transport, Credentials::new("sk_test_bench"));
    let max_age = MaxAge {
        usual: Duration::from_secs(3_600),
        with_events: Duration::ZERO,
        in_outage: Duration::ZERO,
    };
    let memory = Memory::new(1_000_000, max_age);
    Domain::with_own_memory(client, Clock::system(), "bench", memory)
}

/// The memory of an org with five features whose limits and phase are remembered, in bytes.
fn memory_of_an_org(stripe: &str, orgs: usize) -> usize {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let domain = domain(stripe);
    // The memory of connections and buffers is not the orgs', so it is taken before the measurement.
    runtime.block_on(remember(&domain, "warm", CONNECTIONS));
    let before = resident_bytes();
    runtime.block_on(remember(&domain, "org", orgs));
    resident_bytes().saturating_sub(before) / orgs
}

/// Reads the limits and the phase of `count` orgs.
async fn remember(domain: &Domain, prefix: &str, count: usize) {
    let orgs = stream::iter(0..count);
    let read = orgs.for_each_concurrent(CONNECTIONS, |n| async move {
        let org: OrgName = format!("org:{prefix}{n}").parse().expect("a name");
        let limits = domain.limits(&org).await.expect("Stripe answers");
        assert_eq!(limits.value.len(), 5);
        domain.phase(&org).await.expect("a phase");
    });
    read.await;
}

/// The resident memory of the process, in bytes.
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    let pages: usize = pages.expect("a number of pages");
    pages * rustix::param::page_size()
}

/// The least cost of each row, in microseconds.
fn measure(rows: &[Row], load: Load, stripe: &Stripe) -> Vec<f64> {
    let mut least = vec![f64::INFINITY; rows.len()];
    for _ in 0..load.rounds {
        for (row, least) in rows.iter().zip(&mut least) {
            *least = least.min(cost(row, load.requests, stripe));
        }
    }
    least
}

/// The CPU time of all threads except those of the clients and of the fake Stripe.
fn cost(row: &Row, requests: usize, stripe: &Stripe) -> f64 {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let stop = CancellationToken::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a socket");
    let address = listener.local_addr().expect("an address");
    let (router, by_axum, stopped) = (row.router.clone(), row.by_axum, stop.clone());
    let serving = runtime.spawn(async move {
        let listener = TcpListener::from_std(listener).expect("a listener");
        if by_axum {
            let stopped = stopped.cancelled_owned();
            let serving = axum::serve(listener, router).with_graceful_shutdown(stopped);
            serving.await.expect("it serves");
        } else {
            server::serve(listener, router, stopped.cancelled()).await;
        }
    });
    // These requests warm the server up, so that work that is done only once is not counted.
    client(row.path, address, CONNECTIONS)
        .join()
        .expect("no panic");
    let before = (process_seconds(), stripe.run(thread_seconds));
    let of_clients = client(row.path, address, requests)
        .join()
        .expect("no panic");
    let after = (process_seconds(), stripe.run(thread_seconds));
    stop.cancel();
    runtime.block_on(serving).expect("no panic");
    runtime.shutdown_timeout(Duration::from_secs(5));
    let others = of_clients + after.1 - before.1;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let requests = requests as f64;
    (after.0 - before.0 - others) * 1e6 / requests
}

/// Sends requests over all connections. Returns the CPU seconds that the clients use.
fn client(path: &'static str, address: SocketAddr, requests: usize) -> JoinHandle<f64> {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let each = requests.div_ceil(CONNECTIONS);
            let connections = (0..CONNECTIONS).map(|org| send(path, address, org, each));
            futures::future::join_all(connections).await;
        });
        thread_seconds()
    })
}

/// Each connection requests an org of its own, since concurrent reads of the same customer would share a call.
async fn send(path: &str, address: SocketAddr, org: usize, requests: usize) {
    let request = format!(
        "GET {path}?org=org:{org:02} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer bench\r\n\r\n"
    );
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    stream.set_nodelay(true).expect("a socket");
    let mut answer = vec![0; 4096];
    for _ in 0..requests {
        let sent = stream.write_all(request.as_bytes()).await;
        sent.expect("it reads");
        let mut length = 0;
        while !answer[..length].ends_with(b"}\n") {
            let read = stream.read(&mut answer[length..]).await;
            length += read.expect("it answers");
        }
        let text = String::from_utf8_lossy(&answer[..length]);
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    }
}

fn thread_seconds() -> f64 {
    seconds(ClockId::ThreadCPUTime)
}

fn process_seconds() -> f64 {
    seconds(ClockId::ProcessCPUTime)
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn seconds(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
