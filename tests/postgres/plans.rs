//! Plan changes. Other processes must not bill usage at the previous plan after a change.

use std::time::Duration;

use tier::ledger::Replicas;
use tier::ledger::state::{Answer, Refusal};
use tier::ledger::store::postgres::Leases;
use tier::ledger::values::PlanNumber;

use super::*;

/// A lease that lasts longer than any of these tests.
const LONG: Duration = Duration::from_secs(600);

fn replicas(schema: &Schema) -> Replicas {
    let database = Database::parse(schema.url()).expect("a URL");
    Replicas::sharing(Leases::new(database, LONG))
}

/// Reports one unit on the plan with this number.
async fn submit(ledger: &Ledger, plan: PlanNumber, key: Option<&str>) -> Result<Answer, Refusal> {
    let Event::Report(mut report) = report("org:a", 1, key) else {
        panic!("a report");
    };
    report.target.plan = plan;
    let answers = ledger.submit(vec![Event::Report(report)], fixed(now()));
    answers.await.expect("a server").remove(0)
}

/// Waits until a process knows that no plan change is under way.
async fn settled(ledger: &Ledger, least: PlanNumber) -> PlanNumber {
    let is_over = async || {
        ledger.sync().await.expect("a server");
        let plan = ledger.plan("org:a");
        (plan >= least && !plan.is_changing()).then_some(plan)
    };
    testing::time::until("the change has ended", is_over).await
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_at_another_process_waits_for_a_change_and_for_the_new_plan() {
    let schema = schema();
    let [changer, other] = &processes(schema.url(), 2)[..] else {
        panic!("two processes");
    };
    let before = other.plan("org:a");
    submit(other, before, Some("key")).await.expect("accepted");
    let held = replicas(&schema).hold("org:a".into()).await.expect("free");
    let change = held.begin_plan_change(changer).await.expect("a server");
    // This process does not know of the change yet.
    assert_eq!(other.plan("org:a"), before);
    assert_eq!(submit(other, before, None).await, Err(Refusal::PlanChanged));
    let during = other.plan("org:a");
    assert!(during.is_changing());
    assert_eq!(submit(other, during, None).await, Err(Refusal::PlanChanged));
    let again = submit(other, before, Some("key")).await;
    assert!(matches!(again, Ok(Answer::Accepted { repeated: true, .. })));
    drop(change);
    let after = settled(other, during).await;
    assert_eq!(submit(other, before, None).await, Err(Refusal::PlanChanged));
    assert_eq!(submit(other, during, None).await, Err(Refusal::PlanChanged));
    submit(other, after, None).await.expect("accepted");
    assert_eq!(settled(changer, during).await, after);
    assert_eq!(stored(&schema), 2);
    // Another change can follow at once, and gives the plan another number.
    let next = replicas(&schema);
    drop(held);
    let held = next.hold("org:a".into()).await.expect("a server");
    drop(held.begin_plan_change(other).await.expect("a server"));
    assert!(settled(changer, PlanNumber(after.0 + 1)).await > after);
}

/// A process is killed in the middle of a plan change. The next process that needs the org ends the change.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_whose_process_has_died_is_ended_by_another_one() {
    let schema = schema();
    let ledger = &processes(schema.url(), 1)[0];
    submit(ledger, PlanNumber::default(), None)
        .await
        .expect("accepted");
    schema.execute(
        "INSERT INTO leases (name, holder, until) VALUES ('org org:a', 'dead', ledger_now() + 300); \
         UPDATE orgs SET plan = 7, changed_at = ledger_now()",
    );
    assert_eq!(
        submit(ledger, PlanNumber(7), None).await,
        Err(Refusal::PlanChanged)
    );
    let held = replicas(&schema).hold("org:a".into()).await.expect("free");
    held.end_plan_change(ledger).await.expect("a server");
    assert_eq!(ledger.plan("org:a"), PlanNumber(8));
    submit(ledger, PlanNumber(8), None).await.expect("accepted");
    // The change has already ended, so this does nothing.
    held.end_plan_change(ledger).await.expect("a server");
    assert_eq!(ledger.plan("org:a"), PlanNumber(8));
}

/// A process that hung for longer than its lease neither begins a plan change nor ends its successor's change.
#[tokio::test(flavor = "multi_thread")]
async fn who_has_lost_the_lease_changes_no_plan() {
    let schema = schema();
    let ledger = &processes(schema.url(), 1)[0];
    let replicas = replicas(&schema);
    let held = replicas.hold("org:a".into()).await.expect("free");
    let change = held.begin_plan_change(ledger).await.expect("a server");
    schema.execute("UPDATE leases SET holder = 'successor'");
    for failed in [
        held.end_plan_change(ledger).await,
        held.begin_plan_change(ledger).await.map(drop),
    ] {
        assert!(matches!(failed, Err(StoreError::LeaseLost)), "{failed:?}");
    }
    drop(change);
    schema.execute("UPDATE leases SET until = 0");
    let held = replicas.hold("org:a".into()).await;
    let held = held.expect("it has ended");
    assert_eq!(schema.number("SELECT plan FROM orgs"), 1);
    held.end_plan_change(ledger).await.expect("a server");
    assert_eq!(schema.number("SELECT plan FROM orgs"), 2);
}
