//! Prepared writes.

use std::fmt::{self, Display};
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::stripe::{Answer, Client, Error, Request};

/// A write to send. The caller may first add an idempotency key and metadata.
#[must_use = "a write does nothing until it is sent"]
pub struct Write<T> {
    request: Request,
    answer: PhantomData<fn() -> T>,
}

/// An answer whose content is not read.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Ack {}

impl<T> Write<T> {
    pub(super) fn new(request: Request) -> Self {
        Self {
            request,
            answer: PhantomData,
        }
    }

    /// Sets the idempotency key: all calls with this `key` take effect once. Without one, only the retries of a single
    /// call do.
    pub fn key(self, key: impl Into<String>) -> Self {
        Self::new(self.request.idempotency_key(key))
    }

    /// The idempotency key that was set with [`key`](Self::key), if any.
    pub fn explicit_key(&self) -> Option<&str> {
        self.request.explicit_key()
    }

    /// Adds a metadata pair.
    pub fn metadata(self, key: &str, value: impl Display) -> Self {
        Self::new(self.request.param(format!("metadata[{key}]"), value))
    }

    /// Adds a metadata pair, if there is a value.
    pub fn metadata_some(self, key: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.metadata(key, value),
            None => self,
        }
    }

    /// The same write, whose answer will not be read.
    pub fn ignore_answer(self) -> Write<Ack> {
        Write::new(self.request)
    }

    /// The same write, to send with another client.
    pub fn with_client(self, client: Client) -> Self {
        Self::new(self.request.by(client))
    }

    /// Its encoded parameters, which distinguish it from other writes.
    pub fn parameters(&self) -> String {
        self.request.parameters()
    }

    /// Its size in memory, in bytes.
    pub fn size(&self) -> usize {
        self.request.size()
    }
}

impl<T: DeserializeOwned> Write<T> {
    /// Sends it.
    ///
    /// # Errors
    /// As [`Request::send`].
    pub async fn send(self) -> Result<T, Error> {
        self.request.send().await
    }

    /// Sends it. Also returns whether Stripe replayed the answer of an earlier call with the same key.
    ///
    /// # Errors
    /// As [`Request::send`].
    pub async fn send_detecting_replay(self) -> Result<Answer<T>, Error> {
        self.request.send_detecting_replay().await
    }
}

impl<T> Clone for Write<T> {
    fn clone(&self) -> Self {
        Self::new(self.request.clone())
    }
}

impl<T> fmt::Debug for Write<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.request.fmt(f)
    }
}
