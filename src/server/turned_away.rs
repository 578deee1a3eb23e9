//! Connections that there is no room for. Clients read no answer before they have sent a request, so one is awaited.

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

/// How long a connection has to bring a request, and then to read why it is refused.
const PATIENCE: Duration = Duration::from_secs(1);

/// How many of them there may be. Each takes a file descriptor, and some memory.
const MOST: usize = 64;

/// Likewise where there is room for few: for as many as one client may open at once.
const FEWEST: usize = 8;

/// One in so many connections may be one more than there is room for.
const SHARE: usize = 8;

/// Those whose request is awaited.
pub(super) struct TurnedAway(Arc<Semaphore>);

impl TurnedAway {
    /// Beside so many connections.
    pub(super) fn of(connections: usize) -> Self {
        let most = connections.div_ceil(SHARE).clamp(FEWEST, MOST);
        Self(Arc::new(Semaphore::new(most)))
    }

    /// The right to be awaited; none if there are too many.
    pub(super) fn turn(&self) -> Option<OwnedSemaphorePermit> {
        self.0.clone().try_acquire_owned().ok()
    }
}

impl Connections {
    /// Tells a connection that there is no room for it: its request, if it is its `turn` and one comes.
    pub(super) async fn turn_away(&self, stream: TcpStream, turn: Option<OwnedSemaphorePermit>) {
        let brings_something = match turn {
            Some(_) => self.in_time(stream.peek(&mut [0])).await.is_some(),
            None => false,
        };
        let told = match &self.options.tls {
            None if brings_something => self.in_time(Box::pin(self.refuse(stream))).await,
            None => self.in_time(refuse_unasked(stream)).await,
            Some(tls) if brings_something => {
                let handshake = tls.acceptor().accept(stream);
                let refused = async { self.refuse(handshake.await?).await };
                self.in_time(Box::pin(refused)).await
            }
            Some(_) => None,
        };
        if told.is_none() {
            tracing::debug!("a connection was turned away without a word");
        }
    }

    /// What `work` comes to, unless it fails or takes too long.
    async fn in_time<T>(&self, work: impl Future<Output = io::Result<T>>) -> Option<T> {
        let work = tokio::time::timeout(PATIENCE, work);
        let done = self.stopping.run_until_cancelled(work).await?;
        done.ok()?.ok()
    }

    /// Refuses the request that comes over `stream`.
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
        let stream = TokioIo::new(Watched::new(stream, activity));
        let mut connection = pin!(self.builder_of_many.serve_connection(stream, service));
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

/// One write fits into the socket's own buffer, so nobody is waited for.
async fn refuse_unasked(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(&refusal::of_silence()).await
}
