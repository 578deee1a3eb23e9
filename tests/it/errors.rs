//! Every error of the domain, to the byte.

use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use clock::Clock;
use stripe_sandbox::{Action, Rule};
use tier::admission::AdmissionError;
use tier::domain::refs::PlanName;
use tier::domain::{Domain, Error};
use tier::stripe::{Client, Credentials};

use crate::harness::{Settings, TestApp, transport};
use crate::web::Web;

/// An error and its answer: status, code, message, `Retry-After`.
type Row = (Error, u16, &'static str, &'static str, Option<&'static str>);

const TERR1050: &str = "Stripe reported a customer was created and then reported it did not exist. This might mean \
    you purged your Test Mode and need to reset TIER_KEY_PREFIX=<randomString>.";

#[rustfmt::skip]
fn table() -> Vec<Row> {
    let wait = Duration::from_millis(1500);
    let malformed = "free".parse::<PlanName>().expect_err("it has no prefix");
    vec![
        (Error::Reference(malformed), 400, "invalid_request", "plan name must start with 'plan:': \"free\"", None),
        (Error::OrgNotFound, 400, "org_not_found", "org not found", None),
        (Error::FeatureNotFound, 400, "feature_not_found", "feature not found", None),
        (Error::FeatureOrPlanNotFound("plan:a@1".into()), 400, "TERR1020", "feature or plan not found: \"plan:a@1\"", None),
        (Error::PlanArchived("plan:a@1".into()), 400, "plan_archived", "plan is archived: \"plan:a@1\"", None),
        (Error::FeatureNotReportable, 400, "invalid_request", "feature not reportable", None),
        (Error::NoPhase, 404, "not_found", "Not Found", None),
        (Error::ReservedMetadata, 400, "invalid_metadata", "metadata keys must not use reserved prefix ('tier.')", None),
        (Error::InvalidEmail, 400, "invalid_email", "invalid email", None),
        (Error::InvalidPaymentMethod("No such PaymentMethod: 'pm_card_us'".into()), 400, "invalid_payment_method", "No such PaymentMethod: 'pm_card_us'", None),
        (Error::Invalid("n must not be negative".into()), 400, "invalid_request", "n must not be negative", None),
        (Error::Refused("Your card was declined.".into()), 400, "invalid_request", "Your card was declined.", None),
        (Error::Declined("Your card was declined.".into()), 400, "invalid_request", "Your card was declined.", None),
        (Error::CustomerVanished { source: None }, 500, "TERR1050", TERR1050, None),
        (Error::InvalidApiKey, 401, "invalid_api_key", "invalid api key", None),
        (Error::AccountInvalid, 401, "account_invalid", "", None),
        (Error::Forbidden("not with this key".into()), 403, "forbidden", "not with this key", None),
        (Error::RateLimited { retry_after: wait, source: None }, 429, "rate_limited", "too many requests to Stripe", Some("2")),
        (Error::Busy { retry_after: wait, source: None }, 503, "stripe_unavailable", "Stripe is busy with another request for the same object", Some("2")),
        (Error::Unavailable { reason: "HTTP 500".into(), source: None }, 502, "stripe_unavailable", "Stripe is unavailable: HTTP 500", None),
        (Error::TimedOut { source: None }, 504, "stripe_unavailable", "Stripe did not answer in time", None),
        (Error::NotAdmitted(AdmissionError::OrgQueue), 429, "rate_limited", "too many requests are waiting to change this org, and nothing was done", Some("1")),
        (Error::Listing { read: 7 }, 503, "stripe_unavailable", "the customers of this account are being listed, since Stripe does not search them: 7 orgs so far", Some("1")),
        (Error::OutcomeUnknown("Stripe failed"), 503, "outcome_unknown", "it is not known whether this was counted: Stripe failed", None),
        (Error::Abandoned, 503, "stripe_unavailable", "this took too long to begin, and nothing was done", Some("1")),
        (Error::Unfinished(Box::new(Error::RateLimited { retry_after: wait, source: None })), 503, "outcome_unknown", "this was started but not finished (too many requests to Stripe); send the same request again to finish it", None),
        (Error::Undelivered, 503, "stripe_unavailable", "earlier usage could not be sent to Stripe, so nothing was changed", Some("1")),
        (Error::PlanChanging, 503, "stripe_unavailable", "another request is changing the org's plan, so nothing was done: try again in a few seconds", Some("1")),
        (Error::ReservationEnded("expired"), 409, "reservation_expired", "reservation has expired", None),
        (Error::SetupIntentNotFound, 400, "setup_intent_not_found", "setup intent not found", None),
        (Error::LedgerUnavailable("the disk is full".into()), 503, "ledger_unavailable", "the ledger is unavailable: the disk is full", None),
        (Error::Unprocessed, 503, "stripe_unavailable", "Stripe has not processed earlier usage yet, so nothing was changed: try again in a few seconds", Some("1")),
        (Error::TooSoon, 503, "stripe_unavailable", "the org's plan has changed in this second, and another billing interval can only begin in the next one: try again in a second", Some("1")),
    ]
}

/// This match does not compile once the domain has a new error, which must then be added to the table above.
fn number(error: &Error) -> usize {
    match error {
        Error::Reference(_) => 0,
        Error::OrgNotFound => 1,
        Error::FeatureNotFound => 2,
        Error::FeatureOrPlanNotFound(_) => 3,
        Error::PlanArchived(_) => 4,
        Error::FeatureNotReportable => 5,
        Error::NoPhase => 6,
        Error::ReservedMetadata => 7,
        Error::InvalidEmail => 8,
        Error::InvalidPaymentMethod(_) => 9,
        Error::Invalid(_) => 10,
        Error::Refused(_) => 11,
        Error::Declined(_) => 12,
        Error::CustomerVanished { .. } => 13,
        Error::InvalidApiKey => 14,
        Error::AccountInvalid => 15,
        Error::Forbidden(_) => 16,
        Error::RateLimited { .. } => 17,
        Error::Busy { .. } => 18,
        Error::Unavailable { .. } => 19,
        Error::TimedOut { .. } => 20,
        Error::NotAdmitted(_) => 21,
        Error::Listing { .. } => 22,
        Error::OutcomeUnknown(_) => 23,
        Error::Abandoned => 24,
        Error::Unfinished(_) => 25,
        Error::Undelivered => 26,
        Error::PlanChanging => 27,
        Error::ReservationEnded(_) => 28,
        Error::SetupIntentNotFound => 29,
        Error::LedgerUnavailable(_) => 30,
        Error::Unprocessed => 31,
        Error::TooSoon => 32,
    }
}

#[tokio::test]
async fn every_error_to_the_byte() {
    for (position, (error, status, code, message, retry_after)) in table().into_iter().enumerate() {
        assert_eq!(number(&error), position, "{error:?}");
        let response = tier::api::Error::from(error).into_response();
        let (head, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        let message = message.replace('"', "\\\"");
        let expected = format!(
            "{{\n    \"status\": {status},\n    \"code\": \"{code}\",\n    \"message\": \"{message}\"\n}}\n"
        );
        assert_eq!(std::str::from_utf8(&body).unwrap(), expected);
        assert_eq!(head.status.as_u16(), status, "{code}");
        assert_eq!(head.headers["content-type"], "application/json");
        let wait = head
            .headers
            .get("retry-after")
            .map(|wait| wait.to_str().unwrap());
        assert_eq!(wait, retry_after, "{code}");
    }
    assert_eq!(table().len(), 33);
}

/// Stripe's failures after all retries.
#[tokio::test]
async fn stripes_failures_become_errors() {
    let app = TestApp::with(Settings {
        retries: 0,
        ..Settings::default()
    })
    .await;
    for (action, status, code, retry_after) in [
        (Action::Status(500, None), 502, "stripe_unavailable", ""),
        (Action::Status(503, None), 502, "stripe_unavailable", ""),
        (Action::Status(409, None), 503, "stripe_unavailable", "1"),
        (
            Action::Status(429, Some("global-rate".to_owned())),
            429,
            "rate_limited",
            "1",
        ),
        // Stripe refuses with 429 and without a code while another request holds a lock.
        (Action::Status(429, None), 503, "stripe_unavailable", "1"),
        (Action::Drop, 502, "stripe_unavailable", ""),
        (Action::CutBody, 502, "stripe_unavailable", ""),
        (Action::GarbageJson, 502, "stripe_unavailable", ""),
        (Action::HtmlPage, 502, "stripe_unavailable", ""),
    ] {
        app.sandbox()
            .add_fault(Rule::new("GET", "/v1/account", action.clone()));
        let answer = app.get("/v1/whoami").await.fails(status, code);
        assert_eq!(answer.header("retry-after"), retry_after, "{action:?}");
        app.sandbox().clear_faults();
    }
    app.get("/v1/whoami").await.ok();
}

/// Stripe, or a proxy in front of it, may leave out anything. The error still names the refused call and the status.
#[tokio::test]
async fn a_refusal_without_a_message_names_the_call() {
    let bodies = [
        "",
        "{}",
        "null",
        "<html>",
        r#"{"error":{}}"#,
        r#"{"error":{"type":"invalid_request_error"}}"#,
        r#"{"error":{"message":null}}"#,
        r#"{"error":"no"}"#,
    ];
    for body in bodies {
        for status in [302, 400, 402, 403, 404, 410, 500, 503] {
            let refuse = move || async move { (StatusCode::from_u16(status).unwrap(), body) };
            let stripe = Web::start(Router::new().fallback(refuse)).await;
            let settings = Settings {
                retries: 0,
                ..Settings::default()
            };
            let client = Client::new(
                transport(stripe.url(), &settings),
                Credentials::new("sk_test_x".to_owned()),
            );
            let domain = Domain::new(client, Clock::system(), String::new());
            let error = domain.whoami().await.expect_err("it is refused");
            let told = error.to_string();
            let names_it =
                told.contains("GET /v1/account") && told.contains(&format!("HTTP {status}"));
            assert!(names_it, "{status} {body:?}: {told}");
        }
    }
}

/// Some HTTP clients retry by themselves when an answer has `Retry-After`. Such a retry would count the usage twice.
#[tokio::test]
async fn a_write_has_retry_after_only_if_no_attempt_can_have_taken_effect() {
    let app = TestApp::start().await;
    let plan = serde_json::json!({"features": {"feature:f": {"tiers": [{}]}}});
    app.push(&serde_json::json!({"plans": {"plan:p@1": plan}}))
        .await;
    app.subscribe("org:a", &["plan:p@1"]).await;
    let records = "/v1/subscription_items/*/usage_records";
    let rule = |action| Rule::new("POST", records, action);
    let rate = || Action::Status(429, Some("global-rate".to_owned()));
    let busy = || Action::Status(409, None);
    let body = r#"{"org": "org:a", "feature": "feature:f", "n": 1}"#;
    for (first, then, status, retry_after) in [
        (busy(), busy(), 503, "1"),
        (busy(), rate(), 429, "1"),
        (Action::Drop, busy(), 502, ""),
        (Action::CutBody, busy(), 502, ""),
        (Action::GarbageJson, rate(), 502, ""),
        (Action::HtmlPage, busy(), 502, ""),
        (Action::Status(502, None), rate(), 502, ""),
    ] {
        let told = format!("{first:?}, then {then:?}");
        app.sandbox().add_fault(rule(first).after().times(1));
        app.sandbox().add_fault(rule(then));
        let answer = app.post("/v1/report", body).await;
        assert_eq!(answer.status.as_u16(), status, "{told}: {}", answer.body);
        assert_eq!(answer.header("retry-after"), retry_after, "{told}");
        app.sandbox().clear_faults();
    }
}
