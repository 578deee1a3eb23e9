//! Properties that hold for all prices, steps of the clock, and sequences of calls.

mod backdated;
mod calls;
mod classic;
mod classic_model;
mod generations;
mod mixed_changes;
mod mixed_intervals;
mod mixed_story;
mod previews;
mod prices;
mod steps;

use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};

/// Runs a property on its own runtime; every case has its own sandbox.
pub(super) fn check<S: Strategy>(cases: u32, strategy: &S, property: impl AsyncFn(S::Value)) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let config = Config {
        cases,
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(strategy, |value| {
        runtime.block_on(property(value));
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}
