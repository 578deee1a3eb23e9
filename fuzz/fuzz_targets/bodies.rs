//! The bodies of every request.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| tier::internals::request_bodies(bytes));
