//! Compares two answers: the recorded answer and the sandbox's.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::names::{self, Names};
use crate::openapi::Document;

/// Fields whose values differ between accounts or between days. Their types must still agree.
const VARIABLE: [(&str, &str); 8] = [
    ("charge.outcome.risk_score", "Radar's guess"),
    (
        "charge.calculated_statement_descriptor",
        "a setting of the account",
    ),
    ("invoice.account_name", "a setting of the account"),
    (
        "coupon.times_redeemed",
        "other recordings have redeemed it before",
    ),
    (
        "payment_intent.client_secret",
        "a secret, replaced in the recording",
    ),
    (
        "setup_intent.client_secret",
        "a secret, replaced in the recording",
    ),
    (
        "payment_method.card.fingerprint",
        "of the account that has the card",
    ),
    (
        "charge.payment_method_details.card.fingerprint",
        "of the account that has the card",
    ),
];

/// A link to a page of the dashboard that shows the request. The sandbox has no such page.
const LOG: &str = "request_log_url";

/// How far a time may be from the recorded time, in seconds. A recorded call takes a while, and the sandbox's clock
/// stands at the call's end.
const SLACK: i64 = 5;

/// Compares answers, and learns names on the way.
#[derive(Debug)]
pub(super) struct Comparison<'a> {
    pub(super) names: &'a mut Names,
    /// The document whose fields the sandbox is expected to have.
    pub(super) last: &'a Document,
    /// The document whose fields the recording may lack, if the recording is older than the last document.
    pub(super) first: Option<&'a Document>,
    /// The disagreements.
    pub(super) found: Vec<String>,
    /// The sandbox's time and its place, by the recorded time.
    times: HashMap<i64, (i64, String)>,
}

/// The place of a value: the type of its object, and its field.
#[derive(Clone, Debug, Default)]
struct Place {
    object: String,
    path: Vec<String>,
}

impl Place {
    fn field(&self, name: &str) -> Self {
        let mut place = self.clone();
        place.path.push(name.to_owned());
        place
    }

    fn shown(&self) -> String {
        let path = self.path.join(".").replace(".[]", "[]");
        if path.is_empty() {
            self.object.clone()
        } else {
            format!("{}.{path}", self.object)
        }
    }

    fn is_known(&self, document: &Document) -> bool {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        document.knows_field(&self.object, &path)
    }
}

impl<'a> Comparison<'a> {
    pub(super) fn new(
        names: &'a mut Names,
        last: &'a Document,
        first: Option<&'a Document>,
    ) -> Self {
        Self {
            names,
            last,
            first,
            found: Vec::new(),
            times: HashMap::new(),
        }
    }

    /// Compares whole answers.
    pub(super) fn answers(&mut self, recorded: &Value, replayed: &Value) {
        self.values(recorded, replayed, &Place::default());
    }

    fn differ(&mut self, place: &Place, recorded: &str, replayed: &str) {
        self.found.push(format!(
            "{}: recorded {recorded}, here {replayed}",
            place.shown()
        ));
    }

    fn values(&mut self, recorded: &Value, replayed: &Value, place: &Place) {
        match (recorded, replayed) {
            (Value::Object(recorded), Value::Object(replayed)) => {
                self.objects(recorded, replayed, place);
            }
            (Value::Array(recorded), Value::Array(replayed)) => {
                if recorded.len() != replayed.len() {
                    self.differ(place, &count(recorded), &count(replayed));
                }
                for (recorded, replayed) in recorded.iter().zip(replayed) {
                    self.values(recorded, replayed, &place.field("[]"));
                }
            }
            (Value::String(recorded), Value::String(replayed)) => {
                self.texts(recorded, replayed, place);
            }
            (Value::Number(_), Value::Number(_)) => self.numbers(recorded, replayed, place),
            _ if recorded == replayed => {}
            _ => self.differ(place, &shown(recorded), &shown(replayed)),
        }
    }

