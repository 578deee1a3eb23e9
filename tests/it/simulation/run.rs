//! Runs the operations of a list, and compares the orgs with the model after each.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use stripe_sandbox::Rule;
use tempfile::TempDir;
use tier::domain::{Generation, GenerationSetting, MaxAge};

use super::calls::{Reserved, pay, rule};
use super::model::{Org, Period};
use super::ops::{COMBINATIONS, Combination, HOUR, ORGS, Op, SERVERS};
use super::plans;
use crate::harness::{Answer, START, Settings, TestApp};

/// How long Stripe's invoices are drafts by default.
const HOUR_LONG: Duration = Duration::from_secs(3_600);

/// Servers over one sandbox, which run one list after the other. The servers share nothing but their Stripe.
pub(super) struct World {
    servers: RefCell<Vec<TestApp>>,
    http: reqwest::Client,
    lists: Cell<usize>,
    usage: Usage,
    /// The folder of the ledgers. None if the servers have no ledger.
    ledgers: Option<TempDir>,
}

/// Where the servers of a world record usage.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Usage {
    /// In usage records, without a ledger.
    #[default]
    Records,
    /// In meters, without a ledger.
    Events,
    /// In a ledger, which delivers usage to usage records.
    Ledger,
    /// In a ledger, which delivers usage to meters.
    Meters,
}

impl Usage {
    pub(super) fn has_ledger(self) -> bool {
        matches!(self, Self::Ledger | Self::Meters)
    }

    pub(super) fn is_on_meters(self) -> bool {
        matches!(self, Self::Events | Self::Meters)
    }
}

/// The run of one list.
pub(super) struct Run<'a> {
    pub(super) world: &'a World,
    pub(super) list: usize,
    pub(super) now: i64,
    pub(super) orgs: Vec<Known>,
    pub(super) keys: usize,
    pub(super) reservations: RefCell<Vec<Reserved>>,
    /// The faults for the next operation.
    pub(super) faults: Vec<Rule>,
    /// Whether calls to Stripe may fail now.
    pub(super) faulty: bool,
}

/// What the test knows about an org.
#[derive(Clone)]
pub(super) struct Known {
    /// The possible states of the org. There are several after requests that were concurrent or not acknowledged.
    pub(super) states: Vec<Org>,
    /// The org's billing period.
    pub(super) period: Period,
    /// The features whose usage was reported in this period with the current plan.
    pub(super) reported: BTreeSet<&'static str>,
    /// The reported features whose usage was delivered to Stripe.
    pub(super) delivered: BTreeSet<&'static str>,
}

pub(super) type Outcome<T = ()> = Result<T, String>;

/// A difference from the model, and the operation after which it was found.
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
    pub(super) async fn start(invoice_draft: Duration, usage: Usage) -> Self {
        // Fails if another test has already installed the provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let has_ledger = usage.has_ledger();
        let settings = Settings {
            invoice_draft: match usage {
                // Late events count until shortly before the invoice is final, so it must be a draft first.
                Usage::Meters => HOUR_LONG,
                Usage::Records | Usage::Events | Usage::Ledger => invoice_draft,
            },
            ..settings(usage)
        };
        let http = reqwest::Client::builder().no_proxy().build();
        let first = TestApp::with(settings).await;
        // A ledger's file has a single server.
        let servers = if has_ledger { 1 } else { SERVERS };
        let others = (1..servers).map(|_| first.second_server_with(&self::settings(usage)));
        let servers: Vec<_> = [first.clone()].into_iter().chain(others).collect();
        Self {
            servers: RefCell::new(servers),
            http: http.expect("a client"),
            lists: Cell::new(0),
            usage,
            ledgers: has_ledger.then(|| tempfile::tempdir().expect("a folder")),
        }
    }

    pub(super) fn has_ledger(&self) -> bool {
        self.usage.has_ledger()
    }

    pub(super) fn usage(&self) -> Usage {
        self.usage
    }

    /// The ledger's file for the current list.
    fn ledger(&self) -> Option<PathBuf> {
        let folder = self.ledgers.as_ref()?.path();
        Some(folder.join(format!("tier-{}.db", self.lists.get())))
    }

    pub(super) fn server(&self, at: u8) -> TestApp {
        let servers = self.servers.borrow();
        servers[usize::from(at) % servers.len()].clone()
    }

    /// Replaces a server by a new one, as after a restart. The two share nothing but the ledger's file.
    pub(super) async fn restart(&self, at: u8) {
        let server = self.server(at);
        server.settled().await;
        let next = server.second_server_with(&settings(self.usage));
        drop(server);
        let place = usize::from(at) % self.servers.borrow().len();
        self.servers.borrow_mut()[place] = next.clone();
        if let Some(file) = self.ledger() {
            let next = next.with_ledger(&file).await;
            self.servers.borrow_mut()[place] = next;
        }
    }

    pub(super) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    pub(super) fn stripe_url(&self) -> String {
        self.server(0).stripe_url().to_owned()
    }

    /// Runs a list on an account that has only the pushed plans.
    pub(super) async fn run(&self, ops: &[Op]) -> Result<(), Failure> {
        for at in 0..SERVERS {
            self.server(at).settled().await;
        }
        let server = self.server(0);
        server.sandbox().clear_faults();
        server.sandbox().reset();
        server.set_clock(START);
        drop(server);
        // Servers remember orgs, so each list has orgs of its own.
        self.lists.set(self.lists.get() + 1);
        let list = self.lists.get();
        // The sandbox assigns the same ids again after a reset, so the servers must forget the earlier objects.
        for at in 0..SERVERS {
            self.restart(at).await;
        }
        let server = self.server(0);
        server.post("/v1/push", plans::PRICING).await.ok();
        drop(server);
        let unknown = Known {
            states: vec![Org::new(self.usage)],
            period: Period {
                start: START,
                end: i64::MAX,
            },
            reported: BTreeSet::new(),
            delivered: BTreeSet::new(),
        };
        let mut run = Run {
            world: self,
            list,
            now: START,
            orgs: vec![unknown; usize::from(ORGS)],
            keys: 0,
            reservations: RefCell::default(),
            faults: Vec::new(),
            faulty: false,
        };
        for (operation, op) in ops.iter().enumerate() {
            let done = run.step(*op).await;
            done.map_err(|what| Failure { operation, what })?;
        }
        run.compare_all().await.map_err(|what| Failure {
            operation: ops.len(),
            what,
        })
    }
}

