//! `/docs`: a page about the API, made from `openapi.yaml`.
//!
//! It has no script and loads nothing. The crates that show OpenAPI documents (Swagger UI, Redoc, Scalar) serve a script,
//! most of them from another host, and none of them renders on the server.

use std::fmt::Write as _;
use std::sync::LazyLock;

use axum::http::HeaderValue;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::IntoResponse;
use serde_json::Value;

use super::ops::OPENAPI_JSON;

/// Lets the page load, run and send nothing.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
);

const STYLE: &str = "\
:root{color-scheme:light dark;--line:#8884;--soft:#8881}\
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem}\
code,pre{font:0.9em/1.45 ui-monospace,monospace}\
pre{background:var(--soft);padding:.7rem;overflow:auto;border-radius:.3rem}\
section{border-top:1px solid var(--line);margin-top:1.5rem}\
table{border-collapse:collapse;width:100%}\
td,th{text-align:left;vertical-align:top;padding:.2rem .8rem .2rem 0;border-bottom:1px solid var(--line)}\
nav ul{columns:2;list-style:none;padding:0}\
h3 b{font-size:.8em;padding:.1rem .4rem;border:1px solid var(--line);border-radius:.3rem}";

/// The page. It is rendered once.
pub(super) async fn page() -> impl IntoResponse {
    static PAGE: LazyLock<String> = LazyLock::new(|| {
        let document = serde_json::from_str(OPENAPI_JSON).expect("build.rs writes JSON");
        Page::of(&document)
    });
    const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
    (
        [(CONTENT_TYPE, HTML), (CONTENT_SECURITY_POLICY, POLICY)],
        PAGE.as_str(),
    )
}

struct Page<'a> {
    document: &'a Value,
    html: String,
}

impl<'a> Page<'a> {
    fn of(document: &'a Value) -> String {
        let mut page = Self {
            document,
            html: String::with_capacity(128 * 1024),
        };
        let title = text(&document["info"]["title"]);
        let version = text(&document["info"]["version"]);
        page.push(&format!(
            "<!doctype html><html lang=en><meta charset=utf-8>\
             <meta name=viewport content=\"width=device-width\"><title>{title} API</title>\
             <style>{STYLE}</style><h1>{title} API {version}</h1><p>The same as <a href=/openapi.yaml>YAML</a> \
             and as <a href=/openapi.json>JSON</a>.</p>"
        ));
        page.markdown(&document["info"]["description"]);
        page.contents();
        for (path, operations) in fields(&document["paths"]) {
            for (method, operation) in fields(operations) {
                page.operation(path, method, operation);
            }
        }
        page.push("<section><h2>Schemas</h2></section>");
        for (name, schema) in fields(&document["components"]["schemas"]) {
            page.schema(name, schema);
        }
        page.html
    }

    fn push(&mut self, html: &str) {
        self.html.push_str(html);
    }

    fn contents(&mut self) {
        self.push("<nav><h2>Endpoints</h2><ul>");
        for (path, operations) in fields(&self.document["paths"]) {
            for (method, operation) in fields(operations) {
                let id = text(&operation["operationId"]);
                let method = method.to_uppercase();
                let path = escape(path);
                self.push(&format!("<li><a href=\"#{id}\">{method} {path}</a>"));
            }
        }
        self.push("</ul></nav>");
    }

    fn operation(&mut self, path: &str, method: &str, operation: &Value) {
        let id = text(&operation["operationId"]);
        let method = method.to_uppercase();
        let path = escape(path);
        self.push(&format!(
            "<section id=\"{id}\"><h3><b>{method}</b> <code>{path}</code></h3>"
        ));
        self.markdown(&operation["summary"]);
        self.markdown(&operation["description"]);
        self.role(operation);
        self.parameters(&operation["parameters"]);
        let body = &operation["requestBody"];
        if !body.is_null() {
            self.push("<h4>Body</h4>");
            self.content(&self.resolved(body)["content"]);
        }
        self.push("<h4>Answers</h4><table>");
        for (status, response) in fields(&operation["responses"]) {
            let response = self.resolved(response);
            self.push(&format!("<tr><th>{}<td>", escape(status)));
            self.markdown(&response["description"]);
            if status.starts_with('2') {
                self.content(&response["content"]);
            } else {
                self.codes(response);
            }
        }
        self.push("</table></section>");
    }

    /// What the first security scheme of an operation needs.
    fn role(&mut self, operation: &Value) {
        let mut schemes = operation["security"].as_array().into_iter().flatten();
        let role = schemes.find_map(|scheme| scheme["basic"][0].as_str());
        if let Some(role) = role {
            let role = escape(role);
            self.push(&format!(
                "<p>Where keys have roles: <code>{role}</code></p>"
            ));
        }
    }

    fn parameters(&mut self, parameters: &Value) {
        let Some(parameters) = parameters.as_array().filter(|list| !list.is_empty()) else {
            return;
        };
        self.push("<h4>Parameters</h4><table>");
        for parameter in parameters {
            let parameter = self.resolved(parameter);
            let name = text(&parameter["name"]);
            let place = text(&parameter["in"]);
            let required = if parameter["required"] == true {
                ", required"
            } else {
                ""
            };
            self.push(&format!(
                "<tr><th><code>{name}</code><td>{place}{required}<td>"
            ));
            self.markdown(&parameter["description"]);
        }
        self.push("</table>");
    }

