//! Customers and their payment methods.

use serde::Deserialize;
use serde_json::Value;

use super::object::{Metadata, Object, default_method, identified};
use super::{Ack, Billing, ListPage, Subscription, Write};
use crate::stripe::{Error, Form, Page};

const CUSTOMERS: &str = "/v1/customers";
const CUSTOMER: &str = "/v1/customers/*";

/// How many customers a call reads.
const PAGE: u32 = 100;

/// A customer.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Customer {
    /// `cus_…`.
    pub id: String,
    /// Whether it was deleted. Stripe answers with a stub for a deleted customer.
    pub deleted: bool,
    /// Unix seconds.
    pub created: i64,
    /// E-mail address.
    pub email: Option<String>,
    /// Display name.
    pub name: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// Phone number.
    pub phone: Option<String>,
    /// Its metadata.
    pub metadata: Metadata,
    /// The test clock that it is on: `clock_…`.
    pub test_clock: Option<String>,
    /// The payment method of its invoices: `pm_…`.
    #[serde(rename = "invoice_settings", deserialize_with = "default_method")]
    pub default_payment_method: Option<String>,
    /// The currency that it pays subscriptions in. Stripe sets it with the first one, or the first invoice.
    pub currency: Option<String>,
    /// Its subscriptions that have not ended, if expanded.
    pub subscriptions: Option<ListPage<Subscription>>,
}

/// A payment method.
#[derive(Clone, Debug, Deserialize)]
pub struct PaymentMethod {
    /// `pm_…`.
    pub id: String,
    /// The customer that it is attached to.
    #[serde(default)]
    pub customer: Option<String>,
}

identified!(Customer);

/// An update of a customer. None leaves a field as it is, and an empty text unsets it.
#[derive(Clone, Debug, Default)]
pub struct CustomerUpdate<'a> {
    /// E-mail address.
    pub email: Option<&'a str>,
    /// Display name.
    pub name: Option<&'a str>,
    /// Free text.
    pub description: Option<&'a str>,
    /// Phone number.
    pub phone: Option<&'a str>,
    /// Its metadata.
    pub metadata: Metadata,
    /// The default payment method of invoices: `pm_…`.
    pub default_payment_method: Option<&'a str>,
}

impl CustomerUpdate<'_> {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.form().is_empty()
    }

    fn form(&self) -> Form {
        let mut form = Form::new();
        form.push_some("email", self.email);
        form.push_some("name", self.name);
        form.push_some("description", self.description);
        form.push_some("phone", self.phone);
        form.push_metadata(&self.metadata);
        form.push_some(
            "invoice_settings[default_payment_method]",
            self.default_payment_method,
        );
        form
    }
}

/// A customer to create.
#[derive(Clone, Debug)]
pub struct NewCustomer<'a> {
    /// The metadata pair that identifies it.
    pub mark: (&'a str, &'a str),
    /// The test clock that it is on: `clock_…`.
    pub test_clock: Option<&'a str>,
    /// A payment method to attach.
    pub payment_method: Option<&'a str>,
    /// Its other fields.
    pub details: CustomerUpdate<'a>,
}

