//! An account with all its tables and indexes.
//!
//! The resources define the types of the rows and tables; this module puts the tables together.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::due_queue::DueQueue;
use super::ids::{Id, Ids};
use super::locked;
use super::table::Table;
use crate::resource::account::Profile;
use crate::resource::charge::Charge;
use crate::resource::checkout_session::CheckoutSession;
use crate::resource::coupon::Coupons;
use crate::resource::credit_note::CreditNote;
use crate::resource::customer::{Customer, Customers, OmittedInvoices};
use crate::resource::customer_balance;
use crate::resource::discount::Discount;
use crate::resource::event::Events;
use crate::resource::invoice::previews::Previews;
use crate::resource::invoice::{Invoice, Status};
use crate::resource::invoice_item::InvoiceItems;
use crate::resource::meter::Meter;
use crate::resource::meter_event::MeterEvents;
use crate::resource::payment_intent::PaymentIntent;
use crate::resource::payment_method::PaymentMethod;
use crate::resource::portal_session;
use crate::resource::price::{Price, Prices};
use crate::resource::product::Product;
use crate::resource::promotion_code::PromotionCodes;
use crate::resource::refund::Refund;
use crate::resource::setup_intent::SetupIntent;
use crate::resource::subscription::Subscription;
use crate::resource::subscription_schedule::Schedule;
use crate::resource::test_clock::TestClock;
use crate::resource::thin_event::ThinEvents;
use crate::resource::webhook_endpoint::{Destination, Outgoing, WebhookEndpoint, WebhookEndpoints};

/// The connected accounts that an account has created. They are shared, because authentication reads them while the
/// account is busy.
pub(crate) type Connected = Arc<Mutex<Table<Profile>>>;

/// An account: that of a secret key, or a connected account.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) profile: Profile,
    /// The source of ids. A handler uses an id only when nothing can fail any more, so a refused call does not change
    /// later ids.
    pub(crate) ids: Ids,
    /// The accounts that this one has created.
    pub(crate) connected: Connected,
    pub(crate) webhook_endpoints: WebhookEndpoints,
    /// The endpoints of the platform that has created this account.
    platform_endpoints: Option<WebhookEndpoints>,
    /// New events to send to endpoints when the current call is done.
    pub(crate) outgoing: Vec<Outgoing>,
    pub(crate) products: Table<Product>,
    pub(crate) prices: Prices,
    pub(crate) meters: Table<Meter>,
    pub(crate) meter_events: MeterEvents,
    pub(crate) customers: Customers,
    pub(crate) customer_balance_transactions: Table<customer_balance::CustomerBalanceTransaction>,
    pub(crate) payment_methods: Table<PaymentMethod>,
    pub(crate) setup_intents: Table<SetupIntent>,
    pub(crate) payments: Payments,
    pub(crate) coupons: Coupons,
    pub(crate) promotion_codes: PromotionCodes,
    pub(crate) clocks: Table<TestClock>,
    pub(crate) events: Events,
    pub(crate) thin_events: ThinEvents,
    /// Subscriptions and everything that depends on them.
    pub(crate) billing: Billing,
}

impl Account {
    pub(crate) fn new(profile: Profile, seed: u64) -> Self {
        Self {
            ids: Ids::new(seed, &profile.id),
            profile,
            connected: Connected::default(),
            webhook_endpoints: WebhookEndpoints::default(),
            platform_endpoints: None,
            outgoing: Vec::new(),
            products: Table::default(),
            prices: Prices::default(),
            meters: Table::default(),
            meter_events: MeterEvents::default(),
            customers: Customers::default(),
            customer_balance_transactions: Table::default(),
            payment_methods: Table::default(),
            setup_intents: Table::default(),
            payments: Payments::default(),
            coupons: Coupons::default(),
            promotion_codes: PromotionCodes::default(),
            clocks: Table::default(),
            events: Events::default(),
            thin_events: ThinEvents::default(),
            billing: Billing::default(),
        }
    }

    /// The same account, with events that also go to its platform's endpoints.
    pub(crate) fn with_platform(self, endpoints: WebhookEndpoints) -> Self {
        Self {
            platform_endpoints: Some(endpoints),
            ..self
        }
    }

    /// The endpoints that are to receive an event of this type: the account's and its platform's.
    pub(crate) fn destinations(&self, kind: &str) -> Vec<Destination> {
        let account_endpoints = (&self.webhook_endpoints, false);
        let platform = self.platform_endpoints.as_ref();
        let platform = platform.map(|endpoints| (endpoints, true));
        let tables = [Some(account_endpoints), platform].into_iter().flatten();
        let wanted = tables.flat_map(|(endpoints, is_platform_endpoint)| {
            let table = locked(endpoints);
            let wanted = table.iter().filter(|endpoint| {
                endpoint.connect == is_platform_endpoint && endpoint.receives(kind)
            });
            let account = &self.profile.id;
            let destination = |endpoint: &WebhookEndpoint| {
                endpoint.destination(endpoints, account, is_platform_endpoint)
            };
            wanted.map(destination).collect::<Vec<_>>()
        });
        wanted.collect()
    }

    /// The same account without data. The ids continue the sequence.
    pub(crate) fn without_data(&self) -> Self {
        Self {
            ids: self.ids.clone(),
            ..Self::new(self.profile.clone(), 0)
        }
    }

    /// A customer's time: its test clock's, else `now`, the account's time.
    pub(crate) fn time_of(&self, customer: &str, now: i64) -> i64 {
        let clock = self
            .customers
            .get(customer)
            .and_then(|customer| customer.test_clock.as_ref());
        self.time_on(clock, now)
    }

