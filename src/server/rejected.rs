//! Connections without a slot. Clients do not read an answer before they have sent a request, so the server waits a
//! moment for the request, and then answers why it is refused.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Version};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::activity::Activity;
use super::body::received;
use super::connection::Connections;
use super::refusal;
use super::watched::Watched;

/// How long a rejected connection has to send a request, and then to read the answer.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// How many rejected connections may be open. Each takes a file descriptor and some memory.
const MAX_OPEN: usize = 64;

/// The least value of that limit: as many connections as one client may open at once.
const MIN_OPEN: usize = 8;

/// One rejected connection may be open for this many slots.
const FRACTION: usize = 8;

/// Limits how many rejected connections are open.
pub(super) struct RejectedConnections(Arc<Semaphore>);

impl RejectedConnections {
    /// The limit for a server with this many connections.
    pub(super) fn of(connections: usize) -> Self {
        let most = connections.div_ceil(FRACTION).clamp(MIN_OPEN, MAX_OPEN);
        Self(Arc::new(Semaphore::new(most)))
    }

    /// A permit to wait for a request. None if too many rejected connections are open.
    pub(super) fn try_reserve(&self) -> Option<OwnedSemaphorePermit> {
        self.0.clone().try_acquire_owned().ok()
    }
}

impl Connections {
    /// Refuses a connection because there is no slot for it. With a `permit`, this waits for a request and answers it.
    pub(super) async fn reject(&self, stream: TcpStream, permit: Option<OwnedSemaphorePermit>) {
        let has_sent_bytes = match permit {
            Some(_) => self.in_time(stream.peek(&mut [0])).await.is_some(),
            None => false,
        };
        let answered = match &self.options.tls {
            None if has_sent_bytes => self.in_time(Box::pin(self.refuse(stream))).await,
            None => self.in_time(refuse_without_request(stream)).await,
            Some(tls) if has_sent_bytes => {
                let handshake = tls.acceptor().accept(stream);
                let refused = async { self.refuse(handshake.await?).await };
                self.in_time(Box::pin(refused)).await
            }
            Some(_) => None,
        };
        if answered.is_none() {
            tracing::debug!("a rejected connection was closed without an answer");
        }
    }

    /// The result of `work`. None if it fails, takes too long, or the server stops.
    async fn in_time<T>(&self, work: impl Future<Output = io::Result<T>>) -> Option<T> {
        let work = tokio::time::timeout(MAX_WAIT, work);
        let done = self.stopping.run_until_cancelled(work).await?;
        done.ok()?.ok()
    }

    /// Reads a request from `stream` and refuses it.
    async fn refuse(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> io::Result<()> {
        let activity = Arc::new(Activity::new());
        let answered = CancellationToken::new();
        let (of_bodies, stopping) = (activity.clone(), self.stopping.clone());
        let has_answered = answered.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let closes = request.version() < Version::HTTP_2;
            drop(received(request, &of_bodies, &stopping));
            has_answered.cancel();
            async move { Ok::<_, Infallible>(refusal::of_connection(closes)) }
        });
        let stream = TokioIo::new(Watched::new(stream, activity, self.options.refusal_page));
        let mut connection = pin!(self.builder_when_busy.serve_connection(stream, service));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = answered.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        ended.map_err(io::Error::other)
    }
}

/// Sends the refusal at once. It fits into the socket's buffer, so this does not wait for the client.
async fn refuse_without_request(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(&refusal::without_request()).await
}
