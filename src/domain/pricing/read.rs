//! Typed access to the values of a syntax tree. Values of the wrong type are reported as faults.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::Display;
use std::str::FromStr;

use jsonc_parser::ast::{ObjectProp, Value};
use jsonc_parser::common::Ranged;
use rust_decimal::Decimal;

use super::fault::{Collector, Path, short};
use super::legacy::LegacyReader;
use super::{MAX_AMOUNT, MAX_DECIMALS, MAX_TITLE_CHARS};
use crate::domain::refs::{FeaturePlan, PlanName};
use crate::num::{self, NumberError};

/// Walks the syntax tree. Its results are valid only if no fault was found.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) faults: Collector,
    /// The feature of each lookup key, since two names may have the same key.
    pub(super) lookup_keys: HashMap<String, FeaturePlan>,
    /// The archived plans; `None` if plans cannot be marked as archived.
    pub(super) archived: Option<BTreeSet<PlanName>>,
    /// The state for the format of 2022, if that is accepted.
    pub(super) legacy: Option<LegacyReader>,
}

/// The fields of an object that are present and not null.
pub(super) struct Fields<'a> {
    start: usize,
    /// Each field with its canonical name, whatever its case in the text.
    list: Vec<(&'static str, &'a ObjectProp<'a>)>,
}

impl<'a> Fields<'a> {
    /// The fields of an omitted object.
    pub(super) fn none(start: usize) -> Self {
        Self {
            start,
            list: Vec::new(),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a Value<'a>> {
        let (_, found) = self.list.iter().find(|(known, _)| *known == name)?;
        Some(&found.value)
    }

    /// The offset of the field's value in the text, or of the object if the field is missing.
    pub(super) fn offset(&self, name: &str) -> usize {
        self.get(name).map_or(self.start, Ranged::start)
    }
}

impl Reader {
    /// An object's fields, matched without regard to case. Unknown and repeated fields are faults.
    pub(super) fn fields<'a>(
        &mut self,
        path: &Path<'_>,
        value: &'a Value<'a>,
        known: &[&'static str],
    ) -> Option<Fields<'a>> {
        let Value::Object(object) = value else {
            self.wrong_type(path, value, "an object");
            return None;
        };
        let mut list: Vec<(&'static str, &ObjectProp<'_>)> = Vec::with_capacity(known.len());
        for prop in &object.properties {
            let name = prop.name.as_str();
            let Some(field) = known.iter().find(|field| field.eq_ignore_ascii_case(name)) else {
                let message = format!("unknown field {:?}", short(name));
                self.faults.add(prop.name.start(), path, message);
                continue;
            };
            match list.iter_mut().find(|(seen, _)| seen == field) {
                None => list.push((*field, prop)),
                Some((_, seen)) if seen.name.as_str() == name => {
                    self.duplicate(path, name, prop.name.start());
                }
                // Repeated in a different case: the canonical spelling wins, or else the last one.
                Some((_, seen)) if seen.name.as_str() != *field => *seen = prop,
                Some(_) => {}
            }
        }
        list.retain(|(_, prop)| !matches!(prop.value, Value::NullKeyword(_)));
        Some(Fields {
            start: object.start(),
            list,
        })
    }

