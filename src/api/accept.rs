//! What a caller accepts. Browsers name HTML; programs name JSON, or accept anything.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

/// Whether the caller names HTML, as browsers do.
pub(super) fn names_html(headers: &HeaderMap) -> bool {
    names(headers, "text/html")
}

/// Whether the caller wants JSON and no page.
pub(super) fn names_only_json(headers: &HeaderMap) -> bool {
    names(headers, "application/json") && !names_html(headers)
}

fn names(headers: &HeaderMap, media_type: &str) -> bool {
    let accepted = headers.get_all(ACCEPT).iter();
    let mut accepted = accepted.filter_map(|value| value.to_str().ok());
    accepted.any(|types| types.to_ascii_lowercase().contains(media_type))
}
