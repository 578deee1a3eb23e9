//! Logs, on stderr: readable text on a terminal, one JSON object a line everywhere else.
//!
//! Lines are handed to a thread that writes all that has gathered in one go, so that a request never waits for
//! whoever reads the log, and a busy server makes one system call for many lines.

mod mask;
#[cfg(feature = "otel")]
mod traces;

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue};
use tracing::Span;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

pub use mask::mask_secrets;

/// Beyond this many unwritten bytes, whoever logs waits for the writer: memory is bounded, and no line is lost.
const MAX_PENDING: usize = 1 << 20;

/// How long the writer lets lines gather once there is one: unnoticed by a reader, and hundreds of requests' worth.
const GATHER: Duration = Duration::from_millis(5);

/// Starts logging for the whole process; a second call changes nothing. `filter` is in `tracing`'s directive syntax
/// (`info`, `tier=debug`); with the feature `otel`, traces go to the `collector`, if one is named. Keep the guard until
/// the end: dropping it writes what is left.
#[must_use = "dropping the guard ends the writing of the log"]
pub fn init(filter: &str, collector: Option<&str>) -> Guard {
    let log = Log::default();
    let lines = tracing_subscriber::fmt::layer()
        .with_target(false)
        .with_writer(log.clone());
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let registry = tracing_subscriber::registry().with(filter);
    #[cfg(feature = "otel")]
    let (traces, registry) = {
        let traces = collector.map(traces::provider);
        let layer = traces.as_ref().and_then(|traces| traces.as_ref().ok());
        let layer = layer.map(traces::layer);
        (traces, registry.with(layer))
    };
    #[cfg(not(feature = "otel"))]
    let _ = collector;
    let started = if io::stderr().is_terminal() {
        registry.with(lines).try_init()
    } else {
        registry.with(lines.json().flatten_event(true)).try_init()
    };
    let guard = Guard::start(log);
    #[cfg(feature = "otel")]
    let guard = guard.ending(traces);
    if started.is_ok() {
        std::panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string);
            tracing::error!(place, message = panic_text(panic.payload()), "panic");
        }));
    }
    guard
}

/// What the work on one request is a part of.
pub fn request_span(id: &HeaderValue, endpoint: &'static str, headers: &HeaderMap) -> Span {
    let id = id.to_str().unwrap_or_default();
    #[cfg(feature = "otel")]
    {
        let span = tracing::info_span!("request", id, endpoint);
        traces::continue_trace(&span, headers);
        span
    }
    // Without traces, only `-v` shows what happens within a request; its one line in the log has the
    // id anyway, and a span would be formatted for nothing.
    #[cfg(not(feature = "otel"))]
    {
        let _ = headers;
        tracing::debug_span!("request", id, endpoint)
    }
}

/// The W3C headers by which another service's spans become a part of the trace that `span` is in; none without traces.
pub fn trace_headers(span: &Span) -> HeaderMap {
    #[cfg(feature = "otel")]
    {
        traces::headers_of(span)
    }
    #[cfg(not(feature = "otel"))]
    {
        let _ = span;
        HeaderMap::new()
    }
}

/// What a panic said, if it said something.
pub fn panic_text(payload: &(dyn std::any::Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no message)")
}

/// The lines that wait to be written.
#[derive(Clone, Default)]
struct Log(Arc<Shared>);

#[derive(Default)]
struct Shared {
    pending: Mutex<Pending>,
    changed: Condvar,
}

#[derive(Default)]
struct Pending {
    bytes: Vec<u8>,
    closed: bool,
}

impl Shared {
    /// A panic elsewhere does not make the bytes wrong; the log goes on.
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, pending: MutexGuard<'a, Pending>) -> MutexGuard<'a, Pending> {
        self.changed
            .wait(pending)
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn write_until_closed(&self, sink: &mut impl Write) {
        let mut batch = Vec::new();
        loop {
            let mut pending = self.lock();
            while pending.bytes.is_empty() && !pending.closed {
                pending = self.wait(pending);
            }
            if pending.bytes.is_empty() {
                return;
            }
            if !pending.closed {
                drop(pending);
                std::thread::sleep(GATHER);
                pending = self.lock();
            }
            std::mem::swap(&mut batch, &mut pending.bytes);
            drop(pending);
            self.changed.notify_all();
            // Nobody is left to tell when stderr itself is gone.
            let _ = sink.write_all(&batch);
            batch.clear();
            batch.shrink_to(MAX_PENDING / 16);
        }
    }
}

/// Owns the writing thread.
pub struct Guard {
    log: Log,
    writer: Option<JoinHandle<()>>,
    #[cfg(feature = "otel")]
    traces: Option<opentelemetry_sdk::trace::SdkTracerProvider>,
}

impl Guard {
    fn start(log: Log) -> Self {
        let shared = Arc::clone(&log.0);
        let writer = std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || shared.write_until_closed(&mut io::stderr()))
            .ok();
        // Without a thread, every line is written by whoever logs it.
        log.0.lock().closed = writer.is_none();
        Self {
            log,
            writer,
            #[cfg(feature = "otel")]
            traces: None,
        }
    }
}

#[cfg(feature = "otel")]
impl Guard {
    /// The guard of the traces too, or of the word that there are none.
    fn ending(
        mut self,
        traces: Option<
            Result<opentelemetry_sdk::trace::SdkTracerProvider, Box<dyn std::error::Error>>,
        >,
    ) -> Self {
        self.traces = traces.and_then(|traces| {
            let failed = |error| tracing::error!(%error, "traces are not exported");
            traces.map_err(failed).ok()
        });
        self
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        #[cfg(feature = "otel")]
        if let Some(Err(error)) = self.traces.take().map(|traces| traces.shutdown()) {
            tracing::warn!(%error, "the last traces were not exported");
        }
        self.log.0.lock().closed = true;
        self.log.0.changed.notify_all();
        if let Some(writer) = self.writer.take() {
            // It cannot panic: it only copies bytes.
            let _ = writer.join();
        }
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(&self.0)
    }
}

/// One event on its way; the formatter writes it in one piece.
struct Line<'a>(&'a Shared);

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut pending = self.0.lock();
        if pending.closed {
            drop(pending);
            return io::stderr().lock().write(line);
        }
        while pending.bytes.len() > MAX_PENDING && !pending.closed {
            pending = self.0.wait(pending);
        }
        pending.bytes.extend_from_slice(line);
        drop(pending);
        self.0.changed.notify_all();
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_written_whole_and_in_its_threads_order() {
        const LINES: usize = 200;
        let log = Log::default();
        let mut written = Vec::new();
        std::thread::scope(|scope| {
            let writers: Vec<_> = ["a", "b", "c"]
                .map(|name| {
                    let log = &log;
                    scope.spawn(move || {
                        for i in 0..LINES {
                            let line = format!("{name} {i:03}\n");
                            log.make_writer().write_all(line.as_bytes()).unwrap();
                        }
                    })
                })
                .into();
            let shared = &log.0;
            let sink = &mut written;
            scope.spawn(move || shared.write_until_closed(sink));
            for writer in writers {
                writer.join().unwrap();
            }
            shared.lock().closed = true;
            shared.changed.notify_all();
        });
        let text = String::from_utf8(written).unwrap();
        for name in ["a", "b", "c"] {
            let expected: Vec<String> = (0..LINES).map(|i| format!("{name} {i:03}")).collect();
            let of_thread: Vec<&str> = text.lines().filter(|line| line.starts_with(name)).collect();
            assert_eq!(of_thread, expected);
        }
    }
}
