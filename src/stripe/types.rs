//! The parts of Stripe's objects that `domain` reads, named as Stripe names them.
//!
//! Unknown fields are ignored and absent ones read as unset, so that an object of a later API
//! version, or of an older account, is no error.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer};

pub use super::list::{Identified, Page};

/// Free key/value pairs on an object, sorted by key.
pub type Metadata = BTreeMap<String, String>;

/// `GET /v1/account`.
#[derive(Clone, Debug, Deserialize)]
pub struct Account {
    /// `acct_…`.
    pub id: String,
    /// The owner's e-mail address.
    #[serde(default)]
    pub email: Option<String>,
    /// Unix seconds; absent on some older accounts.
    #[serde(default)]
    pub created: Option<i64>,
    /// Set on connected accounts that Tier made.
    #[serde(default)]
    pub metadata: Metadata,
}

/// A customer.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Customer {
    /// `cus_…`.
    pub id: String,
    /// Stripe still answers with a stub for a customer that was deleted.
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
    /// Where `tier.org` is.
    pub metadata: Metadata,
    /// How invoices are paid.
    pub invoice_settings: InvoiceSettings,
    /// Those that have not ended, if expanded.
    pub subscriptions: Option<Page<Subscription>>,
}

/// A customer's settings for invoices.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct InvoiceSettings {
    /// `pm_…`.
    pub default_payment_method: Option<String>,
}

/// A price, with its tiers if they were expanded.
#[derive(Clone, Debug, Deserialize)]
pub struct Price {
    /// `price_…`.
    pub id: String,
    /// Unique in the account.
    #[serde(default)]
    pub lookup_key: Option<String>,
    /// Tier's `tier.*` keys.
    #[serde(default)]
    pub metadata: Metadata,
    /// Three lower-case letters.
    #[serde(default)]
    pub currency: String,
    /// Absent on one-time prices.
    #[serde(default)]
    pub recurring: Option<Recurring>,
    /// `per_unit` or `tiered`.
    #[serde(default)]
    pub billing_scheme: String,
    /// `graduated` or `volume`, for tiered prices.
    #[serde(default)]
    pub tiers_mode: Option<String>,
    /// The tiers, if expanded; none of a price that is not tiered.
    #[serde(default, deserialize_with = "or_default")]
    pub tiers: Vec<PriceTier>,
    /// Whole cents, if the amount is whole.
    #[serde(default)]
    pub unit_amount: Option<i64>,
    /// Cents.
    #[serde(default, deserialize_with = "decimal")]
    pub unit_amount_decimal: Option<Decimal>,
    /// How a quantity is divided before it is multiplied.
    #[serde(default)]
    pub transform_quantity: Option<TransformQuantity>,
}

impl Price {
    /// Whether it recurs and is charged in advance.
    pub fn is_licensed(&self) -> bool {
        self.recurring.is_some() && !self.is_metered()
    }

    /// Whether usage is reported for it.
    pub fn is_metered(&self) -> bool {
        self.recurring
            .as_ref()
            .is_some_and(|recurring| recurring.usage_type == "metered")
    }
}

/// How a price recurs.
#[derive(Clone, Debug, Deserialize)]
pub struct Recurring {
    /// `day`, `week`, `month` or `year`.
    pub interval: String,
    /// How many of them a period has.
    #[serde(default = "one")]
    pub interval_count: u64,
    /// `licensed` or `metered`.
    #[serde(default)]
    pub usage_type: String,
    /// `sum`, `max`, `last_during_period` or `last_ever`, for metered prices.
    #[serde(default)]
    pub aggregate_usage: Option<String>,
}

fn one() -> u64 {
    1
}

/// One tier of a tiered price.
#[derive(Clone, Debug, Deserialize)]
pub struct PriceTier {
    /// Up to and including this quantity; none: without end.
    #[serde(default)]
    pub up_to: Option<i64>,
    /// Cents for reaching the tier.
    #[serde(default)]
    pub flat_amount: Option<i64>,
    /// Whole cents for a unit.
    #[serde(default)]
    pub unit_amount: Option<i64>,
    /// Cents for a unit.
    #[serde(default, deserialize_with = "decimal")]
    pub unit_amount_decimal: Option<Decimal>,
}

