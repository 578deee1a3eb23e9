//! A client of the API for commands. It sends the same requests to a server, or to the router in this process.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use reqwest::redirect::Policy;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tower::ServiceExt as _;

use super::error::CliError;
use super::isolation::Isolation;
use super::session::Session;
use super::{Global, http};
use crate::api::{self, App, PushProgress};
use crate::config::Environment;
use crate::domain::pricing::Model;
use crate::domain::refs::PlanName;

/// How long an answer may take. A push of thousands of features takes minutes.
const TIMEOUT: Duration = Duration::from_secs(600);

/// The maximum body for the router in this process, in bytes. It needs no protection from large bodies.
const MAX_BODY: usize = 1 << 30;

/// Sends requests to the API.
#[derive(Clone)]
pub(super) struct Client {
    target: Target,
    isolation: Option<Isolation>,
    is_live: bool,
    /// The test clock that the orgs are on.
    clock: Option<HeaderValue>,
    push_progress: Option<PushProgress>,
}

#[derive(Clone)]
enum Target {
    Remote {
        http: reqwest::Client,
        base_url: reqwest::Url,
        key: Option<String>,
    },
    InProcess {
        router: Router,
        /// Whether a server stores usage in a ledger, so that writes must go through that server.
        has_ledger: bool,
    },
}

/// An answer of the API.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

impl Answer {
    /// Decodes the body.
    pub(super) fn decode<T: DeserializeOwned>(&self) -> anyhow::Result<T> {
        serde_json::from_slice(&self.body)
            .context("the server's answer is not what this version of tier expects")
    }
}

/// The URL of the server that handles commands, if there is one. With `--sandbox` there is none.
pub(super) fn base_url<'a>(global: &'a Global, environment: &'a Environment) -> Option<&'a str> {
    let named = global.base_url.as_deref();
    named
        .or(environment.base_url.as_deref())
        .filter(|_| !global.sandbox)
}

impl Client {
    /// A client of the server that handles commands, or else of the router in this process.
    ///
    /// # Errors
    /// If the server's URL is invalid, or [`Session::open`] fails.
    pub(super) async fn open(global: &Global, environment: &Environment) -> anyhow::Result<Self> {
        let clock = global.clock.as_ref().or(environment.clock.as_ref());
        let clock = clock.map(HeaderValue::try_from).transpose();
        Ok(Self {
            clock: clock.context("--clock must be the id of a test clock")?,
            ..Self::without_clock(global, environment).await?
        })
    }

    async fn without_clock(global: &Global, environment: &Environment) -> anyhow::Result<Self> {
        if let Some(base_url) = base_url(global, environment) {
            anyhow::ensure!(
                !global.live,
                "--live cannot be used with TIER_BASE_URL: the server has its own key"
            );
            return Self::remote(base_url, environment);
        }
        let session = Session::open(global, environment).await?;
        let has_ledger = environment.ledger.is_some();
        Ok(Self::in_process(session, has_ledger))
    }

    fn remote(base_url: &str, environment: &Environment) -> anyhow::Result<Self> {
        let base_url = http::url(base_url, "the base URL of the tier server")?;
        Ok(Self {
            target: Target::Remote {
                http: http::client(&base_url, TIMEOUT, Policy::none())?,
                base_url,
                key: environment.api_keys.first().cloned(),
            },
            isolation: None,
            is_live: false,
            clock: None,
            push_progress: None,
        })
    }

    /// A client of the router in this process, over `session`.
    fn in_process(session: Session, has_ledger: bool) -> Self {
        let (isolation, is_live) = (session.isolation(), session.is_live());
        let publishable_key = session.publishable_key();
        let mut app = App::new(session.domain());
        app.publishable_key = publishable_key;
        app.limits.body = MAX_BODY;
        app.limits.request_timeout = TIMEOUT;
        Self {
            target: Target::InProcess {
                router: api::router(app),
                has_ledger,
            },
            isolation,
            is_live,
            clock: None,
            push_progress: None,
        }
    }

    /// Whether commands work with live data. False with a server, whose mode is not known.
    pub(super) fn is_live(&self) -> bool {
        self.is_live
    }

    /// Whether a server handles commands.
    pub(super) fn is_remote(&self) -> bool {
        matches!(self.target, Target::Remote { .. })
    }

    /// The same client for a push, with its progress. None if a server carries out the push.
    pub(super) fn with_push_progress(&self) -> Option<(Self, PushProgress)> {
        let Target::InProcess { .. } = self.target else {
            return None;
        };
        let progress = PushProgress::default();
        let client = Self {
            push_progress: Some(progress.clone()),
            ..self.clone()
        };
        Some((client, progress))
    }

    /// Pulls the model from Stripe.
    ///
    /// # Errors
    /// As [`checked`](Self::checked), or if this version cannot read the model.
    pub(super) async fn model(&self) -> anyhow::Result<Model> {
        let answer = self.get("/v1/pull", &[]).await?;
        Model::parse_bytes(&answer.body).context("the model in Stripe cannot be read")
    }

