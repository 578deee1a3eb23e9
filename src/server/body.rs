//! Discards the rest of a body that is unread when its request is answered.
//!
//! A client reads no answer while it is still sending. If the connection were closed then, it would see a reset instead
//! of the answer. So the rest is read and discarded for a while.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use hyper::Request;
use hyper::body::{Body as _, Bytes, Frame, Incoming, SizeHint};
use hyper::header::EXPECT;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::activity::Activity;

/// How long the rest of a body is read and discarded.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// The maximum number of bytes that are read and discarded.
const MAX_BYTES: usize = 16 << 20;

/// A request's body. If it is dropped before its end, the rest is read and discarded.
pub(super) struct Received {
    body: Option<Incoming>,
    reading: Option<Reading>,
    /// Cancelled when the server stops. After that nothing is read.
    stopping: CancellationToken,
}

/// Counts a body as being read until this is dropped.
struct Reading(Arc<Activity>);

impl Reading {
    fn of(activity: &Arc<Activity>) -> Self {
        activity.body_begins();
        Self(activity.clone())
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.body_ends();
    }
}

/// The request with its body as a [`Received`].
pub(super) fn received(
    request: Request<Incoming>,
    activity: &Arc<Activity>,
    stopping: &CancellationToken,
) -> Request<Body> {
    if request.body().is_end_stream() || request.headers().contains_key(EXPECT) {
        // A client that sent `Expect: 100-continue` and gets an answer instead does not send the body.
        return request.map(Body::new);
    }
    request.map(|body| {
        Body::new(Received {
            body: Some(body),
            reading: Some(Reading::of(activity)),
            stopping: stopping.clone(),
        })
    })
}

impl hyper::body::Body for Received {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(body).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) {
            self.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let body = self.body.as_ref();
        body.map_or(SizeHint::with_exact(0), Incoming::size_hint)
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        let rest = self.body.take().filter(|body| !body.is_end_stream());
        let (Some(rest), Ok(runtime)) = (rest, Handle::try_current()) else {
            return;
        };
        let (reading, stopping) = (self.reading.take(), self.stopping.clone());
        runtime.spawn(async move {
            let discarded = tokio::time::timeout(MAX_WAIT, discard(rest));
            let ended = stopping.run_until_cancelled(discarded).await;
            if !matches!(ended, Some(Ok(()))) {
                tracing::debug!("stopped reading the rest of a body");
            }
            drop(reading);
        });
    }
}

/// Reads a body to its end, or up to [`MAX_BYTES`] bytes.
async fn discard(mut body: Incoming) {
    let mut left = MAX_BYTES;
    while let Some(Ok(frame)) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await
    {
        let length = frame.data_ref().map_or(0, Bytes::len);
        let Some(rest) = left.checked_sub(length) else {
            return;
        };
        left = rest;
    }
}
