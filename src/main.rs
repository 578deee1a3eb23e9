//! The `tier` binary.

fn main() {}
