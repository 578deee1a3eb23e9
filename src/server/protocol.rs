//! How much hyper lets a connection do, over HTTP/1 and HTTP/2.

use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;

use super::Options;

/// What one connection may do with HTTP/2, all of which takes memory.
pub(super) struct Http2 {
    /// Requests at once. Each takes some 2,500 bytes as long as its answer is not read.
    streams: u32,
    /// How much larger than [`Options::max_head`] a head may be and still be told so with a body.
    heads: usize,
}

/// While there are few connections.
pub(super) const OF_FEW: Http2 = Http2 {
    streams: 64,
    heads: 4,
};

/// When there are many, whose memory together is bounded by this.
pub(super) const OF_MANY: Http2 = Http2 {
    streams: 8,
    heads: 1,
};

/// How much of its bodies a client of HTTP/2 may send before they are read: the least that the protocol allows for a
/// connection. Whoever it is, so much is kept.
const WINDOW: u32 = 65_535;

/// How connections with `options` are served, and what they may do with HTTP/2.
pub(super) fn builder(options: &Options, http2: &Http2) -> Builder<TokioExecutor> {
    let heads = options.max_head.saturating_mul(http2.heads);
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .max_buf_size(options.max_head.max(8192))
        // The connection's own watch times heads and the time between them; a second timer would cost each request.
        .header_read_timeout(None);
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_concurrent_streams(http2.streams)
        .max_header_list_size(u32::try_from(heads).unwrap_or(u32::MAX));
    builder
}
