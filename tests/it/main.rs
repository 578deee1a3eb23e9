//! Integration tests: the whole server, in process, against the sandbox.

mod models;
mod pricing;
