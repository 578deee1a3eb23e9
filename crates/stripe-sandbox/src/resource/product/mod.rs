//! Products.

pub(crate) mod routes;

use serde_json::{Value, json};

use crate::params::metadata::Metadata;
use crate::store::ids::Id;
use crate::store::table::Row;

const URL: &str = "/v1/products";

const NAME: &str = "product";

/// A product.
#[derive(Clone, Debug)]
pub(crate) struct Product {
    pub(crate) id: Id,
    pub(crate) created: i64,
    updated: i64,
    pub(crate) active: bool,
    pub(crate) name: String,
    pub(crate) metadata: Metadata,
    default_price: Option<Id>,
    description: Option<String>,
    images: Vec<String>,
    shippable: Option<bool>,
    statement_descriptor: Option<String>,
    pub(crate) unit_label: Option<String>,
    url: Option<String>,
}

impl Row for Product {
    fn id(&self) -> &Id {
        &self.id
    }
}

impl Product {
    fn new(id: Id, name: String, now: i64) -> Self {
        Self {
            id,
            created: now,
            updated: now,
            active: true,
            name,
            metadata: Metadata::default(),
            default_price: None,
            description: None,
            images: Vec::new(),
            shippable: None,
            statement_descriptor: None,
            unit_label: None,
            url: None,
        }
    }

    /// Whether `price` is its default price.
    pub(crate) fn defaults_to(&self, price: &Id) -> bool {
        self.default_price.as_ref() == Some(price)
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "id": &*self.id,
            "object": "product",
            "active": self.active,
            "attributes": [],
            "created": self.created,
            "default_price": self.default_price.as_deref(),
            "description": self.description,
            "images": self.images,
            "livemode": false,
            "metadata": self.metadata.to_json(),
            "name": self.name,
            "package_dimensions": null,
            "shippable": self.shippable,
            "statement_descriptor": self.statement_descriptor,
            "tax_code": null,
            "type": "service",
            "unit_label": self.unit_label,
            "updated": self.updated,
            "url": self.url,
        })
    }
}
