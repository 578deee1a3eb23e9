//! Invoices. Stripe finalizes most of them about an hour after their creation. By default, the sandbox does so at once
//! (our choice), so that tests need not wait; see [`Options::invoice_draft`](crate::Options::invoice_draft).

mod actions;
mod create_preview;
mod drafts;
mod preview;
pub(crate) mod previews;
pub(crate) mod routes;
pub(crate) mod view;

use super::customer::{self, Customer};
use super::discount::Discount;
use crate::money::currency::Currency;
use crate::money::lines::Line;
use crate::params::metadata::Metadata;
use crate::store::ids::Id;
use crate::store::table::Row;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// Not final yet.
    Draft,
    Open,
    Paid,
    /// Collection has stopped, but the invoice can still be paid.
    Uncollectible,
    Void,
}

impl Status {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Open => "open",
            Self::Paid => "paid",
            Self::Uncollectible => "uncollectible",
            Self::Void => "void",
        }
    }
}

/// Why an invoice was made: Stripe's `billing_reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Create,
    Cycle,
    Update,
    /// A request made it.
    Manual,
    Upcoming,
}

impl Reason {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Create => "subscription_create",
            Self::Cycle => "subscription_cycle",
            Self::Update => "subscription_update",
            Self::Manual => "manual",
            Self::Upcoming => "upcoming",
        }
    }
}

/// A line and the objects that it belongs to.
#[derive(Clone, Debug)]
pub(crate) struct InvoiceLine {
    pub(crate) id: Id,
    pub(crate) line: Line,
    pub(crate) price: Option<Id>,
    pub(crate) item: Option<Id>,
    /// The invoice item of the line; the subscription's own lines have none.
    pub(crate) invoice_item: Option<Id>,
    /// The discount on this line, in cents.
    pub(crate) discount: i64,
}

/// The discount of usage, if the invoiced period had another discount than the next period.
#[derive(Clone, Debug)]
pub(crate) struct UsageDiscount {
    pub(crate) discount: Option<Discount>,
    /// The metered prices.
    pub(crate) prices: Vec<Id>,
}

impl UsageDiscount {
    pub(crate) fn applies_to(&self, line: &InvoiceLine) -> bool {
        line.price
            .as_ref()
            .is_some_and(|price| self.prices.contains(price))
    }
}

/// The amounts of credit notes, in cents.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Credited {
    /// Credited before payment; this lowered the amount due.
    pub(crate) before_payment: i64,
    /// Credited after payment.
    pub(crate) after_payment: i64,
}

/// Stripe's `automatic_tax.status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TaxStatus {
    Complete,
    /// Stripe does not recognize the customer's location and would not finalize the invoice. The sandbox finalizes it
    /// without taxes (our choice), because a schedule can start in this state.
    RequiresLocationInputs,
}

impl TaxStatus {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::RequiresLocationInputs => "requires_location_inputs",
        }
    }

    /// The status for a customer.
    pub(crate) fn of(customer: &Customer) -> Self {
        if customer::tax_location::is_recognized(customer) {
            Self::Complete
        } else {
            Self::RequiresLocationInputs
        }
    }
}

/// The payment attempts of an invoice.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Attempts {
    /// The number of attempts that count. An attempt that waits for authentication may not count yet.
    pub(crate) count: u32,
    pub(crate) any: bool,
}

/// The texts and settings of an invoice.
#[derive(Clone, Debug, Default)]
pub(crate) struct InvoiceDetails {
    pub(crate) default_payment_method: Option<Id>,
    pub(crate) description: Option<String>,
    pub(crate) footer: Option<String>,
    pub(crate) metadata: Metadata,
}

