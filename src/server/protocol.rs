//! The limits of a connection for HTTP/1 and HTTP/2, as hyper's settings.

use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;

use super::Options;

/// Limits of one HTTP/2 connection. Each is memory.
pub(super) struct Http2 {
    /// Requests at the same time. Each takes about 2,500 bytes until its answer is read.
    streams: u32,
    /// How much larger than [`Options::max_head`] a head may be and still get an answer with a body.
    heads: usize,
}

/// The limits while there are few connections.
pub(super) const HTTP2: Http2 = Http2 {
    streams: 64,
    heads: 4,
};

/// The limits when there are many. They bound the memory of all connections together.
pub(super) const HTTP2_WHEN_BUSY: Http2 = Http2 {
    streams: 8,
    heads: 1,
};

/// How many bytes of bodies a client of HTTP/2 may send before they are read. The protocol allows no less.
const WINDOW: u32 = 65_535;

/// The hyper builder for connections with these limits.
pub(super) fn builder(options: &Options, http2: &Http2) -> Builder<TokioExecutor> {
    let heads = options.max_head.saturating_mul(http2.heads);
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .max_buf_size(options.max_head.max(8192))
        // `Activity` times out heads and idle connections. A second timer would cost every request.
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
