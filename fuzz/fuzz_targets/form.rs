//! The sandbox's forms.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| stripe_sandbox::internals::read_form(bytes));
