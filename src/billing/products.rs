//! Products.

use serde::Deserialize;

use super::object::Metadata;
use super::{Ack, Billing, Write};
use crate::stripe::Error;

const PRODUCT: &str = "/v1/products/*";

/// A product.
#[derive(Clone, Debug, Deserialize)]
pub struct Product {
    /// Its id, chosen by its creator.
    pub id: String,
    /// Its metadata.
    #[serde(default)]
    pub metadata: Metadata,
}

/// A product to create.
#[derive(Clone, Copy, Debug)]
pub struct NewProduct<'a> {
    /// Its id, chosen by the caller.
    pub id: &'a str,
    /// The display name.
    pub name: &'a str,
    /// Whether it can be bought.
    pub active: bool,
    /// Its metadata.
    pub metadata: &'a Metadata,
}

impl Billing<'_> {
    /// A product.
    pub async fn product(self, id: &str) -> Result<Product, Error> {
        self.get((PRODUCT, id)).send().await
    }

    /// Activates or deactivates a product. The prices of an inactive one cannot be bought.
    pub fn set_product_active(self, id: &str, active: bool) -> Write<Ack> {
        Write::new(self.post((PRODUCT, id)).param("active", active))
    }

    /// Sets pairs of a product's metadata.
    pub fn set_product_metadata(self, id: &str, metadata: &Metadata) -> Write<Ack> {
        Write::new(self.post((PRODUCT, id)).metadata(metadata))
    }

    /// Creates a product.
    pub fn create_product(self, new: NewProduct<'_>) -> Write<Product> {
        let request = self
            .post("/v1/products")
            .param("id", new.id)
            .param("name", new.name)
            .param("active", new.active);
        Write::new(request.metadata(new.metadata))
    }
}
