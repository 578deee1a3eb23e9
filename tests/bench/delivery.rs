//! A busy ledger over a Stripe account that allows 25 calls a second: how long usage takes to be delivered, in how many
//! calls, and how much is late at the end of a period.
//!
//! ```sh
//! cargo bench --bench delivery              # an hour
//! cargo bench --bench delivery -- 600       # 600 seconds
//! ```
//!
//! The load is 10,000 reports a second over 5,000 orgs, in simulated time. Only the rules of the ledger run, without
//! disk and network. Periods end in the middle of the run, either spread over a third of it or all at once. Stripe
//! accepts usage for 300 seconds after a period's end. Usage that Stripe refuses after that is late, and is billed with
//! the next period.
#![expect(
    clippy::print_stdout,
    reason = "the figures are what people run this for"
)]

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use tier::ledger::state::{
    Answer, Change, Event, Outcome, ReadSummary, Report, Seal, Sealed, Set, State, Stored, TotalId,
};
use tier::ledger::values::{Aggregate, Period, PlanNumber, Target, Time};

const ORGS: usize = 5_000;
const REPORTS_A_SECOND: usize = 10_000;
const CALLS_A_SECOND: usize = 25;
const SECONDS: i64 = 3_600;

/// How many totals are delivered in a round, and how long a report waits for others before it is delivered. Both are as
/// in `tier serve`.
const TOTALS_A_ROUND: usize = 200;
const DELIVER_AFTER: i64 = 30_000;
/// How long after a period's end Stripe accepts usage for that period, in seconds.
const OPEN_FOR: i64 = 300;

const START: i64 = 1_700_006_400;
const DAY: i64 = 86_400;

/// A call that waits for its turn.
enum Call {
    /// A set, and the time of its oldest report.
    Set(Set, i64),
    Summary(ReadSummary),
}

/// How the ends of the orgs' periods are distributed.
#[derive(Clone, Copy)]
enum Ends {
    Spread,
    Together,
}

/// The figures of a run.
#[derive(Default)]
struct Figures {
    sets: usize,
    summaries: usize,
    /// How long the oldest report of each set had waited, in seconds.
    lags: Vec<i64>,
    late: i64,
    late_totals: usize,
}

struct Run {
    state: State,
    /// When the period of each org ends, in Unix seconds.
    ends: Vec<i64>,
    waiting: VecDeque<Call>,
    /// The time of each total's oldest report that is in no set yet.
    since: HashMap<TotalId, i64>,
    random: u64,
    figures: Figures,
}

impl Run {
    fn new(ends: Ends, seconds: i64) -> Self {
        let first = START + seconds / 3;
        let end = |org: usize| match ends {
            Ends::Spread => first + i64::try_from(org).expect("few") % (seconds / 3).max(1),
            Ends::Together => first,
        };
        Self {
            state: State::load(Stored::default()),
            ends: (0..ORGS).map(end).collect(),
            waiting: VecDeque::new(),
            since: HashMap::new(),
            random: 1,
            figures: Figures::default(),
        }
    }

