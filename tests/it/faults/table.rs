//! The rows and columns of the table: the requests, and the faults of their calls.

use std::time::Duration;

use stripe_sandbox::{Action, Rule};
use tier::domain::Generation;

use crate::harness::GENERATIONS;

/// A delay that lasts until the fault is cleared. No attempt takes that long.
const DELAY: Duration = Duration::from_secs(600);

/// A fault.
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

    /// The sandbox's rule for this fault, or `None` if calls do not reach the sandbox.
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

    /// The status and code of the answer while the fault lasts.
    pub(super) fn answer(self) -> (u16, &'static str) {
        match self {
            Self::Delay => (504, "stripe_unavailable"),
            Self::RateLimit => (429, "rate_limited"),
            Self::KeyInUse => (503, "stripe_unavailable"),
            _ => (502, "stripe_unavailable"),
        }
    }
}

/// The callers that send a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Callers {
    One,
    /// Two callers, at two servers.
    AtOnce,
    /// A caller that hangs up before the answer.
    HangUp,
}

/// The callers, and whether the fault lasts.
pub(super) const SITUATIONS: [(Callers, bool); 6] = [
    (Callers::One, true),
    (Callers::One, false),
    (Callers::AtOnce, true),
    (Callers::AtOnce, false),
    (Callers::HangUp, true),
    (Callers::HangUp, false),
];

impl Callers {
    /// Whether `row` is tested with these callers. Only requests about an org are tested with several callers.
    pub(super) fn ask_for(self, row: &Endpoint) -> bool {
        let changes_an_org = ["/v1/report", "/v1/subscribe", "/v1/checkout"];
        self == Self::One || changes_an_org.contains(&row.path)
    }
}

/// A request, and the calls to Stripe that fail.
#[derive(Clone, Copy, Debug)]
pub(super) struct Endpoint {
    pub(super) name: &'static str,
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) body: &'static str,
    /// The method of the failing calls. For a write, this is the method of the calls that have an effect.
    pub(super) calls: &'static str,
    /// The path of the failing calls.
    pub(super) calls_path: &'static str,
    /// Whether the request is sent with an `Idempotency-Key`.
    pub(super) keyed: bool,
    /// Whether exactly 7 units are used in the end, however often the request is sent.
    pub(super) counts_once: bool,
    /// The generations of metered prices that the request is tested with. One is enough for requests that do not depend
    /// on the generation.
    generations: &'static [Generation],
}

impl Endpoint {
    /// The same request, but only calls to `path` fail, after earlier calls have taken effect.
    const fn at(self, path: &'static str) -> Self {
        Self {
            calls_path: path,
            ..self
        }
    }

    /// The same request, with an `Idempotency-Key`.
    const fn keyed(self) -> Self {
        Self {
            keyed: true,
            ..self
        }
    }

    /// The same request, with both generations.
    const fn in_both(self) -> Self {
        Self {
            generations: &GENERATIONS,
            ..self
        }
    }

    /// The same request, with meters only.
    const fn on_meters(self) -> Self {
        Self {
            generations: &[Generation::Meters],
            ..self
        }
    }

    pub(super) fn is_of(&self, generation: Generation) -> bool {
        self.generations.contains(&generation)
    }

    /// The same request, which must count once, however often it is sent.
    const fn once(self) -> Self {
        Self {
            counts_once: true,
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
        keyed: false,
        counts_once: false,
        generations: &[Generation::Classic],
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
        keyed: false,
        counts_once: false,
        generations: &[Generation::Classic],
    }
}

const SUBSCRIBE: &str = r#"{"org":"org:new","phases":[{"features":["plan:p@1"]}]}"#;
const CHANGE: &str = r#"{"org":"org:there","phases":[{"features":["plan:other@1"]}]}"#;
const CANCEL: &str = r#"{"org":"org:there","phases":[{}]}"#;
const CHECKOUT: &str =
    r#"{"org":"org:new","success_url":"https://x.example","features":["plan:p@1"]}"#;
const PUSH: &str =
    r#"{"plans":{"plan:q@1":{"features":{"feature:f":{"base":1},"feature:g":{"tiers":[{}]}}}}}"#;

const REPORT: &str = r#"{"org":"org:there","feature":"feature:f","n":7}"#;
const CLOBBER: &str = r#"{"org":"org:there","feature":"feature:f","n":7,"clobber":true}"#;

pub(super) const ENDPOINTS: [Endpoint; 26] = [
    read("whoami", "/v1/whoami"),
    read("whois", "/v1/whois?org=org:there"),
    read("whois info", "/v1/whois?org=org:there&include=info"),
    read("limits", "/v1/limits?org=org:there").in_both(),
    read("phase", "/v1/phase?org=org:there"),
    read("phases", "/v1/phases?org=org:there"),
    read("payment methods", "/v1/payment_methods?org=org:there"),
    read("invoices", "/v1/invoices?org=org:there&include=upcoming").in_both(),
    read("pull", "/v1/pull"),
    read("clock", "/v1/clock?id=CLOCK"),
    write("report", "/v1/report", REPORT).in_both(),
    write("keyed report", "/v1/report", REPORT)
        .keyed()
        .once()
        .in_both(),
    write("its record", "/v1/report", REPORT)
        .at("/v1/subscription_items/*")
        .keyed()
        .once(),
    write("its event", "/v1/report", REPORT)
        .at("/v1/billing/meter_events")
        .keyed()
        .once()
        .on_meters(),
    // Only a ledger can set the sum of a meter.
    write("clobber", "/v1/report", CLOBBER).once(),
    write("subscribe", "/v1/subscribe", SUBSCRIBE).in_both(),
    write("its schedule", "/v1/subscribe", SUBSCRIBE).at("/v1/subscription_schedules"),
    write("change of plan", "/v1/subscribe", CHANGE).in_both(),
    write("keyed change", "/v1/subscribe", CHANGE).keyed(),
    Endpoint {
        calls: "DELETE",
        ..write("cancel", "/v1/subscribe", CANCEL).in_both()
    },
    write("checkout", "/v1/checkout", CHECKOUT).in_both(),
    write("keyed checkout", "/v1/checkout", CHECKOUT).keyed(),
    write("its session", "/v1/checkout", CHECKOUT).at("/v1/checkout/sessions"),
    write("push", "/v1/push", PUSH).in_both(),
    write("its prices", "/v1/push", PUSH).at("/v1/prices"),
    write(
        "make clock",
        "/v1/clock",
        r#"{"name":"n","present":"2030-01-01T00:00:00Z"}"#,
    ),
];
