//! Serves one connection, and closes it when it takes too long.

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

use super::activity::{Activity, TimedOut};
use super::body::received;
use super::connection_table::{ConnectionSlot, ConnectionTable};
use super::protocol::{HTTP2, HTTP2_WHEN_BUSY};
use super::rejected::RejectedConnections;
use super::watched::Watched;
use super::{Options, protocol, refusal};
use crate::net::{Peer, bounded_address};

/// How long a client has to close its idle connection, once it was asked to.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// What the connections of a listener share.
pub(super) struct Connections {
    table: ConnectionTable,
    builder: Builder<TokioExecutor>,
    /// For connections that were accepted when the table was busy.
    pub(super) builder_when_busy: Builder<TokioExecutor>,
    app: Router,
    pub(super) options: Options,
    rejected: RejectedConnections,
    /// Cancelled when the server stops: requests in flight finish, and no new ones are read.
    pub(super) stopping: CancellationToken,
}

impl Connections {
    pub(super) fn new(app: Router, options: Options) -> Self {
        let of_peer = options.connections_per_peer;
        let of_peer = of_peer.unwrap_or(options.connections.div_ceil(2));
        Self {
            table: ConnectionTable::new(options.connections, of_peer),
            builder: protocol::builder(&options, &HTTP2),
            builder_when_busy: protocol::builder(&options, &HTTP2_WHEN_BUSY),
            app,
            rejected: RejectedConnections::of(options.connections),
            options,
            stopping: CancellationToken::new(),
        }
    }

    /// Serves a connection, or rejects it if there is no slot for it.
    pub(super) fn take(
        self: Arc<Self>,
        stream: TcpStream,
        peer: Peer,
    ) -> impl Future<Output = ()> + Send + 'static {
        // Connections of a proxy belong to many clients.
        let is_proxy = self.options.proxies.contain(peer.address);
        let bounded = (!is_proxy).then(|| bounded_address(peer.address));
        let slot = self.table.insert(bounded);
        let permit = slot.is_none().then(|| self.rejected.try_reserve());
        async move {
            match slot {
                Some(slot) => self.serve(stream, peer, slot).await,
                None => Box::pin(self.reject(stream, permit.flatten())).await,
            }
        }
    }

    /// Answers the requests of a connection until it ends or is idle for too long.
    async fn serve(&self, stream: TcpStream, peer: Peer, slot: ConnectionSlot) {
        let Some(tls) = &self.options.tls else {
            return self.serve_stream(stream, peer, slot).await;
        };
        let handshake = tls.acceptor().accept(stream);
        let handshake = tokio::time::timeout(self.options.head_timeout, handshake);
        let handshake = slot.evicted().run_until_cancelled(handshake);
        match self.stopping.run_until_cancelled(handshake).await.flatten() {
            Some(Ok(Ok(stream))) => self.serve_stream(stream, peer, slot).await,
            Some(Ok(Err(cause))) => tracing::debug!(%cause, "TLS handshake failed"),
            Some(Err(_)) => tracing::debug!("TLS handshake took too long"),
            None => {}
        }
    }

    async fn serve_stream(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        peer: Peer,
        slot: ConnectionSlot,
    ) {
        let open = &self.options.metrics.connections;
        open.inc();
        let activity = Arc::new(Activity::new());
        let (app, active) = (self.app.clone(), activity.clone());
        let slot = Arc::new(slot);
        let of_requests = slot.clone();
        let (max_head, stopping) = (self.options.max_head, self.stopping.clone());
        let write = self.options.refusal_page;
        let service = service_fn(move |mut request: Request<Incoming>| {
            let active_request = active.begin();
            let in_flight = of_requests.begin();
            request.extensions_mut().insert(peer);
            let is_too_large = refusal::is_too_large(&request, max_head);
            let refused = is_too_large.then(|| refusal::of_large_head(&request, write));
            let request = received(request, &active, &stopping);
            let app = app.clone();
            async move {
                if let Some(refused) = refused {
                    return Ok(refused);
                }
                let answer = app.oneshot(request);
                if in_flight.is_none() {
                    // The connection was evicted before this request arrived, so it must not begin.
                    std::future::pending::<()>().await;
                }
                let answer = answer.await;
                drop((active_request, in_flight));
                answer
            }
        });
        let stream = TokioIo::new(Watched::new(stream, activity.clone(), write));
        let builder = if slot.table_was_busy {
            &self.builder_when_busy
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
                () = slot.evicted().cancelled() => break,
                () = self.stopping.cancelled(), if !stopping => {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
                timed_out = activity.timed_out_after(self.options.head_timeout, idle_timeout) => {
                    tracing::debug!(?timed_out, "connection closed: it took too long");
                    if timed_out == TimedOut::Head || idle_timeout > self.options.idle_timeout {
                        break;
                    }
                    idle_timeout += CLOSE_GRACE;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
        open.dec();
    }
}
