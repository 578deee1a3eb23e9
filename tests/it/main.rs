//! Integration tests: the whole server, in process, against the sandbox.

mod account;
mod architecture;
mod checkout;
mod cli;
mod clock;
mod contract;
mod directory;
mod errors;
mod harness;
mod layers;
mod malformed;
mod malformed_names;
mod models;
mod openapi;
mod org;
mod pricing;
mod push;
mod sandbox;
mod schedule;
mod server;
mod shop;
mod simulation;
mod usage;
mod wire;
