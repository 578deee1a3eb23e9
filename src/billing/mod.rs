//! The translation between Tier's terms and Stripe's calls, with a file for each kind of Stripe object.
//!
//! Every path, parameter and expansion, and the shape of every answer, is here and nowhere else. `domain` calls a
//! method of [`Billing`] for each call to Stripe, and gets a value with the fields that it reads: ids, enums, cents and
//! times. A list is a `Vec`, or a [`ListPage`] if it may be long. A field that Stripe returns as an id, or as the
//! object if that is expanded, has one method for the id and one for the object. Stripe's envelopes stay in private
//! fields and in the `object` module.

mod accounts;
mod balance;
mod checkout;
mod clocks;
mod coupons;
mod credit_notes;
mod customer_account;
mod customers;
mod events;
mod invoice_items;
mod invoices;
mod meter_events;
mod meters;
mod new_price;
mod new_schedule;
mod object;
mod permissions;
mod previews;
mod prices;
mod products;
mod schedules;
mod setup_intents;
mod string_enum;
mod subscriptions;
mod thin_events;
mod usage;
mod webhooks;
mod write;

use crate::stripe::{ApiVersion, Client, Path, Request};

pub use accounts::{Account, NewAccount};
pub use balance::{BalanceTransaction, NewBalanceTransaction};
pub use checkout::{CheckoutSession, LineItem, NewCheckoutSession, SessionSubscription};
pub use clocks::{ClockStatus, TestClock};
pub use coupons::{Coupon, Discount};
pub use credit_notes::{CreditNote, CreditNoteLine, CreditNoteStatus, NewCreditNote};
pub use customer_account::{CustomerAccount, PaymentMethodDetails};
pub use customers::{Customer, CustomerUpdate, NewCustomer, PaymentMethod};
pub use events::Event;
pub use invoice_items::{InvoiceItem, NewInvoiceItem};
pub use invoices::{CollectionMethod, DiscountAmount, Invoice, InvoiceLine, InvoiceStatus, Period};
pub use meter_events::MeterEvent;
pub use meters::{Formula, Meter, NewMeter};
pub use new_price::{NewAmount, NewPrice, NewTier, NewUsage, PriceProduct};
pub use new_schedule::{NewPhase, NewPhaseItem, NewSchedule, PhaseEnd, ScheduleStart};
pub use object::{ListPage, Metadata};
pub use permissions::{Access, PERMISSIONS, Permission};
pub use previews::{PreviewedChange, PreviewedItem, PreviewedUsage};
pub use prices::{
    AggregateUsage, BillingScheme, Generation, KEYS_PER_CALL, Price, PriceTier, RecurringInterval,
    Rounding, TiersMode, TransformQuantity, UsageType,
};
pub use products::{NewProduct, Product};
pub use schedules::{
    CurrentPhase, CustomerSchedule, EndBehavior, PhaseItem, Schedule, SchedulePhase, ScheduleStatus,
};
pub use setup_intents::SetupIntent;
pub use subscriptions::{
    ClearedItem, CustomerSubscription, Detail, Subscription, SubscriptionFilter, SubscriptionItem,
    SubscriptionStatus, SubscriptionUpdate,
};
pub use thin_events::{DroppedEvent, METER_ERROR_EVENTS, MeterErrors};
pub use usage::{RecordedUsage, UsageAction, UsagePeriod, UsageRecord, UsageRecordSummary};
pub use webhooks::{EventTypes, WebhookEndpoint};
pub use write::{Ack, Write};

/// The version of Stripe's API that Tier uses unless a call needs another. In it, usage is recorded on subscription
/// items.
pub const CLASSIC: ApiVersion = ApiVersion("2022-11-15");

/// The API version of calls for billing meters, and for prices with a meter.
pub const WITH_METERS: ApiVersion = ApiVersion("2026-10-28.endive");

/// The calls to Stripe for one account.
#[derive(Clone, Copy, Debug)]
pub struct Billing<'a> {
    client: &'a Client,
}

impl<'a> Billing<'a> {
    /// The calls that `client` sends.
    pub fn new(client: &'a Client) -> Self {
        Self { client }
    }

    fn get(self, path: impl Into<Path>) -> Request {
        self.client.get(CLASSIC, path)
    }

    fn post(self, path: impl Into<Path>) -> Request {
        self.client.post(CLASSIC, path)
    }

    fn delete(self, path: impl Into<Path>) -> Request {
        self.client.delete(CLASSIC, path)
    }
}