/// The settings of a server. With a ledger, it accepts usage during an outage of Stripe.
fn settings(usage: Usage) -> Settings {
    let has_ledger = usage.has_ledger();
    let generation = if usage.is_on_meters() {
        Generation::Meters
    } else {
        Generation::Classic
    };
    Settings {
        generation: GenerationSetting::Fixed(generation),
        retries: 4,
        first_wait: Duration::from_micros(10),
        // Reports find their item in memory, even an item that another server's plan change has ended.
        max_age: MaxAge {
            usual: Duration::from_secs(1_800),
            with_events: Duration::ZERO,
            in_outage: Duration::from_secs(if has_ledger { 200 * 3_600 } else { 0 }),
        },
        ..Settings::default()
    }
}

impl Run<'_> {
    /// Lets a second pass. The time of an event is in whole seconds, and an event counts for each subscription of its
    /// customer at that time.
    fn tick(&mut self) {
        self.now += 1;
        self.world.server(0).set_clock(self.now);
        let states = self.orgs.iter_mut().flat_map(|org| &mut org.states);
        states.for_each(|state| state.advance(self.now));
    }

    async fn step(&mut self, op: Op) -> Outcome {
        if self.world.usage() == Usage::Events {
            self.tick();
        }
        match op {
            Op::Ask { at, org, request } => self.ask(at, org, request).await?,
            Op::AtOnce {
                at,
                orgs,
                requests,
                hang_up,
            } => self.at_once(at, orgs, requests, hang_up).await?,
            Op::HangUp {
                at,
                org,
                request,
                calls,
                again,
            } => self.hang_up(at, org, request, calls, again).await?,
            Op::Buy { at, org, to } => self.buy(at, org, to).await?,
            Op::Restart { at } => self.world.restart(at).await,
            Op::Die {
                org,
                request,
                calls,
            } => self.die(org, request, calls).await?,
            Op::Deliver => self.deliver().await?,
            Op::Batch { org, reports } => self.batch(org, reports).await?,
            Op::Outage {
                org,
                calls,
                hours,
                last,
            } => self.outage(org, calls, hours, last).await?,
            Op::Advance { hours } => {
                self.deliver_all().await?;
                // No call to Stripe takes hours.
                self.settle().await;
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
                self.settle_periods(&["parked", "differences_total"])
                    .await?;
            }
            Op::Fault { fault, calls } => {
                self.faults.push(rule(fault, calls));
                return Ok(());
            }
        }
        self.clear_faults();
        Ok(())
    }

    async fn buy(&mut self, at: u8, org: u8, to: Combination) -> Outcome {
        self.deliver_all().await?;
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
        drop(server);
        let paid = pay(&self.world.server(at), &opened).await;
        let known = &mut self.orgs[usize::from(org)];
        known.reported.clear();
        known.delivered.clear();
        let now = self.now;
        for state in &mut self.orgs[usize::from(org)].states {
            state.known = true;
            if paid {
                state.buy(now, to);
            }
        }
        // The first read finds the older subscription, and the server ends it in the background.
        self.look(org, at).await?;
        let seen = self.look(org, at).await?;
        self.compare(org, &seen).await
    }

    pub(super) fn name(&self, org: u8) -> String {
        format!("org:{}-{org}", self.list)
    }

    pub(super) fn is_fault(&self, answer: &Answer) -> bool {
        self.faulty && matches!(answer.status.as_u16(), 429 | 502 | 503 | 504)
    }

    /// Adds the faults to the sandbox, so that calls fail from now on.
    pub(super) fn arm_faults(&mut self) {
        for rule in self.faults.drain(..) {
            self.world.server(0).sandbox().add_fault(rule);
            self.faulty = true;
        }
    }

    pub(super) fn clear_faults(&mut self) {
        self.world.server(0).sandbox().clear_faults();
        self.faults.clear();
        self.faulty = false;
    }
}
