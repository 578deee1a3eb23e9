//! The total that customers owe, according to Stripe.

use serde_json::Value;

use crate::harness::TestApp;

/// The total of all invoices and pending items, minus credits, in cents, for one customer or for all.
pub(crate) async fn owed(app: &TestApp, customer: Option<&str>) -> i64 {
    let customer = customer.map(|id| format!("&customer={id}"));
    let customer = customer.unwrap_or_default();
    let list = async |path: &str| {
        let list = app.stripe_get(&format!("{path}limit=100{customer}")).await;
        assert_eq!(list["has_more"], false, "all of {path} is read");
        list["data"].as_array().expect("a list").clone()
    };
    let sum = |list: &[Value], field: &str| -> i64 {
        let live = list.iter().filter(|one| one["status"] != "void");
        live.filter_map(|one| one[field].as_i64()).sum()
    };
    let invoices = list("/v1/invoices?").await;
    let pending = list("/v1/invoiceitems?pending=true&").await;
    let mut notes = list("/v1/credit_notes?").await;
    let is_void = |note: &Value| {
        let own = invoices
            .iter()
            .find(|invoice| invoice["id"] == note["invoice"]);
        own.is_some_and(|invoice| invoice["status"] == "void")
    };
    notes.retain(|note| !is_void(note));
    sum(&invoices, "total") + sum(&pending, "amount") - sum(&notes, "amount")
}
