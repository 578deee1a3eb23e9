//! What a change keeps if the request does not mention it, and which changes are refused.

use super::*;

/// The phases after a change of [`subscription`] now.
fn changed(now: i64, requested: &[ResolvedPhase]) -> Vec<NewPhase> {
    let sub = subscription(Some(&schedule_json("active", None)));
    match decide(CurrentState::Subscribed(&sub), requested, now) {
        Action::Replace(_, plan) => plan.phases,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_phase_changes_in_place_with_the_same_items_or_in_its_first_second() {
    let same = changed(NOW, &[request(None, &["price_use", "price_old"])]);
    let mut in_place = next(None, "ten", &["price_use", "price_old"]);
    in_place.items[1].quantity = Some(3);
    assert_eq!(same, [in_place]);
    assert_eq!(
        changed(START, &[request(None, &["p"])]),
        [next(None, "ten", &["p"])]
    );
    // A trial that begins or ends is another phase.
    let trial = ResolvedPhase {
        trial: true,
        ..request(None, &["price_use", "price_old"])
    };
    assert_eq!(changed(NOW, &[trial]).len(), 2);
}

#[test]
fn a_quantity_follows_the_name_of_its_feature() {
    let named = |name: &str, price: &str, metered| PricedFeature {
        name: name.parse().expect("a name"),
        metered,
        ..sold(price)
    };
    let requested = ResolvedPhase {
        features: vec![
            named("feature:use@plan:q@1", "new_use", true),
            named("feature:seat@plan:q@1", "new_seat", false),
            named("feature:seat@plan:r@1", "other_seat", false),
        ],
        ..request(None, &[])
    };
    let phases = changed(NOW, &[requested]);
    assert_eq!(
        phases[1].items,
        [
            item("new_use", None),
            item("new_seat", Some(3)),
            item("other_seat", None),
            foreign()
        ]
    );
}

#[test]
fn a_coupon_stays_until_a_phase_changes_it() {
    let with = |coupon: Option<&str>, effective, price: &str| ResolvedPhase {
        coupon: coupon.map(str::to_owned),
        ..request(effective, &[price])
    };
    let coupons = |requested: &[ResolvedPhase]| -> Vec<Option<String>> {
        let phases = changed(NOW, requested).into_iter().skip(1);
        phases.map(|phase| phase.coupon).collect()
    };
    let some = |coupon: &str| Some(coupon.to_owned());
    assert_eq!(coupons(&[with(None, None, "p")]), [some("ten")]);
    assert_eq!(coupons(&[with(Some(""), None, "p")]), [None]);
    assert_eq!(
        coupons(&[
            with(None, None, "p"),
            with(Some("new"), Some(LATER), "q"),
            with(None, Some(LATEST), "r")
        ]),
        [some("ten"), some("new"), None]
    );
}

#[test]
fn a_change_sets_tax_and_payment_method() {
    let sub = subscription(Some(&schedule_json("active", None)));
    let change = PlanChange {
        requested: &[request(None, &["p"])],
        appends: false,
        automatic_tax: Some(false),
        payment_method: Some("pm_new"),
        unmetered: None,
        now: NOW,
    };
    let Action::Replace(_, plan) = super::super::decide(CurrentState::Subscribed(&sub), change)
    else {
        panic!("a subscription with a schedule")
    };
    assert_eq!(
        (plan.automatic_tax, plan.payment_method.as_deref()),
        (false, Some("pm_new"))
    );
}

#[test]
fn changes_that_stripe_would_refuse_are_refused() {
    let sub = subscription(None);
    let current_plan = CurrentPlan::of(CurrentState::Subscribed(&sub), NOW);
    let billed = |every: &str, currency: &str| PricedFeature {
        billing: BillingTerms {
            every: Some((every.to_owned().into(), 1)),
            currency: currency.into(),
        },
        ..sold("p")
    };
    let check = |current_plan: &CurrentPlan, features: &[PricedFeature]| {
        current_plan
            .check(features)
            .map_err(|error| error.to_string())
    };
    let nothing = CurrentPlan::default();
    assert_eq!(check(&nothing, &[billed("year", "eur")]), Ok(()));
    assert_eq!(check(&current_plan, &[billed("month", "usd")]), Ok(()));
    for (current_plan, features, word) in [
        (
            &nothing,
            vec![billed("month", "usd"), billed("year", "usd")],
            "interval",
        ),
        (
            &nothing,
            vec![billed("month", "usd"), billed("month", "eur")],
            "currency field",
        ),
        // The item that is not Tier's is billed monthly, in dollars.
        (&current_plan, vec![billed("year", "usd")], "interval"),
        (&current_plan, vec![billed("month", "eur")], "currency"),
        (
            &current_plan,
            vec![billed("month", "usd"); 20],
            "21 were given",
        ),
    ] {
        let refused = check(current_plan, &features).expect_err(word);
        assert!(refused.contains(word), "{refused}");
    }
}
