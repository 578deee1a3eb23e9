//! The HTTP layer: decodes a request, calls the domain's method of the same name, encodes what it answers.
//!
//! Here are the state and the table of routes. Statuses and codes are chosen in [`error`] alone; how JSON is read and
//! written is in [`decode`] and [`json`].

mod account;
mod answers;
mod clock;
mod decode;
mod error;
mod extract;
mod json;
mod layers;
pub mod ops;
mod org;
mod pricing;
mod schedule;
mod types;
mod usage;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, get, post};

pub use error::Error;
pub use layers::Keys;

use crate::domain::Domain;

/// What every handler can reach.
#[derive(Clone)]
pub struct App {
    /// The account that is served.
    pub domain: Domain,
    /// Who may call.
    pub keys: Keys,
    /// The largest request body, in bytes.
    pub max_body: usize,
}

/// Every path of the API that acts on an account, and so may need a key.
fn account_routes() -> Vec<(&'static str, MethodRouter<App>)> {
    vec![
        ("/v1/whoami", get(account::whoami)),
        ("/v1/whois", get(org::whois)),
        ("/v1/payment_methods", get(org::payment_methods)),
        ("/v1/pull", get(pricing::pull)),
        ("/v1/push", post(pricing::push)),
        ("/v1/subscribe", post(schedule::subscribe)),
        ("/v1/checkout", post(schedule::checkout)),
        ("/v1/phase", get(schedule::phase)),
        ("/v1/phases", get(schedule::phases)),
        ("/v1/limits", get(usage::limits)),
        ("/v1/report", post(usage::report)),
        ("/v1/clock", get(clock::get).post(clock::change)),
    ]
}

/// Every path that is about the server itself.
fn server_routes() -> Vec<(&'static str, MethodRouter<App>)> {
    vec![
        ("/healthz", get(ops::healthz)),
        ("/v1/schema", get(pricing::model_schema)),
        ("/openapi.yaml", get(ops::openapi_yaml)),
        ("/openapi.json", get(ops::openapi_json)),
    ]
}

/// All paths; the methods of each are in the `Allow` of a 405.
pub fn paths() -> impl Iterator<Item = &'static str> {
    account_routes()
        .into_iter()
        .chain(server_routes())
        .map(|(path, _)| path)
}

/// The API over `app`.
pub fn router(app: App) -> Router {
    let keys = from_fn_with_state(app.keys.clone(), layers::authorize);
    table(account_routes())
        .route_layer(keys)
        .merge(table(server_routes()))
        .fallback(layers::unknown_path)
        .method_not_allowed_fallback(layers::unknown_method)
        .layer(DefaultBodyLimit::max(app.max_body))
        .layer(from_fn(layers::observe))
        .with_state(app)
}

fn table(routes: Vec<(&'static str, MethodRouter<App>)>) -> Router<App> {
    routes
        .into_iter()
        .fold(Router::new(), |router, (path, methods)| {
            router.route(path, methods)
        })
}
