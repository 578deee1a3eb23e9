//! Validates every answer in the tests against `openapi.yaml`.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use axum::http::{Method, StatusCode};
use jsonschema::Validator;
use serde_json::{Value, json};

/// The document as the server returns it.
pub(crate) static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(tier::api::ops::OPENAPI_JSON).expect("build.rs writes JSON")
});

/// Compiled schemas by their JSON pointers. Many tests share a few of them.
static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);

/// The documented methods of a path.
pub(crate) fn documented_methods(path: &str) -> Vec<String> {
    let operations = DOCUMENT["paths"][path].as_object();
    operations
        .into_iter()
        .flat_map(|operations| operations.keys())
        .map(|method| method.to_uppercase())
        .collect()
}

/// Fails the test if the document does not describe this answer.
pub(crate) fn check(
    method: &Method,
    path: &str,
    status: StatusCode,
    content_type: &str,
    body: &str,
) {
    let Some(response) = response(method, path, status) else {
        panic!("{method} {path}: {status} is not in openapi.yaml\n{body}");
    };
    if [StatusCode::NOT_MODIFIED, StatusCode::SEE_OTHER].contains(&status) {
        assert_eq!(body, "", "{method} {path}: a {status} has no body");
        return;
    }
    let (media_type, _) = content_type.split_once(';').unwrap_or((content_type, ""));
    if media_type == "text/html" && is_error_of_page(path, status) {
        let is_page = body.starts_with("<!DOCTYPE html>") && body.contains("role=\"alert\"");
        assert!(is_page, "{method} {path}: {status} is no page\n{body}");
        return;
    }
    let pointer = format!("{response}/content/{}/schema", escape(media_type));
    assert!(
        DOCUMENT.pointer(&pointer).is_some(),
        "{method} {path}: {status} as {content_type:?} is not in openapi.yaml\n{body}"
    );
    let instance = if media_type == "application/json" {
        serde_json::from_str(body).expect("a JSON answer is JSON")
    } else {
        Value::String(body.to_owned())
    };
    let faults: Vec<String> = validator(&pointer)
        .iter_errors(&instance)
        .map(|fault| format!("{}: {fault}", fault.instance_path()))
        .collect();
    assert!(
        faults.is_empty(),
        "{method} {path}: {status} is not as in openapi.yaml\n{}\n{body}",
        faults.join("\n")
    );
    // Generators do not understand schemas that narrow the general error schema, so the codes are listed beside it.
    if media_type == "application/json"
        && let Some(codes) = DOCUMENT
            .pointer(&response)
            .and_then(|r| r["x-codes"].as_array())
    {
        assert_eq!(instance["status"], status.as_u16(), "{method} {path}");
        let code = &instance["code"];
        assert!(
            codes.contains(code),
            "{method} {path}: {code} is not a code of {status}"
        );
    }
}

/// Whether this is an error of a page's path. The document says once, for all pages, that browsers get such an error as
/// a page.
fn is_error_of_page(path: &str, status: StatusCode) -> bool {
    let pages = ["builder", "console", "docs", "m", "pay", "pricing"];
    let first = path.split('/').nth(1).unwrap_or_default();
    (status.is_client_error() || status.is_server_error()) && pages.contains(&first)
}

/// The JSON pointer to the description of this answer. Errors that any path can return, such as unknown paths and
/// methods, are described once, among the components.
fn response(method: &Method, path: &str, status: StatusCode) -> Option<String> {
    let path = described(path);
    let method = if method == Method::HEAD {
        "get".to_owned()
    } else {
        method.as_str().to_lowercase()
    };
    let operation = format!(
        "/paths/{}/{method}/responses/{}",
        escape(&path),
        status.as_u16()
    );
    let found = match DOCUMENT.pointer(&operation) {
        Some(response) => response["$ref"]
            .as_str()
            .map_or(operation, |r| r[1..].to_owned()),
        None if status == StatusCode::METHOD_NOT_ALLOWED => {
            "/components/responses/MethodNotAllowed".to_owned()
        }
        None if status == StatusCode::NOT_FOUND => "/components/responses/NotFound".to_owned(),
        None => return None,
    };
    Some(found)
}

/// The path as the document writes it, which may end with a parameter.
fn described(path: &str) -> String {
    let described = |path: &str| DOCUMENT["paths"].get(path).is_some();
    let template = path
        .rsplit_once('/')
        .map(|(start, _)| format!("{start}/{{name}}"));
    let template = template.filter(|template| !described(path) && described(template));
    template.unwrap_or_else(|| path.to_owned())
}

fn validator(pointer: &str) -> Arc<Validator> {
    let mut validators = VALIDATORS
        .lock()
        .expect("a test that failed here has failed");
    let known = validators
        .entry(pointer.to_owned())
        .or_insert_with(|| Arc::new(compile(pointer)));
    Arc::clone(known)
}

/// The schema at `pointer`, with the whole document around it for its references.
pub(crate) fn compile(pointer: &str) -> Validator {
    let mut root = DOCUMENT.clone();
    root["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    let fragment = pointer.replace('{', "%7B").replace('}', "%7D");
    root["$ref"] = json!(format!("#{fragment}"));
    jsonschema::options()
        .should_validate_formats(true)
        .build(&root)
        .unwrap_or_else(|fault| panic!("{pointer} is no schema: {fault}"))
}

/// A key as one step of a JSON pointer.
pub(crate) fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
