//! `expand[]`: replaces ids in an answer by their objects, and adds fields that an answer has only on request.
//!
//! The expandable fields are listed by the type of their object, so paths are checked before the call runs, and other
//! paths are refused, as by Stripe.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::Value;

use super::{on_request, render};
use crate::error::{Error, Result};
use crate::params::Params;
use crate::store::account::Account;
use crate::version::ApiVersion;

const MAX_DEPTH: usize = 4;

/// The type of an object (its `object`), or `list:` and the type of the elements.
pub(crate) type ObjectType = &'static str;

/// The expandable fields of each kind of object, with the kinds of their values.
type Fields = HashMap<ObjectType, HashMap<&'static str, Vec<ObjectType>>>;

/// The fields of 2022-11-15.
static FIELDS: LazyLock<Fields> = LazyLock::new(|| read_fields(include_str!("expandable.txt")));

/// The fields of 2026-10-28.
static FIELDS_2026: LazyLock<Fields> = LazyLock::new(|| {
    let mut fields = FIELDS.clone();
    fields.extend(read_fields(include_str!("expandable-2026-10-28.txt")));
    fields
});

fn read_fields(text: &'static str) -> Fields {
    let mut fields = Fields::new();
    let mut parent = "";
    for line in text.lines() {
        if line.starts_with('#') {
            continue;
        }
        if !line.starts_with(' ') {
            parent = line;
            continue;
        }
        for field in line.split_whitespace() {
            let (name, kinds) = field.split_once('=').unwrap_or((field, ""));
            let kinds = kinds.split('|').filter(|kind| !kind.is_empty());
            fields
                .entry(parent)
                .or_default()
                .insert(name, kinds.collect());
        }
    }
    fields
}

/// The kinds of values of a field, if it can be expanded in an object of one of these kinds.
fn field(version: ApiVersion, parents: &[ObjectType], name: &str) -> Option<Vec<ObjectType>> {
    let fields = match version {
        ApiVersion::V2022_11_15 => &FIELDS,
        ApiVersion::V2026_10_28 => &FIELDS_2026,
    };
    let mut found: Option<Vec<ObjectType>> = None;
    for parent in parents {
        let kinds = match parent.strip_prefix("list:") {
            Some(element) if name == "data" => vec![element],
            Some(_) => continue,
            None => match fields.get(parent).and_then(|fields| fields.get(name)) {
                Some(kinds) => kinds.clone(),
                None => continue,
            },
        };
        found.get_or_insert_default().extend(kinds);
    }
    found
}

/// The checked paths of a request.
#[derive(Debug, Default)]
pub(crate) struct Expand {
    paths: Vec<Vec<String>>,
    object: ObjectType,
    version: ApiVersion,
}

impl Expand {
    /// Reads `expand[]` for an answer of type `object`.
    pub(crate) fn read(
        params: &Params<'_>,
        object: ObjectType,
        version: ApiVersion,
    ) -> Result<Self> {
        let mut paths = Vec::new();
        for path in params.strings("expand")?.unwrap_or_default() {
            let steps: Vec<String> = path.split('.').map(str::to_owned).collect();
            // The `data` of the requested list does not count.
            let depth = steps.len() - usize::from(object.starts_with("list:"));
            if depth > MAX_DEPTH {
                return Err(refused(format!(
                    "You cannot expand more than {MAX_DEPTH} levels of a property. Property: {path}"
                )));
            }
            let mut parents = vec![object];
            for (index, step) in steps.iter().enumerate() {
                let inner = field(version, &parents, step);
                parents = inner.ok_or_else(|| no_such_field(object, &steps[..=index]))?;
            }
            paths.push(steps);
        }
        Ok(Self {
            paths,
            object,
            version,
        })
    }

    /// Expands an answer in place. Deleted objects cannot be expanded, except discounts.
    pub(crate) fn apply(&self, account: &Account, now: i64, answer: &mut Value) {
        for path in &self.paths {
            let scope = Scope {
                account,
                now,
                version: self.version,
            };
            scope.walk(&[self.object], answer, path);
        }
    }
}

/// The error for a path that cannot be expanded. Stripe names no parameter in it.
fn no_such_field(object: ObjectType, path: &[String]) -> Error {
    let path = path.join(".");
    let mut message = format!("This property cannot be expanded ({path}).");
    if object.starts_with("list:") && !path.starts_with("data") {
        let hint = format!(" You may want to try expanding 'data.{path}' instead.");
        message.push_str(&hint);
    }
    refused(message)
}

fn refused(message: String) -> Error {
    Error::invalid(message).before_execution()
}

/// The account, time and version in which ids are replaced by objects.
#[derive(Clone, Copy)]
struct Scope<'a> {
    account: &'a Account,
    now: i64,
    version: ApiVersion,
}

impl Scope<'_> {
    fn walk(self, parents: &[ObjectType], value: &mut Value, path: &[String]) {
        if let Value::Array(elements) = value {
            for element in elements {
                self.walk(parents, element, path);
            }
            return;
        }
        let Some((step, rest)) = path.split_first() else {
            return;
        };
        // Deleted objects have no expandable fields, except discounts.
        let empty = value["deleted"] == true && value["object"] != "discount";
        let (Some(kinds), false) = (field(self.version, parents, step), empty) else {
            return;
        };
        if value.is_object()
            && value.get(step).is_none()
            && let Some(value_on_request) =
                on_request(self.account, (self.version, self.now), value, step)
        {
            value[step.as_str()] = self.version.converted(value_on_request);
        }
        if let Some(inner) = value.get_mut(step) {
            self.link(&kinds, inner);
            self.walk(&kinds, inner, rest);
        }
    }

    /// Replaces ids by their objects. Other values, and ids of objects that the sandbox does not have, stay.
    fn link(self, kinds: &[ObjectType], value: &mut Value) {
        match value {
            Value::Array(elements) => {
                for element in elements {
                    self.link(kinds, element);
                }
            }
            Value::String(id) => {
                if let Some(object) = render(self.account, self.now, kinds, id) {
                    *value = self.version.converted(object);
                }
            }
            _ => {}
        }
    }
}
