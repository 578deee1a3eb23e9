//! What Stripe's objects have in common, and how their envelopes are read.
//!
//! Unknown fields are ignored and absent ones read as unset, so objects of later API versions and of older accounts can
//! be read.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::stripe::{Error, Identified, Page, Request};

/// The metadata of an object, sorted by key.
pub type Metadata = BTreeMap<String, String>;

/// An object whose other fields are not read.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Object {
    /// Stripe's id.
    #[serde(default)]
    pub(super) id: String,
}

/// An id, or the whole object if `expand[]` asked for it.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Expandable<T> {
    /// The id.
    Id(String),
    /// The object.
    Object(Box<T>),
}

impl<T> Expandable<T> {
    /// The object, if it was expanded.
    pub(super) fn object(&self) -> Option<&T> {
        match self {
            Self::Id(_) => None,
            Self::Object(object) => Some(object),
        }
    }

    /// Like [`object`](Self::object), by value.
    pub(super) fn into_object(self) -> Option<T> {
        match self {
            Self::Id(_) => None,
            Self::Object(object) => Some(*object),
        }
    }
}

impl<T: Identified> Expandable<T> {
    /// The id, expanded or not.
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Id(id) => id,
            Self::Object(object) => object.id(),
        }
    }
}

/// Implements `Identified`, so that lists of these can be read page by page.
macro_rules! identified {
    ($($name:ty),* $(,)?) => {
        $(impl crate::stripe::Identified for $name {
            fn id(&self) -> &str {
                &self.id
            }
        })*
    };
}

pub(super) use identified;

identified!(Object);

/// A page of a list, newest first.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "Page<T>", bound = "T: Deserialize<'de> + Identified")]
pub struct ListPage<T> {
    /// The items.
    pub items: Vec<T>,
    /// The cursor of the next page. None on the last page.
    pub next: Option<String>,
}

impl<T: Identified> From<Page<T>> for ListPage<T> {
    fn from(page: Page<T>) -> Self {
        let last = page.data.last().filter(|_| page.has_more);
        Self {
            next: last.map(|last| last.id().to_owned()),
            items: page.data,
        }
    }
}

/// Replaces a list in an object by `all` of it, if the object has only its first items.
pub(super) async fn complete<T: DeserializeOwned + Identified>(
    list: &mut Page<T>,
    all: Request,
) -> Result<(), Error> {
    if list.has_more {
        list.data = all.list().await?;
        list.has_more = false;
    }
    Ok(())
}

/// Reads the id of an object, expanded or not.
pub(super) fn id<'de, D: Deserializer<'de>>(input: D) -> Result<Option<String>, D::Error> {
    let object: Option<Expandable<Object>> = Option::deserialize(input)?;
    Ok(object.map(|object| object.id().to_owned()))
}

/// Reads the items of a list in an object.
pub(super) fn items<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    input: D,
) -> Result<Vec<T>, D::Error> {
    Ok(Page::deserialize(input)?.data)
}

/// A setting such as `automatic_tax`.
#[derive(Deserialize)]
struct Automatic {
    #[serde(default)]
    enabled: bool,
}

/// Reads `enabled` of a setting such as `automatic_tax`. None if the setting is absent.
pub(super) fn enabled<'de, D: Deserializer<'de>>(input: D) -> Result<Option<bool>, D::Error> {
    Ok(Option::<Automatic>::deserialize(input)?.map(|automatic| automatic.enabled))
}

/// Like [`enabled`]; false if the setting is absent.
pub(super) fn is_enabled<'de, D: Deserializer<'de>>(input: D) -> Result<bool, D::Error> {
    Ok(enabled(input)?.unwrap_or_default())
}

/// A customer's `invoice_settings`.
#[derive(Deserialize)]
#[serde(bound = "M: Deserialize<'de>")]
struct InvoiceSettings<M> {
    #[serde(default)]
    default_payment_method: Option<M>,
}

/// Reads the default payment method from `invoice_settings`.
pub(super) fn default_method<'de, D: Deserializer<'de>, M: Deserialize<'de>>(
    input: D,
) -> Result<Option<M>, D::Error> {
    Ok(InvoiceSettings::deserialize(input)?.default_payment_method)
}

/// Reads null as the default.
pub(super) fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    input: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(input)?.unwrap_or_default())
}

/// Reads a decimal: Stripe sends amounts as strings, and percentages as numbers.
pub(super) fn decimal<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Decimal>, D::Error> {
    use serde::de::Error;
    let text = match Option::<Value>::deserialize(input)? {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text,
        Some(other) => other.to_string(),
    };
    text.parse()
        .or_else(|_| Decimal::from_scientific(&text))
        .map(Some)
        .map_err(D::Error::custom)
}

/// An object that is passed on unchanged.
impl Identified for Value {
    fn id(&self) -> &str {
        self["id"].as_str().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_next_page_begins_after_the_last_item() {
        let next = |has_more: bool, ids: &[&str]| {
            let data: Vec<Value> = ids.iter().map(|id| json!({ "id": id })).collect();
            let page = json!({ "data": data, "has_more": has_more });
            let page: ListPage<Object> = serde_json::from_value(page).expect("a page");
            assert_eq!(page.items.len(), ids.len());
            page.next
        };
        assert_eq!(next(true, &["a", "b"]).as_deref(), Some("b"));
        assert_eq!(next(false, &["a", "b"]), None);
        assert_eq!(next(true, &[]), None);
    }

    #[derive(Deserialize)]
    struct Invoice {
        #[serde(default, deserialize_with = "id")]
        charge: Option<String>,
    }

    #[test]
    fn an_id_is_read_expanded_or_not() {
        let read = |charge: Value| {
            let invoice = json!({ "charge": charge });
            let invoice: Invoice = serde_json::from_value(invoice).expect("an invoice");
            invoice.charge
        };
        assert_eq!(read(json!("ch_1")).as_deref(), Some("ch_1"));
        assert_eq!(read(json!({ "id": "ch_1" })).as_deref(), Some("ch_1"));
        assert_eq!(read(json!(null)), None);
    }
}
