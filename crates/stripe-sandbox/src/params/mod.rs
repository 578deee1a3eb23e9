//! Typed reading of a request's parameters, with Stripe's own errors.
//!
//! Reading a parameter marks it as read. A [route](crate::resource::route::Route) reads all parameters that it
//! supports; [`Params::finish`] then refuses the others, before anything is changed.

pub(crate) mod field_update;
pub(crate) mod filter;
pub(crate) mod form;
pub(crate) mod metadata;
pub(crate) mod scalars;
pub(crate) mod unmodelled;

use std::cell::Cell;

use self::field_update::FieldUpdate;
use self::form::{Form, Node, Value};
use self::metadata::Changes;
use crate::error::{Error, Result};

/// The parameters of a request, or of one object or array element in it.
#[derive(Clone, Debug)]
pub(crate) struct Params<'a> {
    node: &'a Node,
    /// The full name, such as `phases[0][items]`; empty at the root.
    name: String,
}

impl<'a> Params<'a> {
    pub(crate) fn new(form: &'a Form) -> Self {
        Self {
            node: &form.root,
            name: String::new(),
        }
    }

    /// The full name of a parameter, for errors.
    pub(crate) fn name(&self, key: &str) -> String {
        if self.name.is_empty() {
            key.to_owned()
        } else {
            format!("{}[{key}]", self.name)
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&'a Node> {
        match &self.node.value {
            Value::Map(map) => map.get(key),
            Value::Text(_) | Value::List(_) => None,
        }
    }

    /// A form with the parameters in `names`, each renamed from the first name to the second. They count as read here;
    /// the reader of the new form calls its [`finish`](Self::finish).
    pub(crate) fn renamed(&self, names: &[(&str, &str)]) -> Form {
        let mut form = Form::default();
        for (name, other) in names {
            if let Some(node) = self.get(name) {
                // The copy starts as unread.
                form.set(other, node.clone());
                node.mark_read();
            }
        }
        form
    }

    /// Whether the parameter was sent, even if it is empty. Does not mark it as read.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// A text, which may be empty (Stripe's way to unset a field).
    pub(crate) fn text(&self, key: &str) -> Result<Option<&'a str>> {
        let Some(node) = self.get(key) else {
            return Ok(None);
        };
        node.is_read.set(true);
        match &node.value {
            Value::Text(text) => Ok(Some(text)),
            Value::List(_) | Value::Map(_) => {
                let name = self.name(key);
                let message = format!("Invalid string: `{name}` must be a plain value.");
                Err(Error::malformed(name, message))
            }
        }
    }