    /// Pulls the model from Stripe with its archived plans. Also returns the names of the archived ones.
    ///
    /// # Errors
    /// As [`model`](Self::model).
    pub(super) async fn model_with_archived(&self) -> anyhow::Result<(Model, BTreeSet<PlanName>)> {
        let answer = self.get("/v1/pull", &[("archived", "true")]).await?;
        Model::parse_pulled(&answer.body).context("the model in Stripe cannot be read")
    }

    /// Sends a GET. `query` is encoded here.
    ///
    /// # Errors
    /// As [`checked`](Self::checked).
    pub(super) async fn get(&self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<Answer> {
        let mut path = path.to_owned();
        if !query.is_empty() {
            let mut encoder = form_urlencoded::Serializer::new(String::new());
            encoder.extend_pairs(query);
            path = format!("{path}?{}", encoder.finish());
        }
        self.checked(Method::GET, &path, Bytes::new()).await
    }

    /// Sends a POST.
    ///
    /// # Errors
    /// As [`checked`](Self::checked).
    pub(super) async fn post(&self, path: &str, body: &impl Serialize) -> anyhow::Result<Answer> {
        let body = serde_json::to_vec(body)?;
        self.checked(Method::POST, path, body.into()).await
    }

    /// Sends a request with a text as its body.
    ///
    /// # Errors
    /// If the API cannot be reached, or its answer is an error.
    pub(super) async fn checked(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> anyhow::Result<Answer> {
        let answer = self.send(method, path, HeaderMap::new(), body).await?;
        match self.failure(&answer) {
            None => Ok(answer),
            Some(failure) => Err(failure.into()),
        }
    }

    /// The error of an answer. None for a success.
    pub(super) fn failure(&self, answer: &Answer) -> Option<CliError> {
        if answer.status.is_success() {
            return None;
        }
        let failure = CliError::of_answer(answer.status.as_u16(), &answer.body, self.is_remote());
        let isolation = self.isolation.as_ref();
        let isolation = isolation.filter(|_| failure.has_code("account_invalid"));
        Some(isolation.map_or(failure, Isolation::refusal))
    }

    /// Sends any request. `path` may have a query. An answer with an error status is not an error here.
    ///
    /// # Errors
    /// If the API cannot be reached, if the path is invalid, or for a write that only the server with the ledger may
    /// carry out.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> anyhow::Result<Answer> {
        headers
            .entry(ACCEPT)
            .or_insert(HeaderValue::from_static("application/json"));
        if let Some(clock) = &self.clock {
            headers.entry(api::TEST_CLOCK).or_insert(clock.clone());
        }
        if !body.is_empty() {
            headers
                .entry(CONTENT_TYPE)
                .or_insert(HeaderValue::from_static("application/json"));
        }
        match &self.target {
            Target::InProcess { router, has_ledger } => {
                if *has_ledger && !method.is_safe() {
                    return Err(needs_server().into());
                }
                let mut request = Request::builder()
                    .method(method)
                    .uri(path)
                    .body(Body::from(body))
                    .with_context(|| format!("{path:?} is not a path"))?;
                *request.headers_mut() = headers;
                if let Some(progress) = &self.push_progress {
                    request.extensions_mut().insert(progress.clone());
                }
                in_process(router, request).await
            }
            Target::Remote {
                http,
                base_url,
                key,
            } => {
                let url = format!("{}{path}", base_url.as_str().trim_end_matches('/'));
                let key = key
                    .as_ref()
                    .filter(|_| !headers.contains_key(AUTHORIZATION));
                let mut request = http.request(method, url).headers(headers).body(body);
                if let Some(key) = key {
                    request = request.basic_auth(key, Some(""));
                }
                over_http(request, base_url).await
            }
        }
    }
}

/// The error for a write in this process that would bypass the server's ledger.
fn needs_server() -> CliError {
    let message = "TIER_LEDGER is set, so only the server with that ledger may do this: name it in TIER_BASE_URL";
    CliError::new(message)
        .wrong_usage()
        .advise("or unset TIER_LEDGER, if no server uses that ledger")
}

async fn in_process(router: &Router, request: Request<Body>) -> anyhow::Result<Answer> {
    let response = match router.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let status = response.status();
    let body = to_bytes(response.into_body(), usize::MAX).await?;
    Ok(Answer { status, body })
}

async fn over_http(
    request: reqwest::RequestBuilder,
    base_url: &reqwest::Url,
) -> anyhow::Result<Answer> {
    let unreachable = |cause: reqwest::Error| {
        let url = http::redacted(base_url);
        let cause = anyhow::Error::from(cause.without_url());
        CliError::new(format!("cannot reach the tier server at {url}: {cause:#}"))
            .advise("start it with `tier serve`, or unset TIER_BASE_URL to work without a server")
    };
    let response = request.send().await.map_err(unreachable)?;
    let status = response.status();
    let body = response.bytes().await.map_err(unreachable)?;
    Ok(Answer { status, body })
}
