//! Tests of the rate limiter in tokio's paused time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

const RATES: Rates = Rates {
    total: 10,
    endpoint: 8,
    search: 4,
    concurrent: 100,
};

/// Makes `calls` calls at once. Returns how many were let through, and the longest wait asked of the others.
async fn burst(budget: &Budget, endpoint: &'static str, calls: usize) -> (usize, Duration) {
    let mut through = 0;
    let mut longest = Duration::ZERO;
    for _ in 0..calls {
        match budget.acquire(endpoint, &Ticket::new(Lane::Check)).await {
            Ok(_) => through += 1,
            Err(refused) => longest = longest.max(refused.retry_after),
        }
    }
    (through, longest)
}

#[tokio::test(start_paused = true)]
async fn no_second_holds_more_calls_than_allowed() {
    let budget = Budget::new(RATES);
    assert_eq!(burst(&budget, "/v1/a", 5).await.0, 5);
    assert_eq!(burst(&budget, "/v1/customers/search", 5).await.0, 4);
    assert_eq!(
        burst(&budget, "/v1/b", 5).await,
        (1, Duration::from_secs(1))
    );
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(
        burst(&budget, "/v1/a", 12).await.0,
        8,
        "one endpoint's own rate"
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_that_has_begun_waits_and_one_that_has_not_is_refused_soon() {
    let budget = Budget::new(RATES);
    let ticket = Ticket::new(Lane::Check);
    drop(
        budget
            .acquire("/v1/a", &ticket)
            .await
            .expect("the first call"),
    );
    burst(&budget, "/v1/b", 20).await;
    burst(&budget, "/v1/c", 20).await;
    let start = Instant::now();
    budget
        .acquire("/v1/a", &Ticket::new(Lane::Check))
        .await
        .expect_err("nothing is left");
    assert!(start.elapsed() <= Duration::from_millis(50));
    budget
        .acquire("/v1/a", &ticket)
        .await
        .expect("its second call waits for the next second");
    assert!(start.elapsed() >= Duration::from_millis(500));
}

#[tokio::test(start_paused = true)]
async fn interactive_calls_go_before_bulk() {
    let budget = Arc::new(Budget::new(Rates { total: 1, ..RATES }));
    drop(
        budget
            .acquire("/v1/a", &Ticket::new(Lane::Check))
            .await
            .expect("the first call"),
    );
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = tokio::task::JoinSet::new();
    for lane in [Lane::Bulk, Lane::Bulk, Lane::Interactive] {
        let (budget, order) = (budget.clone(), order.clone());
        tasks.spawn(async move {
            let _permit = budget
                .acquire("/v1/a", &Ticket::new(lane))
                .await
                .expect("a permit");
            order.lock().expect("not poisoned").push(lane);
        });
        tokio::task::yield_now().await;
    }
    while tasks.join_next().await.is_some() {}
    assert_eq!(
        *order.lock().expect("not poisoned"),
        [Lane::Interactive, Lane::Bulk, Lane::Bulk]
    );
}

/// Makes the calls of a push, as fast as they are let through, until the returned set is dropped.
async fn push_for_ever(budget: &Arc<Budget>) -> tokio::task::JoinSet<()> {
    let mut push = tokio::task::JoinSet::new();
    for endpoint in ["/v1/prices", "/v1/products"].repeat(10) {
        let budget = budget.clone();
        push.spawn(async move {
            while budget
                .acquire(endpoint, &Ticket::new(Lane::Bulk))
                .await
                .is_ok()
            {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    push
}

#[tokio::test(start_paused = true)]
async fn a_push_leaves_room_for_checks() {
    let budget = Arc::new(Budget::new(RATES));
    let _push = push_for_ever(&budget).await;
    // Twice the rate that is reserved from bulk, every second.
    for _ in 0..40 {
        let check = Ticket::new(Lane::Check);
        let permit = budget.acquire("/v1/subscriptions", &check).await;
        drop(permit.expect("it goes before the push"));
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn checks_above_the_rate_are_refused_even_without_the_push() {
    let budget = Arc::new(Budget::new(RATES));
    let _push = push_for_ever(&budget).await;
    let mut checks = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let budget = budget.clone();
        checks.spawn(async move {
            let check = Ticket::new(Lane::Check);
            budget.acquire("/v1/subscriptions", &check).await.is_ok()
        });
    }
    let through = checks.join_all().await.into_iter().filter(|ok| *ok).count();
    assert!((6..=10).contains(&through), "{through}");
}

#[tokio::test(start_paused = true)]
async fn a_full_endpoint_does_not_delay_the_others() {
    let budget = Arc::new(Budget::new(Rates {
        endpoint: 1,
        ..RATES
    }));
    drop(
        budget
            .acquire("/v1/a", &Ticket::new(Lane::Bulk))
            .await
            .expect("the first call"),
    );
    let mut tasks = tokio::task::JoinSet::new();
    let waiting = budget.clone();
    tasks.spawn(async move {
        waiting
            .acquire("/v1/a", &Ticket::new(Lane::Interactive))
            .await
            .is_ok()
    });
    tokio::task::yield_now().await;
    let start = Instant::now();
    budget
        .acquire("/v1/b", &Ticket::new(Lane::Check))
        .await
        .expect("another endpoint");
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(tasks.join_next().await.map(Result::ok), Some(Some(true)));
}

#[tokio::test(start_paused = true)]
async fn concurrent_calls_are_bounded() {
    let budget = Budget::new(Rates {
        concurrent: 2,
        ..RATES
    });
    let ticket = || Ticket::new(Lane::Check);
    let (first, _second) = (
        budget.acquire("/v1/a", &ticket()).await,
        budget.acquire("/v1/a", &ticket()).await,
    );
    budget
        .acquire("/v1/a", &ticket())
        .await
        .expect_err("two are under way");
    drop(first);
    budget
        .acquire("/v1/a", &ticket())
        .await
        .expect("one has ended");
}

#[tokio::test(start_paused = true)]
async fn stripes_refusals_shrink_the_rate_and_success_restores_it() {
    let budget = Budget::new(Rates {
        endpoint: 10,
        ..RATES
    });
    budget.throttled();
    budget.throttled();
    assert_eq!(burst(&budget, "/v1/a", 20).await.0, 8);
    tokio::time::advance(Duration::from_secs(2)).await;
    for _ in 0..20 {
        budget.succeeded();
    }
    assert_eq!(burst(&budget, "/v1/a", 20).await.0, 10);
    assert!(budget.headroom().abs() < f64::EPSILON);
    // After a cut below the current use, the headroom is not negative.
    budget.throttled();
    assert!(budget.headroom().abs() < f64::EPSILON);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!((budget.headroom() - 1.0).abs() < f64::EPSILON);
}

/// Counts how often a future is polled.
async fn polled<T>(polls: Arc<AtomicUsize>, future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| {
        polls.fetch_add(1, Ordering::Relaxed);
        future.as_mut().poll(cx)
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn waiting_calls_are_not_woken_for_others() {
    const CALLS: usize = 500;
    let rates = Rates {
        total: 100,
        endpoint: 100,
        search: 100,
        concurrent: 10,
    };
    let (budget, polls) = (Arc::new(Budget::new(rates)), Arc::<AtomicUsize>::default());
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..CALLS {
        let (budget, polls) = (budget.clone(), polls.clone());
        calls.spawn(polled(polls, async move {
            let ticket = Ticket::new(Lane::Interactive);
            let permit = budget.acquire("/v1/a", &ticket).await.expect("a permit");
            tokio::time::sleep(Duration::from_millis(1)).await;
            drop(permit);
        }));
    }
    calls.join_all().await;
    // About four polls per call, however many others wait: it asks, checks again, is let through, and ends.
    let polls = polls.load(Ordering::Relaxed);
    assert!(polls < 8 * CALLS, "{polls}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_becomes_urgent_while_it_waits_goes_first_and_waits_longer() {
    let budget = Budget::new(Rates {
        concurrent: 1,
        ..RATES
    });
    let first = Ticket::new(Lane::Check);
    let held = budget.acquire("/v1/a", &first).await;
    let (bulk, check) = (Ticket::new(Lane::Bulk), Ticket::new(Lane::Check));
    let mut before = Box::pin(budget.acquire("/v1/a", &bulk));
    let mut call = Box::pin(budget.acquire("/v1/a", &check));
    assert!(futures::poll!(&mut before).is_pending());
    assert!(futures::poll!(&mut call).is_pending());
    check.raise(Lane::Interactive);
    assert!(futures::poll!(&mut call).is_pending());
    tokio::time::advance(Lane::Check.max_wait() * 2).await;
    assert!(futures::poll!(&mut call).is_pending());
    drop(held);
    assert!(futures::poll!(&mut before).is_pending());
    assert!(call.await.is_ok());
    assert!(before.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_only_calls_that_would_go_last() {
    let budget = Budget::new(Rates {
        concurrent: 1,
        ..RATES
    });
    let lanes = [Lane::Bulk, Lane::Check, Lane::Interactive];
    let tickets = lanes.map(Ticket::new);
    let held = budget.acquire("/v1/a", &tickets[0]).await;
    let mut waiting = Vec::new();
    for ticket in &tickets {
        for _ in 0..MAX_QUEUE {
            let mut call = Box::pin(budget.acquire("/v1/a", ticket));
            assert!(futures::poll!(&mut call).is_pending(), "{ticket:?}");
            waiting.push(call);
        }
        let one_more = budget.acquire("/v1/a", ticket).await;
        assert!(one_more.is_err(), "{ticket:?}");
    }
    drop((waiting, held));
    assert!(budget.acquire("/v1/a", &tickets[2]).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_turn_of_an_abandoned_call_goes_to_the_next() {
    let budget = Budget::new(Rates {
        concurrent: 1,
        ..RATES
    });
    let ticket = || Ticket::new(Lane::Interactive);
    let (one, two, three) = (ticket(), ticket(), ticket());
    let held = budget.acquire("/v1/a", &one).await.expect("it is free");
    let mut second = Box::pin(budget.acquire("/v1/a", &two));
    let mut third = Box::pin(budget.acquire("/v1/a", &three));
    assert!(futures::poll!(&mut second).is_pending() && futures::poll!(&mut third).is_pending());
    drop(held);
    drop(second);
    assert!(third.await.is_ok());
}

#[test]
fn limits_apply_to_stripe_itself_and_elsewhere_if_set() {
    let default = RateSettings::default();
    assert_eq!(default.rates(false, false), None);
    assert_eq!(default.rates(false, true), Some(Rates::documented(false)));
    assert_eq!(
        default.rates(true, true).map(|rates| rates.total),
        Some(100)
    );
    let set = RateSettings {
        total: Some(50),
        search: Some(5),
        ..default
    };
    let rates = set.rates(true, false).expect("a rate was asked for");
    assert_eq!((rates.total, rates.search, rates.endpoint), (50, 5, 25));
}
