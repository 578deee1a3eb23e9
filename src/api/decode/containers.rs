//! Objects and lists.

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess};
use serde_json::{Map, Value};

use super::{DecodeError, Node};

/// Renames an object's fields to the declared names as Go's decoder does: case does not matter, and a field that is
/// written exactly as declared wins. Other fields keep their names.
pub(super) fn as_declared<'de>(
    fields: &'de Map<String, Value>,
    names: &'static [&'static str],
) -> Vec<Field<'de>> {
    let mut found: Vec<Field<'_>> = Vec::with_capacity(fields.len());
    for (written, value) in fields {
        let is_named = |name: &&&str| name.eq_ignore_ascii_case(written);
        let name: &str = names.iter().find(is_named).map_or(written, |name| name);
        if written != name && fields.contains_key(name) {
            continue;
        }
        let field = Field {
            name,
            written,
            value,
        };
        match found.iter_mut().find(|before| before.name == name) {
            Some(before) => *before = field,
            None => found.push(field),
        }
    }
    found
}

/// A field of an object.
pub(super) struct Field<'de> {
    pub(super) name: &'de str,
    /// The name as the client wrote it.
    pub(super) written: &'de str,
    pub(super) value: &'de Value,
}

/// The items of a list, with their indices. A `null` in a list is refused, because it is not an unset field: it would
/// become a phase without features, which cancels.
pub(super) struct List<'de> {
    items: std::iter::Enumerate<std::slice::Iter<'de, Value>>,
}

impl<'de> List<'de> {
    pub(super) fn new(items: &'de [Value]) -> Self {
        Self {
            items: items.iter().enumerate(),
        }
    }
}

impl<'de> SeqAccess<'de> for List<'de> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        let Some((index, item)) = self.items.next() else {
            return Ok(None);
        };
        let read = match item {
            Value::Null => Err(DecodeError::mismatch("a value", item)),
            item => seed.deserialize(Node(item)),
        };
        read.map(Some)
            .map_err(|fault| fault.within(format_args!("[{index}]")))
    }
}

/// The fields of an object, in the order in which the client wrote them.
pub(super) struct Fields<'de, I> {
    rest: I,
    current: Option<Field<'de>>,
}

impl<I> Fields<'_, I> {
    pub(super) fn new(rest: I) -> Self {
        Self {
            rest,
            current: None,
        }
    }
}

impl<'de, I: Iterator<Item = Field<'de>>> MapAccess<'de> for Fields<'de, I> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, DecodeError> {
        let Some(field) = self.rest.next() else {
            return Ok(None);
        };
        let name = field.name;
        self.current = Some(field);
        seed.deserialize(BorrowedStrDeserializer::new(name))
            .map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, DecodeError> {
        let field = self
            .current
            .take()
            .ok_or_else(|| DecodeError::custom("a value was asked for before its key"))?;
        seed.deserialize(Node(field.value))
            .map_err(|fault| fault.within(field.written))
    }
}
