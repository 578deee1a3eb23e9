//! The resources: a folder each, with its state in `mod.rs`, how it is shown in `view`, what is read of a request in
//! `input`, and its endpoints in `routes`. Small ones have less.
//!
//! State names no account, and views change nothing. What happens to resources, and between them, is in the
//! [`engine`](crate::engine), which names states and views; inputs and routes name it.

pub(crate) mod account;
pub(crate) mod balance_transaction;
pub(crate) mod charge;
pub(crate) mod checkout_session;
pub(crate) mod coupon;
pub(crate) mod credit_note;
pub(crate) mod customer;
pub(crate) mod customer_balance;
pub(crate) mod discount;
pub(crate) mod event;
pub(crate) mod expand;
pub(crate) mod invoice;
pub(crate) mod invoice_item;
pub(crate) mod json;
pub(crate) mod payment_intent;
pub(crate) mod payment_method;
pub(crate) mod price;
pub(crate) mod product;
pub(crate) mod promotion_code;
pub(crate) mod refund;
pub(crate) mod route;
pub(crate) mod routes;
pub(crate) mod setup_intent;
pub(crate) mod subscription;
pub(crate) mod subscription_item;
pub(crate) mod subscription_schedule;
pub(crate) mod test_clock;
