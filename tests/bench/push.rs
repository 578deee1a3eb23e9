//! How long `tier push` takes for a model with 200 features, over a sandbox as slow as Stripe.
//!
//! `cargo bench --bench push`

#![expect(clippy::print_stdout, reason = "the results are what it is for")]

use std::time::{Duration, Instant};

use stripe_sandbox::{Options, Sandbox};
use tokio::process::Command;

/// About the time that a call to Stripe takes.
const LATENCY: Duration = Duration::from_millis(100);

/// How long a push may take at most.
const GOAL: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() {
    // `cargo bench` passes `--bench`. Without it, as under `cargo test --all-targets`, the benchmark only has to run.
    let measure = std::env::args().any(|arg| arg == "--bench");
    let (features, runs) = if measure { (200, 5) } else { (4, 1) };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("pricing.json");
    std::fs::write(&file, model(features)).expect("a file");
    let mut slowest = Duration::ZERO;
    for run in 1..=runs {
        let sandbox = Sandbox::start(Options {
            latency: Some(LATENCY),
            ..Options::default()
        });
        let sandbox = sandbox.await.expect("a loopback port");
        let mut push = Command::new(env!("CARGO_BIN_EXE_tier"));
        push.arg("push").arg(&file).current_dir(folder.path());
        push.env("STRIPE_BASE_API_URL", sandbox.url())
            .env("STRIPE_API_KEY", "sk_test_bench");
        let began = Instant::now();
        let output = push.output().await.expect("the binary starts");
        let took = began.elapsed();
        slowest = slowest.max(took);
        let pushed = String::from_utf8_lossy(&output.stdout);
        assert_eq!(pushed.matches("[created]").count(), features, "{output:?}");
        println!("push {run}: {features} features in {took:.2?}");
    }
    if measure {
        println!("the slowest took {slowest:.2?}; the goal is less than {GOAL:?}");
        assert!(slowest < GOAL, "a push takes too long");
    }
}

/// A model with this number of features, of every kind, ten in each plan.
fn model(features: usize) -> String {
    let plans = (0..features.div_ceil(10)).map(|plan| {
        let features = (plan * 10..features.min(plan * 10 + 10)).map(|feature| {
            let terms = match feature % 3 {
                0 => r#"{ "base": 100 }"#,
                1 => r#"{ "tiers": [{ "upto": 10 }] }"#,
                _ => r#"{ "tiers": [{ "upto": 10 }, { "price": 0.5 }] }"#,
            };
            format!(r#""feature:f{feature}": {terms}"#)
        });
        let features: Vec<String> = features.collect();
        format!(
            r#""plan:p{plan}@1": {{ "features": {{ {} }} }}"#,
            features.join(", ")
        )
    });
    let plans: Vec<String> = plans.collect();
    format!(r#"{{ "plans": {{ {} }} }}"#, plans.join(", "))
}
