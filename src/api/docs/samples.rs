//! Code samples that call an operation: with curl, and in Node and Python without a library.

use serde_json::Value;

use super::{Document, fields};

/// Where a server listens by default.
const SERVER: &str = "http://127.0.0.1:8080";

/// The samples of one call.
pub(super) struct Samples {
    pub(super) curl: String,
    pub(super) node: String,
    pub(super) python: String,
}

impl Samples {
    /// The call of an operation, with its first example.
    pub(super) fn of(document: Document<'_>, path: &str, method: &str, operation: &Value) -> Self {
        let url = format!("{SERVER}{path}{}", query(document, operation));
        let body = Body::of(document, operation);
        let body = body.as_ref();
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
        let is_shown = parameter["in"] == "query" && !parameter["example"].is_null();
        let (name, value) = (parameter["name"].as_str()?, &parameter["example"]);
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        is_shown.then(|| format!("{name}={value}"))
    });
    let pairs: Vec<_> = pairs.collect();
    if pairs.is_empty() {
        return String::new();
    }
    format!("?{}", pairs.join("&"))
}

/// An example of a body.
struct Body<'a> {
    value: &'a Value,
    is_form: bool,
}

impl<'a> Body<'a> {
    /// The first example of an operation.
    fn of(document: Document<'a>, operation: &'a Value) -> Option<Self> {
        let body = document.resolved(&operation["requestBody"]);
        let (media_type, content) = fields(&body["content"]).next()?;
        let (_, example) = fields(&content["examples"]).next()?;
        Some(Self {
            value: &example["value"],
            is_form: media_type == "application/x-www-form-urlencoded",
        })
    }

    /// The body as it is sent.
    fn encoded(&self) -> String {
        if !self.is_form {
            return compact(self.value);
        }
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields(self.value).map(|(name, value)| (name, compact(value))));
        form.finish()
    }
}

fn curl(method: &str, url: &str, body: Option<&Body<'_>>) -> String {
    match body {
        Some(body) => {
            // A quote ends the shell's string, is escaped, and begins another string.
            let body = body.encoded().replace('\'', r"'\''");
            format!("curl -d '{body}' {url}")
        }
        None if method == "GET" => format!("curl '{url}'"),
        None => format!("curl -X {method} '{url}'"),
    }
}

fn node(method: &str, url: &str, body: Option<&Body<'_>>) -> String {
    let options = match body {
        Some(body) => {
            let value = compact(body.value);
            let body = if body.is_form {
                format!("new URLSearchParams({value})")
            } else {
                format!("JSON.stringify({value})")
            };
            format!(", {{\n  method: '{method}',\n  body: {body},\n}}")
        }
        None if method == "GET" => String::new(),
        None => format!(", {{ method: '{method}' }}"),
    };
    format!(
        "const response = await fetch('{url}'{options})\nconsole.log(response.status, await response.text())"
    )
}

fn python(method: &str, url: &str, body: Option<&Body<'_>>) -> String {
    let (module, data) = match body {
        Some(body) => {
            let (module, encode) = if body.is_form {
                ("urllib.parse", "urllib.parse.urlencode")
            } else {
                ("json", "json.dumps")
            };
            let value = in_python(body.value);
            let data = format!(", data={encode}(\n    {value}\n).encode()");
            (format!("{module}, "), data)
        }
        None => (String::new(), String::new()),
    };
    format!(
        "import {module}urllib.request\n\nrequest = urllib.request.Request(\"{url}\", method=\"{method}\"{data})\nwith urllib.request.urlopen(request) as response:\n    print(response.read().decode())"
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

        let form = "application/x-www-form-urlencoded";
        let operation = json!({"requestBody": {"content": {form: {"examples": {"one": {"value": {"a": "b c"}}}}}}});
        let samples = Samples::of(Document(&none), "/auth", "post", &operation);
        assert_eq!(samples.curl, "curl -d 'a=b+c' http://127.0.0.1:8080/auth");
        assert!(samples.node.contains(r#"new URLSearchParams({"a":"b c"})"#));
        let python = "urllib.parse.urlencode(\n    {\"a\": \"b c\"}\n)";
        assert!(samples.python.contains(python), "{}", samples.python);
    }
}