/// Division of a quantity.
#[derive(Clone, Debug, Deserialize)]
pub struct TransformQuantity {
    /// The divisor.
    pub divide_by: i64,
    /// `up` or `down`.
    pub round: String,
}

/// A product.
#[derive(Clone, Debug, Deserialize)]
pub struct Product {
    /// Tier chooses it: `tier__…`.
    pub id: String,
    /// `tier.model` on a plan's product.
    #[serde(default)]
    pub metadata: Metadata,
}

/// A subscription.
#[derive(Clone, Debug, Deserialize)]
pub struct Subscription {
    /// `sub_…`.
    pub id: String,
    /// `trialing`, `active`, `past_due`, …
    pub status: String,
    /// Unix seconds.
    #[serde(default)]
    pub start_date: i64,
    /// Unix seconds; when it is going to end.
    #[serde(default)]
    pub cancel_at: Option<i64>,
    /// Unix seconds; when it ended.
    #[serde(default)]
    pub ended_at: Option<i64>,
    /// Unix seconds.
    #[serde(default)]
    pub trial_start: Option<i64>,
    /// Unix seconds.
    #[serde(default)]
    pub trial_end: Option<i64>,
    /// Unix seconds.
    #[serde(default)]
    pub current_period_start: i64,
    /// Unix seconds.
    #[serde(default)]
    pub current_period_end: i64,
    /// `tier.subscription` marks Tier's.
    #[serde(default)]
    pub metadata: Metadata,
    /// Three lower-case letters.
    #[serde(default)]
    pub currency: String,
    /// What its invoices are paid with, if not the customer's default: `pm_…`.
    #[serde(default)]
    pub default_payment_method: Option<String>,
    /// At most 20, so they are always all here.
    pub items: Page<SubscriptionItem>,
    /// The schedule that drives it, or its id.
    #[serde(default)]
    pub schedule: Option<Expandable<Schedule>>,
    /// The discount in force.
    #[serde(default)]
    pub discount: Option<Discount>,
    /// Whether tax is computed.
    #[serde(default)]
    pub automatic_tax: AutomaticTax,
}

/// Whether Stripe computes tax.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct AutomaticTax {
    /// It does.
    pub enabled: bool,
}

/// An item of a subscription.
#[derive(Clone, Debug, Deserialize)]
pub struct SubscriptionItem {
    /// `si_…`.
    pub id: String,
    /// What is sold.
    pub price: Price,
    /// Absent on metered items.
    #[serde(default)]
    pub quantity: Option<u64>,
    /// The app's own pairs.
    #[serde(default)]
    pub metadata: Metadata,
}

/// A coupon in force.
#[derive(Clone, Debug, Deserialize)]
pub struct Discount {
    /// `di_…`.
    #[serde(default)]
    pub id: String,
    /// Its terms.
    pub coupon: Coupon,
    /// Unix seconds.
    #[serde(default)]
    pub start: i64,
    /// Unix seconds; none: it has no end.
    #[serde(default)]
    pub end: Option<i64>,
}

/// A coupon's terms.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Coupon {
    /// Chosen by whoever made it.
    pub id: String,
    /// Free pairs.
    pub metadata: Metadata,
    /// Unix seconds.
    pub created: i64,
    /// Cents.
    pub amount_off: Option<i64>,
    /// Of `amount_off`.
    pub currency: Option<String>,
    /// `once`, `repeating` or `forever`.
    pub duration: String,
    /// For `repeating`.
    pub duration_in_months: Option<i64>,
    /// How often it may be used.
    pub max_redemptions: Option<i64>,
    /// Display name.
    pub name: Option<String>,
    /// Percent, with decimals.
    #[serde(deserialize_with = "decimal")]
    pub percent_off: Option<Decimal>,
    /// Unix seconds.
    pub redeem_by: Option<i64>,
    /// How often it was used.
    pub times_redeemed: i64,
    /// Whether it can be used still.
    pub valid: bool,
}

