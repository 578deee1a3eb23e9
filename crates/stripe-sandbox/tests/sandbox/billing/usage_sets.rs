//! Usage that is reported as a total, which is set repeatedly at one time of the running period.

use super::{DAY, START, World, number};

/// The end of the first period, which begins at `START`, on the last day of a year.
const END: i64 = START + 31 * DAY;

/// A subscription to one metered price.
struct Metered {
    world: World,
    customer: String,
    path: String,
}

impl Metered {
    async fn new(aggregate: &str) -> Self {
        let world = World::new().await;
        let customer = world.customer().await;
        let form = format!("unit_amount=1&recurring[aggregate_usage]={aggregate}");
        let price = world.metered(&form).await;
        let (_, item) = world
            .subscribe(&customer, &format!("items[0][price]={price}"))
            .await;
        let path = format!("/v1/subscription_items/{item}/usage_record");
        Self {
            world,
            customer,
            path,
        }
    }

    fn form(quantity: i64, at: i64) -> String {
        format!("quantity={quantity}&timestamp={at}&action=set")
    }

    async fn set(&self, quantity: i64, at: i64) {
        let path = format!("{}s", self.path);
        let record = self.world.api.post(&path, &Self::form(quantity, at)).await;
        let record = record.ok();
        assert_eq!(number(&record, "quantity"), quantity);
        assert_eq!(number(&record, "timestamp"), at);
    }

    async fn increment(&self, quantity: i64, at: i64) {
        let form = format!("quantity={quantity}&timestamp={at}&action=increment");
        self.world
            .api
            .post(&format!("{}s", self.path), &form)
            .await
            .ok();
    }

    async fn refused(&self, quantity: i64, at: i64) -> String {
        let path = format!("{}s", self.path);
        let reply = self.world.api.post(&path, &Self::form(quantity, at)).await;
        let (message, _, param) = reply.refused(400);
        assert_eq!(param, "timestamp");
        message
    }

    /// The usage of the running period.
    async fn used(&self) -> i64 {
        let list = self
            .world
            .api
            .get(&format!("{}_summaries", self.path))
            .await
            .ok();
        number(&list["data"][0], "total_usage")
    }

    /// The amount of the last renewal.
    async fn billed(&self) -> i64 {
        self.world.billed(&self.customer).await[0][0].0
    }
}

#[tokio::test]
async fn a_total_at_one_time_is_replaced_up_and_down() {
    let at = START + 60;
    for aggregate in ["sum", "max", "last_during_period", "last_ever"] {
        let metered = Metered::new(aggregate).await;
        for (day, total) in [(1, 5), (9, 70), (10, 70), (20, 0), (30, 12)] {
            metered.world.advance_to(START + day * DAY).await;
            metered.set(total, at).await;
            assert_eq!(metered.used().await, total, "{aggregate}");
        }
        metered.world.advance_to(END).await;
        assert_eq!(metered.billed().await, 12, "{aggregate}");
        let next = if aggregate == "last_ever" { 12 } else { 0 };
        assert_eq!(metered.used().await, next, "{aggregate}");
        // The next period has its own timestamp.
        metered.world.advance_to(END + DAY).await;
        metered.set(30, END + 1).await;
        assert_eq!(metered.used().await, 30, "{aggregate}");
        metered.world.advance_to(END + 29 * DAY).await;
        assert_eq!(metered.billed().await, 30, "{aggregate}");
    }
}

#[tokio::test]
async fn usage_at_other_times_is_not_replaced() {
    let (at, others) = (START + DAY, START + 2 * DAY);
    for (aggregate, ours, both, lowered) in [
        // The sum of both; the greater of both; the later of both.
        ("sum", 50, 54, 14),
        ("max", 50, 50, 10),
        ("last_during_period", 50, 4, 4),
        ("last_ever", 50, 4, 4),
    ] {
        let metered = Metered::new(aggregate).await;
        metered.world.advance_to(START + 3 * DAY).await;
        metered.set(50, at).await;
        assert_eq!(metered.used().await, ours, "{aggregate}");
        metered.increment(3, others).await;
        metered.increment(1, others).await;
        assert_eq!(metered.used().await, both, "{aggregate}");
        metered.set(10, at).await;
        assert_eq!(metered.used().await, lowered, "{aggregate}");
        metered.increment(2, at).await;
        metered.set(10, at).await;
        assert_eq!(metered.used().await, lowered, "{aggregate}");
    }
}

#[tokio::test]
async fn a_total_belongs_to_the_running_period() {
    let late = "Cannot create the usage record with this timestamp because timestamps must be after the subscription's last invoice period (or current period start time).";
    let early = "Cannot create the usage record with this timestamp because timestamps must not be in the future.";
    for aggregate in ["sum", "max", "last_during_period", "last_ever"] {
        let metered = Metered::new(aggregate).await;
        assert_eq!(metered.refused(1, START - 1).await, late);
        assert_eq!(metered.refused(1, START + 301).await, early);
        metered.set(1, START + 300).await;
        metered.set(2, START).await;
        metered.world.advance_to(END + 300).await;
        for (at, message) in [
            (END - 1, late),
            (START, late),
            (END + 601, early),
            (END + 40 * DAY, early),
        ] {
            assert_eq!(metered.refused(1, at).await, message, "{aggregate}");
        }
        metered.set(4, END).await;
        metered.set(5, END + 600).await;
        let used = if aggregate == "sum" { 9 } else { 5 };
        assert_eq!(metered.used().await, used, "{aggregate}");
    }
}

/// For sums, the total of the previous period may still be set in the first minutes of a period. Usage that was billed
/// is not billed again.
#[tokio::test]
async fn a_late_total_adds_only_the_difference() {
    let metered = Metered::new("sum").await;
    let at = START + DAY;
    metered.world.advance_to(END - 60).await;
    metered.set(100, at).await;
    metered.set(7, END - 200).await;
    metered.world.advance_to(END + 60).await;
    assert_eq!(metered.billed().await, 107);
    let too_old = metered.refused(110, at).await;
    assert!(too_old.starts_with("Cannot create"), "{too_old}");
    for (total, used) in [(7, 0), (9, 2), (9, 2), (20, 13), (10, 3)] {
        metered.set(total, END - 200).await;
        assert_eq!(metered.used().await, used);
    }
    metered.increment(5, END - 200).await;
    assert_eq!(metered.used().await, 8);
    metered.set(40, END + 1).await;
    assert_eq!(metered.used().await, 48);
    // Billed usage cannot be reduced.
    metered.set(1, END - 200).await;
    assert_eq!(metered.used().await, 40);
}