    /// A text that must not be empty.
    pub(crate) fn string(&self, key: &str) -> Result<Option<&'a str>> {
        match self.text(key)? {
            Some("") => {
                let name = self.name(key);
                let message = format!(
                    "You passed an empty string for '{name}'. We assume empty values are an attempt to unset a parameter; however '{name}' cannot be unset. You should remove '{name}' from your request or supply a non-empty value."
                );
                Err(Error::malformed(name, message).code("parameter_invalid_empty"))
            }
            text => Ok(text),
        }
    }

    /// A text that an empty value unsets.
    pub(crate) fn nullable(&self, key: &str) -> Result<FieldUpdate<&'a str>> {
        Ok(match self.text(key)? {
            None => FieldUpdate::Keep,
            Some("") => FieldUpdate::Unset,
            Some(text) => FieldUpdate::Set(text),
        })
    }

    /// Like [`string`](Self::string), but required.
    pub(crate) fn required(&self, key: &str) -> Result<&'a str> {
        self.string(key)?.ok_or_else(|| self.missing(key))
    }

    /// The error for a missing required parameter.
    pub(crate) fn missing(&self, key: &str) -> Error {
        let name = self.name(key);
        let message = format!("Missing required param: {name}.");
        Error::malformed(name, message).code("parameter_missing")
    }

    /// An object. A plain text is refused, except an empty one, which counts as an object without fields (see
    /// [`is_unset`](Self::is_unset)).
    pub(crate) fn object(&self, key: &str) -> Result<Option<Params<'a>>> {
        let Some(node) = self.get(key) else {
            return Ok(None);
        };
        node.is_read.set(true);
        let name = self.name(key);
        match &node.value {
            Value::Text(text) if !text.is_empty() => Err(Error::malformed(&name, "Invalid object")),
            Value::List(_) => Err(Error::malformed(&name, "Invalid object")),
            Value::Text(_) | Value::Map(_) => Ok(Some(Params { node, name })),
        }
    }

    /// Whether the parameter was sent empty (`key=`). Does not mark it as read.
    pub(crate) fn is_unset(&self, key: &str) -> bool {
        matches!(self.get(key).map(|node| &node.value), Some(Value::Text(text)) if text.is_empty())
    }

    fn elements(&self, key: &str) -> Result<Option<Vec<Params<'a>>>> {
        let Some(node) = self.get(key) else {
            return Ok(None);
        };
        node.is_read.set(true);
        let name = self.name(key);
        let element = |index: usize, node| Params {
            node,
            name: format!("{name}[{index}]"),
        };
        match &node.value {
            Value::Text(text) if text.is_empty() => Ok(Some(Vec::new())),
            Value::List(list) => Ok(Some(
                list.iter()
                    .enumerate()
                    .map(|(index, node)| element(index, node))
                    .collect(),
            )),
            Value::Map(map) => {
                let mut numbered = Vec::with_capacity(map.len());
                for (key, node) in map {
                    let index: usize = key
                        .parse()
                        .map_err(|_| Error::malformed(&name, "Invalid array"))?;
                    numbered.push((index, node));
                }
                numbered.sort_by_key(|(index, _)| *index);
                Ok(Some(
                    numbered
                        .into_iter()
                        .map(|(index, node)| element(index, node))
                        .collect(),
                ))
            }
            Value::Text(_) => Err(Error::malformed(&name, "Invalid array")),
        }
    }

    /// An array of objects, ordered by index; an empty value means no elements.
    pub(crate) fn objects(&self, key: &str) -> Result<Option<Vec<Params<'a>>>> {
        let elements = self.elements(key)?;
        for element in elements.iter().flatten() {
            element.node.is_read.set(true);
            if !matches!(element.node.value, Value::Map(_)) {
                return Err(Error::malformed(&element.name, "Invalid object"));
            }
        }
        Ok(elements)
    }

    /// An array of texts.
    pub(crate) fn strings(&self, key: &str) -> Result<Option<Vec<&'a str>>> {
        let Some(elements) = self.elements(key)? else {
            return Ok(None);
        };
        elements
            .iter()
            .map(|element| {
                element.node.is_read.set(true);
                match &element.node.value {
                    Value::Text(text) => Ok(text.as_str()),
                    Value::List(_) | Value::Map(_) => {
                        Err(Error::malformed(&element.name, "Invalid string"))
                    }
                }
            })
            .collect::<Result<_>>()
            .map(Some)
    }

    /// `metadata` as changes to apply; see [`Changes`].
    pub(crate) fn metadata(&self) -> Result<Changes> {
        let Some(object) = self.object("metadata")? else {
            return Ok(Changes::default());
        };
        if self.is_unset("metadata") {
            return Ok(Changes::clear());
        }
        let mut changes = Changes::default();
        for key in object.keys() {
            let value = object.text(key)?.unwrap_or_default();
            changes.set(key, value, &object.name(key))?;
        }
        Ok(changes)
    }

    /// The names of the parameters. Does not mark them as read.
    pub(crate) fn keys(&self) -> Vec<&'a str> {
        match &self.node.value {
            Value::Map(map) => map.keys().map(String::as_str).collect(),
            Value::Text(_) | Value::List(_) => Vec::new(),
        }
    }

    /// Refuses parameters that were not read.
    pub(crate) fn finish(&self) -> Result<()> {
        match unread(self.node, &self.name) {
            Some(name) => {
                let message = format!("Received unknown parameter: {name}");
                Err(Error::malformed(name, message).code("parameter_unknown"))
            }
            None => Ok(()),
        }
    }
}

/// The first parameter under the node that was not read. The mark of an object or array does not cover its contents.
fn unread(node: &Node, name: &str) -> Option<String> {
    let inner = |key: &str| {
        if name.is_empty() {
            key.to_owned()
        } else {
            format!("{name}[{key}]")
        }
    };
    let visit = |child: &Node, name: String| {
        if Cell::get(&child.is_read) {
            unread(child, &name)
        } else {
            Some(name)
        }
    };
    match &node.value {
        Value::Text(_) => None,
        Value::Map(map) => map.iter().find_map(|(key, child)| visit(child, inner(key))),
        Value::List(list) => list
            .iter()
            .enumerate()
            .find_map(|(index, child)| visit(child, inner(&index.to_string()))),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn form(text: &str) -> Form {
        let mut form = Form::default();
        form.read(text.as_bytes()).expect("readable");
        form
    }

    #[test]
    fn parameters_that_are_not_read_are_unknown() {
        let form = form("a=1&b[c]=2&b[d]=3&e[][f]=4");
        let params = Params::new(&form);
        let unknown = || params.finish().expect_err("unknown").param;
        assert_eq!(unknown().as_deref(), Some("a"));
        params.text("a").expect("a text");
        assert_eq!(unknown().as_deref(), Some("b"));
        let b = params.object("b").expect("an object").expect("given");
        b.text("c").expect("a text");
        assert_eq!(unknown().as_deref(), Some("b[d]"));
        b.text("d").expect("a text");
        let e = params.objects("e").expect("an array").expect("given");
        assert_eq!(unknown().as_deref(), Some("e[0][f]"));
        e[0].text("f").expect("a text");
        params.finish().expect("all read");
    }

    #[test]
    fn elements_are_ordered_by_index() {
        let form = form("p[10]=c&p[2]=b&p[0]=a");
        let strings = Params::new(&form).strings("p").expect("an array");
        assert_eq!(strings, Some(vec!["a", "b", "c"]));
    }
}
