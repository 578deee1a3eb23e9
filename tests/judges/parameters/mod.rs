//! Requests against Stripe's documents. The sandbox accepts each parameter and each enum value, or refuses it as not
//! modelled, but never as unknown. What it accepts is visible in the answer. It refuses a parameter that Stripe does
//! not know. The same rules hold for expansions.

mod calls;
mod expansions;
mod probes;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;

use self::calls::{Call, Calls, World, found as at};
use self::probes::{BOGUS, Kind, Probe};
use crate::listed::Found;
use crate::names::without_ids;
use crate::openapi::{Document, FIRST, LAST};
use crate::stripe::Param;

/// How many expansions are requested in one call.
const AT_ONCE: usize = 20;

/// Probes every endpoint that the sandbox has.
pub(crate) async fn run(folder: &Path) -> anyhow::Result<Found> {
    let documents = [
        Document::read(folder, FIRST)?,
        Document::read(folder, LAST)?,
    ];
    let calls = Calls::read()?;
    let mut judge = Judge {
        calls: &calls,
        found: Found::default(),
        probes: 0,
        accepted: 0,
        expansions: 0,
    };
    let mut endpoints = 0;
    for (path, method, operation) in documents[1].operations() {
        let endpoint = format!("{} {path}", method.to_uppercase());
        match presence(&calls, path, method).await? {
            Presence::Routed => endpoints += 1,
            Presence::Unmodelled => continue,
            Presence::Unknown => {
                judge
                    .found
                    .add(format!("{endpoint}: refused as unknown"), "");
                continue;
            }
        }
        let call = calls.endpoints.iter().find(|call| {
            call.method.eq_ignore_ascii_case(method)
                && documents[1].path_of(&call.path) == Some(path)
        });
        let Some(call) = call else {
            judge.found.add(
                format!("{endpoint}: parameters/calls.txt has no call of it"),
                "",
            );
            continue;
        };
        let older = documents[0].operation_at(path, method);
        let operations = [(&documents[1], operation), (&documents[0], older)];
        judge
            .endpoint(&endpoint, call, &operations)
            .await
            .context(endpoint)?;
    }
    let Judge {
        mut found,
        probes,
        accepted,
        expansions,
        ..
    } = judge;
    found.summary = format!(
        "{probes} parameters and values of {endpoints} endpoints, {accepted} of them accepted; {expansions} expansions"
    );
    Ok(found)
}

/// What the sandbox knows about an endpoint.
enum Presence {
    Routed,
    Unmodelled,
    Unknown,
}

/// Whether the sandbox has an endpoint for the path, or at least knows that Stripe has it.
async fn presence(calls: &Calls, path: &str, method: &str) -> anyhow::Result<Presence> {
    let path = path.replace(['{', '}'], "");
    let call = Call {
        method: method.to_owned(),
        path,
        params: Vec::new(),
    };
    let (_, answer) = World::new(calls).send(&call).await?;
    let message = answer["error"]["message"].as_str().unwrap_or_default();
    Ok(if message.starts_with("Unrecognized request URL") {
        Presence::Unknown
    } else if message.contains("does not model the endpoint") {
        Presence::Unmodelled
    } else {
        Presence::Routed
    })
}

struct Judge<'a> {
    calls: &'a Calls,
    found: Found,
    probes: usize,
    accepted: usize,
    expansions: usize,
}

