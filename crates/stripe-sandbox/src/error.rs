//! Errors in Stripe's format: `{"error": {"type", "code", "param", "message", …}}` and a status.

use serde_json::{Map, Value, json};

/// An error answer. Build it with the constructors, refine it with [`param`](Self::param),
/// [`code`](Self::code) and [`status`](Self::status).
#[derive(Clone, Debug)]
pub(crate) struct Error {
    /// The HTTP status.
    pub(crate) status: u16,
    /// Stripe's `type`.
    pub(crate) kind: &'static str,
    pub(crate) code: Option<&'static str>,
    pub(crate) param: Option<String>,
    pub(crate) message: String,
    /// Fields that only some errors have, such as `decline_code`.
    pub(crate) extra: Option<Box<Map<String, Value>>>,
    /// The call was refused before its endpoint ran, for example because of invalid parameters. Such an answer is not
    /// kept under the idempotency key.
    pub(crate) before_execution: bool,
    /// Which limiter refused the call, for the header `Stripe-Rate-Limited-Reason`.
    pub(crate) limited_by: Option<String>,
}

/// The result of a handler.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A 400 of type `invalid_request_error`.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self {
            status: 400,
            kind: "invalid_request_error",
            code: None,
            param: None,
            message: message.into(),
            extra: None,
            before_execution: false,
            limited_by: None,
        }
    }

    /// A parameter that cannot be read at all; see the field [`before_execution`](Self#structfield.before_execution).
    pub(crate) fn malformed(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::invalid(message).param(param).before_execution()
    }

    /// 404: the object in the URL does not exist. `what` is Stripe's name for it in prose, such as `customer` or
    /// `PaymentMethod`.
    pub(crate) fn not_found(what: &str, id: &str) -> Self {
        Self::no_such(what, id, "id").status(404)
    }

    /// 400: a parameter names an object that does not exist.
    pub(crate) fn no_such(what: &str, id: &str, param: impl Into<String>) -> Self {
        Self::invalid(format!("No such {what}: '{id}'"))
            .code("resource_missing")
            .param(param)
    }

    /// 500: the handler of the call panicked.
    pub(crate) fn panicked() -> Self {
        tracing::error!("a handler of the sandbox panicked");
        Self::invalid("The sandbox failed; this is a bug in the sandbox.")
            .kind("api_error")
            .status(500)
    }

    /// 400: Stripe has the parameter, but the sandbox does not model it.
    pub(crate) fn unmodelled(param: &str) -> Self {
        Self::malformed(
            param,
            format!(
                "The sandbox does not model the parameter `{param}`: leave it out, or use Stripe's test mode for it."
            ),
        )
    }

    /// 400: Stripe has the value, but the sandbox does not model it.
    pub(crate) fn unmodelled_value(param: &str, word: &str) -> Self {
        Self::malformed(
            param,
            format!(
                "The sandbox does not model `{word}` as `{param}`: leave it out, or use Stripe's test mode for it."
            ),
        )
    }

    pub(crate) fn param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// Adds a field that only some errors have.
    pub(crate) fn field(mut self, name: &str, value: Value) -> Self {
        let extra = self.extra.get_or_insert_default();
        extra.insert(name.to_owned(), value);
        self
    }

    /// Sets [`before_execution`](Self#structfield.before_execution).
    pub(crate) fn before_execution(mut self) -> Self {
        self.before_execution = true;
        self
    }

    pub(crate) fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    pub(crate) fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub(crate) fn kind(mut self, kind: &'static str) -> Self {
        self.kind = kind;
        self
    }

    /// The body, as Stripe renders it.
    pub(crate) fn to_json(&self) -> Value {
        let mut error = self.extra.as_deref().cloned().unwrap_or_default();
        if let Some(code) = self.code {
            error.insert("code".into(), json!(code));
            let page = code.replace('_', "-");
            error.insert(
                "doc_url".into(),
                json!(format!("https://stripe.com/docs/error-codes/{page}")),
            );
        }
        error.insert("message".into(), json!(self.message));
        if let Some(param) = &self.param {
            error.insert("param".into(), json!(param));
        }
        error.insert("type".into(), json!(self.kind));
        json!({ "error": error })
    }
}
