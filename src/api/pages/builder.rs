//! `/builder`: the Model Builder.

use axum::extract::State;
use axum::response::IntoResponse;

use crate::api::Shared;
use crate::api::operation::{Access, Operation};
use crate::web;

pub(super) fn operations() -> [Operation; 1] {
    let access = Access::Everybody;
    [Operation::get("builder", "/builder", access, builder)]
}

async fn builder(State(app): State<Shared>) -> impl IntoResponse {
    web::builder(app.accounts.is_live(), None)
}
