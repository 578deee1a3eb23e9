//! Integration tests: the whole server, in process, against the sandbox.

mod architecture;
mod models;
mod pricing;
mod push;
mod sandbox;
mod shop;