/// A subscription schedule.
#[derive(Clone, Debug, Deserialize)]
pub struct Schedule {
    /// `sub_sched_…`.
    pub id: String,
    /// `not_started`, `active`, `completed`, `released` or `canceled`.
    pub status: String,
    /// Absent before it starts and after it ends.
    #[serde(default)]
    pub current_phase: Option<Span>,
    /// All phases, past ones too.
    #[serde(default)]
    pub phases: Vec<SchedulePhase>,
    /// `cancel` or `release`: what happens after the last phase.
    #[serde(default)]
    pub end_behavior: String,
    /// The subscription that it drove until it was released.
    #[serde(default)]
    pub released_subscription: Option<String>,
    /// Unix seconds.
    #[serde(default)]
    pub released_at: Option<i64>,
    /// Unix seconds.
    #[serde(default)]
    pub canceled_at: Option<i64>,
    /// Unix seconds.
    #[serde(default)]
    pub completed_at: Option<i64>,
    /// The subscription that it drives, or its id.
    #[serde(default)]
    pub subscription: Option<Expandable<Subscription>>,
    /// What holds in a phase that does not say otherwise.
    #[serde(default)]
    pub default_settings: ScheduleSettings,
    /// The schedule's own; that of a phase goes to the subscription.
    #[serde(default)]
    pub metadata: Metadata,
}

/// The terms that phases have in common.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ScheduleSettings {
    /// Whether tax is computed.
    pub automatic_tax: AutomaticTax,
    /// What invoices are paid with, if not the customer's default.
    pub default_payment_method: Option<String>,
}

/// From a second (included) to a second (excluded).
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub struct Span {
    /// Unix seconds.
    pub start_date: i64,
    /// Unix seconds.
    pub end_date: i64,
}

/// A phase of a schedule.
#[derive(Clone, Debug, Deserialize)]
pub struct SchedulePhase {
    /// Unix seconds.
    pub start_date: i64,
    /// Unix seconds.
    pub end_date: i64,
    /// Unix seconds.
    #[serde(default)]
    pub trial_end: Option<i64>,
    /// What is sold in it.
    #[serde(default)]
    pub items: Vec<PhaseItem>,
    /// The coupon, or its id.
    #[serde(default)]
    pub coupon: Option<Expandable<Coupon>>,
    /// Becomes the subscription's.
    #[serde(default)]
    pub metadata: Option<Metadata>,
    /// Whether tax is computed; unset: as the schedule's default says.
    #[serde(default)]
    pub automatic_tax: Option<AutomaticTax>,
}

/// An item of a phase.
#[derive(Clone, Debug, Deserialize)]
pub struct PhaseItem {
    /// The price, or its id.
    pub price: Expandable<Price>,
    /// Absent on metered items.
    #[serde(default)]
    pub quantity: Option<u64>,
    /// The app's own pairs.
    #[serde(default)]
    pub metadata: Metadata,
}

/// A payment method.
#[derive(Clone, Debug, Deserialize)]
pub struct PaymentMethod {
    /// `pm_…`.
    pub id: String,
    /// Whose it is, once it is attached.
    #[serde(default)]
    pub customer: Option<String>,
}

