//! Doors for the fuzz targets in `fuzz/` to what is not part of the crate's interface.

/// Reads `bytes` as the body of every request that has one.
pub fn request_bodies(bytes: &[u8]) {
    crate::api::decode_all(bytes);
}

/// Reads `bytes` as a form, as the sandbox does.
pub fn sandbox_form(bytes: &[u8]) {
    crate::sandbox::read_form(bytes);
}
