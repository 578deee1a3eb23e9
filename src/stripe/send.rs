//! Sends a call to Stripe, with retries.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use backon::Retryable;
use reqwest::Method;
use reqwest::header::{self, HeaderName};
use secrecy::ExposeSecret as _;
use serde::de::{DeserializeOwned, IgnoredAny};
use sha2::{Digest as _, Sha256};
use tracing::Instrument as _;

use super::error::Error;
use super::refusal::{is_replayed, refusal, text, transport_error};
use super::{ApiVersion, Request, retry};
use crate::metrics::Endpoint;
use crate::num;
use telemetry::mask_secrets;

const STRIPE_VERSION: HeaderName = HeaderName::from_static("stripe-version");
const STRIPE_ACCOUNT: HeaderName = HeaderName::from_static("stripe-account");
const STRIPE_CONTEXT: HeaderName = HeaderName::from_static("stripe-context");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The maximum size of an answer in bytes. A page of a hundred large objects has about one megabyte. The limit keeps a
/// server that only pretends to be Stripe from exhausting the memory.
const MAX_ANSWER: usize = 32 << 20;

/// Stripe's answer to a successful call.
#[derive(Clone, Debug)]
pub struct Answer<T> {
    /// The decoded body.
    pub value: T,
    /// Whether Stripe replayed the answer to an earlier call with the same idempotency key.
    pub replayed: bool,
}

/// The body of a successful answer.
#[derive(Debug)]
struct Body {
    bytes: Arc<[u8]>,
    replayed: bool,
}

impl Request {
    /// Sends the call, retries according to [`retry`], and decodes the answer.
    ///
    /// # Errors
    /// The error of the last attempt; [`Error::Timeout`] if all attempts together took too long. If only the last
    /// attempt was [rejected](Error::is_attempt_rejected), and an earlier one may have had its effect, the earlier
    /// error.
    pub async fn send<T: DeserializeOwned>(self) -> Result<T, Error> {
        Ok(self.send_detecting_replay().await?.value)
    }

