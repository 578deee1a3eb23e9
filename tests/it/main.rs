//! Integration tests: the whole server, in process, against the sandbox.

mod account;
mod architecture;
mod clock;
mod contract;
mod errors;
mod harness;
mod layers;
mod malformed;
mod models;
mod openapi;
mod org;
mod pricing;
mod push;
mod sandbox;
mod server;
mod shop;
mod wire;
