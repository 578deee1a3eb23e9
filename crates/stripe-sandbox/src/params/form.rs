//! Urlencoded forms, parsed like Rack and Stripe do: `a[b]=1`, `a[]=1`, `a[0][b]=1`, and also the unbalanced
//! `a[0][b[c]]=1`, which equals `a[0][b][c]=1`.

use std::cell::Cell;

use indexmap::IndexMap;
use serde_json::Value as Json;

use crate::error::{Error, Result};

/// No parameter of Stripe's is nested nearly as deep.
const MAX_DEPTH: usize = 16;

/// In bytes. Stripe's own metadata keys have at most 40 characters.
const MAX_KEY: usize = 1_000;

/// The number of fields in one request.
const MAX_FIELDS: usize = 10_000;

/// A parsed form: the root of a tree.
#[derive(Debug, Default)]
pub(crate) struct Form {
    pub(crate) root: Node,
    fields: usize,
}

/// A parameter's value, and whether a handler has read it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    pub(crate) is_read: Cell<bool>,
    pub(crate) value: Value,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(String),
    List(Vec<Node>),
    Map(IndexMap<String, Node>),
}

impl Default for Value {
    fn default() -> Self {
        Self::Map(IndexMap::new())
    }
}

impl From<Value> for Node {
    fn from(value: Value) -> Self {
        Self {
            is_read: Cell::new(false),
            value,
        }
    }
}

impl Form {
    /// Adds the fields of a urlencoded query or body. Existing fields are replaced.
    pub(crate) fn read(&mut self, encoded: &[u8]) -> Result<()> {
        for pair in encoded.split(|byte| *byte == b'&') {
            if pair.is_empty() {
                continue;
            }
            self.fields += 1;
            if self.fields > MAX_FIELDS {
                return Err(unreadable(format!(
                    "A request takes at most {MAX_FIELDS} parameters."
                )));
            }
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let key = decode(halves.next().unwrap_or_default())?;
            let value = decode(halves.next().unwrap_or_default())?;
            self.insert(&key, value)?;
        }
        Ok(())
    }

    /// Adds the fields of a JSON object. A null counts as a missing field.
    pub(crate) fn read_json(&mut self, body: &[u8]) -> Result<()> {
        if body.is_empty() {
            return Ok(());
        }
        let value: Json = serde_json::from_slice(body)
            .map_err(|error| unreadable(format!("Invalid JSON: {error}.")))?;
        let Json::Object(fields) = value else {
            return Err(unreadable("Invalid JSON: it must be an object.".to_owned()));
        };
        for (key, value) in fields {
            if let Some(node) = self.node_of(value, 1)? {
                self.set(&key, node);
            }
        }
        Ok(())
    }

    /// Converts a JSON value to a parameter; `None` for a null.
    fn node_of(&mut self, value: Json, depth: usize) -> Result<Option<Node>> {
        self.fields += 1;
        if depth > MAX_DEPTH || self.fields > MAX_FIELDS {
            return Err(unreadable(format!(
                "A request takes at most {MAX_FIELDS} parameters, nested at most {MAX_DEPTH} levels deep."
            )));
        }
        let value = match value {
            Json::Null => return Ok(None),
            Json::Bool(flag) => Value::Text(flag.to_string()),
            Json::Number(number) => Value::Text(number.to_string()),
            Json::String(text) => Value::Text(text),
            Json::Array(elements) => {
                let nodes = elements.into_iter();
                let nodes = nodes.map(|element| self.node_of(element, depth + 1));
                Value::List(nodes.filter_map(Result::transpose).collect::<Result<_>>()?)
            }
            Json::Object(fields) => {
                let mut map = IndexMap::new();
                for (key, value) in fields {
                    if let Some(node) = self.node_of(value, depth + 1)? {
                        map.insert(key, node);
                    }
                }
                Value::Map(map)
            }
        };
        Ok(Some(value.into()))
    }

    fn insert(&mut self, key: &str, value: String) -> Result<()> {
        if key.len() > MAX_KEY {
            return Err(unreadable(format!(
                "A parameter's name is longer than {MAX_KEY} bytes."
            )));
        }
        let steps = steps(key);
        if steps.is_empty() || steps[0].is_empty() {
            return Err(unreadable(
                "A parameter has no name: expected `name=value` pairs, urlencoded.".to_owned(),
            ));
        }
        if steps.len() > MAX_DEPTH {
            return Err(unreadable(format!(
                "Parameters are nested more than {MAX_DEPTH} levels deep."
            )));
        }
        put(&mut self.root, &steps, value)
            .map_err(|()| Error::malformed(steps[0], format!("Invalid parameters: `{key}` is given both as a value and as an object or array.")))
    }

    /// Adds a parameter at the root, as if the request had sent it.
    pub(crate) fn set(&mut self, key: &str, node: Node) {
        if let Value::Map(map) = &mut self.root.value {
            map.insert(key.to_owned(), node);
        }
    }

    /// The form as JSON, for the request log and to compare requests.
    pub(crate) fn to_json(&self) -> Json {
        json(&self.root)
    }
}

impl Node {
    /// Marks the value and everything in it as read.
    pub(crate) fn mark_read(&self) {
        self.is_read.set(true);
        match &self.value {
            Value::Text(_) => {}
            Value::List(list) => list.iter().for_each(Self::mark_read),
            Value::Map(map) => map.values().for_each(Self::mark_read),
        }
    }
}

