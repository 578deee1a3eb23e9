//! The fields that can be expanded in an answer.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::openapi::Document;

/// The maximum number of fields in a path, not counting the `data` of lists.
const DEPTH: usize = 2;

/// The expandable fields in answers of this schema: their paths, and their names, such as `invoice.charge`.
pub(super) fn of_answer(document: &Document, schema: &Value) -> BTreeMap<String, String> {
    let mut collector = Collector {
        document,
        found: BTreeMap::new(),
    };
    let place = Place {
        path: String::new(),
        name: "answer".to_owned(),
        depth: DEPTH,
    };
    collector.collect(schema, &place);
    collector.found
}

/// Where a schema occurs in an answer.
struct Place {
    path: String,
    name: String,
    /// How many more fields a path may have.
    depth: usize,
}

struct Collector<'a> {
    document: &'a Document,
    found: BTreeMap<String, String>,
}

impl Collector<'_> {
    fn collect(&mut self, schema: &Value, place: &Place) {
        for schema in self.document.alternatives(schema) {
            if schema["type"] == "array" {
                self.collect(&schema["items"], place);
                continue;
            }
            let object = schema["properties"]["object"]["enum"][0].as_str();
            let object = object
                .filter(|object| *object != "list")
                .unwrap_or(&place.name);
            let fields = schema["x-expandableFields"]
                .as_array()
                .into_iter()
                .flatten();
            for field in fields.filter_map(Value::as_str) {
                let inner = &schema["properties"][field];
                let mut place = Place {
                    path: format!("{}.{field}", place.path)
                        .trim_start_matches('.')
                        .to_owned(),
                    name: format!("{object}.{field}"),
                    depth: place.depth,
                };
                if field != "data" {
                    if place.depth == 0 {
                        continue;
                    }
                    place.depth -= 1;
                    self.found.insert(place.path.clone(), place.name.clone());
                }
                self.collect(inner, &place);
            }
        }
    }
}
