//! A write that is not sent yet.

use std::fmt::{self, Display};
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::stripe::{Answer, Client, Error, Request};

/// A write that is ready but for what its caller has to say: its idempotency key, and what is noted in the metadata.
#[must_use = "a write does nothing until it is sent"]
pub struct Write<T> {
    request: Request,
    answer: PhantomData<fn() -> T>,
}

/// An answer of which nothing is read.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Done {}

impl<T> Write<T> {
    pub(super) fn new(request: Request) -> Self {
        Self {
            request,
            answer: PhantomData,
        }
    }

    /// Lets it happen once under `key`, over several calls. Without, only our own retries of one call are one.
    pub fn key(self, key: impl Into<String>) -> Self {
        Self::new(self.request.idempotency_key(key))
    }

    /// The key, if one was given.
    pub fn given_key(&self) -> Option<&str> {
        self.request.given_key()
    }

    /// Writes a pair of the object's metadata along.
    pub fn note(self, key: &str, value: impl Display) -> Self {
        Self::new(self.request.param(format!("metadata[{key}]"), value))
    }

    /// Writes a pair of the object's metadata along, if there is a value.
    pub fn note_some(self, key: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.note(key, value),
            None => self,
        }
    }

    /// The same write, of whose answer nothing is read.
    pub fn unread(self) -> Write<Done> {
        Write::new(self.request)
    }

    /// The same write, made by another client.
    pub fn by(self, client: Client) -> Self {
        Self::new(self.request.by(client))
    }

    /// Its parameters as they are sent, by which it can be told from another one.
    pub fn parameters(&self) -> String {
        self.request.parameters()
    }

    /// What it holds, in bytes.
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

    /// Sends it, and says whether the answer is that of an earlier call with the same key.
    ///
    /// # Errors
    /// As [`Request::send`].
    pub async fn send_once(self) -> Result<Answer<T>, Error> {
        self.request.send_once().await
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