fn json(node: &Node) -> Json {
    match &node.value {
        Value::Text(text) => Json::String(text.clone()),
        Value::List(list) => list.iter().map(json).collect(),
        Value::Map(map) => map
            .iter()
            .map(|(key, node)| (key.clone(), json(node)))
            .collect(),
    }
}

fn unreadable(message: String) -> Error {
    Error::invalid(message).before_execution()
}

fn decode(encoded: &[u8]) -> Result<String> {
    let spaced: Vec<u8> = encoded
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    percent_encoding::percent_decode(&spaced)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| unreadable("Invalid encoding: parameters must be UTF-8.".to_owned()))
}

/// The names on the path to a value; an empty name means `[]`.
fn steps(key: &str) -> Vec<&str> {
    let mut steps = Vec::new();
    let mut rest = key;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("[]") {
            steps.push("");
            rest = after;
            continue;
        }
        rest = rest.trim_start_matches(['[', ']']);
        let end = rest.find(['[', ']']).unwrap_or(rest.len());
        if end > 0 {
            steps.push(&rest[..end]);
        }
        rest = rest[end..].trim_start_matches(']');
    }
    steps
}

/// Inserts a value at the end of the path. Fails if the path leads through a value of another shape.
fn put(node: &mut Node, steps: &[&str], value: String) -> Result<(), ()> {
    let Some((step, rest)) = steps.split_first() else {
        node.value = Value::Text(value);
        return Ok(());
    };
    let fresh = matches!(&node.value, Value::Map(map) if map.is_empty());
    if step.is_empty() {
        if fresh {
            node.value = Value::List(Vec::new());
        }
        let Value::List(list) = &mut node.value else {
            return Err(());
        };
        return append(list, rest, value);
    }
    let Value::Map(map) = &mut node.value else {
        return Err(());
    };
    if rest.is_empty() {
        if let Some(Value::List(_) | Value::Map(_)) = map.get(*step).map(|node| &node.value) {
            return Err(());
        }
        map.insert((*step).to_owned(), Value::Text(value).into());
        return Ok(());
    }
    put(map.entry((*step).to_owned()).or_default(), rest, value)
}

/// Appends to an array. `a[][b]=1&a[][c]=2` is one element; a name that the last element already has begins a new
/// element.
fn append(list: &mut Vec<Node>, rest: &[&str], value: String) -> Result<(), ()> {
    if let (Some(first), Some(last)) = (rest.first(), list.last_mut())
        && let Value::Map(map) = &last.value
        && !first.is_empty()
        && (rest.len() > 1 || !map.contains_key(*first))
    {
        return put(last, rest, value);
    }
    let mut node = Node::default();
    put(&mut node, rest, value)?;
    list.push(node);
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Json {
        let mut form = Form::default();
        form.read(text.as_bytes()).expect("readable");
        form.to_json()
    }

    #[test]
    fn nested_names_are_read_as_rack_reads_them() {
        assert_eq!(
            read("phases[0][metadata[tier.subscription]]=x&phases[0][trial]=true"),
            json!({"phases": {"0": {"metadata": {"tier.subscription": "x"}, "trial": "true"}}})
        );
        assert_eq!(
            read("expand[]=a&expand[]=b%20c+d"),
            json!({"expand": ["a", "b c d"]})
        );
        assert_eq!(
            read("a[][b]=1&a[][c]=2&a[][b]=3"),
            json!({"a": [{"b": "1", "c": "2"}, {"b": "3"}]})
        );
        assert_eq!(read("a=1&a=2&b"), json!({"a": "2", "b": ""}));
        assert_eq!(read(""), json!({}));
    }

    #[test]
    fn json_is_read_like_a_form() {
        let mut form = Form::default();
        let body = r#"{"a": "1", "b": {"c": 2, "d": null}, "e": ["x", true], "f": null}"#;
        form.read_json(body.as_bytes()).expect("readable");
        let expected = json!({"a": "1", "b": {"c": "2"}, "e": ["x", "true"]});
        assert_eq!(form.to_json(), expected);
        let deep = format!("{{\"a\": {}1{}}}", "[".repeat(40), "]".repeat(40));
        for bad in ["[]", "1", "{", "{\"a\": }", &deep] {
            let error = Form::default().read_json(bad.as_bytes()).expect_err(bad);
            assert!(error.status == 400 && error.before_execution);
        }
    }

    #[test]
    fn unreadable_forms_are_refused() {
        let deep = format!("a{}=1", "[b]".repeat(40));
        let long = format!("{}=1", "k".repeat(5_000));
        let many = "a=1&".repeat(20_000);
        for bad in [
            "=1",
            "[]=1",
            "a=1&a[b]=2",
            "a[b]=1&a=2",
            "a[]=1&a[b]=2",
            "a=%ff%fe",
            &deep,
            &long,
            &many,
        ] {
            let error = Form::default().read(bad.as_bytes()).expect_err(bad);
            assert_eq!(error.status, 400);
            assert!(error.before_execution);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Form::default().read(&bytes);
        }

        #[test]
        fn any_brackets_are_read_or_refused(text in "([ab\\[\\]=&0%]{0,60})") {
            let _ = Form::default().read(text.as_bytes());
        }
    }
}
