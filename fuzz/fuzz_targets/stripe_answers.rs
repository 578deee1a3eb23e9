//! A hostile Stripe: the answers to the calls of one request are the input's, over a real connection. Whatever they
//! are, the request ends, and with an error of ours at worst.
#![no_main]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use clock::Clock;
use libfuzzer_sys::fuzz_target;
use tier::domain::refs::OrgName;
use tier::domain::{Checkout, Domain, Report, RequestedPhase, Subscribe};
use tier::stripe::{Client, Credentials, Options, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::LocalSet;

/// Ends one answer in the input.
const SEPARATOR: u8 = b'\n';

type Answers = Rc<RefCell<VecDeque<Vec<u8>>>>;

struct World {
    runtime: Runtime,
    tasks: LocalSet,
    answers: Answers,
    transport: Transport,
}

thread_local! {
    static WORLD: World = world();
}

fn world() -> World {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let tasks = LocalSet::new();
    let answers = Answers::default();
    let listener = runtime
        .block_on(TcpListener::bind("127.0.0.1:0"))
        .expect("a free port");
    let base_url = format!("http://{}", listener.local_addr().expect("it is bound"));
    let served = answers.clone();
    tasks.spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::task::spawn_local(serve(stream, served.clone()));
        }
    });
    let options = Options {
        base_url,
        retries: 0,
        timeout: Duration::from_secs(2),
        deadline: Duration::from_secs(5),
        ..Options::default()
    };
    let transport = runtime
        .block_on(async { Transport::new(options) })
        .expect("a base URL");
    World {
        runtime,
        tasks,
        answers,
        transport,
    }
}

/// Answers every request on a connection with the next answer; then with an empty object.
async fn serve(mut stream: TcpStream, answers: Answers) {
    let mut request = Vec::new();
    loop {
        let Some(end) = find_end(&request) else {
            match stream.read_buf(&mut request).await {
                Ok(0) | Err(_) => return,
                Ok(_) => continue,
            }
        };
        request.drain(..end);
        let answer = answers
            .borrow_mut()
            .pop_front()
            .unwrap_or_else(|| b"\0{}".to_vec());
        let (kind, body) = answer
            .split_first()
            .map_or((0, &[][..]), |(kind, body)| (*kind, body));
        let status = match kind % 8 {
            0..=3 => 200,
            4 => 400,
            5 => 404,
            6 => 429,
            _ => 500,
        };
        // In one piece: a second one would wait for the first to be acknowledged.
        let mut whole = format!(
            "HTTP/1.1 {status} X\r\nrequest-id: req_1\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        whole.extend_from_slice(body);
        if stream.write_all(&whole).await.is_err() {
            return;
        }
    }
}

/// Where the first request ends, if all of it is there.
fn find_end(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    let length = text
        .split("content-length:")
        .nth(1)
        .and_then(|rest| rest.lines().next()?.trim().parse().ok());
    let end = head + length.unwrap_or(0usize);
    (bytes.len() >= end).then_some(end)
}

async fn request(domain: &Domain, which: u8) {
    let org: OrgName = "org:x".parse().expect("an org");
    let features = || vec!["plan:p@1".parse().expect("a plan")];
    // What is wrong with the answers is for the errors to say; here it counts that there is one.
    match which % 12 {
        0 => drop(domain.whoami().await),
        1 => drop(domain.whois(&org).await),
        2 => drop(domain.lookup_org(&org).await),
        3 => drop(domain.limits(&org).await),
        4 => drop(domain.phase(&org).await),
        5 => drop(domain.phases(&org).await),
        6 => drop(domain.pull().await),
        7 => drop(domain.payment_methods(&org).await),
        8 => {
            let feature = "feature:f".parse().expect("a feature");
            let report = Report {
                feature,
                n: 1,
                at: None,
                clobber: which >= 128,
            };
            drop(domain.report(&org, &report, None).await);
        }
        9 => {
            let phase = |features, effective| RequestedPhase {
                effective,
                trial: which >= 128,
                features,
                coupon: None,
            };
            let phases = vec![
                phase(features(), None),
                phase(features(), Some(i64::MAX / 4)),
            ];
            drop(
                domain
                    .subscribe(
                        &org,
                        &Subscribe {
                            phases,
                            ..Subscribe::default()
                        },
                    )
                    .await,
            );
        }
        10 => {
            let checkout = Checkout {
                success_url: "https://x.example".into(),
                features: features(),
                ..Checkout::default()
            };
            drop(domain.checkout(&org, &checkout, None).await);
        }
        _ => drop(domain.clock("clock_1").await),
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((which, answers)) = input.split_first() else {
        return;
    };
    WORLD.with(|world| {
        *world.answers.borrow_mut() = answers
            .split(|byte| *byte == SEPARATOR)
            .map(<[u8]>::to_vec)
            .collect();
        // Nothing is remembered from one input to the next.
        let client = Client::new(world.transport.clone(), Credentials::new("sk_test_x"));
        let domain = Domain::new(client, Clock::manual(1_700_000_000), "fuzz");
        world
            .runtime
            .block_on(world.tasks.run_until(request(&domain, *which)));
    });
});
