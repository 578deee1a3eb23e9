//! Layers from async functions, like those of `axum::middleware::from_fn_with_state`, with fewer allocations: that boxes
//! the function's future and the services inside, which the router boxes anyway.

use std::convert::Infallible;

use axum::extract::Request;
use axum::response::Response;
use axum::routing::Route;
use futures::FutureExt as _;
use tower::{Layer, Service, layer::layer_fn, service_fn};

use crate::api::Shared;

/// The services inside a layer.
pub(in crate::api) struct Next(Route);

impl Next {
    /// Passes the request on.
    pub(super) async fn run(mut self, request: Request) -> Response {
        // A route is always ready.
        let Ok(response) = self.0.call(request).await;
        response
    }
}

/// A layer that answers requests with `answer`.
pub(in crate::api) fn layer<A, F>(
    app: &Shared,
    answer: A,
) -> impl Layer<
    Route,
    Service = impl Service<Request, Response = Response, Error = Infallible, Future: Send>
              + Clone
              + Send
              + Sync
              + use<A, F>,
> + Clone
+ use<A, F>
where
    A: Fn(Shared, Request, Next) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    let app = app.clone();
    layer_fn(move |inner: Route| {
        let (app, answer) = (app.clone(), answer.clone());
        service_fn(move |request| {
            answer(app.clone(), request, Next(inner.clone())).map(Ok::<_, Infallible>)
        })
    })
}
