//! Reports to several processes.

use futures::future::join_all;
use testing::postgres::Schema;
use tier::ledger::StoreError;
use tier::ledger::state::Answer;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn usage_of_all_processes_adds_up_and_each_learns_of_it() {
    let schema = schema();
    let ledgers = processes(schema.url(), 4);
    let reports = (0..400).map(|number| {
        let ledger = &ledgers[number % 4];
        let org = format!("org:{}", number % 7);
        async move {
            let answers = ledger
                .submit(vec![report(&org, 3, None)], fixed(now()))
                .await;
            answers.expect("a server")[0].clone().expect("accepted");
        }
    });
    join_all(reports).await;
    assert_eq!(stored(&schema), 1_200);
    for ledger in &ledgers {
        ledger.sync().await.expect("a server");
        let all: i64 = (0..7).map(|org| used(ledger, &format!("org:{org}"))).sum();
        assert_eq!(all, 1_200);
    }
    // A process that starts now knows the key too.
    let (late, _writer) = process(schema.url());
    assert_eq!(used(&late, "org:0"), used(&ledgers[0], "org:0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_counts_once_at_whatever_process() {
    let schema = schema();
    let ledgers = processes(schema.url(), 3);
    let reports = (0..300).map(|number| {
        let ledger = &ledgers[number % 3];
        let key = format!("key-{}", number / 3);
        async move {
            let event = report("org:a", 1, Some(&key));
            let answers = ledger
                .submit(vec![event], fixed(now()))
                .await
                .expect("a server");
            let Ok(Answer::Accepted { entry, repeated }) = answers[0] else {
                panic!("{answers:?}");
            };
            (key, entry, repeated)
        }
    });
    let answers = join_all(reports).await;
    assert_eq!(stored(&schema), 100);
    let repeated = answers.iter().filter(|(.., repeated)| *repeated).count();
    assert_eq!(repeated, 200);
    // All three answers for a key name the same entry.
    for answers in answers.chunks(3) {
        assert!(
            answers
                .iter()
                .all(|(key, entry, _)| (key, entry) == (&answers[0].0, &answers[0].1))
        );
    }
}

/// Two servers set the total at the same time. The later report counts, and no report between the two is lost.
#[tokio::test(flavor = "multi_thread")]
async fn totals_that_processes_set_follow_each_other() {
    let schema = schema();
    let ledgers = processes(schema.url(), 2);
    let changes = (0..200).map(|number: i64| {
        let ledger = &ledgers[usize::from(number % 2 == 0)];
        let mut event = report("org:a", 1, None);
        if let Event::Report(report) = &mut event
            && number % 4 < 2
        {
            report.change = Change::SetTotal(1_000 * number);
        }
        async move {
            let answers = ledger.submit(vec![event], fixed(now())).await;
            answers.expect("a server")[0].clone().expect("accepted");
        }
    });
    join_all(changes).await;
    let entries = "SELECT kind = 'clobber', n, after_n FROM entries ORDER BY id";
    let entries = schema.query(entries, &[]);
    assert_eq!(entries.len(), 200);
    let mut total = 0;
    for row in &entries {
        let (sets, n, after): (bool, i64, i64) = (row.get(0), row.get(1), row.get(2));
        total = if sets { n } else { total + n };
        assert_eq!(after, total);
    }
    for ledger in &ledgers {
        ledger.sync().await.expect("a server");
        assert_eq!(used(ledger, "org:a"), total);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_belongs_to_one_account_and_has_a_known_version() {
    let schema = schema();
    let _first = process(schema.url());
    let other = try_process(schema.url(), "acct_2:test").expect_err("of another account");
    assert!(matches!(other, StoreError::OtherAccount { .. }), "{other}");
    schema.execute("UPDATE ledger_version SET version = 99");
    let newer = try_process(schema.url(), ACCOUNT).expect_err("newer");
    assert!(
        matches!(newer, StoreError::Newer { found: 99, .. }),
        "{newer}"
    );
}

/// Many processes start at the same time, and the tables are made once.
#[test]
fn processes_may_start_together() {
    let schema = schema();
    std::thread::scope(|scope| {
        let starting: Vec<_> = (0..6)
            .map(|_| scope.spawn(|| process(schema.url())))
            .collect();
        for one in starting {
            one.join().expect("a ledger");
        }
    });
    assert_eq!(schema.number("SELECT count(*) FROM ledger"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_row_is_noticed_and_fails_its_org_alone() {
    let schema = schema();
    let (ledger, _writer) = process(schema.url());
    for org in ["org:a", "org:b"] {
        let answers = ledger
            .submit(vec![report(org, 5, None)], fixed(now()))
            .await;
        answers.expect("a server")[0].clone().expect("accepted");
    }
    damage(&schema);
    let (other, _writer) = {
        let opened = try_process(schema.url(), ACCOUNT);
        let error = opened.as_ref().err().map(ToString::to_string);
        assert!(error.is_some_and(|error| error.contains("damaged")));
        process_after_repair(&schema)
    };
    assert_eq!(used(&other, "org:a"), 5);
}

fn damage(schema: &Schema) {
    schema.execute("UPDATE totals SET n = 6 WHERE org = 'org:a'");
}

fn process_after_repair(schema: &Schema) -> (Ledger, Writer) {
    schema.execute("UPDATE totals SET n = 5 WHERE org = 'org:a'");
    process(schema.url())
}
