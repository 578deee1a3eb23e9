//! The limits of a connection for HTTP/1 and HTTP/2, as hyper's settings.

use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;

use super::Options;

/// Limits of one HTTP/2 connection. Each bounds its memory.
pub(super) struct Http2 {
    /// Concurrent requests. Each takes about 2,500 bytes until its answer is read.
    streams: u32,
    /// A head may be this many times as large as [`Options::max_head`] and still get an answer with a body.
    head_factor: usize,
}

/// The limits while the table of connections is not busy.
pub(super) const HTTP2: Http2 = Http2 {
    streams: 64,
    head_factor: 4,
};

/// The limits while it is busy. They bound the memory of all connections together.
pub(super) const HTTP2_WHEN_BUSY: Http2 = Http2 {
    streams: 8,
    head_factor: 1,
};

/// How many bytes of bodies a client of HTTP/2 may send before they are read. The protocol allows no less.
const WINDOW: u32 = 65_535;

/// The hyper builder for connections with these limits.
pub(super) fn builder(options: &Options, http2: &Http2) -> Builder<TokioExecutor> {
    let max_head = options.max_head.saturating_mul(http2.head_factor);
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
        .max_header_list_size(u32::try_from(max_head).unwrap_or(u32::MAX));
    builder
}
