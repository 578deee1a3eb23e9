//! The rows and columns of the table: requests, and what goes wrong with the calls that they make.

use std::time::Duration;

use tier::sandbox::{Action, Rule};

/// Until the fault is gone: no try takes that long.
const DELAY: Duration = Duration::from_secs(600);

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Delay,
    Refused,
    DropBefore,
    DropAfter,
    CutBody,
    RateLimit,
    ServerError,
    KeyInUse,
    GarbageJson,
    HtmlPage,
}

pub(super) const FAULTS: [Fault; 10] = [
    Fault::Delay,
    Fault::Refused,
    Fault::DropBefore,
    Fault::DropAfter,
    Fault::CutBody,
    Fault::RateLimit,
    Fault::ServerError,
    Fault::KeyInUse,
    Fault::GarbageJson,
    Fault::HtmlPage,
];

impl Fault {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Delay => "delay",
            Self::Refused => "refused",
            Self::DropBefore => "drop before",
            Self::DropAfter => "drop after",
            Self::CutBody => "cut body",
            Self::RateLimit => "429",
            Self::ServerError => "500",
            Self::KeyInUse => "409 in use",
            Self::GarbageJson => "garbage",
            Self::HtmlPage => "html page",
        }
    }

    /// The rule for the sandbox; none if it is not even reached.
    pub(super) fn rule(self, method: &str, path: &str) -> Option<Rule> {
        let rule = |action| Rule::new(method, path, action);
        Some(match self {
            Self::Refused => return None,
            Self::Delay => rule(Action::Delay(DELAY)),
            Self::DropBefore => rule(Action::Drop),
            Self::DropAfter => rule(Action::Drop).after(),
            Self::CutBody => rule(Action::CutBody).after(),
            Self::RateLimit => rule(Action::Status(429, Some("global-rate".to_owned()))),
            Self::ServerError => rule(Action::Status(500, None)),
            Self::KeyInUse => rule(Action::Status(409, None)),
            Self::GarbageJson => rule(Action::GarbageJson).after(),
            Self::HtmlPage => rule(Action::HtmlPage).after(),
        })
    }

    /// What a client is told while it lasts.
    pub(super) fn answer(self) -> (u16, &'static str) {
        match self {
            Self::Delay => (504, "stripe_unavailable"),
            Self::RateLimit => (429, "rate_limited"),
            Self::KeyInUse => (503, "stripe_unavailable"),
            _ => (502, "stripe_unavailable"),
        }
    }
}

/// A request, and the calls to Stripe that go wrong.
#[derive(Clone, Copy, Debug)]
pub(super) struct Endpoint {
    pub(super) name: &'static str,
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) body: &'static str,
    /// The method of these calls: of a write, those that have an effect.
    pub(super) calls: &'static str,
    /// Their path.
    pub(super) calls_path: &'static str,
}

impl Endpoint {
    /// The same, but only calls to `path` go wrong: those before them have had their effect.
    const fn at(self, path: &'static str) -> Self {
        Self {
            calls_path: path,
            ..self
        }
    }
}

const fn read(name: &'static str, path: &'static str) -> Endpoint {
    Endpoint {
        name,
        method: "GET",
        path,
        body: "",
        calls: "*",
        calls_path: "*",
    }
}

const fn write(name: &'static str, path: &'static str, body: &'static str) -> Endpoint {
    Endpoint {
        name,
        method: "POST",
        path,
        body,
        calls: "POST",
        calls_path: "*",
    }
}

const SUBSCRIBE: &str = r#"{"org":"org:new","phases":[{"features":["plan:p@1"]}]}"#;
const CHANGE: &str = r#"{"org":"org:there","phases":[{"features":["plan:other@1"]}]}"#;
const CANCEL: &str = r#"{"org":"org:there","phases":[{}]}"#;
const CHECKOUT: &str =
    r#"{"org":"org:new","success_url":"https://x.example","features":["plan:p@1"]}"#;
const PUSH: &str =
    r#"{"plans":{"plan:q@1":{"features":{"feature:f":{"base":1},"feature:g":{"tiers":[{}]}}}}}"#;

pub(super) const ENDPOINTS: [Endpoint; 19] = [
    read("whoami", "/v1/whoami"),
    read("whois", "/v1/whois?org=org:there"),
    read("whois info", "/v1/whois?org=org:there&include=info"),
    read("limits", "/v1/limits?org=org:there"),
    read("phase", "/v1/phase?org=org:there"),
    read("phases", "/v1/phases?org=org:there"),
    read("payment methods", "/v1/payment_methods?org=org:there"),
    read("pull", "/v1/pull"),
    read("clock", "/v1/clock?id=CLOCK"),
    write(
        "report",
        "/v1/report",
        r#"{"org":"org:there","feature":"feature:f","n":7}"#,
    ),
    write("subscribe", "/v1/subscribe", SUBSCRIBE),
    write("its schedule", "/v1/subscribe", SUBSCRIBE).at("/v1/subscription_schedules"),
    write("change of plan", "/v1/subscribe", CHANGE),
    Endpoint {
        calls: "DELETE",
        ..write("cancel", "/v1/subscribe", CANCEL)
    },
    write("checkout", "/v1/checkout", CHECKOUT),
    write("its session", "/v1/checkout", CHECKOUT).at("/v1/checkout/sessions"),
    write("push", "/v1/push", PUSH),
    write("its prices", "/v1/push", PUSH).at("/v1/prices"),
    write(
        "make clock",
        "/v1/clock",
        r#"{"name":"n","present":"2030-01-01T00:00:00Z"}"#,
    ),
];