/// An invoice.
#[derive(Clone, Debug, Deserialize)]
pub struct Invoice {
    /// `in_…`.
    pub id: String,
    /// Unix seconds.
    #[serde(default)]
    pub created: i64,
    /// `draft`, `open`, `paid`, `uncollectible` or `void`.
    #[serde(default)]
    pub status: Option<String>,
    /// `charge_automatically` or `send_invoice`.
    #[serde(default)]
    pub collection_method: String,
    /// When it is to be paid, Unix seconds; none if it is charged automatically.
    #[serde(default)]
    pub due_date: Option<i64>,
    /// Cents.
    #[serde(default)]
    pub amount_remaining: i64,
    /// Cents, discounts deducted and taxes included.
    #[serde(default)]
    pub total: i64,
    /// What credit notes have taken off it before it was paid, cents.
    #[serde(default)]
    pub pre_payment_credit_notes_amount: i64,
    /// What credit notes have given back since, cents.
    #[serde(default)]
    pub post_payment_credit_notes_amount: i64,
    /// The payment under way.
    #[serde(default)]
    pub payment_intent: Option<Expandable<PaymentIntent>>,
    /// The payment that was made.
    #[serde(default)]
    pub charge: Option<Expandable<Charge>>,
    /// The first ten at least.
    pub lines: Page<InvoiceLine>,
    /// Free pairs.
    #[serde(default)]
    pub metadata: Metadata,
}

/// A payment.
#[derive(Clone, Debug, Deserialize)]
pub struct PaymentIntent {
    /// `pi_…`.
    pub id: String,
    /// `processing`, `succeeded`, …
    #[serde(default)]
    pub status: String,
}

/// A payment that was made.
#[derive(Clone, Debug, Deserialize)]
pub struct Charge {
    /// `ch_…`.
    pub id: String,
    /// Cents.
    #[serde(default)]
    pub amount_refunded: i64,
}

/// What waits for a customer's next invoice.
#[derive(Clone, Debug, Deserialize)]
pub struct InvoiceItem {
    /// `ii_…`.
    pub id: String,
    /// Cents.
    #[serde(default)]
    pub amount: i64,
    /// Three lower-case letters.
    #[serde(default)]
    pub currency: String,
    /// What it is for.
    #[serde(default)]
    pub price: Option<Price>,
    /// Whose invoice it waits for.
    #[serde(default)]
    pub subscription: Option<String>,
    /// The subscription item whose time it charges or credits.
    #[serde(default)]
    pub subscription_item: Option<String>,
    /// Whether it corrects an earlier charge.
    #[serde(default)]
    pub proration: bool,
    /// When it was made, Unix seconds.
    #[serde(default)]
    pub date: i64,
    /// The time that it is for.
    #[serde(default)]
    pub period: Period,
    /// The invoice that it is on; none while it waits for one.
    #[serde(default)]
    pub invoice: Option<String>,
    /// Free pairs.
    #[serde(default)]
    pub metadata: Metadata,
}

/// What was taken off an invoice after it was made.
#[derive(Clone, Debug, Deserialize)]
pub struct CreditNote {
    /// `cn_…`.
    pub id: String,
    /// `in_…`.
    #[serde(default)]
    pub invoice: String,
    /// `issued` or `void`.
    #[serde(default)]
    pub status: String,
    /// Cents, discounts deducted and taxes included.
    #[serde(default)]
    pub amount: i64,
    /// The refund that pays it out, if one does.
    #[serde(default)]
    pub refund: Option<Expandable<Object>>,
    /// The first ten at least.
    pub lines: Page<CreditNoteLine>,
    /// Free pairs.
    #[serde(default)]
    pub metadata: Metadata,
}

/// What was taken off one line of an invoice.
#[derive(Clone, Debug, Deserialize)]
pub struct CreditNoteLine {
    /// `cnli_…`.
    pub id: String,
    /// Cents, discounts not deducted.
    #[serde(default)]
    pub amount: i64,
    /// `il_…`.
    #[serde(default)]
    pub invoice_line_item: Option<String>,
}

