//! `/docs`: a page about the API, generated from `openapi.yaml`.
//!
//! It has no script and loads nothing. The crates for OpenAPI pages (Swagger UI, Redoc, Scalar) serve a script, most of
//! them from another host, and none renders on the server.

mod samples;

use std::sync::LazyLock;

use axum::http::HeaderValue;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::IntoResponse;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, Render as _, html};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use self::samples::Samples;
use super::ops::OPENAPI_JSON;

/// Forbids the page to load, run or send anything, and to use any style sheet except its own.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let digest = STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!("default-src 'none'; style-src 'sha256-{digest}'; frame-ancestors 'none'");
    HeaderValue::from_str(&policy).expect("Base64 is ASCII")
});

/// The style sheet. The menu is beside the text, or on a narrow screen above it, and folded.
const STYLE: &str = include_str!("docs/style.css");

/// The page. It is rendered once.
pub(super) async fn page() -> impl IntoResponse {
    static PAGE: LazyLock<String> = LazyLock::new(|| {
        let document = serde_json::from_str(OPENAPI_JSON).expect("build.rs writes JSON");
        Document(&document).page().into_string()
    });
    const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
    (
        [
            (CONTENT_TYPE, HTML),
            (CONTENT_SECURITY_POLICY, POLICY.clone()),
        ],
        PAGE.as_str(),
    )
}

/// An OpenAPI document.
#[derive(Clone, Copy)]
struct Document<'a>(&'a Value);

impl<'a> Document<'a> {
    fn page(self) -> Markup {
        let info = &self.0["info"];
        let (title, version) = (text(&info["title"]), text(&info["version"]));
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width";
                    title { (title) " API" }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    a.skip href="#text" { "Skip the menu" }
                    nav aria-label="Endpoints" { details open { summary { "Endpoints" } (self.menu()) } }
                    main #text {
                        h1 { (title) " API " (version) }
                        p { "The same as " a href="/openapi.yaml" { "YAML" } " and as " a href="/openapi.json" { "JSON" } "." }
                        (markdown(&info["description"]))
                        @for (path, method, operation) in self.operations() {
                            (self.operation(path, method, operation))
                        }
                        (self.errors())
                        h2 #schemas { "Schemas" }
                        @for (name, schema) in fields(&self.0["components"]["schemas"]) {
                            (described(name, schema))
                        }
                    }
                }
            }
        }
    }

    fn operations(self) -> impl Iterator<Item = (&'a str, &'a str, &'a Value)> {
        fields(&self.0["paths"]).flat_map(|(path, operations)| {
            fields(operations).map(move |(method, operation)| (path, method, operation))
        })
    }

    fn menu(self) -> Markup {
        html! {
            ul {
                @for (path, method, operation) in self.operations() {
                    li { a href=(format!("#{}", text(&operation["operationId"]))) { b { (method.to_uppercase()) } " " (path) } }
                }
                li { a href="#errors" { "Errors" } }
                li { a href="#schemas" { "Schemas" } }
            }
        }
    }

    fn operation(self, path: &str, method: &str, operation: &Value) -> Markup {
        let body = self.resolved(&operation["requestBody"]);
        let samples = Samples::of(self, path, method, operation);
        html! {
            section #(text(&operation["operationId"])) {
                h2 { b { (method.to_uppercase()) } " " code { (path) } }
                (markdown(&operation["summary"]))
                (markdown(&operation["description"]))
                @if let Some(role) = role(operation) {
                    p { "Where keys have roles: " code { (role) } }
                }
                (self.parameters(&operation["parameters"]))
                @if !body.is_null() {
                    h3 { "Body" }
                    (content(&body["content"]))
                }
                h3 { "Calling it" }
                @for (language, sample) in [("curl", &samples.curl), ("Node", &samples.node), ("Python", &samples.python)] {
                    details open[language == "curl"] { summary { (language) } pre tabindex="0" { (sample) } }
                }
                (self.answers(&operation["responses"]))
            }
        }
    }

    fn parameters(self, parameters: &Value) -> Markup {
        let parameters = parameters.as_array().filter(|list| !list.is_empty());
        html! {
            @if let Some(parameters) = parameters {
                h3 { "Parameters" }
                table {
                    @for parameter in parameters.iter().map(|parameter| self.resolved(parameter)) {
                        tr {
                            th scope="row" { code { (text(&parameter["name"])) } }
                            td { (text(&parameter["in"])) @if parameter["required"] == true { ", required" } }
                            td { (markdown(&parameter["description"])) }
                        }
                    }
                }
            }
        }
    }

    /// Successes in full, and links to the errors, which all operations share.
    fn answers(self, responses: &Value) -> Markup {
        let is_success = |status: &str| status.starts_with('2');
        html! {
            h3 { "Answers" }
            @for (status, response) in fields(responses).filter(|(status, _)| is_success(status)) {
                @let response = self.resolved(response);
                p { b { (status) } " " (spans(text(&response["description"]))) }
                (content(&response["content"]))
            }
            p {
                "Errors:"
                @for (status, response) in fields(responses).filter(|(status, _)| !is_success(status)) {
                    " "
                    @match response["$ref"].as_str().and_then(name_in) {
                        Some(name) => a href=(format!("#error-{name}")) { (status) },
                        None => span { (status) ", " (spans(text(&response["description"]))) },
                    }
                }
            }
        }
    }

    /// The error answers that operations share.
    fn errors(self) -> Markup {
        html! {
            h2 #errors { "Errors" }
            @for (name, response) in fields(&self.0["components"]["responses"]) {
                section #(format!("error-{name}")) {
                    h3 { (name) }
                    (markdown(&response["description"]))
                    @let codes: Vec<_> = codes(response).collect();
                    @if !codes.is_empty() {
                        p { @for code in codes { code { (code) } " " } }
                    }
                }
            }
        }
    }

    /// The node, or the target of its `$ref`.
    fn resolved(self, node: &'a Value) -> &'a Value {
        let path = node["$ref"]
            .as_str()
            .and_then(|path| path.strip_prefix('#'));
        path.and_then(|path| self.0.pointer(path)).unwrap_or(node)
    }
}

