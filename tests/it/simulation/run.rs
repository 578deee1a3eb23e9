//! Carries a list out, and compares.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::time::Duration;

use axum::http::Method;
use serde_json::json;
use stripe_sandbox::Rule;

use super::calls::{body, is_unsure, pay, rule};
use super::model::{self, Org, Verdict};
use super::ops::{COMBINATIONS, Combination, FEATURES, HOUR, ORGS, Op, Request, SERVERS};
use super::seen::{self, Seen};
use super::sent::{Sent, outcomes};
use crate::harness::{Answer, START, Settings, TestApp};
use testing::time::until;

/// Servers over a sandbox, used for one list after the other. They share nothing but their Stripe.
pub(super) struct World {
    servers: RefCell<Vec<TestApp>>,
    http: reqwest::Client,
    lists: Cell<usize>,
}

/// One list under way.
struct Run<'a> {
    world: &'a World,
    list: usize,
    now: i64,
    orgs: Vec<Known>,
    keys: usize,
    /// What goes wrong in the next operation.
    faults: Vec<Rule>,
    /// Whether calls to Stripe may go wrong now.
    faulty: bool,
}

/// What is known of an org.
#[derive(Clone)]
struct Known {
    /// All that may be true of it: more than one where something was not acknowledged, or happened at once.
    states: Vec<Org>,
    /// When its billing period began.
    period: i64,
}

pub(super) type Outcome<T = ()> = Result<T, String>;

/// What is wrong, and after which operation of the list.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) operation: usize,
    what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "operation {}: {}", self.operation, self.what)
    }
}

pub(super) fn runtime() -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime")
}

impl World {
    pub(super) async fn start(invoice_draft: Duration) -> Self {
        // Fails if another test was first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let settings = Settings {
            invoice_draft,
            ..settings()
        };
        let http = reqwest::Client::builder().no_proxy().build();
        let first = TestApp::with(settings).await;
        let others = (1..SERVERS).map(|_| first.beside(&self::settings()));
        let servers: Vec<_> = [first.clone()].into_iter().chain(others).collect();
        Self {
            servers: RefCell::new(servers),
            http: http.expect("a client"),
            lists: Cell::new(0),
        }
    }

    fn server(&self, at: u8) -> TestApp {
        self.servers.borrow()[usize::from(at)].clone()
    }

    pub(super) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    pub(super) fn stripe_url(&self) -> String {
        self.server(0).stripe_url().to_owned()
    }

    /// Runs a list on an account that is empty but for the model.
    pub(super) async fn run(&self, ops: &[Op]) -> Result<(), Failure> {
        let server = self.server(0);
        server.sandbox().clear_faults();
        server.sandbox().reset();
        server.set_clock(START);
        server.post("/v1/push", model::PRICING).await.ok();
        // Servers remember orgs, so each list has its own.
        let list = self.lists.replace(self.lists.get() + 1);
        let unknown = Known {
            states: vec![Org::default()],
            period: START,
        };
        let mut run = Run {
            world: self,
            list,
            now: START,
            orgs: vec![unknown; usize::from(ORGS)],
            keys: 0,
            faults: Vec::new(),
            faulty: false,
        };
        for (operation, op) in ops.iter().enumerate() {
            let done = run.step(*op).await;
            done.map_err(|what| Failure { operation, what })?;
        }
        run.compare_all_usage().await.map_err(|what| Failure {
            operation: ops.len(),
            what,
        })
    }
}

/// How a server is set up.
fn settings() -> Settings {
    Settings {
        retries: 4,
        first_wait: Duration::from_micros(10),
        ..Settings::default()
    }
}

