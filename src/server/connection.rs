//! One connection, and the watch on it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::Watcher;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tower::ServiceExt as _;

use super::Options;

/// What all connections of a listener have in common.
pub(super) struct Connections {
    pub(super) builder: Builder<TokioExecutor>,
    pub(super) app: Router,
    pub(super) options: Options,
}

impl Connections {
    /// Answers what comes over `stream`, until its end or until nothing moves for too long.
    pub(super) async fn serve(&self, stream: TcpStream, watcher: Watcher) {
        let Some(tls) = &self.options.tls else {
            return self.over(stream, watcher).await;
        };
        let handshake = tls.acceptor().accept(stream);
        match tokio::time::timeout(self.options.head_timeout, handshake).await {
            Ok(Ok(stream)) => self.over(stream, watcher).await,
            Ok(Err(cause)) => tracing::debug!(%cause, "TLS handshake failed"),
            Err(_) => tracing::debug!("TLS handshake took too long"),
        }
    }

    async fn over(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        watcher: Watcher,
    ) {
        let connections = &self.options.metrics.connections;
        connections.inc();
        let activity = Arc::new(Activity::new());
        let (app, active) = (self.app.clone(), activity.clone());
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let working = active.begin();
            let answer = app.clone().oneshot(request.map(Body::new));
            async move {
                let answer = answer.await;
                drop(working);
                answer
            }
        });
        let stream = TokioIo::new(Watched {
            stream,
            activity: activity.clone(),
        });
        let connection = self.builder.serve_connection_with_upgrades(stream, service);
        let connection = watcher.watch(connection.into_owned());
        tokio::select! {
            ended = connection => if let Err(cause) = ended {
                tracing::debug!(%cause, "connection ended early");
            },
            () = activity.stalls(self.options.head_timeout, self.options.idle_timeout) => {
                tracing::debug!("connection closed: nothing moved for too long");
            }
        }
        connections.dec();
    }
}

/// What happens on a connection.
#[derive(Debug)]
struct Activity {
    opened: Instant,
    /// When the last byte moved, in milliseconds after the opening.
    moved: AtomicU64,
    /// When the first byte of a request's head came, likewise; [`NO_HEAD`] outside of heads.
    head: AtomicU64,
    /// Requests that are being worked on.
    working: AtomicUsize,
    /// HTTP/2 has frames that belong to no request, so heads are not timed there.
    http2: AtomicBool,
}

const NO_HEAD: u64 = u64::MAX;

/// A request that is being worked on until this is dropped.
struct Working(Arc<Activity>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.moved.store(self.0.now(), Ordering::Relaxed);
        self.0.working.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Activity {
    fn new() -> Self {
        Self {
            opened: Instant::now(),
            moved: AtomicU64::new(0),
            head: AtomicU64::new(NO_HEAD),
            working: AtomicUsize::new(0),
            http2: AtomicBool::new(false),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(NO_HEAD - 1)
    }

    fn begin(self: &Arc<Self>) -> Working {
        self.working.fetch_add(1, Ordering::Relaxed);
        self.head.store(NO_HEAD, Ordering::Relaxed);
        Working(self.clone())
    }

    fn read(&self, bytes: &[u8]) {
        let now = self.now();
        let first = self.moved.swap(now, Ordering::Relaxed) == 0;
        if first && bytes.starts_with(b"PRI") {
            self.http2.store(true, Ordering::Relaxed);
        }
        if self.working.load(Ordering::Relaxed) == 0 {
            // It may have begun before: then that time stands.
            let _ = self
                .head
                .compare_exchange(NO_HEAD, now, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Completes when a head, or anything at all, has been awaited for too long.
    async fn stalls(&self, head_timeout: Duration, idle_timeout: Duration) {
        loop {
            let Some(until) = self.patience(head_timeout, idle_timeout) else {
                tokio::time::sleep(head_timeout.min(idle_timeout)).await;
                continue;
            };
            if until <= Instant::now() {
                return;
            }
            // In steps, since a head may begin meanwhile.
            let step = Instant::now() + head_timeout.min(idle_timeout);
            tokio::time::sleep_until(until.min(step)).await;
        }
    }

    fn patience(&self, head_timeout: Duration, idle_timeout: Duration) -> Option<Instant> {
        if self.working.load(Ordering::Relaxed) > 0 {
            return None;
        }
        let at = |millis: &AtomicU64| {
            self.opened + Duration::from_millis(millis.load(Ordering::Relaxed))
        };
        let idle = at(&self.moved) + idle_timeout;
        let in_head =
            !self.http2.load(Ordering::Relaxed) && self.head.load(Ordering::Relaxed) != NO_HEAD;
        Some(if in_head {
            idle.min(at(&self.head) + head_timeout)
        } else {
            idle
        })
    }
}

/// A stream that notes when its bytes move.
struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S> Watched<S> {
    fn wrote(&self, poll: &Poll<io::Result<usize>>) {
        if matches!(poll, Poll::Ready(Ok(count)) if *count > 0) {
            let now = self.activity.now().max(1);
            self.activity.moved.store(now, Ordering::Relaxed);
        }
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
        let poll = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(&poll);
        poll
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.wrote(&poll);
        poll
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
