//! One connection, and the watch on it.
//!
//! Bytes alone do not keep a connection open: anybody can send some now and then for ever. Requests do.

use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::Options;
use super::frames::Protocol;
use super::open::Place;
use super::refusal;
use crate::net::Peer;

/// How long a client has to take leave, once it was told that its idle connection ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// What all connections of a listener have in common.
pub(super) struct Connections {
    pub(super) builder: Builder<TokioExecutor>,
    pub(super) app: Router,
    pub(super) options: Options,
    /// Finish what is in flight, and take nothing new.
    pub(super) stopping: CancellationToken,
}

impl Connections {
    /// Answers what comes over `stream`, until its end or until no request comes for too long.
    pub(super) async fn serve(&self, stream: TcpStream, peer: Peer, place: Place) {
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
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            let working = active.begin();
            let in_flight = of_requests.begin();
            request.extensions_mut().insert(peer);
            let answer = app.clone().oneshot(request.map(Body::new));
            async move {
                if in_flight.is_none() {
                    // The connection is being closed, and nothing is done for a request that comes too late.
                    std::future::pending::<()>().await;
                }
                let answer = answer.await;
                drop((working, in_flight));
                answer
            }
        });
        let stream = TokioIo::new(Watched {
            stream,
            activity: activity.clone(),
            refusal: None,
        });
        let mut connection = pin!(self.builder.serve_connection(stream, service));
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

/// What happens on a connection.
#[derive(Debug)]
struct Activity(Mutex<Seen>);

#[derive(Debug)]
struct Seen {
    protocol: Protocol,
    /// Since when a head, or the opening of HTTP/2, has been under way.
    head: Option<Instant>,
    /// Requests that are being worked on.
    working: usize,
    /// Without any: since when.
    idle: Instant,
}

/// What did not come in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WaitedFor {
    /// The rest of a head, or of the opening of HTTP/2.
    Head,
    /// A request.
    Request,
}

/// A request that is being worked on until this is dropped.
struct Working(Arc<Activity>);

impl Drop for Working {
    fn drop(&mut self) {
        let mut seen = self.0.lock();
        seen.working -= 1;
        seen.idle = Instant::now();
    }
}

impl Activity {
    fn new() -> Self {
        Self(Mutex::new(Seen {
            protocol: Protocol::Unknown(0),
            head: None,
            working: 0,
            idle: Instant::now(),
        }))
    }

    /// A panic elsewhere does not make what was seen wrong.
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(self: &Arc<Self>) -> Working {
        let mut seen = self.lock();
        seen.working += 1;
        if matches!(seen.protocol, Protocol::Http1) {
            seen.head = None;
        }
        Working(self.clone())
    }

    fn read(&self, bytes: &[u8]) {
        let seen = &mut *self.lock();
        let bytes = seen.protocol.learn(bytes);
        let in_head = match &mut seen.protocol {
            Protocol::Http2(frames) => {
                if frames.follow(bytes) {
                    seen.head = None;
                }
                frames.is_open()
            }
            // While a request is worked on, these are its body's, or wait until it was answered.
            Protocol::Http1 | Protocol::Unknown(_) => seen.working == 0,
        };
        if in_head {
            seen.head.get_or_insert_with(Instant::now);
        }
    }

    /// Completes when a head, or a request, has been awaited for too long.
    async fn stalls(&self, head_timeout: Duration, idle_timeout: Duration) -> WaitedFor {
        loop {
            let now = Instant::now();
            // In steps, since a head may begin meanwhile.
            let mut wake = now + head_timeout.min(idle_timeout);
            if let Some((until, waited_for)) = self.patience(head_timeout, idle_timeout) {
                if until <= now {
                    return waited_for;
                }
                wake = wake.min(until);
            }
            tokio::time::sleep_until(wake).await;
        }
    }

    /// Until when is waited for what.
    fn patience(
        &self,
        head_timeout: Duration,
        idle_timeout: Duration,
    ) -> Option<(Instant, WaitedFor)> {
        let seen = self.lock();
        let head = seen
            .head
            .map(|since| (since + head_timeout, WaitedFor::Head));
        let is_idle = seen.working == 0;
        let request = is_idle.then(|| (seen.idle + idle_timeout, WaitedFor::Request));
        head.into_iter()
            .chain(request)
            .min_by_key(|(until, _)| *until)
    }
}

/// A stream whose reader is watched, and whose writer gives a body to what hyper refuses by itself.
struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
    refusal: Option<Refusal>,
}

/// What is written in the place of hyper's own answer, and how far it is.
struct Refusal {
    bytes: Vec<u8>,
    written: usize,
    /// How long hyper's own answer is.
    stands_for: usize,
}

impl<S: AsyncWrite + Unpin> Watched<S> {
    /// Goes on with the refusal. To hyper, its own answer is written once all of it is.
    fn poll_refusal(
        &mut self,
        cx: &mut Context<'_>,
        mut refusal: Refusal,
    ) -> Poll<io::Result<usize>> {
        while refusal.written < refusal.bytes.len() {
            let rest = &refusal.bytes[refusal.written..];
            match Pin::new(&mut self.stream).poll_write(cx, rest) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => refusal.written += written,
                Poll::Ready(Err(cause)) => return Poll::Ready(Err(cause)),
                Poll::Pending => {
                    self.refusal = Some(refusal);
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(refusal.stands_for))
    }

    /// The refusal under way, or the one that `bytes` begin.
    fn refusal(&mut self, bytes: &[u8]) -> Option<Refusal> {
        self.refusal.take().or_else(|| {
            Some(Refusal {
                bytes: refusal::of_head(bytes)?,
                written: 0,
                stands_for: bytes.len(),
            })
        })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(cx, buf);
        let new = &buf.filled()[before..];
        if !new.is_empty() {
            self.activity.read(new);
        }
        poll
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.refusal(bytes) {
            Some(refusal) => self.poll_refusal(cx, refusal),
            None => Pin::new(&mut self.stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match slices {
            [all] => self.poll_write(cx, all),
            _ => Pin::new(&mut self.stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