#[derive(Clone, Debug)]
pub(crate) struct Invoice {
    /// Empty for an upcoming invoice.
    pub(crate) id: Id,
    pub(crate) customer: Id,
    /// An invoice made by a request may have none.
    pub(crate) subscription: Option<Id>,
    pub(crate) clock: Option<Id>,
    pub(crate) created: i64,
    pub(crate) currency: Currency,
    pub(crate) number: Option<String>,
    /// The URL of the sandbox's page about it, once it is final.
    pub(crate) hosted_url: Option<String>,
    pub(crate) status: Status,
    pub(crate) reason: Reason,
    /// The period that the invoice closes; for a first invoice, both ends are its creation.
    pub(crate) period: (i64, i64),
    pub(crate) lines: Vec<InvoiceLine>,
    pub(crate) discount: Option<Discount>,
    pub(crate) usage_discount: Option<UsageDiscount>,
    pub(crate) subtotal: i64,
    pub(crate) total: i64,
    pub(crate) starting_balance: i64,
    pub(crate) ending_balance: i64,
    /// The amount due, after credit notes.
    pub(crate) amount_due: i64,
    /// Stripe's `auto_advance`: whether it is finalized and collected automatically.
    pub(crate) auto_advance: bool,
    pub(crate) attempts: Attempts,
    pub(crate) paid_out_of_band: bool,
    pub(crate) credited: Credited,
    /// The payment intent; there is none if nothing is due.
    pub(crate) payment_intent: Option<Id>,
    pub(crate) details: InvoiceDetails,
    /// When the draft will be finalized.
    pub(crate) draft_until: Option<i64>,
    /// Whether its credit is lost: it becomes uncollectible instead of final, gets no number, and does not change the
    /// customer's balance.
    pub(crate) loses_credit: bool,
    pub(crate) finalized_at: Option<i64>,
    pub(crate) paid_at: Option<i64>,
    pub(crate) marked_uncollectible_at: Option<i64>,
    pub(crate) voided_at: Option<i64>,
    /// The status of automatic taxes, if they are enabled.
    pub(crate) automatic_tax: Option<TaxStatus>,
    /// The subscription's metadata at creation.
    pub(crate) subscription_metadata: Metadata,
}

impl Row for Invoice {
    fn id(&self) -> &Id {
        &self.id
    }
}

impl Invoice {
    /// A draft without lines, subscription and id.
    pub(crate) fn new(customer: Id, currency: Currency, reason: Reason, at: i64) -> Self {
        Self {
            id: Id::default(),
            customer,
            subscription: None,
            clock: None,
            created: at,
            currency,
            number: None,
            hosted_url: None,
            status: Status::Draft,
            reason,
            period: (at, at),
            lines: Vec::new(),
            discount: None,
            usage_discount: None,
            subtotal: 0,
            total: 0,
            starting_balance: 0,
            ending_balance: 0,
            amount_due: 0,
            auto_advance: false,
            attempts: Attempts::default(),
            paid_out_of_band: false,
            credited: Credited::default(),
            details: InvoiceDetails::default(),
            payment_intent: None,
            draft_until: None,
            loses_credit: false,
            finalized_at: None,
            paid_at: None,
            marked_uncollectible_at: None,
            voided_at: None,
            automatic_tax: None,
            subscription_metadata: Metadata::default(),
        }
    }

    /// Whether it will be finalized or collected automatically.
    pub(crate) fn advances_automatically(&self) -> bool {
        self.auto_advance && matches!(self.status, Status::Draft | Status::Open)
    }

    /// Whether it is final, unpaid, and can be paid.
    pub(crate) fn is_payable(&self) -> bool {
        matches!(self.status, Status::Open | Status::Uncollectible)
    }

    /// The discount that a line has, if it is discountable.
    pub(crate) fn discount_of(&self, line: &InvoiceLine) -> Option<&Discount> {
        match &self.usage_discount {
            Some(usage) if usage.applies_to(line) => usage.discount.as_ref(),
            _ => self.discount.as_ref(),
        }
    }

    /// All discounts.
    pub(crate) fn discounts(&self) -> impl Iterator<Item = &Discount> {
        let usage = self.usage_discount.as_ref();
        let usage = usage.and_then(|usage| usage.discount.as_ref());
        self.discount.iter().chain(usage)
    }

    /// The total of a discount, in cents.
    pub(crate) fn total_of_discount(&self, discount: &Discount) -> i64 {
        let lines = self.lines.iter();
        let has = |line: &&InvoiceLine| {
            let line_discount = self.discount_of(line);
            line_discount.is_some_and(|line_discount| line_discount.id == discount.id)
        };
        lines.filter(has).map(|line| line.discount).sum()
    }

    /// The total of all discounts, in cents.
    pub(crate) fn total_discount(&self) -> i64 {
        self.lines.iter().map(|line| line.discount).sum()
    }

    pub(crate) fn amount_paid(&self) -> i64 {
        if self.status == Status::Paid {
            self.amount_due
        } else {
            0
        }
    }
}

impl Row for InvoiceLine {
    fn id(&self) -> &Id {
        &self.id
    }
}

const NAME: &str = "invoice";

const URL: &str = "/v1/invoices";
