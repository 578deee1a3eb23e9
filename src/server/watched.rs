//! The stream of a connection, with its reader watched and hyper's own refusals given a body.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::activity::Activity;
use super::refusal;

/// How long the rest of a head that was refused is read.
const LINGER: Duration = Duration::from_secs(1);

/// A stream whose reader is watched, and whose writer gives a body to what hyper refuses by itself.
pub(super) struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
    /// What is being written in the place of hyper's own answer.
    refusal: Option<Refusal>,
    /// Once something was refused: until when the rest of it is read.
    lingers: Option<Pin<Box<Sleep>>>,
    /// Nothing more is written.
    is_shut: bool,
}

/// What is written in the place of hyper's own answer, and how far it is.
struct Refusal {
    bytes: Vec<u8>,
    written: usize,
    /// How long hyper's own answer is.
    stands_for: usize,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self {
            stream,
            activity,
            refusal: None,
            lingers: None,
            is_shut: false,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Watched<S> {
    /// Reads and forgets what still comes: a client that is broken off while it sends does not see what it was told.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(lingers) = &mut self.lingers else {
            return Poll::Ready(());
        };
        while lingers.as_mut().poll(cx).is_pending() {
            let mut rest = [0; 4096];
            let mut rest = ReadBuf::new(&mut rest);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut rest)) {
                Ok(()) if !rest.filled().is_empty() => {}
                _ => break,
            }
        }
        Poll::Ready(())
    }
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
        self.lingers = Some(Box::pin(tokio::time::sleep(LINGER)));
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

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<S> {
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
        if !self.is_shut {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            self.is_shut = true;
        }
        self.poll_rest(cx).map(Ok)
    }
}
