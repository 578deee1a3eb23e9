//! Traces over OTLP, with the feature `otel`. Each request is a span in its caller's trace. Each call to Stripe is a
//! child span and sends the trace's headers.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tracing::{Span, Subscriber};
use tracing_opentelemetry::{OpenTelemetryLayer, OpenTelemetrySpanExt as _};
use tracing_subscriber::registry::LookupSpan;

/// A provider that exports to the collector at `endpoint` (`http://localhost:4318`), in batches, from its own thread.
/// Must be called outside of the runtime.
///
/// # Errors
/// If the endpoint is not a URL, or TLS cannot be set up.
pub(super) fn provider(
    endpoint: &str,
    tls: rustls::ClientConfig,
) -> Result<SdkTracerProvider, Box<dyn std::error::Error>> {
    let http = reqwest::blocking::Client::builder()
        .tls_backend_preconfigured(tls)
        .build()?;
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(http)
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .build()?;
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(Resource::builder().with_service_name("tier").build())
        .build())
}

/// A layer that exports spans to OpenTelemetry.
pub(super) fn layer<S>(provider: &SdkTracerProvider) -> OpenTelemetryLayer<S, SdkTracer>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    tracing_opentelemetry::layer().with_tracer(provider.tracer("tier"))
}

/// Makes `span` a part of the trace in the W3C headers, if there is one.
pub(super) fn continue_trace(span: &Span, headers: &HeaderMap) {
    let context = TraceContextPropagator::new().extract(&Headers(headers));
    if let Err(error) = span.set_parent(context) {
        tracing::debug!(%error, "a trace was not continued");
    }
}

/// The W3C headers of `span`.
pub(super) fn headers_of(span: &Span) -> HeaderMap {
    let mut headers = HeaderMap::new();
    TraceContextPropagator::new().inject_context(&span.context(), &mut NewHeaders(&mut headers));
    headers
}

struct NewHeaders<'a>(&'a mut HeaderMap);

impl Injector for NewHeaders<'_> {
    fn set(&mut self, key: &str, value: String) {
        // A caller's tracestate came in a header, so it is a valid header value.
        if let (Ok(name), Ok(value)) = (key.parse::<HeaderName>(), HeaderValue::try_from(value))
            && !value.is_empty()
        {
            self.0.insert(name, value);
        }
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use opentelemetry_sdk::error::OTelSdkResult;
    use opentelemetry_sdk::trace::SpanData;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// Keeps exported spans.
    #[derive(Clone, Debug, Default)]
    struct Kept(Arc<Mutex<Vec<SpanData>>>);

    impl opentelemetry_sdk::trace::SpanExporter for Kept {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.0.lock().unwrap().extend(batch);
            Ok(())
        }
    }

    /// The spans that `work` makes.
    fn spans_of(work: impl FnOnce()) -> Vec<SpanData> {
        let kept = Kept::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(kept.clone())
            .build();
        let spans = tracing_subscriber::registry().with(layer(&provider));
        tracing::subscriber::with_default(spans, work);
        std::mem::take(&mut kept.0.lock().unwrap())
    }

    #[test]
    fn a_request_continues_its_callers_trace_and_passes_it_on() {
        let caller = HeaderMap::from_iter(
            [
                (
                    "traceparent",
                    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                ),
                ("tracestate", "vendor=1"),
            ]
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            }),
        );
        let mut handed_on = HeaderMap::new();
        let spans = spans_of(|| {
            let id = HeaderValue::from_static("1");
            let span = crate::request_span(&id, "/v1/limits", &caller);
            span.in_scope(|| handed_on = headers_of(&tracing::info_span!("stripe")));
        });
        assert_eq!(spans.len(), 2);
        for span in &spans {
            let trace = span.span_context.trace_id().to_string();
            assert_eq!(trace, "0af7651916cd43dd8448eb211c80319c");
        }
        let (call, request) = (&spans[0], &spans[1]);
        assert_eq!(call.parent_span_id, request.span_context.span_id());
        assert_eq!(request.parent_span_id.to_string(), "b7ad6b7169203331");
        let parent = format!(
            "00-0af7651916cd43dd8448eb211c80319c-{}-01",
            call.span_context.span_id()
        );
        assert_eq!(handed_on["traceparent"], parent.as_str());
        assert_eq!(handed_on["tracestate"], "vendor=1");
    }

    #[test]
    fn without_traces_no_headers_are_passed_on() {
        assert!(headers_of(&tracing::info_span!("stripe")).is_empty());
    }
}