    /// Like [`send`](Self::send), but also returns whether Stripe replayed the answer to an earlier call.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub async fn send_detecting_replay<T: DeserializeOwned>(self) -> Result<Answer<T>, Error> {
        let (method, endpoint) = (self.method.clone(), self.endpoint);
        let Body { bytes, replayed } = self.send_with_retries().await?;
        let value = decode(&bytes, &method, endpoint)?;
        Ok(Answer { value, replayed })
    }

    /// Not generic in the type of the answer, so that it is compiled once.
    async fn send_with_retries(mut self) -> Result<Body, Error> {
        if !self.is_read && self.method == Method::POST {
            let key = self.idempotency_key.take();
            let key = key.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
            self.idempotency_key = Some(sendable(match &self.client.credentials().key_prefix {
                Some(prefix) => format!("{prefix}#{key}"),
                None => key,
            }));
        }
        let options = &self.client.transport.options;
        let inconclusive = OnceLock::new();
        let tries = (|| self.try_once())
            .retry(retry::backoff(options))
            .when(retry::is_worthwhile)
            .adjust(retry::wait)
            .notify(|error: &Error, after: Duration| {
                if !error.is_attempt_rejected() && error.is_inconclusive() {
                    inconclusive.get_or_init(|| error.clone());
                }
                let endpoint = self.endpoint;
                let metrics = self.client.metrics();
                metrics
                    .stripe_retries
                    .get_or_create(&Endpoint { endpoint })
                    .inc();
                tracing::warn!(%error, ?after, endpoint, "stripe call is tried again");
            });
        // Boxed, because the future of a request contains several calls, and would reserve space for each.
        let answer = tokio::time::timeout(options.deadline, Box::pin(tries)).await;
        match answer.unwrap_or(Err(Error::Timeout("all tries together"))) {
            Err(last) if last.is_attempt_rejected() => {
                Err(inconclusive.into_inner().unwrap_or(last))
            }
            answer => answer,
        }
    }

    /// One attempt, or the answer of an identical read in flight. An answer that is not JSON is an error here, since
    /// another attempt may bring the right one.
    async fn try_once(&self) -> Result<Body, Error> {
        let reads = &self.client.key_state.reads;
        let body = if self.is_read {
            let bytes = if self.client.shares_reads {
                self.share_attempt().await?
            } else {
                self.attempt().await?.bytes
            };
            // Also if another request's call brought the answer: refusing this request's next call would waste it.
            self.client.request.begin();
            Body {
                bytes,
                replayed: false,
            }
        } else {
            // Dropped however this attempt ends, because a write that its deadline cuts short may have had its effect.
            let written = reads.writing();
            let body = self.attempt().await;
            drop(written);
            body?
        };
        let _: IgnoredAny = decode(&body.bytes, &self.method, self.endpoint)?;
        Ok(body)
    }

    /// One attempt of a read, or the answer of an identical one in flight.
    async fn share_attempt(&self) -> Result<Arc<[u8]>, Error> {
        let ApiVersion(version) = self.version;
        let parameters = self.form.encode();
        let name = format!("{version} {} {}?{parameters}", self.method, self.path);
        let read = |client| {
            let read = Self {
                client,
                ..self.clone()
            };
            async move { Ok(read.attempt().await?.bytes) }
        };
        let reads = &self.client.key_state.reads;
        reads.share(name, &self.client, read).await
    }

    /// One attempt, after waiting for its turn.
    async fn attempt(&self) -> Result<Body, Error> {
        let Some(budget) = self.client.budget() else {
            self.check_caller()?;
            return self.exchange().await;
        };
        let metrics = self.client.metrics();
        let arrived = Instant::now();
        let permit = budget
            .acquire(self.endpoint, &self.client.request.ticket)
            .await;
        metrics
            .stripe_waits
            .observe(arrived.elapsed().as_secs_f64());
        let _permit = permit.map_err(|refused| {
            metrics.stripe_refusals.inc();
            Error::Limited {
                retry_after: refused.retry_after,
            }
        })?;
        self.check_caller()?;
        let answer = self.exchange().await;
        match &answer {
            Ok(_) => budget.succeeded(),
            Err(error) if error.is_rate_limit() => budget.throttled(),
            Err(_) => {}
        }
        answer
    }

    /// Records that the client's request writes. Fails if its caller left before the first write.
    fn check_caller(&self) -> Result<(), Error> {
        if self.is_read || self.client.caller().may_write() {
            Ok(())
        } else {
            Err(Error::Abandoned)
        }
    }

    /// Sends one attempt. Records for the caller whether it may have had an effect.
    async fn exchange(&self) -> Result<Body, Error> {
        let answer = self.exchange_timed().await;
        let had_effect = answer
            .as_ref()
            .map_or_else(Error::may_have_had_effect, |_| true);
        if !self.is_read && had_effect {
            self.client.caller().note_effect();
        }
        answer
    }

    /// Sends one attempt, in a trace span and with metrics.
    async fn exchange_timed(&self) -> Result<Body, Error> {
        let started = Instant::now();
        let span = telemetry::call_span(&self.method, self.endpoint);
        let answer = self.exchange_bytes().instrument(span).await;
        let outcome = answer.as_ref().err().map_or("ok", Error::outcome);
        let metrics = self.client.metrics();
        metrics.stripe_called(self.endpoint, outcome, started.elapsed());
        self.client.note_key(&answer);
        answer
    }

    /// Sends one attempt, and reads the complete answer.
    async fn exchange_bytes(&self) -> Result<Body, Error> {
        let answer = self.build().send().await;
        let request_id = answer
            .as_ref()
            .ok()
            .and_then(|answer| text(answer.headers(), "request-id"));
        self.client.request.note_call(request_id);
        let mut answer = answer.map_err(transport_error)?;
        let status = answer.status();
        let headers = answer.headers().clone();
        self.client.transport.time.note(&headers);
        // Read to the end for every status; otherwise the connection cannot be reused.
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(transport_error)? {
            if bytes.len() + chunk.len() > MAX_ANSWER {
                let limit = MAX_ANSWER >> 20;
                return Err(Error::Transport(format!(
                    "an answer of more than {limit} MB"
                )));
            }
            bytes.extend_from_slice(&chunk);
        }
        if self.client.transport.options.debug {
            tracing::info!(
                target: "stripe",
                method = %self.method, path = &*mask_secrets(&self.path), params = self.form.masked(),
                status = status.as_u16(), request_id = text(&headers, "request-id"), "stripe call"
            );
        }
        if status.is_success() {
            let replayed = is_replayed(&headers);
            Ok(Body {
                bytes: bytes.into(),
                replayed,
            })
        } else {
            let call = format!("{} {}", self.method, self.endpoint);
            Err(refusal(call, status.as_u16(), &headers, &bytes))
        }
    }

    fn build(&self) -> reqwest::RequestBuilder {
        let (transport, credentials) = (&self.client.transport, self.client.credentials());
        let mut url = format!("{}{}", transport.options.base_url, self.path);
        let in_body = self.method == Method::POST;
        if !in_body && !self.form.is_empty() {
            url.push('?');
            url.push_str(&self.form.encode());
        }
        let mut request = transport
            .http
            .request(self.method.clone(), url)
            .basic_auth(credentials.key.expose_secret(), None::<&str>)
            .header(STRIPE_VERSION, self.version.0)
            .headers(telemetry::trace_headers(&tracing::Span::current()));
        let is_v2 = self.endpoint.starts_with("/v2/");
        if let Some(account) = &credentials.account {
            let name = if is_v2 {
                STRIPE_CONTEXT
            } else {
                STRIPE_ACCOUNT
            };
            request = request.header(name, account);
        }
        if let Some(key) = &self.idempotency_key {
            request = request.header(IDEMPOTENCY_KEY, key);
        }
        if in_body {
            // Version 2 of the API takes JSON.
            let (kind, body) = if is_v2 {
                ("application/json", self.form.to_json().to_string())
            } else {
                ("application/x-www-form-urlencoded", self.form.encode())
            };
            request = request.header(header::CONTENT_TYPE, kind).body(body);
        }
        request
    }
}

/// Decodes the answer to a call.
fn decode<T: DeserializeOwned>(bytes: &[u8], method: &Method, endpoint: &str) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|error| Error::Decode {
        endpoint: format!("{method} {endpoint}"),
        cause: error.to_string(),
    })
}

/// Stripe's maximum length of an idempotency key.
const MAX_IDEMPOTENCY_KEY: usize = 255;

/// `key`, or its digest if Stripe or HTTP would reject it (because of a long org name, or a line break in one).
fn sendable(key: String) -> String {
    if key.len() <= MAX_IDEMPOTENCY_KEY && !key.chars().any(char::is_control) {
        return key;
    }
    num::hex(&Sha256::digest(key.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idempotency_key_can_always_be_sent() {
        let fits = "k".repeat(255);
        assert_eq!(sendable(fits.clone()), fits);
        for key in ["k".repeat(256), "org:a\nb".to_owned()] {
            assert_eq!(sendable(key.clone()).len(), 64);
            assert_ne!(sendable(key.clone()), sendable(key + "x"));
        }
    }
}
