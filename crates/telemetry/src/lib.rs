//! Logs to stderr: as text on a terminal, and as one JSON object a line elsewhere.

mod json_line;
mod log;
mod mask;
#[cfg(feature = "otel")]
mod traces;

use std::io::{self, IsTerminal as _};

use http::{HeaderMap, HeaderValue, Method};
use tracing::Span;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use json_line::JsonLine;
use log::Log;
pub use log::lines_dropped;
pub use mask::mask_secrets;

/// Starts logging for the whole process. A second call changes nothing. `filter` has `tracing`'s directive syntax
/// (`info`, `tier=debug`). With the feature `otel`, traces go to the `collector`, if there is one, over connections with
/// the settings of `tls`. Keep the guard until the end: dropping it writes the remaining lines, unless the reader has
/// stalled.
#[must_use = "dropping the guard ends the writing of the log"]
pub fn init(
    filter: &str,
    collector: Option<&str>,
    tls: impl FnOnce() -> rustls::ClientConfig,
) -> Guard {
    let log = Log::default();
    let lines = tracing_subscriber::fmt::layer()
        .with_target(false)
        .with_writer(log.clone());
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let registry = tracing_subscriber::registry().with(filter);
    #[cfg(feature = "otel")]
    let (traces, registry) = {
        let traces = collector.map(|endpoint| traces::provider(endpoint, tls()));
        let layer = traces.as_ref().and_then(|traces| traces.as_ref().ok());
        let layer = layer.map(traces::layer);
        (traces, registry.with(layer))
    };
    #[cfg(not(feature = "otel"))]
    let _ = (collector, tls);
    let started = if io::stderr().is_terminal() {
        registry.with(lines).try_init()
    } else {
        let lines = lines.json().event_format(JsonLine::new());
        registry.with(lines).try_init()
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

/// The span of a request.
pub fn request_span(id: &HeaderValue, endpoint: &'static str, headers: &HeaderMap) -> Span {
    let id = id.to_str().unwrap_or_default();
    #[cfg(feature = "otel")]
    {
        let span = tracing::info_span!("request", id, endpoint);
        traces::continue_trace(&span, headers);
        span
    }
    // Without traces, only `-v` logs events within a request. The request's log line has the id anyway, so formatting a
    // span would be wasted.
    #[cfg(not(feature = "otel"))]
    {
        let _ = headers;
        tracing::debug_span!("request", id, endpoint)
    }
}

/// The span of a call to Stripe, within that of a request.
pub fn call_span(method: &Method, endpoint: &'static str) -> Span {
    #[cfg(feature = "otel")]
    {
        tracing::info_span!("stripe", %method, endpoint)
    }
    // As for requests, only traces and `-v` use it.
    #[cfg(not(feature = "otel"))]
    {
        tracing::debug_span!("stripe", %method, endpoint)
    }
}

/// The W3C headers that continue the trace of `span` in another service. Empty without traces.
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

/// The message of a panic, or `(no message)`.
pub fn panic_text(payload: &(dyn std::any::Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no message)")
}

/// An error and its sources, the outermost first. A source is left out if the text before it already has its message.
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        source = error.source();
    }
    text
}

/// Keeps the log and the traces running until it is dropped.
pub struct Guard {
    log: Log,
    #[cfg(feature = "otel")]
    traces: Option<opentelemetry_sdk::trace::SdkTracerProvider>,
}

impl Guard {
    fn start(log: Log) -> Self {
        log.start();
        Self {
            log,
            #[cfg(feature = "otel")]
            traces: None,
        }
    }
}

#[cfg(feature = "otel")]
impl Guard {
    /// Adds the traces to the guard, or logs why there are none.
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
        self.log.finish();
    }
}
