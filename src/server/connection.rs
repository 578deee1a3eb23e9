//! One connection: what comes over it is answered, and it ends when it is waited for too long.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::activity::{Activity, WaitedFor};
use super::body::received;
use super::open::{Open, Place};
use super::protocol::{OF_FEW, OF_MANY};
use super::turned_away::TurnedAway;
use super::watched::Watched;
use super::{Options, protocol, refusal};
use crate::net::{Peer, bounded_address};

/// How long a client has to take leave, once it was told that its idle connection ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// What all connections of a listener have in common.
pub(super) struct Connections {
    places: Open,
    builder: Builder<TokioExecutor>,
    /// Of those that come when there are many.
    pub(super) builder_of_many: Builder<TokioExecutor>,
    app: Router,
    pub(super) options: Options,
    turned_away: TurnedAway,
    /// Finish what is in flight, and take nothing new.
    pub(super) stopping: CancellationToken,
}

impl Connections {
    pub(super) fn new(app: Router, options: Options) -> Self {
        let of_peer = options.connections_per_peer;
        let of_peer = of_peer.unwrap_or(options.connections.div_ceil(2));
        Self {
            places: Open::new(options.connections, of_peer),
            builder: protocol::builder(&options, &OF_FEW),
            builder_of_many: protocol::builder(&options, &OF_MANY),
            app,
            turned_away: TurnedAway::of(options.connections),
            options,
            stopping: CancellationToken::new(),
        }
    }

    /// Serves a connection if there is a place for it.
    pub(super) fn take(
        self: Arc<Self>,
        stream: TcpStream,
        peer: Peer,
    ) -> impl Future<Output = ()> + Send + 'static {
        // What comes through a proxy is not from its address.
        let is_proxy = self.options.proxies.contain(peer.address);
        let bounded = (!is_proxy).then(|| bounded_address(peer.address));
        let place = self.places.enter(bounded);
        let turn = place.is_none().then(|| self.turned_away.turn());
        async move {
            match place {
                Some(place) => self.serve(stream, peer, place).await,
                None => Box::pin(self.turn_away(stream, turn.flatten())).await,
            }
        }
    }

    /// Answers what comes over `stream`, until its end or until no request comes for too long.
    async fn serve(&self, stream: TcpStream, peer: Peer, place: Place) {
        let Some(tls) = &self.options.tls else {
            return self.over(stream, peer, place).await;
        };
        let handshake = tls.acceptor().accept(stream);
        let handshake = tokio::time::timeout(self.options.head_timeout, handshake);
        let handshake = place.lost().run_until_cancelled(handshake);
        match self.stopping.run_until_cancelled(handshake).await.flatten() {
            Some(Ok(Ok(stream))) => self.over(stream, peer, place).await,
            Some(Ok(Err(cause))) => tracing::debug!(%cause, "TLS handshake failed"),
            Some(Err(_)) => tracing::debug!("TLS handshake took too long"),
            None => {}
        }
    }

    async fn over(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        peer: Peer,
        place: Place,
    ) {
        let open = &self.options.metrics.connections;
        open.inc();
        let activity = Arc::new(Activity::new());
        let (app, active) = (self.app.clone(), activity.clone());
        let place = Arc::new(place);
        let of_requests = place.clone();
        let (max_head, stopping) = (self.options.max_head, self.stopping.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            let working = active.begin();
            let in_flight = of_requests.begin();
            request.extensions_mut().insert(peer);
            let is_too_large = refusal::is_too_large(&request, max_head);
            let request = received(request, &active, &stopping);
            let app = app.clone();
            async move {
                if is_too_large {
                    return Ok(refusal::of_large_head());
                }
                let answer = app.oneshot(request);
                if in_flight.is_none() {
                    // The connection is being closed, and nothing is done for a request that comes too late.
                    std::future::pending::<()>().await;
                }
                let answer = answer.await;
                drop((working, in_flight));
                answer
            }
        });
        let stream = TokioIo::new(Watched::new(stream, activity.clone()));
        let builder = if place.is_one_of_many {
            &self.builder_of_many
        } else {
            &self.builder
        };
        let mut connection = pin!(builder.serve_connection(stream, service));
        let (mut stopping, mut idle_timeout) = (false, self.options.idle_timeout);
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(cause) = ended {
                        tracing::debug!(%cause, "connection ended early");
                    }
                    break;
                }
                () = place.lost().cancelled() => break,
                () = self.stopping.cancelled(), if !stopping => {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
                waited_for = activity.stalls(self.options.head_timeout, idle_timeout) => {
                    tracing::debug!(?waited_for, "connection closed: it took too long");
                    if waited_for == WaitedFor::Head || idle_timeout > self.options.idle_timeout {
                        break;
                    }
                    idle_timeout += FAREWELL;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
        open.dec();
    }
}
