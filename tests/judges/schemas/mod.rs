//! Compares all answers that the sandbox gave during its tests, and all events, with Stripe's schemas in the first and
//! in the last document of the API version. A field that a schema does not describe is a fault.

mod validator;

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::{Value, json};

use self::validator::{Fault, Schemas};
use crate::listed::Found;
use crate::names::without_ids;
use crate::openapi::{Document, FIRST, LAST};

/// A recorded answer of the sandbox.
#[derive(Deserialize)]
struct Kept {
    method: String,
    path: String,
    status: u16,
    answer: Value,
}

/// Judges the answers in the file that `STRIPE_SANDBOX_ANSWERS` names.
pub(crate) fn run(folder: &Path) -> anyhow::Result<Found> {
    let path = std::env::var_os("STRIPE_SANDBOX_ANSWERS");
    let path = path.context("STRIPE_SANDBOX_ANSWERS must name the file of answers")?;
    let answers = BufReader::new(File::open(&path).context("no answers were kept")?);
    let documents = [FIRST, LAST].map(|name| Judge::new(folder, name));
    let documents: Vec<Judge> = documents.into_iter().collect::<anyhow::Result<_>>()?;
    let (mut found, mut seen, mut endpoints) = (Found::default(), HashSet::new(), BTreeMap::new());
    let mut count = 0;
    for line in answers.lines() {
        count += 1;
        let kept: Kept = serde_json::from_str(&line?).context("a kept answer")?;
        let endpoint = documents[0].endpoint(&kept);
        if !seen.insert((endpoint.clone(), shape(&kept.answer).to_string())) {
            continue;
        }
        for judge in &documents {
            judge.judge(&kept, &mut found);
        }
        endpoints.entry(endpoint).or_insert(kept);
    }
    for (endpoint, kept) in &endpoints {
        for judge in &documents {
            anyhow::ensure!(
                judge.sees(kept),
                "{endpoint}: an unknown field goes unnoticed"
            );
        }
    }
    found.summary = format!(
        "{count} answers of {} endpoints, {} of them different",
        endpoints.len(),
        seen.len()
    );
    Ok(found)
}

struct Judge {
    name: &'static str,
    document: Document,
    schemas: Schemas,
}

impl Judge {
    fn new(folder: &Path, name: &'static str) -> anyhow::Result<Self> {
        let document = Document::read(folder, name)?;
        let schemas = Schemas::of(&document).context(name)?;
        Ok(Self {
            name,
            document,
            schemas,
        })
    }

    /// The name of the schema for this answer.
    fn endpoint(&self, kept: &Kept) -> String {
        match self.document.operation(&kept.method, &kept.path) {
            Some(path) => validator::answer(&kept.method, path, kept.status),
            // A document that does not have the endpoint may still have the object.
            None if kept.status == 200 => kept.answer["object"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            None => validator::ERROR.to_owned(),
        }
    }

    fn judge(&self, kept: &Kept, found: &mut Found) {
        let endpoint = self.endpoint(kept);
        if kept.status == 200 && self.document.operation(&kept.method, &kept.path).is_none() {
            let path = without_ids(&kept.path);
            let disagreement = format!("{} {path} is unknown for {}", kept.method, self.name);
            found.add(disagreement, &kept.path);
        }
        let mut add = |whole: &Value, faults: Vec<Fault>| {
            for fault in faults {
                let disagreement = format!(
                    "{} {} for {}",
                    place(whole, &fault.path),
                    fault.what,
                    self.name
                );
                found.add(disagreement, &format!("{} {}", kept.method, kept.path));
            }
        };
        add(&kept.answer, self.schemas.faults(&endpoint, &kept.answer));
        if kept.answer["object"] == "event" {
            let object = &kept.answer["data"]["object"];
            let name = object["object"].as_str().unwrap_or_default();
            add(object, self.schemas.faults(name, object));
        }
    }

    /// Whether the judge notices an undescribed field in this answer.
    fn sees(&self, kept: &Kept) -> bool {
        let mut answer = kept.answer.clone();
        answer["no_such_field"] = json!(1);
        !self
            .schemas
            .faults(&self.endpoint(kept), &answer)
            .is_empty()
    }
}

/// The place of a fault, beginning at the innermost object.
fn place(whole: &Value, path: &[String]) -> String {
    let (mut value, mut object, mut since) = (whole, "answer", 0);
    for (depth, name) in path.iter().enumerate() {
        if let Some(kind) = value["object"].as_str().filter(|kind| *kind != "list") {
            (object, since) = (kind, depth);
        }
        value = match value {
            Value::Array(elements) => name
                .parse()
                .ok()
                .and_then(|index: usize| elements.get(index)),
            value => value.get(name),
        }
        .unwrap_or(&Value::Null);
    }
    let path = path[since..]
        .iter()
        .map(|name| match name.parse::<usize>() {
            Ok(_) => "[]".to_owned(),
            Err(_) => format!(".{name}"),
        });
    format!("{object}{}", path.collect::<String>())
}

/// An answer without the parts that do not matter to a schema: ids and numbers.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), shape(value)))
            .collect(),
        Value::Array(elements) => {
            let mut shapes: Vec<Value> = elements.iter().map(shape).collect();
            shapes.sort_by_cached_key(Value::to_string);
            shapes.dedup();
            shapes.into()
        }
        Value::Number(_) => json!(0),
        Value::String(text) if text.contains(|c: char| c.is_ascii_digit()) => json!("0"),
        value => value.clone(),
    }
}
