//! How an operation is called: with curl, and in Node and Python without a library.

use serde_json::Value;

use super::{Document, fields};

/// Where a server listens when nobody says otherwise.
const SERVER: &str = "http://127.0.0.1:8080";

/// One call, in three languages.
pub(super) struct Samples {
    pub(super) curl: String,
    pub(super) node: String,
    pub(super) python: String,
}

impl Samples {
    /// The call of an operation, with its first example.
    pub(super) fn of(document: Document<'_>, path: &str, method: &str, operation: &Value) -> Self {
        let url = format!("{SERVER}{path}{}", query(document, operation));
        let body = example(document, operation);
        let method = method.to_uppercase();
        Self {
            curl: curl(&method, &url, body),
            node: node(&method, &url, body),
            python: python(&method, &url, body),
        }
    }
}

/// The query of the parameters that have an example.
fn query(document: Document<'_>, operation: &Value) -> String {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let parameters = parameters.map(|parameter| document.resolved(parameter));
    let pairs = parameters.filter_map(|parameter| {
        let shown = parameter["in"] == "query" && !parameter["example"].is_null();
        let (name, value) = (parameter["name"].as_str()?, &parameter["example"]);
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        shown.then(|| format!("{name}={value}"))
    });
    let pairs: Vec<_> = pairs.collect();
    if pairs.is_empty() {
        return String::new();
    }
    format!("?{}", pairs.join("&"))
}

/// The first example of the body.
fn example<'a>(document: Document<'a>, operation: &'a Value) -> Option<&'a Value> {
    let body = document.resolved(&operation["requestBody"]);
    let (_, content) = fields(&body["content"]).next()?;
    let (_, example) = fields(&content["examples"]).next()?;
    Some(&example["value"])
}

fn curl(method: &str, url: &str, body: Option<&Value>) -> String {
    match body {
        Some(body) => {
            // A quote ends the shell's string, stands for itself, and begins another.
            let body = compact(body).replace('\'', r"'\''");
            format!("curl -d '{body}' {url}")
        }
        None if method == "GET" => format!("curl '{url}'"),
        None => format!("curl -X {method} '{url}'"),
    }
}

fn node(method: &str, url: &str, body: Option<&Value>) -> String {
    let options = match body {
        Some(body) => format!(
            ", {{\n  method: '{method}',\n  body: JSON.stringify({}),\n}}",
            compact(body)
        ),
        None if method == "GET" => String::new(),
        None => format!(", {{ method: '{method}' }}"),
    };
    format!(
        "const response = await fetch('{url}'{options})\nconsole.log(response.status, await response.json())"
    )
}

fn python(method: &str, url: &str, body: Option<&Value>) -> String {
    let data = match body {
        Some(body) => format!(
            ", method=\"{method}\", data=json.dumps(\n    {}\n).encode()",
            in_python(body)
        ),
        None => format!(", method=\"{method}\""),
    };
    format!(
        "import json, urllib.request\n\nrequest = urllib.request.Request(\"{url}\"{data})\nwith urllib.request.urlopen(request) as response:\n    print(json.load(response))"
    )
}

fn compact(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A value as a literal of Python.
fn in_python(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(in_python).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(fields) => {
            let fields = fields.iter();
            let fields: Vec<_> = fields
                .map(|(key, value)| format!("{}: {}", Value::from(key.as_str()), in_python(value)))
                .collect();
            format!("{{{}}}", fields.join(", "))
        }
        Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_call_in_three_languages() {
        let operation = json!({
            "parameters": [
                {"name": "org", "in": "query", "example": "org:acme"},
                {"name": "Tier-Clock", "in": "header", "example": "clock_1"},
            ],
        });
        let none = json!({});
        let samples = Samples::of(Document(&none), "/v1/limits", "get", &operation);
        assert_eq!(
            samples.curl,
            "curl 'http://127.0.0.1:8080/v1/limits?org=org:acme'"
        );
        assert!(
            samples
                .node
                .contains("fetch('http://127.0.0.1:8080/v1/limits?org=org:acme')")
        );
        assert!(samples.python.contains("method=\"GET\""));

        let body = json!({"name": "it's", "live": true, "at": null, "n": [1.5]});
        let operation = json!({"requestBody": {"content": {"application/json": {"examples": {"one": {"value": body}}}}}});
        let samples = Samples::of(Document(&none), "/v1/x", "post", &operation);
        assert_eq!(
            samples.curl,
            r#"curl -d '{"name":"it'\''s","live":true,"at":null,"n":[1.5]}' http://127.0.0.1:8080/v1/x"#
        );
        let python = r#"{"name": "it's", "live": True, "at": None, "n": [1.5]}"#;
        assert!(samples.python.contains(python), "{}", samples.python);
    }
}
