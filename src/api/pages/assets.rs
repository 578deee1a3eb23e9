//! The files that pages load.

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::HeaderMap;
use axum::response::Response;

use crate::api::error::Error;
use crate::api::operation::{Access, Operation};
use crate::web::Asset;

pub(super) fn operations() -> [Operation; 1] {
    let access = Access::Everybody;
    [Operation::get("asset", "/assets/{name}", access, asset)]
}

async fn asset(
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let asset = name.ok().and_then(|Path(name)| Asset::named(&name));
    let asset = asset.ok_or_else(Error::not_found)?;
    Ok(asset.answer(&headers))
}