impl Billing<'_> {
    /// A customer, or the stub of a deleted one.
    pub async fn customer(self, id: &str) -> Result<Customer, Error> {
        self.get((CUSTOMER, id)).send().await
    }

    /// A customer, with its subscriptions that have not ended.
    pub async fn customer_with_subscriptions(self, id: &str) -> Result<Customer, Error> {
        let request = self.get((CUSTOMER, id));
        request.expand("subscriptions").send().await
    }

    /// A page of the customers that search finds for a metadata pair. `next` is that of the page before. Search lags
    /// behind, and ignores case.
    pub async fn search_customers(
        self,
        pair: (&str, &str),
        next: Option<&str>,
    ) -> Result<ListPage<Customer>, Error> {
        let request = self.get("/v1/customers/search").param("limit", PAGE);
        let request = request.param("query", query(pair));
        let page: Page<Customer> = request.param_some("page", next).send().await?;
        Ok(ListPage {
            items: page.data,
            next: page.next_page.filter(|_| page.has_more),
        })
    }

    /// A page of all customers, newest first, starting after the customer `last`.
    pub async fn customers_after(self, last: Option<&str>) -> Result<ListPage<Customer>, Error> {
        let request = self.get(CUSTOMERS).param("limit", PAGE);
        request.param_some("starting_after", last).send().await
    }

    /// A page of the customers on a test clock, or on none, newest first, with their subscriptions that have not ended,
    /// starting after the customer `last`.
    pub async fn customers_with_subscriptions(
        self,
        test_clock: Option<&str>,
        last: Option<&str>,
        limit: usize,
    ) -> Result<ListPage<Customer>, Error> {
        let request = self.get(CUSTOMERS).param("limit", limit);
        let request = request.param_some("test_clock", test_clock);
        let request = request.param_some("starting_after", last);
        request.expand("data.subscriptions").send().await
    }

    /// The customers created since a time (Unix seconds), newest first.
    pub async fn customers_since(self, time: i64) -> Result<Vec<Customer>, Error> {
        let request = self.get(CUSTOMERS).param("created[gte]", time);
        request.list().await
    }

    /// The newest hundred of the customers created since a time (Unix seconds).
    pub async fn newest_customers_since(self, time: i64) -> Result<Vec<Customer>, Error> {
        let request = self.get(CUSTOMERS).param("created[gte]", time);
        let page: Page<Customer> = request.param("limit", PAGE).send().await?;
        Ok(page.data)
    }

    /// The customers on a test clock, newest first.
    pub async fn customers_on(self, test_clock: &str) -> Result<Vec<Customer>, Error> {
        let request = self.get(CUSTOMERS).param("test_clock", test_clock);
        request.list().await
    }

    /// Whether a customer ever had a subscription, a schedule or a Checkout session.
    pub async fn is_customer_used(self, id: &str) -> Result<bool, Error> {
        let list = |path| self.get(path).param("customer", id).param("limit", 1);
        for list in [
            list("/v1/subscriptions").param("status", "all"),
            list("/v1/subscription_schedules"),
            list("/v1/checkout/sessions"),
        ] {
            let page: Page<Object> = list.send().await?;
            if !page.data.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The payment methods attached to a customer, as Stripe returns them.
    pub async fn payment_methods(self, customer: &str) -> Result<Vec<Value>, Error> {
        let path = ("/v1/customers/*/payment_methods", customer);
        self.get(path).list().await
    }

    /// A payment method.
    pub async fn payment_method(self, id: &str) -> Result<PaymentMethod, Error> {
        self.get(("/v1/payment_methods/*", id)).send().await
    }
}

impl Billing<'_> {
    /// Creates a customer.
    pub fn create_customer(self, new: &NewCustomer<'_>) -> Write<Customer> {
        let (key, value) = new.mark;
        let request = self
            .post(CUSTOMERS)
            .param(format!("metadata[{key}]"), value)
            .param_some("test_clock", new.test_clock)
            .param_some("payment_method", new.payment_method);
        Write::new(request.form(new.details.form()))
    }

    /// Updates a customer.
    pub fn update_customer(self, id: &str, update: &CustomerUpdate<'_>) -> Write<Customer> {
        Write::new(self.post((CUSTOMER, id)).form(update.form()))
    }

    /// Updates a customer. The answer has its subscriptions.
    pub fn update_customer_and_read_subscriptions(
        self,
        id: &str,
        update: &CustomerUpdate<'_>,
    ) -> Write<Customer> {
        let request = self.post((CUSTOMER, id)).form(update.form());
        Write::new(request.expand("subscriptions"))
    }

    /// Deletes a customer and everything that belongs to it.
    pub async fn delete_customer(self, id: &str) -> Result<Ack, Error> {
        self.delete((CUSTOMER, id)).send().await
    }

    /// Attaches a payment method, or the card that a test token such as `pm_card_us` stands for.
    pub fn attach_payment_method(self, id: &str, customer: &str) -> Write<PaymentMethod> {
        let path = ("/v1/payment_methods/*/attach", id);
        Write::new(self.post(path).param("customer", customer))
    }

    /// Detaches a payment method from its customer.
    pub fn detach_payment_method(self, id: &str) -> Write<Ack> {
        Write::new(self.post(("/v1/payment_methods/*/detach", id)))
    }
}

/// A search for a metadata pair. Stripe's query language quotes with `'` and escapes with `\`.
fn query((key, value): (&str, &str)) -> String {
    let mut escaped = String::with_capacity(value.len() + 24);
    for character in value.chars() {
        if matches!(character, '\'' | '\\') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    format!("metadata['{key}']:'{escaped}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_escapes_quotes_and_backslashes() {
        assert_eq!(
            query(("tier.org", r"org:o'neil\x")),
            r"metadata['tier.org']:'org:o\'neil\\x'"
        );
    }
}
