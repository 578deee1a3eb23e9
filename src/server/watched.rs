//! The stream of a connection. It records what is read, and adds a body to the refusals that hyper writes by itself.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::activity::Activity;
use super::refusal::{self, RefusalPage};

/// How long the rest of a refused head is read and discarded.
const LINGER: Duration = Duration::from_secs(1);

/// A stream that records what is read, and adds a body to the refusals that hyper writes by itself.
pub(super) struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
    refusal_page: Option<RefusalPage>,
    /// The refusal that is being written in place of hyper's.
    refusal: Option<Refusal>,
    /// Set once a head was refused: until then the rest of it is still read.
    linger: Option<Pin<Box<Sleep>>>,
    /// Whether the writer was shut down.
    is_shut: bool,
}

/// A refusal that is written in place of hyper's, and how much of it was written.
struct Refusal {
    bytes: Vec<u8>,
    written: usize,
    /// The length of hyper's own answer.
    replaced_len: usize,
}

impl<S> Watched<S> {
    pub(super) fn new(
        stream: S,
        activity: Arc<Activity>,
        refusal_page: Option<RefusalPage>,
    ) -> Self {
        Self {
            stream,
            activity,
            refusal_page,
            refusal: None,
            linger: None,
            is_shut: false,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Watched<S> {
    /// Reads and discards what still arrives. A client whose connection is reset while it sends does not see the
    /// answer.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(linger) = &mut self.linger else {
            return Poll::Ready(());
        };
        while linger.as_mut().poll(cx).is_pending() {
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
    /// Writes more of the refusal. Once all of it is written, hyper gets the length of its own answer.
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
        self.linger = Some(Box::pin(tokio::time::sleep(LINGER)));
        Poll::Ready(Ok(refusal.replaced_len))
    }

    /// The refusal that is being written, or the one that replaces `bytes`.
    fn refusal(&mut self, bytes: &[u8]) -> Option<Refusal> {
        self.refusal.take().or_else(|| {
            let sender = || self.activity.sender();
            Some(Refusal {
                bytes: refusal::of_head(bytes, sender, self.refusal_page)?,
                written: 0,
                replaced_len: bytes.len(),
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
