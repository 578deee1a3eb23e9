//! Payments: cards and how they are charged, with what that does to invoices and subscriptions.

mod cards;
mod first_payment;
