use super::*;
use crate::domain::CallerState;
use crate::domain::entitlement::ReportEffect;
use crate::ledger::values::PlanNumber;

fn store() -> Arc<Entitlements> {
    Arc::new(Entitlements::new(10, MaxAge::default()))
}

fn key() -> OrgKey {
    (0, "org:a".parse().expect("an org"))
}

fn entry() -> Entry<UsageSnapshot> {
    Entry {
        value: Arc::default(),
        read_at: 0,
        until: None,
        terms: Some(Terms::named("sub_1")),
        is_outdated: false,
        plan: PlanNumber::default(),
    }
}

fn is_kept(store: &Entitlements) -> bool {
    let found = store.get::<UsageSnapshot>(&key(), 0);
    found.is_some_and(|(entry, _)| !entry.is_outdated)
}

#[test]
fn a_read_that_a_write_may_have_overtaken_is_not_kept() {
    let customer: Arc<str> = "cus_1".into();
    let quiet = store();
    let reader = quiet.enter(&key());
    let begun = reader.begin();
    assert_eq!(reader.remember(begun, &customer, &entry()), Overtaken::No);
    assert!(is_kept(&quiet));
    drop(reader);
    assert!(quiet.activities().is_empty());

    // The write began and ended before the read; began before and ended after; began and ended during it; began during
    // it.
    for (before, ends_before, after) in [
        (true, true, false),
        (true, false, false),
        (false, false, true),
    ] {
        let store = store();
        let reader = store.enter(&key());
        let early = before.then(|| store.begin_usage(key()));
        let early = early.filter(|_| !ends_before);
        let begun = reader.begin();
        drop(early);
        drop(after.then(|| store.begin_usage(key())));
        let kept = reader.remember(begun, &customer, &entry());
        let expected = if ends_before {
            Overtaken::No
        } else {
            Overtaken::ByUsage
        };
        assert_eq!(kept, expected, "{before} {ends_before} {after}");
    }

    let changed = store();
    let reader = changed.enter(&key());
    let begun = reader.begin();
    drop(changed.begin_change(key(), CallerState::default()));
    assert_eq!(
        reader.remember(begun, &customer, &entry()),
        Overtaken::ByChange
    );
    let begun = reader.begin();
    changed.outdate(&key());
    assert_eq!(
        reader.remember(begun, &customer, &entry()),
        Overtaken::ByChange
    );
    let (of_usage, of_phase) = (
        reader.generation::<UsageSnapshot>(),
        reader.generation::<CachedPhase>(),
    );
    drop(changed.begin_usage(key()));
    assert_ne!(reader.generation::<UsageSnapshot>(), of_usage);
    assert_eq!(reader.generation::<CachedPhase>(), of_phase);
}

#[test]
fn a_purchase_is_expected_until_the_org_has_another_subscription() {
    let store = store();
    let customer: Arc<str> = "cus_1".into();
    let read = |subscription: Option<&str>, read_at| {
        let entry = Entry {
            terms: subscription.map(Terms::named),
            read_at,
            ..entry()
        };
        let reader = store.enter(&key());
        let kept = reader.remember(reader.begin(), &customer, &entry);
        assert_eq!(kept, Overtaken::No);
        store
            .get::<UsageSnapshot>(&key(), read_at)
            .expect("it was kept")
            .1
    };
    let open = |prior| {
        store.expect_purchase(&key(), Purchase { until: 100, prior });
    };
    for known in [
        PriorSubscription::Known(Some(IdDigest::of("sub_1"))),
        PriorSubscription::Unknown,
    ] {
        open(known);
        assert!(read(Some("sub_1"), 1));
        assert!(read(None, 2), "the old one has ended");
        assert!(!read(Some("sub_2"), 3));
    }
    open(PriorSubscription::Known(None));
    assert!(!read(Some("sub_1"), 1));
    open(PriorSubscription::Unknown);
    assert!(!read(None, 100), "the page has expired");
}

#[test]
fn a_change_forgets_an_org_and_an_event_outdates_it() {
    let store = store();
    let customer: Arc<str> = "cus_1".into();
    let keep = || {
        let reader = store.enter(&key());
        let kept = reader.remember(reader.begin(), &customer, &entry());
        assert_eq!(kept, Overtaken::No);
    };
    keep();
    assert_eq!(store.org_of(0, "cus_1"), Some(key().1));
    assert_eq!(store.org_of(1, "cus_1"), None);
    store.outdate(&key());
    assert_eq!(store.org_of(0, "cus_2"), None);
    let outdated = store.get::<UsageSnapshot>(&key(), 0);
    assert!(outdated.expect("it serves in an outage").0.is_outdated);
    keep();
    store.outdate_all(-1);
    assert!(is_kept(&store), "it was read later");
    store.outdate_all(0);
    assert!(!is_kept(&store));
    store.outdated_until.store(-1, Ordering::Relaxed);
    keep();
    drop(store.begin_change(key(), CallerState::default()));
    assert!(store.get::<UsageSnapshot>(&key(), 0).is_none());
    keep();
    drop(store.begin_usage(key()));
    assert!(!is_kept(&store), "its outcome is not known");
    keep();
    store.begin_usage(key()).record_effect(ReportEffect::None);
    assert!(is_kept(&store));
    assert!(store.activities().is_empty());
}

#[test]
fn unused_orgs_are_evicted() {
    let store = store();
    let keep = |n: u32| {
        let key = (0, format!("org:{n}").parse().expect("an org"));
        let customer = format!("cus_{n}").into();
        let reader = store.enter(&key);
        assert_eq!(
            reader.remember(reader.begin(), &customer, &entry()),
            Overtaken::No
        );
        key
    };
    let keys: Vec<OrgKey> = (0..100).map(keep).collect();
    let remembered = keys
        .iter()
        .filter(|key| store.get::<UsageSnapshot>(key, 0).is_some());
    assert!(
        (1..=10).contains(&remembered.count()),
        "{}",
        store.orgs.len()
    );
    for (n, key) in keys.iter().enumerate() {
        let is_remembered = store.get::<UsageSnapshot>(key, 0).is_some();
        let found = store.org_of(0, &format!("cus_{n}"));
        assert_eq!(
            found.is_some(),
            is_remembered,
            "the index has exactly the remembered orgs"
        );
    }
}