    /// Describes a body: its schema's name, and examples.
    fn content(&mut self, content: &Value) {
        for (media_type, body) in fields(content) {
            self.push(&format!("<p><code>{}</code> ", escape(media_type)));
            let kind = kind(&body["schema"]);
            self.push(&kind);
            for (name, example) in fields(&body["examples"]) {
                let value = &example["value"];
                let shown = value
                    .as_str()
                    .map_or_else(|| format!("{value:#}"), str::to_owned);
                let (name, shown) = (escape(name), escape(&shown));
                self.push(&format!("<p>Example, {name}:<pre>{shown}</pre>"));
            }
        }
    }

    /// The codes that an error answer can have.
    fn codes(&mut self, response: &Value) {
        let parts = &response["content"]["application/json"]["schema"]["allOf"];
        let codes = parts.as_array().into_iter().flatten();
        let codes = codes.filter_map(|part| part["properties"]["code"]["enum"].as_array());
        let codes: Vec<_> = codes
            .flatten()
            .map(|code| format!("<code>{}</code>", text(code)))
            .collect();
        self.push(&codes.join(", "));
    }

    fn schema(&mut self, name: &str, schema: &Value) {
        let name = escape(name);
        self.push(&format!("<section id=\"schema-{name}\"><h3>{name}</h3>"));
        self.markdown(&schema["description"]);
        let required: Vec<&str> = (schema["required"].as_array().into_iter().flatten())
            .filter_map(Value::as_str)
            .collect();
        if schema["properties"].is_object() {
            self.push("<table>");
            for (field, property) in fields(&schema["properties"]) {
                let mark = if required.contains(&field) {
                    ", required"
                } else {
                    ""
                };
                let (field, kind) = (escape(field), kind(property));
                self.push(&format!("<tr><th><code>{field}</code><td>{kind}{mark}<td>"));
                self.markdown(&property["description"]);
            }
            self.push("</table>");
        } else {
            let shown = escape(&format!("{schema:#}"));
            self.push(&format!("<pre>{shown}</pre>"));
        }
        self.push("</section>");
    }

    /// The node, or the target of its `$ref`.
    fn resolved(&self, node: &'a Value) -> &'a Value {
        let path = node["$ref"]
            .as_str()
            .and_then(|path| path.strip_prefix('#'));
        path.and_then(|path| self.document.pointer(path))
            .unwrap_or(node)
    }

    /// Renders the part of Markdown that the document uses: paragraphs, `code` and **bold**.
    fn markdown(&mut self, node: &Value) {
        let Some(source) = node.as_str() else { return };
        for paragraph in source.trim().split("\n\n") {
            let html = spans(&spans(&escape(paragraph), "**", "b"), "`", "code");
            self.push(&format!("<p>{html}</p>"));
        }
    }
}

/// A schema in a few words.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"]
        .as_str()
        .and_then(|path| path.rsplit('/').next())
    {
        let name = escape(name);
        return format!("<a href=\"#schema-{name}\">{name}</a>");
    }
    let word = match &schema["type"] {
        Value::Array(types) => {
            let types: Vec<_> = types.iter().map(text).collect();
            types.join(" or ")
        }
        word => text(word),
    };
    match word.as_str() {
        "" if !schema["const"].is_null() => format!("<code>{}</code>", text(&schema["const"])),
        "" => "any".to_owned(),
        list if list.starts_with("array") => {
            format!("{word} of {}", kind(&schema["items"]))
        }
        _ => word,
    }
}

/// Puts the text between each pair of `mark` into an element.
fn spans(html: &str, mark: &str, element: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let parts: Vec<&str> = html.split(mark).collect();
    for (i, part) in parts.iter().enumerate() {
        let unpaired = i % 2 == 1 && i + 1 == parts.len();
        let written = match i % 2 {
            1 if unpaired => write!(out, "{mark}{part}"),
            1 => write!(out, "<{element}>{part}</{element}>"),
            _ => write!(out, "{part}"),
        };
        debug_assert!(written.is_ok(), "a String takes everything");
    }
    out
}

fn fields(node: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let fields = node.as_object().into_iter().flatten();
    fields.map(|(key, value)| (key.as_str(), value))
}

/// A value's text, safe in HTML.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => escape(text),
        other => escape(&other.to_string()),
    }
}

/// Escapes text for HTML. A crate for these four replacements would be longer than they are.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_in_pairs_become_elements_and_html_does_not_get_through() {
        assert_eq!(spans("a `b` c `d", "`", "code"), "a <code>b</code> c `d");
        assert_eq!(escape("<a href=\"&\">"), "&lt;a href=&quot;&amp;&quot;&gt;");
    }

    #[test]
    fn the_page_has_every_operation_and_schema_and_loads_nothing() {
        let document = serde_json::from_str(OPENAPI_JSON).unwrap();
        let page = Page::of(&document);
        for (_, operations) in fields(&document["paths"]) {
            for (_, operation) in fields(operations) {
                let anchor = format!("<section id=\"{}\">", text(&operation["operationId"]));
                assert_eq!(page.matches(&anchor).count(), 1, "{anchor}");
            }
        }
        for (name, _) in fields(&document["components"]["schemas"]) {
            assert!(page.contains(&format!("id=\"schema-{name}\"")), "{name}");
        }
        for loads in ["<script", "<link", "<img", "src=", "@import", "url("] {
            assert!(!page.contains(loads), "{loads}");
        }
    }
}