impl Run<'_> {
    async fn step(&mut self, op: Op) -> Outcome {
        match op {
            Op::Ask { at, org, request } => self.ask(at, org, request).await?,
            Op::AtOnce { org, requests } => self.at_once(org, requests).await?,
            Op::HangUp {
                at,
                org,
                request,
                calls,
                again,
            } => self.hang_up(at, org, request, calls, again).await?,
            Op::Buy { at, org, to } => self.buy(at, org, to).await?,
            Op::Restart { at } => self.restart(at).await,
            Op::Advance { hours } => {
                self.now += i64::from(hours) * HOUR;
                self.world.server(0).set_clock(self.now);
                self.clear_faults();
                for org in 0..ORGS {
                    for state in &mut self.orgs[usize::from(org)].states {
                        state.advance(self.now);
                    }
                    let seen = self.look(org, hours % SERVERS).await?;
                    self.compare(org, &seen).await?;
                }
            }
            Op::Fault { fault, calls } => {
                self.faults.push(rule(fault, calls));
                return Ok(());
            }
        }
        self.clear_faults();
        Ok(())
    }

    async fn ask(&mut self, at: u8, org: u8, request: Request) -> Outcome {
        if !self.is_claimed(org, request) {
            return Ok(());
        }
        self.arm_faults();
        let key = self.key(request);
        let answer = self.send(at, org, request, key.as_deref()).await;
        let sent = [self.sent(request, &answer)?];
        self.conclude(org, at, &sent, &[key]).await
    }

    async fn at_once(&mut self, org: u8, requests: [Request; 2]) -> Outcome {
        if !requests
            .iter()
            .all(|request| self.is_claimed(org, *request))
        {
            return Ok(());
        }
        self.arm_faults();
        let [one, other] = requests;
        let first = self.key(one);
        // The same twice is one request that was sent twice.
        let second = if one == other {
            first.clone()
        } else {
            self.key(other)
        };
        let (a, b, read) = tokio::join!(
            self.send(0, org, one, first.as_deref()),
            self.send(1, org, other, second.as_deref()),
            self.read(org)
        );
        read?;
        let sent = [self.sent(one, &a)?, self.sent(other, &b)?];
        self.conclude(org, 0, &sent, &[first, second]).await
    }

    /// Reads at both servers, which nothing that goes on must disturb.
    async fn read(&self, org: u8) -> Outcome {
        for at in 0..SERVERS {
            let path = format!("/v1/limits?org={}", self.name(org));
            let answer = self.world.server(at).get(&path).await;
            let is_known = answer.status != 400 || answer.json()["code"] != "org_not_found";
            if is_known && answer.status != 200 && !self.is_fault(&answer) {
                return Err(format!("meanwhile: {answer:?}"));
            }
        }
        Ok(())
    }

    async fn hang_up(
        &mut self,
        at: u8,
        org: u8,
        request: Request,
        calls: u8,
        again: Option<u8>,
    ) -> Outcome {
        if !self.is_claimed(org, request) {
            return Ok(());
        }
        self.arm_faults();
        let key = self.key(request);
        let server = self.world.server(at);
        let last = server.stripe_calls() + u64::from(calls);
        let gone = until("a call to Stripe", async || {
            (server.stripe_calls() > last).then_some(())
        });
        let answer = tokio::select! {
            biased;
            answer = self.send(at, org, request, key.as_deref()) => Some(answer),
            () = gone => None,
        };
        let Some(answer) = answer else {
            let mut sent = vec![Sent {
                request,
                told: None,
            }];
            // Half of a change may be there if a fault ends it.
            let again = again.or((self.faulty && request.is_change()).then_some(at));
            if let Some(again) = again {
                let answer = self.send(again, org, request, key.as_deref()).await;
                sent.push(self.sent(request, &answer)?);
            }
            let keys = vec![key; sent.len()];
            return self.conclude(org, at, &sent, &keys).await;
        };
        let sent = [self.sent(request, &answer)?];
        self.conclude(org, at, &sent, &[key]).await
    }

    /// Sends again what may be, and compares.
    async fn conclude(
        &mut self,
        org: u8,
        at: u8,
        sent: &[Sent],
        keys: &[Option<String>],
    ) -> Outcome {
        // What was left goes on.
        for server in 0..SERVERS {
            self.world.server(server).settled().await;
        }
        let was_faulty = self.faulty;
        self.clear_faults();
        let mut after = Vec::new();
        for (sent, key) in sent.iter().zip(keys) {
            let request = sent.request;
            let may_be = request.is_change() || request.is_keyed();
            let failed = sent.told.is_none() && was_faulty && may_be;
            if failed || request.is_keyed() && sent.told == Some(Verdict::Done) {
                let other = (at + 1) % SERVERS;
                let answer = self.send(other, org, request, key.as_deref()).await;
                after.push(self.sent(request, &answer)?);
            }
        }
        let known = &self.orgs[usize::from(org)];
        let moment = (self.now, known.period);
        let states = known.states.iter();
        let states = states.flat_map(|state| outcomes(state, sent, &after, moment));
        let mut states: Vec<_> = states.collect();
        if states.is_empty() {
            return Err(format!("told {sent:?} and then {after:?}"));
        }
        let seen = self.look(org, at).await?;
        if seen.period != moment.1 && sent.iter().any(|sent| sent.request.is_change()) {
            for state in &mut states {
                state.restart(self.now);
            }
        }
        self.orgs[usize::from(org)].states = states;
        self.compare(org, &seen)
            .await
            .map_err(|reason| format!("told {sent:?} and then {after:?}: {reason}"))
    }

    /// Keeps the states that are what is seen.
    async fn compare(&mut self, org: u8, seen: &Seen) -> Outcome {
        let known = &mut self.orgs[usize::from(org)];
        known.period = seen.period;
        keep(&mut known.states, |state| seen.compare(state))?;
        if known.states.len() > 1 {
            self.compare_usage(org, seen).await?;
        }
        Ok(())
    }

    async fn compare_all_usage(&mut self) -> Outcome {
        for org in 0..ORGS {
            let seen = self.look(org, 0).await?;
            self.compare_usage(org, &seen).await?;
        }
        Ok(())
    }

    async fn compare_usage(&mut self, org: u8, seen: &Seen) -> Outcome {
        let usage = seen.usage(self.world).await?;
        let known = &mut self.orgs[usize::from(org)];
        keep(&mut known.states, |state| {
            seen::compare_usage(&usage, state)
        })
    }

    async fn look(&self, org: u8, at: u8) -> Outcome<Seen> {
        let (one, other) = (self.world.server((at + 1) % SERVERS), self.world.server(at));
        Seen::of(self.world, &self.name(org), [&one, &other], self.now).await
    }

    async fn buy(&mut self, at: u8, org: u8, to: Combination) -> Outcome {
        self.arm_faults();
        let body = json!({"org": self.name(org), "success_url": "https://app.example/ok",
            "features": COMBINATIONS[usize::from(to)]});
        let server = self.world.server(at);
        let mut opened = server.post_json("/v1/checkout", &body).await;
        if self.is_fault(&opened) {
            self.clear_faults();
            opened = server.post_json("/v1/checkout", &body).await;
        }
        self.clear_faults();
        if opened.status != 200 {
            return Err(format!("checkout: {opened:?}"));
        }
        let paid = pay(&server, &opened).await;
        let now = self.now;
        for state in &mut self.orgs[usize::from(org)].states {
            state.known = true;
            if paid {
                state.buy(now, to);
            }
        }
        // Whoever looks first finds what is to be ended.
        self.look(org, at).await?;
        let seen = self.look(org, at).await?;
        self.compare(org, &seen).await
    }

    async fn restart(&self, at: u8) {
        let server = self.world.server(at);
        server.settled().await;
        self.world.servers.borrow_mut()[usize::from(at)] = server.beside(&settings());
    }

    fn name(&self, org: u8) -> String {
        format!("org:{}-{org}", self.list)
    }

    /// Whether it is known what a clobber sets.
    fn is_claimed(&self, org: u8, request: Request) -> bool {
        let Request::Clobber { feature, .. } = request else {
            return true;
        };
        let known = &self.orgs[usize::from(org)];
        let feature = FEATURES[usize::from(feature)];
        let mut states = known.states.iter();
        states.all(|state| state.claims(feature, known.period))
    }

    fn key(&mut self, request: Request) -> Option<String> {
        self.keys += 1;
        let key = format!("{}-{}", self.list, self.keys);
        request.is_keyed().then_some(key)
    }

    async fn send(&self, at: u8, org: u8, request: Request, key: Option<&str>) -> Answer {
        let (path, body) = body(request, &self.name(org), self.now);
        let server = self.world.server(at);
        let call = server.request(Method::POST, path).body(body.to_string());
        match key {
            Some(key) => call.header("idempotency-key", key).send().await,
            None => call.send().await,
        }
    }

    /// What an answer says of a request.
    fn sent(&self, request: Request, answer: &Answer) -> Outcome<Sent> {
        let code = |code: &str| answer.status == 400 && answer.json()["code"] == code;
        let told = if answer.status == 200 {
            Some(Verdict::Done)
        } else if code("org_not_found") {
            Some(Verdict::NoOrg)
        } else if code("feature_not_found") {
            Some(Verdict::NotFound)
        } else if code("invalid_request") && !request.is_change() {
            Some(Verdict::Invalid)
        } else if self.is_fault(answer) || request.is_keyed() && is_unsure(answer) {
            None
        } else {
            return Err(format!("{request:?} is answered {answer:?}"));
        };
        Ok(Sent { request, told })
    }

    fn is_fault(&self, answer: &Answer) -> bool {
        self.faulty && matches!(answer.status.as_u16(), 429 | 502 | 503 | 504)
    }

    /// From now on calls go wrong.
    fn arm_faults(&mut self) {
        for rule in self.faults.drain(..) {
            self.world.server(0).sandbox().add_fault(rule);
            self.faulty = true;
        }
    }

    fn clear_faults(&mut self) {
        self.world.server(0).sandbox().clear_faults();
        self.faults.clear();
        self.faulty = false;
    }
}

/// Keeps the states that pass; one has to.
fn keep(states: &mut Vec<Org>, check: impl Fn(&Org) -> Outcome) -> Outcome {
    let mut reason = String::new();
    states.retain(|state| match check(state) {
        Ok(()) => true,
        Err(why) => {
            reason = why;
            false
        }
    });
    if states.is_empty() {
        Err(reason)
    } else {
        Ok(())
    }
}
