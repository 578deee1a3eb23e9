//! The next phase of a schedule in both billing modes.

use serde_json::Value;

use super::super::billing::{DAY, number};
use super::{APRIL, MAY, Metered};

const CLASSIC: &str = "billing_mode[type]=classic";

const FLEXIBLE: &str = "billing_mode[type]=flexible";

/// The middle of April.
const MIDDLE: i64 = APRIL + 15 * DAY;

/// A schedule that drops the metered item at a time, and the invoices at that time, newest first.
async fn dropped_by_a_phase(
    mode: &str,
    behavior: &str,
    at: i64,
) -> (Metered, Vec<Vec<(i64, i64)>>) {
    let metered = Metered::new().await;
    let base = metered.world.price("unit_amount=1000").await;
    let price = metered.price("unit_amount=5").await;
    let form = format!(
        "{mode}&phases[0][items][0][price]={base}&phases[0][items][1][price]={price}\
         &phases[0][end_date]={at}&phases[1][items][0][price]={base}\
         &phases[1][proration_behavior]={behavior}"
    );
    metered.world.schedule(&metered.customer, &form).await;
    let first = metered.billed().await.len();
    metered.report("10").await;
    metered.world.advance_to(at).await;
    let mut billed = metered.billed().await;
    billed.truncate(billed.len() - first);
    (metered, billed)
}

#[tokio::test]
async fn usage_of_an_item_that_a_phase_drops_goes_by_the_phase_in_flexible() {
    for (mode, behavior, at_once, at_end) in [
        (
            CLASSIC,
            "create_prorations",
            vec![vec![(10, 50)]],
            vec![(1, 1000)],
        ),
        (CLASSIC, "none", vec![vec![(10, 50)]], vec![(1, 1000)]),
        (
            FLEXIBLE,
            "create_prorations",
            vec![],
            vec![(10, 50), (1, 1000)],
        ),
        (
            FLEXIBLE,
            "always_invoice",
            vec![vec![(10, 50)]],
            vec![(1, 1000)],
        ),
        (FLEXIBLE, "none", vec![], vec![(1, 1000)]),
    ] {
        let (metered, billed) = dropped_by_a_phase(mode, behavior, MIDDLE).await;
        assert_eq!(billed, at_once, "{mode} {behavior}");
        metered.world.advance_to(MAY).await;
        assert_eq!(metered.billed().await[0], at_end, "{mode} {behavior}");
    }
}

#[tokio::test]
async fn at_a_periods_end_flexible_has_one_invoice() {
    for (mode, expected) in [
        (CLASSIC, vec![vec![(1, 1000)], vec![(10, 50)]]),
        (FLEXIBLE, vec![vec![(10, 50), (1, 1000)]]),
    ] {
        for behavior in ["create_prorations", "always_invoice", "none"] {
            let (_, billed) = dropped_by_a_phase(mode, behavior, MAY).await;
            assert_eq!(billed, expected, "{mode} {behavior}");
        }
    }
}

#[tokio::test]
async fn usage_has_the_discount_of_its_phase_on_the_one_invoice_of_flexible() {
    // The usage of the item that stays and of the one that is removed is 50 each.
    for (coupons, expected) in [
        (["50", ""], [25, 25, 0]),
        (["", "50"], [0, 0, 500]),
        (["50", "20"], [25, 25, 200]),
    ] {
        let metered = Metered::new().await;
        let base = metered.world.price("unit_amount=1000").await;
        let stays = metered.price("unit_amount=5").await;
        let goes = metered.price("unit_amount=5").await;
        let mut form = vec![format!(
            "{FLEXIBLE}&phases[0][items][0][price]={base}&phases[0][items][1][price]={stays}\
             &phases[0][items][2][price]={goes}&phases[0][end_date]={MAY}\
             &phases[1][items][0][price]={base}&phases[1][items][1][price]={stays}"
        )];
        for (index, percent) in coupons.iter().enumerate() {
            if !percent.is_empty() {
                let coupon = format!("percent_off={percent}");
                let coupon = metered.world.coupon(&coupon).await;
                form.push(format!("phases[{index}][discounts][0][coupon]={coupon}"));
            }
        }
        let form = form.join("&");
        metered.world.schedule(&metered.customer, &form).await;
        metered.report("10").await;
        metered.world.advance_to(MAY).await;
        let invoice = &metered.world.invoices(&metered.customer).await[0];
        let lines = invoice["lines"]["data"].as_array().expect("lines");
        let off = |line: &Value| line["discount_amounts"][0]["amount"].as_i64().unwrap_or(0);
        let mut off: Vec<(i64, i64)> = lines
            .iter()
            .map(|line| (number(line, "amount"), off(line)))
            .collect();
        off.sort_unstable();
        let [stays, goes, base] = expected;
        assert_eq!(off, [(50, stays), (50, goes), (1000, base)], "{coupons:?}");
        let total: i64 = expected.iter().sum();
        assert_eq!(number(invoice, "total"), 1100 - total, "{coupons:?}");
        let of_all = invoice["total_discount_amounts"]
            .as_array()
            .expect("a list");
        let of_all: i64 = of_all.iter().map(|one| number(one, "amount")).sum();
        assert_eq!(of_all, total, "{coupons:?}");
    }
}

