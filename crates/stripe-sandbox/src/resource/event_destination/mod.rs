//! Event destinations of `/v2`: webhook endpoints that receive thin events. They are kept with the
//! [webhook endpoints](super::webhook_endpoint), and each of the two APIs shows its own.

pub(crate) mod input;
pub(crate) mod routes;
pub(crate) mod view;

pub(crate) const URL: &str = "/v2/core/event_destinations";

/// The fields that are shown only on request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Include {
    pub(crate) url: bool,
    pub(crate) signing_secret: bool,
}
