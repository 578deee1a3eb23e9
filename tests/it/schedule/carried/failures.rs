//! Calls fail while usage is carried over to another plan. All usage is still billed once.

use super::*;

/// The plan change succeeds, and the charge for earlier usage fails. A later request bills that charge.
#[tokio::test]
async fn a_failed_charge_is_billed_by_a_later_request() {
    let failures = [
        ("POST", "/v1/invoiceitems", Action::Status(500, None), false),
        ("POST", "/v1/invoiceitems", Action::Drop, true),
        ("POST", "/v1/invoiceitems", Action::CutBody, true),
        // The note cannot be removed.
        (
            "POST",
            "/v1/subscriptions/*",
            Action::Status(500, None),
            false,
        ),
        ("POST", "/v1/subscriptions/*", Action::Drop, true),
    ];
    for (method, path, action, after) in failures {
        for retry in ["same", "read", "other", "cancel", "late"] {
            let case = format!("{path} {action:?} {after} {retry}");
            let app = start(Classic).await;
            app.subscribe("org:a", &["plan:a@1"]).await;
            app.report("org:a", "feature:calls", 5).await;
            let rule = Rule::new(method, path, action.clone());
            app.sandbox()
                .add_fault(if after { rule.after() } else { rule });
            let change = json!([{"features": ["plan:b@1"]}]);
            let answer = schedule(&app, change.clone()).await;
            assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{case}");
            app.sandbox().clear_faults();
            match retry {
                "same" => drop(schedule(&app, change).await.ok()),
                "read" => read(&app).await,
                "late" => {
                    app.pass(FORGOTTEN).await;
                    read(&app).await;
                }
                "other" => drop(
                    schedule(&app, json!([{"features": ["plan:c@1"]}]))
                        .await
                        .ok(),
                ),
                _ => drop(schedule(&app, json!([{}])).await.ok()),
            }
            assert_eq!(notes(&app).await, [""; 0], "{case}");
            read(&app).await;
            app.pass(32 * DAY).await;
            assert_eq!(charged(&app).await, 50, "{case}");
        }
    }
}

#[tokio::test]
async fn a_refused_change_within_one_second_charges_nothing() {
    in_both(async |generation| {
        let app = start(generation).await;
        app.subscribe("org:a", &["plan:a@1"]).await;
        app.report("org:a", "feature:calls", 5).await;
        let refusal = Action::Status(400, None);
        app.sandbox()
            .add_fault(Rule::new("POST", "/v1/subscription_schedules/*", refusal));
        let change = json!([{"features": ["plan:b@1"]}]);
        schedule(&app, change.clone())
            .await
            .fails(400, "invalid_request");
        app.sandbox().clear_faults();
        assert_eq!((charged(&app).await, notes(&app).await), (0, vec![]));
        assert_eq!(used(&app, "feature:calls").await, 5);
        schedule(&app, change).await.ok();
        app.pass(32 * DAY).await;
        assert_eq!(charged(&app).await, 50);
    })
    .await;
}

#[tokio::test]
async fn a_settlement_that_fails_midway_is_completed_later() {
    in_both(async |generation| {
        let later = json!([{"effective": "2023-01-11T00:00:00Z", "features": ["plan:b@1"]}]);
        for path in [
            "/v1/invoiceitems",
            "/v1/subscriptions/*",
            "/v1/subscription_items/*",
        ] {
            for (after, wait) in [(false, false), (true, false), (true, true)] {
                let app = start(generation).await;
                app.subscribe("org:a", &["plan:a@1"]).await;
                report_all(&app, 5).await;
                schedule(&app, later.clone()).await.ok();
                app.pass(11 * DAY).await;
                let rule = Rule::new("POST", path, Action::Drop);
                app.sandbox()
                    .add_fault(if after { rule.after() } else { rule });
                read(&app).await;
                app.sandbox().clear_faults();
                if wait {
                    app.pass(FORGOTTEN).await;
                }
                read(&app).await;
                let case = format!("{path} {after} {wait}");
                assert_eq!(notes(&app).await, [""; 0], "{case}");
                app.pass(21 * DAY).await;
                assert_eq!(charged(&app).await, 50 + 3 * 5 * 200, "{case}");
            }
        }
    })
    .await;
}

/// Levels that were noted before a plan change are not billed if the change fails.
#[tokio::test]
async fn a_change_that_fails_after_clearing_levels_counts_nothing_twice() {
    in_both(async |generation| {
        for status in [400, 402, 409, 429, 500] {
            let app = start(generation).await;
            app.subscribe("org:a", &["plan:a@1"]).await;
            report_all(&app, 60).await;
            app.pass(DAY).await;
            let refuse = Rule::new(
                "POST",
                "/v1/subscription_schedules*",
                Action::Status(status, None),
            );
            app.sandbox().add_fault(refuse);
            let body = json!({"org": "org:a", "info": {"name": "New"}, "phases": [{"features": ["plan:b@1"]}]});
            let answer = app.post_json("/v1/subscribe", &body).await;
            assert!(answer.status.as_u16() >= 400, "{status}");
            app.sandbox().clear_faults();
            for feature in ["calls", "peak", "last", "store"] {
                let feature = format!("feature:{feature}");
                assert_eq!(used(&app, &feature).await, 60, "{feature} {status}");
            }
            let name = app
                .get("/v1/whois?org=org:a&include=info")
                .await
                .ok()
                .json()["name"]
                .clone();
            assert_eq!(name == "New", status >= 409, "{status}: {name}");
            // The levels are being set in the background, so no client needs to retry.
            assert!(!answer.headers.contains_key("retry-after"), "{status}");
            app.settled().await;
            app.subscribe("org:a", &["plan:b@1"]).await;
            assert_eq!(used(&app, "feature:calls").await, 60);
            app.pass(32 * DAY).await;
            assert_eq!(charged(&app).await, 60 * 10 + 3 * 60 * 200, "{status}");
        }
    })
    .await;
}
