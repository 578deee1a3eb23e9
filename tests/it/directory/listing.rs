//! Accounts for which Stripe does not support search. The server lists all customers instead.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use stripe_sandbox::{Action, Rule};

use super::{LIST, create, look_ups, whois};
use crate::harness::{Settings, TestApp};
use crate::web::Web;

const UNAVAILABLE: &str = "search feature unavailable for merchant";

/// The faults of a fake Stripe.
#[derive(Default)]
struct Faulty {
    /// The message with which searches are refused, and how many searches are refused.
    words: &'static str,
    searches: AtomicUsize,
    /// Which page of customers after the first fails, and how many such pages were requested.
    broken_page: usize,
    pages: AtomicUsize,
}

impl Faulty {
    /// The faulty answer, if there is one.
    fn answer(&self, request: &Request) -> Option<Response> {
        let order = Ordering::Relaxed;
        let uri = request.uri();
        let refusal = |status, message| {
            let error = json!({"type": "invalid_request_error", "message": message});
            let body = json!({"error": error}).to_string();
            Some((status, body).into_response())
        };
        if uri.path() == "/v1/customers/search" {
            let one_less = |left: usize| left.checked_sub(1);
            self.searches.fetch_update(order, order, one_less).ok()?;
            return refusal(StatusCode::BAD_REQUEST, self.words);
        }
        let goes_on = uri
            .query()
            .is_some_and(|query| query.contains("starting_after"));
        if goes_on && self.pages.fetch_add(1, order) + 1 == self.broken_page {
            return refusal(StatusCode::INTERNAL_SERVER_ERROR, "broken");
        }
        None
    }
}

/// A server over such a fake Stripe.
async fn over(faulty: Faulty) -> (TestApp, Web) {
    let app = TestApp::start().await;
    let faulty = Arc::new(faulty);
    let layer = from_fn(move |request: Request, next: Next| {
        let faulty = faulty.clone();
        async move {
            match faulty.answer(&request) {
                Some(answer) => answer,
                None => next.run(request).await,
            }
        }
    });
    let stripe = Web::start(app.sandbox().router().layer(layer)).await;
    let settings = Settings {
        stripe_url: Some(stripe.url().to_owned()),
        retries: 0,
        ..Settings::default()
    };
    (app.second_server_with(&settings), stripe)
}

async fn refusing(words: &'static str, searches: usize) -> (TestApp, Web) {
    let searches = AtomicUsize::new(searches);
    over(Faulty {
        words,
        searches,
        ..Faulty::default()
    })
    .await
}

#[tokio::test]
async fn customers_are_listed_once_if_stripe_does_not_search() {
    let (app, _stripe) = refusing(UNAVAILABLE, usize::MAX).await;
    let mut orgs = Vec::new();
    for i in 0..120 {
        let org = format!("org:{i}");
        orgs.push((create(&app, &org).await, org));
    }
    app.forget_calls();
    for (id, org) in &orgs {
        assert_eq!(whois(&app, org).await, *id);
    }
    let (_, listed) = look_ups(&app);
    assert!(
        listed <= 3,
        "two pages, and one listing beside the search: {listed}"
    );
    app.get("/v1/whois?org=org:nobody")
        .await
        .fails(400, "org_not_found");
    let later = create(&app, "org:later").await;
    assert_eq!(
        whois(&app, "org:later").await,
        later,
        "a customer that was created since"
    );
}

#[tokio::test]
async fn search_is_tried_again_after_a_while() {
    let (app, _stripe) = refusing(UNAVAILABLE, 1).await;
    create(&app, "org:a").await;
    app.advance(Duration::from_secs(3600));
    whois(&app, "org:a").await;
    create(&app, "org:b").await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(601)).await;
    tokio::time::resume();
    app.forget_calls();
    whois(&app, "org:b").await;
    assert_eq!(look_ups(&app), (1, 1));
}

#[tokio::test]
async fn a_search_that_fails_for_another_reason_changes_nothing() {
    let unparsed = "We were unable to parse your search query.";
    let (app, _stripe) = refusing(unparsed, 1).await;
    for i in 0..250 {
        create(&app, &format!("org:{i}")).await;
    }
    app.advance(Duration::from_secs(3600));
    app.forget_calls();
    whois(&app, "org:0").await;
    assert_eq!(look_ups(&app), (1, 1), "the search was sent again");
    app.forget_calls();
    whois(&app, "org:1").await;
    assert_eq!(look_ups(&app), (1, 1));

    let (app, _stripe) = refusing(unparsed, 2).await;
    create(&app, "org:a").await;
    app.advance(Duration::from_secs(3600));
    let failed = app.get("/v1/whois?org=org:a").await;
    failed.fails(502, "stripe_unavailable");
    whois(&app, "org:a").await;
}

/// Creates 451 customers, which fill five pages. Returns the oldest customer.
async fn many(app: &TestApp) -> String {
    let oldest = create(app, "org:oldest").await;
    for i in 0..450 {
        create(app, &format!("org:{i}")).await;
    }
    app.forget_calls();
    oldest
}

#[tokio::test]
async fn an_interrupted_listing_resumes_where_it_stopped() {
    let (app, _stripe) = over(Faulty {
        words: UNAVAILABLE,
        searches: AtomicUsize::new(usize::MAX),
        broken_page: 3,
        ..Faulty::default()
    })
    .await;
    let oldest = many(&app).await;
    let broken = app.get("/v1/whois?org=org:oldest").await;
    broken.fails(502, "stripe_unavailable");
    assert_eq!(whois(&app, "org:oldest").await, oldest);
    // The server lists the newest customers once beside the search, and then reads five pages.
    assert_eq!(look_ups(&app), (0, 6));
}

#[tokio::test]
async fn a_listing_continues_after_its_callers_have_left() {
    let (app, _stripe) = refusing(UNAVAILABLE, usize::MAX).await;
    let oldest = many(&app).await;
    let slow = Action::Delay(Duration::from_millis(100));
    app.sandbox()
        .add_fault(Rule::new("GET", "/v1/customers", slow));
    let hasty = app
        .clone()
        .adjusted(|app| app.limits.request_timeout = Duration::from_millis(30));
    while hasty.get("/v1/whois?org=org:oldest").await.status != 200 {}
    assert_eq!(whois(&app, "org:oldest").await, oldest);
    // Each caller that hangs up before the search is answered lists only the newest customers.
    let listed = app.sent(LIST);
    let pages = listed
        .iter()
        .filter(|sent| !sent["starting_after"].is_null());
    assert_eq!(pages.count(), 4, "{listed:?}");
}
