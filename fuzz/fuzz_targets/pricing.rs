//! `pricing.json`: whatever is accepted is written as a text that reads as the same model.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tier::domain::pricing::Model;

fuzz_target!(|bytes: &[u8]| {
    match Model::parse_bytes(bytes) {
        Ok(model) => {
            let written = model.to_json();
            assert_eq!(Model::parse(&written).as_ref(), Ok(&model), "{written}");
        }
        Err(faults) => assert!(!faults.to_string().is_empty()),
    }
});