    /// A pseudo-random org (xorshift), the same in every run.
    fn org(&mut self) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from(self.random % ORGS as u64).expect("few")
    }

    fn second(&mut self, now: i64) {
        for _ in 0..REPORTS_A_SECOND {
            let org = self.org();
            self.report(org, now);
        }
        self.state.commit();
        if self.waiting.is_empty() {
            let sealed = self.seal(now);
            for set in sealed.sets {
                let since = self.since.remove(&set.total).unwrap_or(now);
                self.waiting.push_back(Call::Set(set, since));
            }
            let summaries = sealed.summaries.into_iter().map(Call::Summary);
            self.waiting.extend(summaries);
        }
        for _ in 0..CALLS_A_SECOND {
            match self.waiting.pop_front() {
                None => break,
                Some(Call::Set(set, since)) => {
                    self.figures.lags.push(now - since);
                    self.send(&set, now);
                }
                Some(Call::Summary(read)) => self.read(&read, now),
            }
        }
        self.state.commit();
    }

    fn report(&mut self, org: usize, now: i64) {
        let report = Event::Report(Report {
            target: target(org, self.ends[org], now),
            change: Change::Add(1),
            at: None,
            key: None,
            recorded: 0,
        });
        self.apply(&report, now);
        let total = self.state.pending().entries.last().map(|entry| entry.total);
        let total = total.expect("an entry of the report");
        self.since.entry(total).or_insert(now);
    }

    fn seal(&mut self, now: i64) -> Sealed {
        let seal = Event::Seal(Seal {
            date: Time::from_seconds(now),
            deliver_after: DELIVER_AFTER,
            org: None,
            max: TOTALS_A_ROUND,
        });
        match self.apply(&seal, now) {
            Answer::Sealed(sealed) => sealed,
            other => panic!("{other:?}"),
        }
    }

    fn send(&mut self, set: &Set, now: i64) {
        self.figures.sets += 1;
        let total = self.state.total(set.total).expect("a total");
        let outcome = if now < total.period.end.seconds() + OPEN_FOR {
            Outcome::Done
        } else {
            let org = set.org.as_str().trim_start_matches("org:");
            let org: usize = org.parse().expect("an org");
            Outcome::Refused {
                reason: "the period is closed".into(),
                next: Some(target(org, self.ends[org], now)),
            }
        };
        let answered = Event::Answered {
            total: set.total,
            number: set.number,
            outcome,
        };
        if let Answer::Late { n, .. } = self.apply(&answered, now) {
            self.figures.late += n;
            self.figures.late_totals += 1;
        }
    }

    fn read(&mut self, read: &ReadSummary, now: i64) {
        self.figures.summaries += 1;
        let summary = Event::Summary {
            total: read.total,
            number: read.number,
            value: 0,
        };
        self.apply(&summary, now);
    }

    fn apply(&mut self, event: &Event, now: i64) -> Answer {
        let answer = self.state.apply(event, Time::from_seconds(now));
        answer.expect("nothing is refused")
    }
}

/// Where an org's usage goes now.
fn target(org: usize, end: i64, now: i64) -> Target {
    let period = |start: i64, end: i64| Period {
        start: Time::from_seconds(start),
        end: Time::from_seconds(end),
    };
    let before = period(end - 30 * DAY, end);
    let after = period(end, end + 30 * DAY);
    let (period, previous) = if now < end {
        (before, None)
    } else {
        (after, Some(before))
    };
    Target {
        org: format!("org:{org}").as_str().into(),
        feature: "feature:calls".into(),
        item: format!("si_{org}").as_str().into(),
        since: before.start,
        meter: None,
        aggregate: Aggregate::Sum,
        period,
        previous,
        item_start: before.start,
        item_end: None,
        plan: PlanNumber::default(),
    }
}

fn percentile(sorted: &[i64], percent: usize) -> i64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get(last * percent / 100).copied().unwrap_or(0)
}

fn main() {
    // `cargo bench` adds `--bench`.
    let seconds = std::env::args().find_map(|arg| arg.parse().ok());
    let seconds: i64 = seconds.unwrap_or(SECONDS);
    println!(
        "{REPORTS_A_SECOND} reports/s over {ORGS} orgs, {CALLS_A_SECOND} calls/s to Stripe, {seconds} s"
    );
    println!(
        "{:<10} {:>9} {:>10} {:>12} {:>9} {:>9} {:>9} {:>12} {:>10}",
        "ends",
        "sets",
        "summaries",
        "reports/call",
        "lag p50",
        "lag p99",
        "lag max",
        "late units",
        "of totals"
    );
    for (name, ends) in [("spread", Ends::Spread), ("together", Ends::Together)] {
        let began = Instant::now();
        let mut run = Run::new(ends, seconds);
        for second in 0..seconds {
            run.second(START + second);
        }
        let figures = &mut run.figures;
        figures.lags.sort_unstable();
        let reports = REPORTS_A_SECOND * usize::try_from(seconds).expect("a time");
        println!(
            "{name:<10} {:>9} {:>10} {:>12} {:>7} s {:>7} s {:>7} s {:>12} {:>10}   ({:.0} s of computing)",
            figures.sets,
            figures.summaries,
            reports / (figures.sets + figures.summaries).max(1),
            percentile(&figures.lags, 50),
            percentile(&figures.lags, 99),
            figures.lags.last().copied().unwrap_or(0),
            figures.late,
            figures.late_totals,
            began.elapsed().as_secs_f64(),
        );
    }
}
