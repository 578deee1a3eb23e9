//! A later request settles unpaid time, after a scheduled change or after a failure.

use super::*;

/// Each change reduces the invoices by its own unused time, even if a request settles the change much later.
#[tokio::test]
async fn unseen_scheduled_changes_are_settled_one_by_one() {
    for generation in GENERATIONS {
        for (second, due) in [("plan:tiny@1", 1000), ("plan:big@1", 1000)] {
            let mut seen = Vec::new();
            for reads in [true, false] {
                let app = start(generation, BAD_CARD).await;
                let later = json!([
                    {"effective": "2023-01-11T00:00:00Z", "features": ["plan:small@1"]},
                    {"effective": "2023-01-21T00:00:00Z", "features": [second]},
                ]);
                schedule(&app, later).await.ok();
                for _ in 0..2 {
                    app.advance(10 * DAY);
                    if reads {
                        app.get("/v1/limits?org=org:a").await.ok();
                        app.settled().await;
                    }
                }
                app.advance(DAY);
                app.get("/v1/limits?org=org:a").await.ok();
                app.settled().await;
                assert_eq!(
                    invoices(&app).await[0],
                    row("open", due),
                    "{second} {reads}"
                );
                seen.push((pending(&app).await, customer(&app).await["balance"].clone()));
            }
            assert_eq!(seen[0], seen[1], "{second}");
        }
    }
}

#[tokio::test]
async fn a_scheduled_change_is_settled_later_if_stripe_refuses_at_first() {
    for generation in GENERATIONS {
        let app = start(generation, BAD_CARD).await;
        let later = json!([{"effective": "2023-01-11T00:00:00Z", "features": ["plan:small@1"]}]);
        schedule(&app, later).await.ok();
        app.advance(11 * DAY);
        let refuse = Rule::new("POST", "/v1/credit_notes", Action::Status(400, None));
        app.sandbox().add_fault(refuse);
        for due in [3100, 1000] {
            app.get("/v1/limits?org=org:a").await.ok();
            app.settled().await;
            assert_eq!(invoices(&app).await[0], row("open", due));
            app.sandbox().clear_faults();
            app.advance(DAY);
        }
    }
}

/// Stripe keeps fifty pairs of metadata. A change is refused if there is no room to note its settlement.
#[tokio::test]
async fn a_subscription_with_full_metadata_cannot_be_changed_but_can_be_canceled() {
    for generation in GENERATIONS {
        for count in [35, 47, 48, 49, 50] {
            let app = start(generation, "").await;
            app.report("org:a", "feature:calls", 20).await;
            app.advance(10 * DAY);
            let subscription = subscriptions(&app).await[0].clone();
            let path = format!("/v1/subscriptions/{}", id(&subscription));
            let ours = subscription["metadata"].as_object().expect("pairs").len();
            for i in ours..count {
                let key: &'static str = Box::leak(format!("metadata[app{i}]").into_boxed_str());
                app.stripe_post(&path, &[(key, "x")]).await;
            }
            let small = json!([{"features": ["plan:small@1"]}]);
            let answer = schedule(&app, small).await;
            if count > 35 {
                let message = answer.fails(400, "invalid_request").json()["message"].clone();
                assert!(
                    message
                        .as_str()
                        .is_some_and(|text| text.contains("metadata")),
                    "{message}"
                );
                assert_eq!(invoices(&app).await[0], row("open", 3100));
            } else {
                answer.ok();
            }
            schedule(&app, json!([{}])).await.ok();
            let due: i64 = invoices(&app).await.iter().map(|row| row.1).sum();
            assert!(
                (1200..=1201).contains(&due),
                "{count}: {:?}",
                invoices(&app).await
            );
            assert_eq!(customer(&app).await["balance"], 0, "{count}");
        }
    }
}

