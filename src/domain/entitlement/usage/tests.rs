use super::*;
use crate::domain::pricing::NO_LIMIT;
use crate::domain::refs::FeaturePlan;

fn item(id: &str, sells: &str, kind: Kind, limit: i64) -> Item {
    let name: FeaturePlan = sells.parse().expect("a feature of a plan");
    let sold = SoldFeature {
        feature: name.feature(),
        name,
        kind,
        limit,
        meter: None,
    };
    Item {
        id: id.into(),
        sold: sold.into(),
        created: 0,
        used: 0,
        before: 0,
    }
}

fn used(snapshot: &UsageSnapshot) -> Vec<(String, i64, i64)> {
    shown(&snapshot.rows())
}

fn shown(rows: &[FeatureUsage]) -> Vec<(String, i64, i64)> {
    let rows = rows.iter();
    rows.map(|row| (row.feature.to_string(), row.used, row.limit))
        .collect()
}

fn row(feature: &str, used: i64, limit: i64) -> (String, i64, i64) {
    (feature.to_owned(), used, limit)
}

fn snapshot(items: Vec<Item>, period_end: i64, cancel_at: Option<i64>) -> UsageSnapshot {
    UsageSnapshot {
        items: sorted(items.into()),
        period: BillingPeriod {
            start: 0,
            end: period_end,
        },
        cancel_at,
        ..UsageSnapshot::default()
    }
}

#[test]
fn rows_sum_what_several_plans_grant_and_leave_out_what_is_not_tiers() {
    let item = |id: &str, feature: Option<&str>, usage_type: &str, limit: Option<i64>| {
        let mut metadata = serde_json::Map::new();
        if let Some(feature) = feature {
            metadata.insert("tier.feature".into(), feature.into());
        }
        if let Some(limit) = limit {
            metadata.insert("tier.limit".into(), limit.to_string().into());
        }
        serde_json::json!({"id": id, "price": {"id": format!("price_{id}"), "metadata": metadata,
            "recurring": {"interval": "month", "usage_type": usage_type}}})
    };
    let subscription: Subscription = serde_json::from_value(serde_json::json!({
        "id": "sub", "status": "active", "items": {"data": [
            item("a", Some("feature:x@plan:p@1"), "metered", Some(10)),
            item("b", Some("feature:x@plan:q@1"), "metered", Some(5)),
            item("c", Some("feature:seat@plan:p@1"), "licensed", None),
            item("d", Some("feature:y@plan:p@1"), "metered", None),
            item("e", Some("feature:y@plan:q@1"), "metered", Some(3)),
            item("f", None, "metered", Some(3)),
            item("g", Some("feature:none@plan:p@1"), "metered", Some(0)),
        ]},
    }))
    .expect("a subscription");
    let units = [("a", 8), ("b", 1), ("d", 7)].map(|(id, n)| (id.to_owned(), n));
    let plans = SharedPlanData::default();
    let read = || {
        UsageSnapshot::new(
            &subscription,
            &units.clone().into(),
            &Carried::default(),
            &plans,
        )
    };
    let snapshot = read();
    let first = |snapshot: &UsageSnapshot| Arc::clone(&snapshot.items[0].sold);
    assert!(Arc::ptr_eq(&first(&snapshot), &first(&read())));
    assert_eq!(
        used(&snapshot),
        [
            row("feature:none", 0, 0),
            row("feature:seat", 1, NO_LIMIT),
            row("feature:x", 9, 15),
            row("feature:y", 7, NO_LIMIT),
        ]
    );
    let reported_on = |feature: &str| {
        let item = snapshot.metered_item(&feature.parse().expect("a name"));
        item.map(|item| item.id.to_string())
    };
    assert_eq!(reported_on("feature:x").as_deref(), Some("a"));
    assert_eq!(reported_on("feature:seat"), None);
    assert_eq!(reported_on("feature:other"), None);
}

#[test]
fn sums_stop_at_the_largest_number() {
    let mut one = item("a", "feature:x@plan:p@1", Kind::Sum, NO_LIMIT - 1);
    let mut other = item("b", "feature:x@plan:q@1", Kind::Sum, NO_LIMIT - 1);
    (one.used, other.used, other.before) = (i64::MAX - 1, 1, 1);
    one.before = other.before;
    let snapshot = snapshot(vec![one, other], 0, None);
    assert_eq!(used(&snapshot), [row("feature:x", i64::MAX, NO_LIMIT)]);
}

#[test]
fn a_report_is_added_where_it_is_known_what_it_did() {
    let items = vec![
        item("sum", "feature:sum@plan:p@1", Kind::Sum, 10),
        item("max", "feature:max@plan:p@1", Kind::Max, 10),
        item("last", "feature:last@plan:p@1", Kind::Last, 10),
    ];
    let snapshot = snapshot(items, 0, None);
    let after = |counted: ReportEffect| snapshot.with(&counted).map(|after| used(&after));
    let added = |item: &str| ReportEffect::Added {
        item: item.into(),
        n: 3,
    };
    let set = |item: &str| ReportEffect::Set {
        item: item.into(),
        n: 3,
    };
    let rows = |last, max, sum| {
        Some(vec![
            row("feature:last", last, 10),
            row("feature:max", max, 10),
            row("feature:sum", sum, 10),
        ])
    };
    assert_eq!(after(ReportEffect::None), rows(0, 0, 0));
    assert_eq!(after(added("sum")), rows(0, 0, 3));
    assert_eq!(after(set("last")), rows(3, 0, 0));
    for unknown in [
        ReportEffect::Unknown,
        added("max"),
        added("last"),
        added("gone"),
        set("sum"),
        set("max"),
    ] {
        assert_eq!(after(unknown.clone()), None, "{unknown:?}");
    }
}

#[test]
fn the_next_period_begins_with_nothing_used_and_what_is_perpetual_stays() {
    let kinds = [
        Kind::Sum,
        Kind::Max,
        Kind::Last,
        Kind::Perpetual,
        Kind::Licensed,
    ];
    let items = kinds.iter().enumerate().map(|(i, kind)| Item {
        used: 5,
        before: 2,
        ..item(&i.to_string(), &format!("feature:{i}@plan:p@1"), *kind, 10)
    });
    let snapshot = snapshot(items.collect(), 100, Some(200));
    let used = |now| -> Vec<i64> {
        let predicted = snapshot.at(now).expect("it is known");
        let rows = predicted.rows();
        rows.iter().map(|row| row.used).collect()
    };
    assert_eq!(used(99), [7, 5, 5, 5, 5]);
    assert_eq!(used(100), [0, 0, 0, 5, 5]);
    assert!(used(200).is_empty(), "it is cancelled");
    let changing = UsageSnapshot {
        changes_at: Some(150),
        ..snapshot
    };
    assert!(changing.at(149).is_some());
    assert!(changing.at(150).is_none(), "another plan is not remembered");
}
