//! One call to Stripe, which `billing` builds and [`send`](super::send) sends.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Display;

use reqwest::Method;

use super::{Client, Form, Path};

/// A version of Stripe's API, which determines the parameters and the format of the answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiVersion(pub &'static str);

/// A call to be sent.
#[derive(Clone, Debug)]
#[must_use = "a request does nothing until it is sent"]
pub struct Request {
    pub(super) client: Client,
    pub(super) version: ApiVersion,
    pub(super) method: Method,
    pub(super) path: String,
    /// The path without ids, for metrics and limits.
    pub(super) endpoint: &'static str,
    pub(super) form: Form,
    pub(super) idempotency_key: Option<String>,
    /// Whether the call changes nothing in Stripe.
    pub(super) is_read: bool,
}

impl Request {
    pub(super) fn new(client: Client, version: ApiVersion, method: Method, path: Path) -> Self {
        let Path { endpoint, path } = path;
        Self {
            client,
            version,
            endpoint,
            path,
            form: Form::new(),
            idempotency_key: None,
            is_read: method == Method::GET,
            method,
        }
    }

    /// Marks a POST as a read.
    pub(super) fn into_read(self) -> Self {
        Self {
            is_read: true,
            ..self
        }
    }

    /// Adds a parameter.
    pub fn param(mut self, key: impl Into<Cow<'static, str>>, value: impl Display) -> Self {
        self.form.push(key, value);
        self
    }

    /// Adds a parameter if there is a value.
    pub fn param_some(
        mut self,
        key: impl Into<Cow<'static, str>>,
        value: Option<impl Display>,
    ) -> Self {
        self.form.push_some(key, value);
        self
    }

    /// Adds many parameters.
    pub fn form(mut self, form: Form) -> Self {
        self.form.append(form);
        self
    }

    /// Adds the pairs of an object's metadata.
    pub fn metadata(mut self, pairs: &BTreeMap<String, String>) -> Self {
        self.form.push_metadata(pairs);
        self
    }

    /// Asks for an object instead of its id, e.g. `data.schedule`.
    pub fn expand(self, path: &str) -> Self {
        self.param("expand[]", path)
    }

    /// Uses `key` instead of a random key, for effects that must happen once across several calls.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }

    /// The idempotency key that was set with [`idempotency_key`](Self::idempotency_key), if any.
    pub fn explicit_key(&self) -> Option<&str> {
        self.idempotency_key.as_deref()
    }

    /// The same call with another client.
    pub fn by(self, client: Client) -> Self {
        Self { client, ..self }
    }

    /// The encoded parameters.
    pub fn parameters(&self) -> String {
        self.form.encode()
    }

    /// The memory that the path and the parameters take, in bytes.
    pub fn size(&self) -> usize {
        self.path.len() + self.parameters().len()
    }

    /// Replaces a parameter's value.
    pub(super) fn replace_param(mut self, key: &'static str, value: impl Display) -> Self {
        self.form.remove(key);
        self.param(key, value)
    }
}
