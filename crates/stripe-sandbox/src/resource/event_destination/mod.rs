//! Event destinations of `/v2`: webhook endpoints that receive thin events. They are stored with the [webhook
//! endpoints](super::webhook_endpoint); each API shows only its own kind.

pub(crate) mod input;
pub(crate) mod routes;
pub(crate) mod view;

pub(crate) const URL: &str = "/v2/core/event_destinations";

/// The fields that an answer has only on request (`include`).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Include {
    pub(crate) url: bool,
    pub(crate) signing_secret: bool,
}
