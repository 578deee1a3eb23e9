//! Runs random lists of operations against two servers over one Stripe, and compares them with a model that shares no
//! code with them.
//!
//! Every fifth list runs against one server with a ledger. These lists also have refunds of usage, reservations and
//! crashes of the server, and every second one has plans on meters. Of the lists without a ledger, every third one has
//! plans on meters. The bills must agree with the totals.
//!
//! Each list runs on a Stripe account of its own. After every operation, the test reads the limits of the affected orgs
//! from one server, their phases from the other, and their subscriptions from Stripe. Everything that was acknowledged
//! must be there exactly once, despite faults, concurrent requests and callers that hang up. Everything else must be
//! there once or not at all. At the end, all orgs cancel, and Stripe must have charged each what the model says.
//!
//! The lists are the same in every run, so a new failure comes from a change of the code. `SIMULATION_SEED=random` runs
//! other lists and prints their seed. `SIMULATION_SEED` with that seed repeats them. `SIMULATION_LISTS` sets the number
//! of lists. A failing list is shortened and printed as code. Add it to `regressions.rs`, and keep it there.

mod batch;
mod calls;
mod compare;
mod delivery;
mod model;
mod ops;
mod outage;
mod plans;
mod regressions;
mod requests;
mod run;
mod seen;
mod sent;
mod shorten;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use ops::Op;
use run::Usage;

/// The seed of the lists, unless `SIMULATION_SEED` names another.
const SEED: u64 = 20_261_128;

/// How many lists run by default, and how many operations each has.
const LISTS: u32 = 40;
const SHORTEST: usize = 30;
const LONGEST: usize = 40;

/// How long Stripe's invoices are drafts: not at all, or an hour, as at the real Stripe. Threads alternate.
const INVOICE_DRAFTS: [Duration; 2] = [Duration::ZERO, Duration::from_secs(3600)];

/// How many lists run at the same time: one for each core of CI.
const THREADS: u32 = 2;

/// One list in this many runs with a ledger, unless `SIMULATION_LEDGER_EVERY` says otherwise.
const LEDGER_EVERY: u32 = 5;

/// Of the lists without a ledger, one in this many has plans on meters.
const METERS_EVERY: u64 = 3;

fn setting(name: &str) -> Option<u64> {
    std::env::var_os(name)?.to_str()?.parse().ok()
}

#[test]
#[expect(
    clippy::print_stderr,
    reason = "the seed, for whoever reads the log of a run that failed"
)]
fn what_was_acknowledged_is_in_stripe_exactly_once() {
    let lists = setting("SIMULATION_LISTS").and_then(|lists| u32::try_from(lists).ok());
    let lists = lists.unwrap_or(LISTS).div_ceil(THREADS);
    let seed = match std::env::var_os("SIMULATION_SEED") {
        Some(word) if word == "random" => new_seed(),
        _ => setting("SIMULATION_SEED").unwrap_or(SEED),
    };
    eprintln!(
        "simulation: SIMULATION_SEED={seed}, {} lists",
        lists * THREADS
    );
    let ran = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn({
                    let ran = &ran;
                    move || run_lists(seed.wrapping_add(u64::from(thread)), lists, thread, ran)
                })
            })
            .collect();
        for run in runs {
            run.join()
                .expect("no panic but the one that says what failed");
        }
    });
    let ran = ran.load(Ordering::Relaxed);
    eprintln!("simulation: {ran} operations");
    assert!(
        ran >= lists as usize * SHORTEST,
        "lists of {SHORTEST} operations or more"
    );
}

/// Runs lists until one fails, and shortens that one.
fn run_lists(seed: u64, lists: u32, thread: u32, ran: &AtomicUsize) {
    let _unwatched = crate::logs::unwatched();
    let runtime = run::runtime();
    let draft = INVOICE_DRAFTS[thread as usize % INVOICE_DRAFTS.len()];
    let start = |usage| runtime.block_on(run::World::start(draft, usage));
    let stateless = [start(Usage::Records), start(Usage::Events)];
    let with_ledger = [start(Usage::Ledger), start(Usage::Meters)];
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let lists_of_ops = prop::collection::vec(ops::op(), SHORTEST..=LONGEST);
    let ledger_lists = prop::collection::vec(ops::ledger_op(), SHORTEST..=LONGEST);
    let ledger_every = setting("SIMULATION_LEDGER_EVERY");
    let ledger_every = ledger_every.unwrap_or(LEDGER_EVERY.into()).max(1);
    for number in 1..=u64::from(lists) {
        let (world, list) = if number % ledger_every == 0 {
            let list = ledger_lists.new_tree(&mut runner);
            let on_meters = usize::from((number / ledger_every).is_multiple_of(2));
            (&with_ledger[on_meters], list.expect("a list").current())
        } else {
            let list = lists_of_ops.new_tree(&mut runner);
            let on_meters = usize::from(number.is_multiple_of(METERS_EVERY));
            (&stateless[on_meters], list.expect("a list").current())
        };
        ran.fetch_add(list.len(), Ordering::Relaxed);
        let run = |list: &[Op]| runtime.block_on(world.run(list));
        if let Err(failure) = run(&list) {
            let (list, failure) = shorten::shorten(list, failure, run);
            panic!(
                "{failure}\n\nSIMULATION_SEED={seed}, invoices are drafts for {draft:?}, usage: {:?}; for regressions.rs:\n{}",
                world.usage(),
                as_code(&list)
            );
        }
    }
}

fn as_code(list: &[Op]) -> String {
    let lines: Vec<_> = list.iter().map(|op| format!("    {op:?},\n")).collect();
    format!("&[\n{}]", lines.concat())
}

/// A random seed of the operating system, which proptest reads.
fn new_seed() -> u64 {
    let tree = any::<u64>().new_tree(&mut TestRunner::default());
    tree.expect("a number").current()
}
