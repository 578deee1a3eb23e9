//! Turns `openapi.yaml` into JSON, so that both are served from one source and nothing parses YAML at run time. Tells the
//! program whether it is optimised.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=openapi.yaml");
    let level = env::var_os("OPT_LEVEL").expect("cargo names the level");
    println!("cargo::rustc-env=TIER_OPT_LEVEL={}", level.display());
    let yaml = fs::read_to_string("openapi.yaml").expect("openapi.yaml is beside Cargo.toml");
    let document: serde_json::Value =
        serde_saphyr::from_str(&yaml).expect("openapi.yaml is well-formed");
    let json = serde_json::to_string_pretty(&document).expect("it has text keys only");
    let out = env::var_os("OUT_DIR").expect("cargo names the output folder");
    fs::write(PathBuf::from(out).join("openapi.json"), json + "\n")
        .expect("the output folder can be written");
}
