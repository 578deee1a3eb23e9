//! Stripe's parameter encoding: `application/x-www-form-urlencoded` with Rack's bracketed keys.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Display;

use serde_json::{Map, Value};
use telemetry::mask_secrets;

/// Parameters in sending order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form(Vec<(Cow<'static, str>, String)>);

impl Form {
    /// No parameters.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a parameter. `key` is written as in Stripe's documentation, e.g. `recurring[interval]`.
    pub fn push(&mut self, key: impl Into<Cow<'static, str>>, value: impl Display) {
        self.0.push((key.into(), value.to_string()));
    }

    /// Adds a parameter if there is a value. Stripe leaves missing ones unchanged.
    pub fn push_some(&mut self, key: impl Into<Cow<'static, str>>, value: Option<impl Display>) {
        if let Some(value) = value {
            self.push(key, value);
        }
    }

    /// Adds the pairs of an object's metadata.
    pub fn push_metadata(&mut self, pairs: &BTreeMap<String, String>) {
        for (key, value) in pairs {
            self.push(format!("metadata[{key}]"), value);
        }
    }

    /// Adds all of `other`'s parameters after these.
    pub fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Removes the parameter `key`, if it is present.
    pub fn remove(&mut self, key: &str) {
        self.0.retain(|(other, _)| other != key);
    }

    /// Whether there are no parameters.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The parameters, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(key, value)| (key.as_ref(), value.as_str()))
    }

    /// The parameters for a log. Ids, numbers and Tier's own metadata are shown; texts of users and apps are
    /// masked.
    pub(super) fn masked(&self) -> String {
        let is_shown = |key: &str| {
            let personal = [
                "email",
                "name",
                "phone",
                "description",
                "query",
                "card",
                "address",
                "url",
            ];
            let foreign = key.contains("metadata") && !key.contains("tier.");
            !foreign && !key.contains("tier.org") && !personal.iter().any(|word| key.contains(word))
        };
        let mut out = String::new();
        for (key, value) in self.iter() {
            let value = if is_shown(key) { value } else { "***" };
            out.push_str(if out.is_empty() { "" } else { "&" });
            out.push_str(key);
            out.push('=');
            out.push_str(&mask_secrets(value));
        }
        out
    }

    /// The encoded form: a body, or a query string.
    pub fn encode(&self) -> String {
        let mut out = form_urlencoded::Serializer::new(String::new());
        out.extend_pairs(self.iter());
        out.finish()
    }

    /// The parameters as JSON texts in an object; `a[b]` is in an object `a`, and each `a[]` in an array.
    pub(super) fn to_json(&self) -> Value {
        let mut root = Map::new();
        for (key, value) in self.iter() {
            let value = Value::from(value);
            match key.split_once('[') {
                None => drop(root.insert(key.to_owned(), value)),
                Some((name, "]")) => {
                    let array = root.entry(name).or_insert_with(|| Value::Array(Vec::new()));
                    if let Value::Array(elements) = array {
                        elements.push(value);
                    }
                }
                Some((name, inner)) => {
                    let object = root
                        .entry(name)
                        .or_insert_with(|| Value::Object(Map::new()));
                    object[inner.trim_end_matches(']')] = value;
                }
            }
        }
        Value::Object(root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_and_escapes_reserved_characters() {
        let mut form = Form::new();
        form.push("metadata[tier.org]", "org:a&b=c d");
        form.push_some("email", None::<&str>);
        form.push("expand[]", "data.price");
        assert_eq!(
            form.encode(),
            "metadata%5Btier.org%5D=org%3Aa%26b%3Dc+d&expand%5B%5D=data.price"
        );
    }

    #[test]
    fn json_has_objects_and_arrays() {
        let mut form = Form::new();
        form.push("name", "tier");
        form.push("include[]", "a");
        form.push("include[]", "b");
        form.push("webhook_endpoint[url]", "https://tier.example");
        assert_eq!(
            form.to_json(),
            serde_json::json!({"name": "tier", "include": ["a", "b"],
                "webhook_endpoint": {"url": "https://tier.example"}})
        );
    }

    #[test]
    fn masks_texts_that_a_person_wrote() {
        let mut form = Form::new();
        form.push("email", "a@example.com");
        form.push("metadata[note]", "secret");
        form.push("metadata[tier.feature]", "feature:x@plan:p@1");
        form.push("quantity", 3);
        assert_eq!(
            form.masked(),
            "email=***&metadata[note]=***&metadata[tier.feature]=feature:x@plan:p@1&quantity=3"
        );
    }
}
