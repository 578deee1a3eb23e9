//! What the tests of the sandbox and those of `tier` share.

pub mod answers;
pub mod observed;
pub mod receiver;
pub mod time;