    fn objects(
        &mut self,
        recorded: &Map<String, Value>,
        replayed: &Map<String, Value>,
        place: &Place,
    ) {
        let object = recorded.get("object").and_then(Value::as_str);
        let place = match object {
            // A list belongs to the object that has it.
            Some(object) if object != "list" => Place {
                object: object.to_owned(),
                path: Vec::new(),
            },
            None if place.object.is_empty() => Place {
                object: "answer".to_owned(),
                path: Vec::new(),
            },
            _ => place.clone(),
        };
        for (name, value) in recorded {
            let place = place.field(name);
            match replayed.get(name) {
                Some(replayed) => self.values(value, replayed, &place),
                None if name == LOG => {}
                // An unknown field is newer than the version that the sandbox implements.
                None if name == "metadata"
                    || place.object.is_empty()
                    || place.is_known(self.last) =>
                {
                    self.differ(&place, &shown(value), "nothing");
                }
                None => {}
            }
        }
        for (name, value) in replayed
            .iter()
            .filter(|(name, _)| !recorded.contains_key(*name))
        {
            let place = place.field(name);
            if self.first.is_none_or(|first| place.is_known(first)) {
                self.differ(&place, "nothing", &shown(value));
            }
        }
    }

    fn texts(&mut self, recorded: &str, replayed: &str, place: &Place) {
        if is_variable(place) || is_link(recorded) && is_link(replayed) {
            return;
        }
        let is_name = names::is_id(recorded)
            && names::is_id(replayed)
            && names::prefix(recorded) == names::prefix(replayed);
        if is_name
            || place
                .path
                .last()
                .is_some_and(|name| name == "invoice_prefix")
        {
            if !self.names.relate(recorded, replayed) {
                self.differ(place, &shown(&recorded.into()), "another one than before");
            }
        } else if self.names.translate(recorded) != replayed {
            self.differ(place, &shown(&recorded.into()), &shown(&replayed.into()));
        }
    }

    fn numbers(&mut self, recorded: &Value, replayed: &Value, place: &Place) {
        if is_variable(place) || recorded == replayed && time(recorded).is_none() {
            return;
        }
        let (Some(then), Some(now)) = (time(recorded), time(replayed)) else {
            return self.differ(place, &shown(recorded), &shown(replayed));
        };
        if (then - now).abs() > SLACK {
            self.differ(
                place,
                "a time",
                &format!("one that is {} s later", now - then),
            );
        } else if let Some((known, other)) = self.times.get(&then) {
            if *known != now {
                let differ = format!(
                    "{}: recorded the same time as {other}, here not",
                    place.shown()
                );
                self.found.push(differ);
            }
        } else {
            self.times.insert(then, (now, place.shown()));
        }
    }
}

fn is_variable(place: &Place) -> bool {
    let place = place.shown();
    VARIABLE.iter().any(|(variable, _)| *variable == place)
}

fn is_link(text: &str) -> bool {
    text.starts_with("https://") || text.starts_with("http://")
}

/// A number that is a time. No amount in the recordings is as large.
fn time(value: &Value) -> Option<i64> {
    value.as_i64().filter(|number| *number > 1_000_000_000)
}

fn count(elements: &[Value]) -> String {
    let shown: Vec<String> = elements.iter().map(shown).collect();
    format!("[{}]", shown.join(", "))
}

/// A value as a disagreement shows it, which must be the same in every run.
fn shown(value: &Value) -> String {
    match value {
        Value::Object(fields) => match fields.get("object") {
            Some(object) => format!("an object {object}"),
            None => format!(
                "{{{}}}",
                fields
                    .keys()
                    .map(String::as_str)
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        },
        Value::Array(elements) => count(elements),
        Value::Number(_) if time(value).is_some() => "a time".to_owned(),
        Value::String(text) if is_link(text) => "a link".to_owned(),
        Value::String(text) => format!("{:?}", names::without_ids(text)),
        _ => value.to_string(),
    }
}
