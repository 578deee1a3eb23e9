//! The media types that a caller accepts. Browsers name HTML. Programs name JSON, or accept anything.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

/// Whether `Accept` names HTML, as browsers send it.
pub(super) fn names_html(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter();
    let mut accepted = accepted.filter_map(|value| value.to_str().ok());
    accepted.any(|types| types.to_ascii_lowercase().contains("text/html"))
}