/// When Stripe ends a subscription, it credits unpaid unused time, and pays for usage from that credit.
#[tokio::test]
async fn usage_before_a_scheduled_end_is_charged_although_the_plan_was_not_paid() {
    for generation in GENERATIONS {
        for reads in [false, true] {
            let app = start(generation, "").await;
            app.report("org:a", "feature:calls", 20).await;
            let end = json!([{"effective": "2023-01-11T00:00:00Z"}]);
            schedule(&app, end).await.ok();
            app.advance(11 * DAY);
            app.get("/v1/limits?org=org:a").await.ok();
            app.settled().await;
            if reads {
                let other_server = app.second_server();
                other_server.get("/v1/limits?org=org:a").await.ok();
                other_server.settled().await;
            }
            app.advance(DAY);
            let due: i64 = invoices(&app).await.iter().map(|row| row.1).sum();
            let balance = customer(&app).await["balance"].as_i64().expect("cents");
            assert_eq!(pending(&app).await, [0; 0], "{reads}");
            // The org owes ten days and twenty calls.
            assert_eq!(
                due + balance,
                1000 + 200,
                "{reads} {:?}",
                invoices(&app).await
            );
            assert_eq!(balance, 0, "{reads}");
        }
    }
}

/// A new period starts minutes after the old period was invoiced and not paid.
#[tokio::test]
async fn a_trial_soon_after_an_unpaid_period() {
    for generation in GENERATIONS {
        for minutes in [1, 4, 6] {
            let app = start(generation, "").await;
            app.advance(Duration::from_secs(60 * minutes));
            let trial = json!([{"trial": true, "features": ["plan:big@1"]}]);
            schedule(&app, trial).await.ok();
            let first = invoices(&app).await[0].clone();
            assert!(first.0 == "void" || first.1 <= 1, "{minutes}: {first:?}");
            let balance = customer(&app).await["balance"].as_i64().expect("cents");
            let pending: i64 = pending(&app).await.iter().sum();
            // With meters, the next invoice charges back what Stripe credited.
            assert_eq!(balance + pending, 0);
            assert!(pending == 0 || generation == Generation::Meters);
        }
    }
}

/// A call fails after the change. The next request about the org completes the settlement once.
#[tokio::test]
async fn a_failed_reduction_is_made_by_the_next_request() {
    for generation in GENERATIONS {
        let cut = |action| Rule::new("POST", "/v1/credit_notes", action);
        let fails = |method, path| Rule::new(method, path, Action::Status(500, None));
        for cancel in [false, true] {
            for (rule, what) in [
                (cut(Action::Status(500, None)), "500"),
                (cut(Action::Drop), "drop"),
                (cut(Action::Drop).after(), "drop after"),
                (fails("DELETE", "/v1/invoiceitems/*"), "credit"),
            ] {
                if cancel && what == "credit" {
                    continue;
                }
                for next in ["same", "limits", "phases", "late"] {
                    if what != "drop after" && matches!(next, "phases" | "late") {
                        continue;
                    }
                    let app = start(generation, BAD_CARD).await;
                    app.report("org:a", "feature:calls", 5).await;
                    app.advance(10 * DAY);
                    app.sandbox().add_fault(rule.clone());
                    let phases = if cancel {
                        json!([{}])
                    } else {
                        json!([{"features": ["plan:small@1"]}])
                    };
                    let answer = schedule(&app, phases.clone()).await;
                    let case = format!("{cancel} {what} {next}");
                    assert_eq!(answer.status, 502, "{case}");
                    app.sandbox().clear_faults();
                    // The other server knows nothing of the first attempt.
                    let app = app.second_server();
                    let get = async |path: &str| {
                        app.get(path).await.ok();
                        app.settled().await;
                    };
                    match next {
                        "same" => drop(schedule(&app, phases).await.ok()),
                        "limits" => get("/v1/limits?org=org:a").await,
                        "phases" => get("/v1/phases?org=org:a").await,
                        _ => {
                            app.advance(DAY + DAY);
                            get("/v1/phases?org=org:a").await;
                        }
                    }
                    assert_eq!(invoices(&app).await[0], row("open", 1000), "{case}");
                    let credits = pending(&app).await.into_iter().filter(|amount| *amount < 0);
                    assert_eq!(credits.count(), 0, "{case}");
                    assert_eq!(customer(&app).await["balance"], 0, "{case}");
                    get("/v1/phases?org=org:a").await;
                    assert_eq!(invoices(&app).await[0], row("open", 1000), "{case}");
                }
            }
        }
    }
}