    /// The keys, offsets and values of an object whose keys are chosen by the user.
    pub(super) fn entries<'a>(
        &mut self,
        path: &Path<'_>,
        value: Option<&'a Value<'a>>,
    ) -> Vec<(&'a str, usize, &'a Value<'a>)> {
        let object = match value {
            None => return Vec::new(),
            Some(Value::Object(object)) => object,
            Some(other) => {
                self.wrong_type(path, other, "an object");
                return Vec::new();
            }
        };
        let mut seen = HashSet::with_capacity(object.properties.len());
        let mut entries = Vec::with_capacity(object.properties.len());
        for prop in &object.properties {
            let (key, start) = (prop.name.as_str(), prop.name.start());
            if seen.insert(key) {
                entries.push((key, start, &prop.value));
            } else {
                self.duplicate(path, key, start);
            }
        }
        entries
    }

    fn duplicate(&mut self, path: &Path<'_>, key: &str, offset: usize) {
        let message = format!("duplicate key {:?}", short(key));
        self.faults.add(offset, path, message);
    }

    pub(super) fn name<T: FromStr<Err: Display>>(
        &mut self,
        path: &Path<'_>,
        key: &str,
        offset: usize,
    ) -> Option<T> {
        key.parse()
            .map_err(|error| self.faults.add(offset, path, error))
            .ok()
    }

    pub(super) fn wrong_type(&mut self, path: &Path<'_>, value: &Value<'_>, expected: &str) {
        let got = match value {
            Value::StringLit(_) => "a string",
            Value::NumberLit(_) => "a number",
            Value::BooleanLit(_) => "a boolean",
            Value::Object(_) => "an object",
            Value::Array(_) => "a list",
            Value::NullKeyword(_) => "null",
        };
        let message = format!("expected {expected}, got {got}");
        self.faults.add(value.start(), path, message);
    }

    pub(super) fn string<'a>(
        &mut self,
        path: &Path<'_>,
        fields: &Fields<'a>,
        field: &str,
    ) -> Option<&'a str> {
        let value = fields.get(field)?;
        if let Value::StringLit(text) = value {
            return Some(&text.value);
        }
        self.wrong_type(&path.field(field), value, "a string");
        None
    }

    pub(super) fn title(&mut self, path: &Path<'_>, fields: &Fields<'_>, default: &str) -> String {
        let title = self.string(path, fields, "title").filter(|t| !t.is_empty());
        if title.is_some_and(|title| title.chars().nth(MAX_TITLE_CHARS).is_some()) {
            let message = format!("title must not exceed {MAX_TITLE_CHARS} characters");
            self.faults
                .add_at_field(fields.offset("title"), path, "title", message);
        }
        title.unwrap_or(default).to_owned()
    }

    pub(super) fn word<T: Default>(
        &mut self,
        path: &Path<'_>,
        fields: &Fields<'_>,
        field: &str,
        meaning: fn(&str) -> Option<T>,
    ) -> T {
        let Some(word) = self.string(path, fields, field) else {
            return T::default();
        };
        meaning(word).unwrap_or_else(|| {
            let message = format!("unknown {field}: {:?}", short(word));
            self.faults
                .add_at_field(fields.offset(field), path, field, message);
            T::default()
        })
    }

    /// An integer up to `max`. The caller checks the minimum.
    pub(super) fn integer(
        &mut self,
        path: &Path<'_>,
        fields: &Fields<'_>,
        field: &str,
        max: i64,
    ) -> Option<i64> {
        let value = fields.get(field)?;
        let Value::NumberLit(literal) = value else {
            self.wrong_type(&path.field(field), value, "an integer");
            return None;
        };
        let number = match num::parse(literal.value) {
            Ok(number) if number.is_integer() => number,
            Ok(_) | Err(NumberError::TooPrecise | NumberError::Invalid) => {
                let message = format!("expected an integer, got {}", short(literal.value));
                self.faults.add(value.start(), &path.field(field), message);
                return None;
            }
            Err(NumberError::OutOfRange) if literal.value.starts_with('-') => Decimal::MIN,
            Err(NumberError::OutOfRange) => Decimal::MAX,
        };
        if number > Decimal::from(max) {
            let message = format!("{field} must not exceed {max}");
            self.faults
                .add_at_field(value.start(), path, field, message);
        }
        // The number is out of range, so only a negative sign matters from here on.
        let clamped = number.clamp(Decimal::from(i64::MIN), Decimal::from(max));
        i64::try_from(clamped).ok()
    }

    /// An amount of money, zero if missing. `plural` names the kind of amount in messages.
    pub(super) fn amount(
        &mut self,
        path: &Path<'_>,
        fields: &Fields<'_>,
        field: &str,
        plural: &str,
    ) -> Decimal {
        let Some(value) = fields.get(field) else {
            return Decimal::ZERO;
        };
        let Value::NumberLit(literal) = value else {
            self.wrong_type(&path.field(field), value, "a number");
            return Decimal::ZERO;
        };
        let too_large = format!("{field} must not exceed {MAX_AMOUNT}");
        let message = match num::parse(literal.value) {
            Ok(number) if number.is_sign_negative() && !number.is_zero() => {
                format!("{field} must be positive")
            }
            Ok(number) if number > Decimal::from(MAX_AMOUNT) => too_large,
            Ok(number) if number.scale() <= MAX_DECIMALS => return number,
            Ok(_) | Err(NumberError::TooPrecise | NumberError::Invalid) => {
                let shown = short(literal.value);
                format!(
                    "invalid {field}: {shown}; {plural} must not exceed {MAX_DECIMALS} decimal places"
                )
            }
            Err(NumberError::OutOfRange) if literal.value.starts_with('-') => {
                format!("{field} must be positive")
            }
            Err(NumberError::OutOfRange) => too_large,
        };
        self.faults
            .add_at_field(value.start(), path, field, message);
        Decimal::ZERO
    }
}
