//! The pages that the sandbox shows to people.

use axum::Router;

use super::Sandbox;

/// The pages' routes; everything else goes to the API.
pub(super) fn router() -> Router<Sandbox> {
    Router::new()
}
