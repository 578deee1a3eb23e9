//! Unpaid invoices that are still drafts.

use super::*;

#[tokio::test]
async fn unused_time_is_taken_off_a_draft_before_it_is_charged() {
    for generation in GENERATIONS {
        for (card, status) in [("pm_card_visa", "paid"), ("", "open")] {
            for cancel in [false, true] {
                let settings = Settings {
                    invoice_draft: Duration::from_secs(3600),
                    ..Settings::default()
                };
                let app = start_with(generation, settings, card, 0).await;
                app.report("org:a", "feature:calls", 5).await;
                app.advance(Duration::from_secs(1860));
                assert_eq!(invoices(&app).await, [row("draft", 3100)]);
                let phase = if cancel {
                    json!({})
                } else {
                    json!({"features": ["plan:small@1"]})
                };
                schedule(&app, json!([phase])).await.ok();
                app.advance(DAY);
                let first = app.stripe_get("/v1/invoices").await["data"].clone();
                let first = first.as_array().expect("a list").last().expect("one");
                // The plan was used for 1860 s of 31 days.
                let used =
                    3100 - (3100_i64 * (31 * 86_400 - 1860) + 31 * 86_400 - 1) / (31 * 86_400);
                let seen = (&first["status"], &first["total"]);
                let due = first["amount_due"].as_i64();
                assert_eq!(
                    (seen.0, due),
                    (&json!(status), Some(used)),
                    "{card} {cancel} {first:#}"
                );
                assert_eq!(customer(&app).await["balance"], 0);
            }
        }
    }
}

/// A draft is finalized before it is reduced. Its remaining amount is collected afterwards, whichever calls fail.
#[tokio::test]
async fn a_held_back_draft_is_collected() {
    for generation in GENERATIONS {
        let fails = |path| Rule::new("POST", path, Action::Status(500, None));
        for (rule, what) in [
            (fails("/v1/invoices/*/finalize"), "finalize"),
            (fails("/v1/invoices/*/finalize").after(), "finalize after"),
            (fails("/v1/credit_notes"), "credit note"),
            (fails("/v1/credit_notes").after(), "credit note after"),
            (fails("/v1/subscriptions/*"), "settled"),
        ] {
            for cancel in [false, true] {
                let settings = Settings {
                    invoice_draft: Duration::from_secs(3600),
                    ..Settings::default()
                };
                let app = start_with(generation, settings, "pm_card_visa", 0).await;
                app.advance(Duration::from_secs(1860));
                let phase = if cancel {
                    json!({})
                } else {
                    json!({"features": ["plan:small@1"]})
                };
                app.sandbox().add_fault(rule.clone());
                schedule(&app, json!([phase])).await;
                app.sandbox().clear_faults();
                let other_server = app.second_server();
                schedule(&other_server, json!([phase])).await.ok();
                other_server.get("/v1/limits?org=org:a").await.ok();
                other_server.settled().await;
                app.advance(DAY);
                assert_eq!(invoices(&app).await[0], row("paid", 0), "{what} {cancel}");
            }
        }
    }
}
