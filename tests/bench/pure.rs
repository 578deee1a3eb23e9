//! What the server computes without any calls: references, models, invoices, forms and answers.
//!
//! `cargo bench --bench pure` measures. Under `cargo test`, each benchmark runs once.

use std::fmt::Write as _;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use rust_decimal::Decimal;
use tier::domain::FeatureUsage;
use tier::domain::pricing::Model;
use tier::domain::refs::{FeaturePlan, OrgName};
use tier::internals;
use tier::stripe::Form;

/// A model of `plans` plans with ten features each.
fn model(plans: usize) -> String {
    let mut text = String::from("{\"plans\": {");
    for plan in 0..plans {
        write!(text, "\"plan:p{plan}@1\": {{\"features\": {{").expect("a String takes everything");
        for feature in 0..10 {
            let tiers = r#"{"tiers": [{"upto": 1000}, {"price": 0.5}]}, // half a cent"#;
            writeln!(text, "\"feature:f{feature}\": {tiers}").expect("a String takes everything");
        }
        text.push_str("}},");
    }
    text.push_str("}}");
    text
}

/// The parameters of a schedule with two phases of ten items.
fn schedule() -> Form {
    let mut form = Form::new();
    form.push("customer", "cus_NffrFeUfNV2Hib");
    for phase in 0..2 {
        for item in 0..10 {
            form.push(
                format!("phases[{phase}][items][{item}][price]"),
                "price_1MoBy5LkdIwHu7ix",
            );
        }
        form.push(
            format!("phases[{phase}][metadata][tier.subscription]"),
            "default",
        );
    }
    form
}

fn row(feature: &str) -> FeatureUsage {
    FeatureUsage {
        feature: feature.parse().expect("a feature"),
        used: 3,
        limit: i64::MAX,
        reserved: 0,
    }
}

fn pure(c: &mut Criterion) {
    c.bench_function("parse a reference", |b| {
        b.iter(|| black_box("feature:convert:celsius@plan:pro@42").parse::<FeaturePlan>());
    });
    let text = model(20);
    c.bench_function("parse a model of 200 features", |b| {
        b.iter(|| Model::parse(black_box(&text)));
    });
    let tiers = [
        (Some(1000), Decimal::ZERO, Decimal::from(900)),
        (None, Decimal::new(36, 1), Decimal::ZERO),
    ];
    c.bench_function("bill 1,031 units over two tiers", |b| {
        b.iter(|| stripe_sandbox::internals::graduated_cost(&tiers, black_box(1031)));
    });
    let form = schedule();
    c.bench_function("encode a form of 23 fields", |b| {
        b.iter(|| black_box(&form).encode());
    });
    let org: OrgName = "org:acme".parse().expect("an org");
    let rows: Vec<_> = (0..10).map(|i| row(&format!("feature:f{i}"))).collect();
    c.bench_function("answer limits of 10 features", |b| {
        b.iter(|| internals::limits_answer(&org, black_box(&rows)));
    });
}

criterion_group!(benches, pure);
criterion_main!(benches);
