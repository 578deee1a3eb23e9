//! Stripe's OpenAPI documents.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;

/// The first and the last document of the API version that the sandbox implements.
pub(crate) const FIRST: &str = "openapi-2022-11-17.json";
pub(crate) const LAST: &str = "openapi-2023-08-11.json";

/// An OpenAPI document.
#[derive(Debug)]
pub(crate) struct Document(pub(crate) Value);

impl Document {
    /// Reads the document from the folder.
    pub(crate) fn read(folder: &Path, name: &str) -> anyhow::Result<Self> {
        let path = folder.join(name);
        let file = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        let root = serde_json::from_reader(BufReader::new(file));
        Ok(Self(root.with_context(|| {
            format!("{} is no JSON", path.display())
        })?))
    }

    /// The document's path that matches this path, such as `/v1/customers/{customer}`.
    pub(crate) fn path_of(&self, path: &str) -> Option<&str> {
        let paths = self.0["paths"].as_object()?.keys();
        paths
            .filter(|template| matches(template, path))
            .min_by_key(|template| template.matches('{').count())
            .map(String::as_str)
    }

    /// The document's path that matches this path, if it has the method.
    pub(crate) fn operation(&self, method: &str, path: &str) -> Option<&str> {
        let path = self.path_of(path)?;
        self.0["paths"][path]
            .get(method.to_lowercase())
            .map(|_| path)
    }

    /// All operations: the path, the method and the description.
    pub(crate) fn operations(&self) -> impl Iterator<Item = (&str, &str, &Value)> {
        let paths = self.0["paths"].as_object().into_iter().flatten();
        paths.flat_map(|(path, methods)| {
            let methods = methods.as_object().into_iter().flatten();
            methods.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
        })
    }

    /// The description of an operation, or null if the document has none.
    pub(crate) fn operation_at(&self, path: &str, method: &str) -> &Value {
        &self.0["paths"][path][method]
    }

    /// Whether an object of this type (`object` in answers) may have the field.
    pub(crate) fn knows_field(&self, object: &str, path: &[&str]) -> bool {
        let components = self.0["components"]["schemas"].as_object();
        let of_type = components
            .into_iter()
            .flat_map(|components| components.values())
            .filter(|schema| {
                let names = schema["properties"]["object"]["enum"].as_array();
                names.is_some_and(|names| names.iter().any(|name| name == object))
            });
        let mut schemas: Vec<&Value> = of_type.collect();
        for name in path {
            schemas = schemas
                .into_iter()
                .flat_map(|schema| self.inside(schema, name))
                .collect();
        }
        !schemas.is_empty()
    }

    /// The schemas of a field, or of an array's elements, in any of a schema's alternatives.
    fn inside<'a>(&'a self, schema: &'a Value, name: &str) -> Vec<&'a Value> {
        self.alternatives(schema)
            .into_iter()
            .filter_map(|schema| {
                let field = if name == "[]" {
                    &schema["items"]
                } else {
                    &schema["properties"][name]
                };
                let free = &schema["additionalProperties"];
                [field, free].into_iter().find(|schema| schema.is_object())
            })
            .collect()
    }

    /// The alternatives of a schema, without references and without `anyOf` around them.
    pub(crate) fn alternatives<'a>(&'a self, schema: &'a Value) -> Vec<&'a Value> {
        if let Some(reference) = schema["$ref"].as_str() {
            let target = self.0.pointer(reference.trim_start_matches('#'));
            return target
                .map(|schema| self.alternatives(schema))
                .unwrap_or_default();
        }
        match schema["anyOf"].as_array() {
            Some(any) => any
                .iter()
                .flat_map(|schema| self.alternatives(schema))
                .collect(),
            None => vec![schema],
        }
    }
}

fn matches(template: &str, path: &str) -> bool {
    let mut segments = path.split('/');
    template.split('/').all(|expected| {
        segments
            .next()
            .is_some_and(|segment| expected == segment || expected.starts_with('{'))
    }) && segments.next().is_none()
}