/// A line of an invoice.
#[derive(Clone, Debug, Deserialize)]
pub struct InvoiceLine {
    /// `il_…`.
    #[serde(default)]
    pub id: String,
    /// The subscription item it bills.
    #[serde(default)]
    pub subscription_item: Option<String>,
    /// `ii_…`, of what waited for the invoice.
    #[serde(default)]
    pub invoice_item: Option<String>,
    /// What it sells.
    #[serde(default)]
    pub price: Option<Price>,
    /// How many.
    #[serde(default)]
    pub quantity: Option<i64>,
    /// Cents, discounts not deducted.
    #[serde(default)]
    pub amount: i64,
    /// What discounts take off it.
    #[serde(default, deserialize_with = "or_default")]
    pub discount_amounts: Vec<DiscountAmount>,
    /// Three lower-case letters.
    #[serde(default)]
    pub currency: String,
    /// For people.
    #[serde(default)]
    pub description: Option<String>,
    /// The time that it is for.
    #[serde(default)]
    pub period: Period,
    /// Whether it corrects an earlier charge.
    #[serde(default)]
    pub proration: bool,
}

/// What a discount takes off a line.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct DiscountAmount {
    /// Cents.
    pub amount: i64,
    /// `di_…`.
    pub discount: String,
}

/// The time that a line is for.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct Period {
    /// Unix seconds.
    pub start: i64,
    /// Unix seconds.
    pub end: i64,
}

/// Usage of one item in one period.
#[derive(Clone, Debug, Deserialize)]
pub struct UsageRecordSummary {
    /// `sis_…`.
    pub id: String,
    /// Aggregated as the price says.
    pub total_usage: i64,
    /// The billing period.
    #[serde(default)]
    pub period: UsagePeriod,
}

/// The period of a summary.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct UsagePeriod {
    /// Unix seconds.
    pub start: Option<i64>,
    /// Unix seconds.
    pub end: Option<i64>,
}

/// A page at Stripe on which somebody pays.
#[derive(Clone, Debug, Deserialize)]
pub struct CheckoutSession {
    /// Where it is.
    pub url: String,
}

/// A test clock.
#[derive(Clone, Debug, Deserialize)]
pub struct TestClock {
    /// `clock_…`.
    pub id: String,
    /// Unix seconds.
    pub frozen_time: i64,
    /// `ready`, `advancing` or `internal_failure`.
    pub status: String,
}

/// Any object of which only the id matters.
#[derive(Clone, Debug, Deserialize)]
pub struct Object {
    /// Stripe's id.
    #[serde(default)]
    pub id: String,
}

/// An id, or the whole object where it was asked for with `expand[]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Expandable<T> {
    /// The id.
    Id(String),
    /// The object.
    Object(Box<T>),
}

impl<T> Expandable<T> {
    /// The object, if it was expanded.
    pub fn object(&self) -> Option<&T> {
        match self {
            Self::Id(_) => None,
            Self::Object(object) => Some(object),
        }
    }
}

impl<T: Identified> Expandable<T> {
    /// The id, expanded or not.
    pub fn id(&self) -> &str {
        match self {
            Self::Id(id) => id,
            Self::Object(object) => object.id(),
        }
    }
}

macro_rules! identified {
    ($($name:ty),* $(,)?) => {
        $(impl Identified for $name {
            fn id(&self) -> &str {
                &self.id
            }
        })*
    };
}

identified!(
    Account,
    Customer,
    Price,
    Product,
    Subscription,
    SubscriptionItem,
    Schedule,
    Invoice,
    InvoiceItem,
    InvoiceLine,
    CreditNote,
    CreditNoteLine,
    Coupon,
    UsageRecordSummary,
    TestClock,
    Object,
);

/// Null where a price has nothing of the kind.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    input: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(input)?.unwrap_or_default())
}

/// Stripe writes decimals as strings, and percentages as numbers.
fn decimal<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Decimal>, D::Error> {
    use serde::de::Error;
    let text = match Option::<serde_json::Value>::deserialize(input)? {
        None | Some(serde_json::Value::Null) => return Ok(None),
        Some(serde_json::Value::String(text)) => text,
        Some(other) => other.to_string(),
    };
    text.parse()
        .or_else(|_| Decimal::from_scientific(&text))
        .map(Some)
        .map_err(D::Error::custom)
}

/// Objects that are passed on untouched.
impl Identified for serde_json::Value {
    fn id(&self) -> &str {
        self["id"].as_str().unwrap_or_default()
    }
}
