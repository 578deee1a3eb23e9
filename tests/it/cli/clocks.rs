//! Test clocks, and orgs that use them.

use super::{Place, cells, json};

#[tokio::test]
async fn a_month_passes_for_an_org_on_a_clock() {
    let place = Place::pushed().await;
    let create = ["clock", "create", "--at", "2030-01-31T00:00:00Z"];
    let clock = place.tier(&create).ok().await;
    let clock = clock.trim_end();
    assert!(clock.starts_with("clock_"), "{clock}");
    let on_clock = |args: &[&str]| place.tier(args).env("TIER_CLOCK", clock);
    on_clock(&["subscribe", "org:acme", "plan:pro@1"])
        .ok()
        .await;
    on_clock(&["report", "org:acme", "feature:convert", "7"])
        .ok()
        .await;
    // The flag has the same effect as the variable.
    let limits = ["limits", "org:acme", "--clock", clock];
    let limits = place.tier(&limits).ok().await;
    assert_eq!(cells(&limits)[2], ["feature:convert", "∞", "7"]);

    let advanced = place
        .tier(&["clock", "advance", "org:acme", "1mo"])
        .ok()
        .await;
    let row = [clock, "2030-02-28T00:00:00Z", "ready"];
    assert_eq!(cells(&advanced)[1], row);
    let shown = place.tier(&["clock", "show", clock, "--json"]).ok().await;
    assert_eq!(json(&shown)["present"], "2030-02-28T00:00:00Z");
    let limits = on_clock(&["limits", "org:acme"]).ok().await;
    assert_eq!(cells(&limits)[2], ["feature:convert", "∞", "0"]);
}

#[tokio::test]
async fn an_unknown_clock_is_refused() {
    let place = Place::pushed().await;
    place
        .tier(&["subscribe", "org:real", "plan:pro@1"])
        .ok()
        .await;
    for (which, why) in [
        ("org:real", "org:real is not on a test clock"),
        ("org:nobody", "org not found"),
        ("clock_none", "clock_none"),
    ] {
        let refused = place.tier(&["clock", "advance", which, "1d"]).fault().await;
        assert!(refused.contains(why), "{refused}");
    }
    let refused = place
        .tier(&["clock", "advance", "org:real", "soon"])
        .misused()
        .await;
    assert!(refused.contains("like 1mo"), "{refused}");
}