    /// A test clock's time, or `now` without one.
    pub(crate) fn time_on(&self, clock: Option<&Id>, now: i64) -> i64 {
        clock
            .and_then(|clock| self.clocks.get(clock))
            .map_or(now, |clock| clock.frozen_time)
    }
}

/// The tables and indexes of billing. A customer stores the positions of its subscriptions, invoices and schedules.
#[derive(Debug, Default)]
pub(crate) struct Billing {
    pub(crate) subscriptions: Table<Subscription>,
    pub(crate) invoices: Table<Invoice>,
    pub(crate) invoice_items: InvoiceItems,
    pub(crate) credit_notes: Table<CreditNote>,
    /// Recent previews of invoices.
    pub(crate) previews: Previews,
    pub(crate) schedules: Table<Schedule>,
    pub(crate) sessions: Table<CheckoutSession>,
    pub(crate) portal_sessions: Table<portal_session::PortalSession>,
    /// The position of each item's subscription.
    pub(crate) items: HashMap<Id, u32>,
    /// The discounts on invoices, for `expand[]`.
    pub(crate) discounts: HashMap<Id, Discount>,
    pub(crate) due_queue: DueQueue,
}

impl Account {
    /// The subscription at a position from an index or the due queue.
    pub(crate) fn subscription(&self, position: u32) -> &Subscription {
        let subscription = self.billing.subscriptions.at(position);
        subscription.expect("indexes drop a subscription's position together with it")
    }

    /// See [`subscription`](Self::subscription).
    pub(crate) fn subscription_mut(&mut self, position: u32) -> &mut Subscription {
        let subscription = self.billing.subscriptions.at_mut(position);
        subscription.expect("indexes drop a subscription's position together with it")
    }

    /// The schedule at a position from an index or the due queue.
    pub(crate) fn schedule(&self, position: u32) -> &Schedule {
        let schedule = self.billing.schedules.at(position);
        schedule.expect("indexes drop a schedule's position together with it")
    }

    /// See [`schedule`](Self::schedule).
    pub(crate) fn schedule_mut(&mut self, position: u32) -> &mut Schedule {
        let schedule = self.billing.schedules.at_mut(position);
        schedule.expect("indexes drop a schedule's position together with it")
    }

    /// Adds a subscription to the table and to its customer.
    pub(crate) fn insert_subscription(&mut self, subscription: Subscription) -> u32 {
        let customer = subscription.customer.clone();
        let position = self.billing.subscriptions.insert(subscription);
        if let Some(customer) = self.customers.get_mut(&customer) {
            customer.subscriptions.push(position);
        }
        position
    }

    /// Adds a schedule to the table and to its customer.
    pub(crate) fn insert_schedule(&mut self, schedule: Schedule) -> u32 {
        let customer = schedule.customer.clone();
        let position = self.billing.schedules.insert(schedule);
        if let Some(customer) = self.customers.get_mut(&customer) {
            customer.schedules.push(position);
        }
        position
    }

    /// Adds an invoice to the table and to its customer.
    pub(crate) fn insert_invoice(&mut self, invoice: Invoice) {
        let customer = invoice.customer.clone();
        let position = self.billing.invoices.insert(invoice);
        if let Some(customer) = self.customers.get_mut(&customer) {
            customer.invoices.push(position);
        }
    }

    /// A price that is known to exist.
    pub(crate) fn price(&self, id: &str) -> &Price {
        let price = self.prices.get(id);
        price.expect("prices are never deleted")
    }

    /// An invoice that is known to exist.
    pub(crate) fn invoice(&self, id: &Id) -> &Invoice {
        let invoice = self.billing.invoices.get(id);
        invoice.expect("the caller has found it")
    }

    /// See [`invoice`](Self::invoice).
    pub(crate) fn invoice_mut(&mut self, id: &Id) -> &mut Invoice {
        let invoice = self.billing.invoices.get_mut(id);
        invoice.expect("the caller has found it")
    }

    /// Whether a customer has draft or open invoices, also if a copy omits them.
    pub(crate) fn has_unpaid_invoices(&self, customer: &Customer) -> bool {
        let is_unpaid = |invoice: &Invoice| matches!(invoice.status, Status::Draft | Status::Open);
        let mut positions = customer.invoices.iter();
        let invoice = |position: &u32| self.billing.invoices.at(*position);
        customer.omitted_invoices == OmittedInvoices::Unpaid
            || positions.any(|position| invoice(position).is_some_and(is_unpaid))
    }

    /// The charge that paid an invoice, if there is one.
    pub(crate) fn charge_of_invoice(&self, id: &Id) -> Option<&Charge> {
        let intent = self.invoice(id).payment_intent.as_ref()?;
        let intent = self.payments.intents.get(intent)?;
        self.payments.charges.get(intent.latest_charge.as_ref()?)
    }

    /// The positions of a customer's subscriptions.
    pub(crate) fn subscriptions_of(&self, customer: &str) -> Vec<u32> {
        let customer = self.customers.get(customer);
        customer.map_or_else(Vec::new, |customer| customer.subscriptions.clone())
    }
}

/// An account's payments.
#[derive(Debug, Default)]
pub(crate) struct Payments {
    pub(crate) intents: Table<PaymentIntent>,
    pub(crate) charges: Table<Charge>,
    pub(crate) refunds: Table<Refund>,
}