impl Judge<'_> {
    async fn endpoint(
        &mut self,
        endpoint: &str,
        call: &Call,
        operations: &[(&Document, &Value)],
    ) -> anyhow::Result<()> {
        let mut world = World::new(self.calls);
        let (status, answer) = world.send(call).await?;
        if status != 200 {
            let message = answer.to_string();
            self.found.add(
                format!("{endpoint}: the call of parameters/calls.txt fails"),
                &message,
            );
            return Ok(());
        }
        if call.method != "GET" {
            world = World::new(self.calls);
        }
        let mut seen = BTreeSet::new();
        let mut fields = BTreeMap::new();
        for (document, operation) in operations {
            for probe in probes::of_operation(document, operation, self.calls) {
                if !seen.insert((probe.name.clone(), probe.value.clone())) {
                    continue;
                }
                if self.probe(endpoint, call, &probe, &mut world).await? && call.method != "GET" {
                    world = World::new(self.calls);
                }
            }
            let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
            fields.extend(expansions::of_answer(document, schema));
        }
        self.expand(endpoint, call, fields).await
    }

    /// Sends the probe. Returns whether the sandbox accepted it.
    async fn probe(
        &mut self,
        endpoint: &str,
        call: &Call,
        probe: &Probe,
        world: &mut World<'_>,
    ) -> anyhow::Result<bool> {
        self.probes += 1;
        let (status, answer) = world.send(&call.with(&probe.params)).await?;
        let shown = status == 200 && call.method != "GET";
        let fault = match fault(probe, status, &answer) {
            None if shown => hidden(probe, &world.filled(&probe.value).await?, &answer),
            fault => fault,
        };
        if let Some(fault) = fault {
            let message = answer["error"]["message"].to_string();
            self.found.add(format!("{endpoint} {fault}"), &message);
        }
        self.accepted += usize::from(status == 200);
        Ok(status == 200)
    }

    /// Requests all expansions, some in each call, without the refused ones.
    async fn expand(
        &mut self,
        endpoint: &str,
        call: &Call,
        fields: BTreeMap<String, String>,
    ) -> anyhow::Result<()> {
        self.expansions += fields.len();
        let mut paths: Vec<String> = fields.keys().cloned().collect();
        while !paths.is_empty() {
            let asked = &paths[..paths.len().min(AT_ONCE)];
            let params: Vec<Param> = asked
                .iter()
                .map(|path| ("expand[]".to_owned(), path.clone()))
                .collect();
            let (status, answer) = World::new(self.calls)
                .send(&call.with_more(&params))
                .await?;
            if status == 200 {
                for path in asked.iter().filter(|path| has_id(&answer, path)) {
                    let example = format!("{endpoint} expand[]={path}");
                    self.found.add(
                        format!("{} stays an id when it is expanded", fields[path]),
                        &example,
                    );
                }
                paths.drain(..asked.len());
                continue;
            }
            let message = answer["error"]["message"].as_str().unwrap_or_default();
            // The message may name only the beginning of the path.
            let named = message.split(['(', ')']).nth(1).unwrap_or_default();
            let is_under = |path: &String| path == named || path.starts_with(&format!("{named}."));
            let under = paths.iter().find(|path| is_under(path));
            let path = under.with_context(|| format!("which of {asked:?} is refused? {answer}"))?;
            if !is_unmodelled(message) {
                let name = fields.get(named).unwrap_or(&fields[path]);
                let example = format!("{endpoint} expand[]={path}: {message}");
                self.found
                    .add(format!("{name} cannot be expanded"), &example);
            }
            let refused = named.to_owned();
            paths.retain(|path| *path != refused && !path.starts_with(&format!("{refused}.")));
        }
        let bogus = ("expand[]".to_owned(), BOGUS.to_owned());
        let (status, _) = World::new(self.calls)
            .send(&call.with_more(&[bogus]))
            .await?;
        if status == 200 {
            self.found
                .add(format!("{endpoint} expands what is not there"), "");
        }
        Ok(())
    }
}

/// Whether an answer has an id at the end of the path.
fn has_id(value: &Value, path: &str) -> bool {
    if let Value::Array(elements) = value {
        return elements.iter().any(|value| has_id(value, path));
    }
    match path.split_once('.') {
        _ if path.is_empty() => value.is_string(),
        Some((field, rest)) => has_id(&value[field], rest),
        None => has_id(&value[path], ""),
    }
}

/// The fault of the answer to a probe, if it has one.
fn fault(probe: &Probe, status: u16, answer: &Value) -> Option<String> {
    let Probe { name, value, .. } = probe;
    let error = &answer["error"];
    let (message, param) = (text(&error["message"]), text(&error["param"]));
    let is_unknown = error["code"] == "parameter_unknown";
    match probe.kind {
        _ if status >= 500 => Some(format!("{name}={value}: fails with {status}")),
        Kind::Bogus if status == 200 => {
            Some(format!("{name}: accepted, though Stripe does not know it"))
        }
        Kind::Bogus if !is_unknown && !name.contains('[') => {
            Some(format!("{name}: not refused as unknown, but: {message}"))
        }
        Kind::Bogus => None,
        _ if is_unknown => Some(format!("{param}: refused as unknown")),
        Kind::Enum if param == name && !is_unmodelled(message) => {
            Some(format!("{name}={value}: refused: {message}"))
        }
        _ => None,
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn is_unmodelled(message: &str) -> bool {
    message.contains("does not model") || message.contains("The sandbox models")
}

/// What the answer shows in place of the sent value, if it has a field with the parameter's name.
fn hidden(probe: &Probe, sent: &str, answer: &Value) -> Option<String> {
    let place = probe.name.replace(']', "").replace('[', ".");
    let shown = match at(answer, &place)? {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Object(fields) => fields
            .get("id")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        Value::Array(elements) if elements.is_empty() => String::new(),
        other => other.to_string(),
    };
    let is_same = shown == sent
        || shown
            .parse::<f64>()
            .is_ok_and(|shown| sent.parse() == Ok(shown));
    let Probe { name, value, .. } = probe;
    // An answer shows `now` as the present time.
    let differ = !is_same && !sent.is_empty() && sent != "now";
    differ.then(|| {
        format!(
            "{name}={value}: accepted, and not shown, but {:?}",
            without_ids(&shown)
        )
    })
}