/// The role that the first security scheme of an operation needs.
fn role(operation: &Value) -> Option<&str> {
    let mut schemes = operation["security"].as_array().into_iter().flatten();
    schemes.find_map(|scheme| scheme["basic"][0].as_str())
}

/// A body: the name of its schema, and examples.
fn content(content: &Value) -> Markup {
    html! {
        @for (media_type, body) in fields(content) {
            p { code { (media_type) } " " (kind(&body["schema"])) }
            @for (name, example) in fields(&body["examples"]) {
                p { "Example, " (name) ":" }
                pre tabindex="0" { (pretty(&example["value"])) }
            }
        }
    }
}

/// The codes that an error answer can have.
fn codes(response: &Value) -> impl Iterator<Item = &str> {
    let parts = &response["content"]["application/json"]["schema"]["allOf"];
    let parts = parts.as_array().into_iter().flatten();
    let codes = parts.filter_map(|part| part["properties"]["code"]["enum"].as_array());
    codes.flatten().filter_map(Value::as_str)
}

fn described(name: &str, schema: &Value) -> Markup {
    let required: Vec<&str> = (schema["required"].as_array().into_iter().flatten())
        .filter_map(Value::as_str)
        .collect();
    html! {
        section #(format!("schema-{name}")) {
            h3 { (name) }
            (markdown(&schema["description"]))
            @if schema["properties"].is_object() {
                table {
                    @for (field, property) in fields(&schema["properties"]) {
                        tr {
                            th scope="row" { code { (field) } }
                            td { (kind(property)) @if required.contains(&field) { ", required" } }
                            td { (markdown(&property["description"])) }
                        }
                    }
                }
            } @else {
                pre tabindex="0" { (pretty(schema)) }
            }
        }
    }
}

/// A schema in a few words.
fn kind(schema: &Value) -> Markup {
    if let Some(name) = schema["$ref"].as_str().and_then(name_in) {
        return html! { a href=(format!("#schema-{name}")) { (name) } };
    }
    if !schema["const"].is_null() && schema["type"].is_null() {
        return html! { code { (pretty(&schema["const"])) } };
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        word => word.as_str().into_iter().collect::<Vec<_>>(),
    };
    html! {
        @if types.is_empty() { "any" } @else { (types.join(" or ")) }
        @if types.first() == Some(&"array") { " of " (kind(&schema["items"])) }
    }
}

/// The last part of a reference.
fn name_in(reference: &str) -> Option<&str> {
    reference.rsplit('/').next()
}

fn fields(node: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let fields = node.as_object().into_iter().flatten();
    fields.map(|(key, value)| (key.as_str(), value))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn pretty(value: &Value) -> String {
    let string = value.as_str().map(str::to_owned);
    string.unwrap_or_else(|| format!("{value:#}"))
}

/// Renders the part of Markdown that the document uses: paragraphs, `code` and **bold**.
fn markdown(node: &Value) -> Markup {
    html! {
        @for paragraph in text(node).trim().split("\n\n").filter(|text| !text.is_empty()) {
            p { (spans(paragraph)) }
        }
    }
}

fn spans(source: &str) -> Markup {
    let escaped = source.render().into_string();
    PreEscaped(marked(&marked(&escaped, "**", "b"), "`", "code"))
}

/// Puts the text between each pair of `mark` into an element.
fn marked(html: &str, mark: &str, element: &str) -> String {
    let parts: Vec<&str> = html.split(mark).collect();
    let last = parts.len() - 1;
    let marked = parts.iter().enumerate().map(|(i, part)| match i % 2 {
        0 => (*part).to_owned(),
        _ if i == last => format!("{mark}{part}"),
        _ => format!("<{element}>{part}</{element}>"),
    });
    marked.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pairs_of_marks_become_elements_and_html_is_escaped() {
        assert_eq!(spans("a `b` c `d").into_string(), "a <code>b</code> c `d");
        assert_eq!(
            markdown(&json!("<i> **x** & \"\n\ny")).into_string(),
            "<p>&lt;i&gt; <b>x</b> &amp; &quot;</p><p>y</p>"
        );
    }

    #[test]
    fn the_page_has_every_operation_and_schema_and_loads_nothing() {
        let document = serde_json::from_str(OPENAPI_JSON).unwrap();
        let page = Document(&document).page().into_string();
        for (_, _, operation) in Document(&document).operations() {
            let anchor = format!("<section id=\"{}\">", text(&operation["operationId"]));
            assert_eq!(page.matches(&anchor).count(), 1, "{anchor}");
        }
        for (name, _) in fields(&document["components"]["schemas"]) {
            assert!(page.contains(&format!("id=\"schema-{name}\"")), "{name}");
        }
        for loads in ["<script", "<link", "<img", "src=", "@import", "url("] {
            assert!(!page.contains(loads), "{loads}");
        }
    }

    #[test]
    fn every_link_leads_somewhere_on_the_page() {
        let document = serde_json::from_str(OPENAPI_JSON).unwrap();
        let page = Document(&document).page().into_string();
        for link in page.split("href=\"#").skip(1) {
            let target = link.split('"').next().unwrap();
            let anchors = page.matches(&format!("id=\"{target}\"")).count();
            assert_eq!(anchors, 1, "{target}");
        }
    }
}