#[tokio::test]
async fn what_a_phase_adds_at_a_periods_end_is_on_the_invoice_of_the_renewal() {
    for (mode, expected) in [
        (CLASSIC, vec![(1, 300), (1, 1000), (0, 0)]),
        (FLEXIBLE, vec![(1, 300), (1, 1000)]),
    ] {
        let metered = Metered::new().await;
        let base = metered.world.price("unit_amount=1000").await;
        let price = metered.price("unit_amount=5").await;
        let form = format!(
            "{mode}&phases[0][items][0][price]={base}&phases[0][end_date]={MAY}\
             &phases[1][items][0][price]={base}&phases[1][items][1][price]={price}\
             &phases[1][proration_behavior]=always_invoice"
        );
        metered.world.schedule(&metered.customer, &form).await;
        let item = format!("customer={}&currency=usd&amount=300", metered.customer);
        metered.world.api.post("/v1/invoiceitems", &item).await.ok();
        metered.world.advance_to(MAY).await;
        let billed = metered.billed().await;
        assert_eq!(billed, [expected, vec![(1, 1000)]], "{mode}");
    }
}

#[tokio::test]
async fn a_credit_note_names_the_discount_of_each_line() {
    let metered = Metered::new().await;
    let base = metered.world.price("unit_amount=1000").await;
    let price = metered.price("unit_amount=5").await;
    let coupons = [
        metered.world.coupon("percent_off=50").await,
        metered.world.coupon("percent_off=20").await,
    ];
    let phase = |index: usize| {
        format!(
            "phases[{index}][items][0][price]={base}&phases[{index}][items][1][price]={price}\
             &phases[{index}][discounts][0][coupon]={}",
            coupons[index]
        )
    };
    let form = format!(
        "{}&{}&phases[0][end_date]={MAY}&{FLEXIBLE}",
        phase(0),
        phase(1)
    );
    metered.world.schedule(&metered.customer, &form).await;
    metered.report("10").await;
    metered.world.advance_to(MAY).await;
    let invoice = &metered.world.invoices(&metered.customer).await[0];
    let lines = invoice["lines"]["data"].as_array().expect("lines");
    let credited = lines.iter().enumerate().map(|(index, line)| {
        let id = line["id"].as_str().expect("an id");
        format!(
            "lines[{index}][type]=invoice_line_item&lines[{index}][invoice_line_item]={id}\
             &lines[{index}][amount]={}",
            number(line, "amount")
        )
    });
    let credited: Vec<String> = credited.collect();
    let form = format!(
        "invoice={}&{}&credit_amount={}",
        invoice["id"].as_str().expect("an id"),
        credited.join("&"),
        number(invoice, "total")
    );
    let older = metered.world.api.header("stripe-version", "2022-11-15");
    let note = older.post("/v1/credit_notes", &form).await.ok();
    let amounts = note["discount_amounts"].as_array().expect("a list");
    let amounts: Vec<i64> = amounts.iter().map(|one| number(one, "amount")).collect();
    // 20 % of the base, and 50 % of the usage.
    assert_eq!(amounts, [200, 25]);
    assert_eq!(note["discount_amounts"], invoice["total_discount_amounts"]);
}

/// If all monthly items are removed at the period's end, there is no monthly renewal, and the yearly one comes much
/// later.
#[tokio::test]
async fn an_interval_that_a_phase_drops_at_its_end_is_invoiced_then() {
    for behavior in ["create_prorations", "always_invoice", "none"] {
        let metered = Metered::new().await;
        let form =
            "currency=usd&unit_amount=12000&recurring[interval]=year&product_data[name]=Year";
        let yearly = metered.world.api.create("/v1/prices", form).await;
        let price = metered.price("unit_amount=5").await;
        let form = format!(
            "{FLEXIBLE}&phases[0][items][0][price]={yearly}&phases[0][items][1][price]={price}\
             &phases[0][end_date]={MAY}&phases[1][items][0][price]={yearly}\
             &phases[1][proration_behavior]={behavior}"
        );
        metered.world.schedule(&metered.customer, &form).await;
        metered.report("10").await;
        metered.world.advance_to(MAY).await;
        let billed = metered.billed().await;
        assert_eq!(billed, [vec![(10, 50)], vec![(1, 12000)]], "{behavior}");
    }
}

/// The first phase's coupon was for one invoice, so both phases end up with the customer's coupon.
#[tokio::test]
async fn a_coupon_of_the_customer_is_taken_off_once() {
    let metered = Metered::new().await;
    let own = metered.world.coupon("amount_off=500&currency=usd").await;
    let path = format!("/v1/customers/{}", metered.customer);
    let form = format!("coupon={own}");
    let older = metered.world.api.header("stripe-version", "2022-11-15");
    older.post(&path, &form).await.ok();
    let once = metered.world.coupon("percent_off=10&duration=once").await;
    let base = metered.world.price("unit_amount=2000").await;
    let price = metered.price("unit_amount=5").await;
    let items = |phase: u32| {
        format!("phases[{phase}][items][0][price]={base}&phases[{phase}][items][1][price]={price}")
    };
    let form = format!(
        "{FLEXIBLE}&{}&phases[0][discounts][0][coupon]={once}&phases[0][end_date]={MAY}&{}",
        items(0),
        items(1)
    );
    metered.world.schedule(&metered.customer, &form).await;
    metered.report("200").await;
    metered.world.advance_to(MAY).await;
    let invoices = metered.world.invoices(&metered.customer).await;
    assert_eq!(number(&invoices[0], "subtotal"), 3000);
    assert_eq!(number(&invoices[0], "total"), 2500);
}
