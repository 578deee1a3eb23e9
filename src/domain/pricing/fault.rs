//! The faults of a model. All are reported at once, with their positions.

use std::fmt::{self, Display};

use serde::Serialize;

use super::MAX_LOOKUP_KEY_CHARS;
use crate::position::Position;

/// The maximum number of described faults. Further ones are only counted, since a broken generator can make a million.
const MAX_DESCRIBED: usize = 1000;

/// The faults of a text that is not a valid model. They are displayed one per line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults {
    list: Vec<Fault>,
    more: usize,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The path to the faulty value for people, e.g. `plans["plan:a@1"].features["feature:x"]`; empty at the top.
    pub place: String,
    /// The path for programs. It includes the field that is at fault, even if the message names it.
    pub path: Vec<PathStep>,
    /// The description of the fault.
    pub message: String,
    /// The JSON parser's message, if the text is not valid JSON.
    pub detail: Option<String>,
    /// Its position in the text.
    pub position: Option<Position>,
}

/// A step from a value to a value inside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum PathStep {
    /// To the value of a field or an entry.
    Key(String),
    /// To an element of a list, from zero.
    Index(usize),
}

impl Faults {
    /// The described faults, in the order of the text.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.list.iter()
    }

    /// The number of faults, described or not.
    pub fn count(&self) -> usize {
        self.list.len() + self.more
    }

    pub(super) fn syntax(detail: String, position: Position) -> Self {
        let fault = Fault {
            place: String::new(),
            path: Vec::new(),
            message: "invalid json syntax".to_owned(),
            detail: Some(detail),
            position: Some(position),
        };
        Self {
            list: vec![fault],
            more: 0,
        }
    }

    pub(super) fn not_utf8(bytes: &[u8], at: usize) -> Self {
        let position = Position::of_byte(bytes, at);
        Self::syntax("Text must be UTF-8".to_owned(), position)
    }

    /// Whether the text is not valid JSON.
    pub fn is_syntax_error(&self) -> bool {
        self.list.iter().any(|fault| fault.detail.is_some())
    }
}

impl std::error::Error for Faults {}

impl Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.list.iter().enumerate() {
            let newline = if i == 0 { "" } else { "\n" };
            write!(f, "{newline}{fault}")?;
            if let Some((position, detail)) = fault.position.zip(fault.detail.as_ref()) {
                let Position { line, column } = position;
                write!(f, " at line {line}, column {column}: {detail}")?;
            }
        }
        if self.more > 0 {
            write!(f, "\nand {} more", self.more)?;
        }
        Ok(())
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        f.write_str(&self.message)
    }
}

/// Collects faults while a text is read.
#[derive(Default)]
pub(super) struct Collector {
    found: Vec<(usize, Fault)>,
    more: usize,
}

impl Collector {
    /// Adds a fault at byte `offset` of the text.
    pub(super) fn add(&mut self, offset: usize, path: &Path<'_>, message: impl Display) {
        self.add_in(offset, path, path, message);
    }

    /// Adds a fault whose message names the field, so that the path for people omits it.
    pub(super) fn add_at_field(
        &mut self,
        offset: usize,
        path: &Path<'_>,
        field: &str,
        message: impl Display,
    ) {
        self.add_in(offset, path, &path.field(field), message);
    }

    fn add_in(&mut self, offset: usize, shown: &Path<'_>, path: &Path<'_>, message: impl Display) {
        if self.found.len() == MAX_DESCRIBED {
            self.more += 1;
            return;
        }
        let fault = Fault {
            place: shown.to_string(),
            path: path.steps(),
            message: message.to_string(),
            detail: None,
            position: None,
        };
        self.found.push((offset, fault));
    }

    /// Returns `value` if there were no faults.
    pub(super) fn finish<T>(mut self, text: &str, value: T) -> Result<T, Faults> {
        if self.found.is_empty() {
            return Ok(value);
        }
        self.found.sort_by_key(|(offset, _)| *offset);
        let positions = positions(text, self.found.iter().map(|(offset, _)| *offset));
        let list = (self.found.into_iter().zip(positions))
            .map(|((_, mut fault), position)| {
                fault.position = Some(position);
                fault
            })
            .collect();
        Err(Faults {
            list,
            more: self.more,
        })
    }
}

/// The lines and columns of sorted byte `offsets`, found in one pass through the text.
fn positions(text: &str, offsets: impl Iterator<Item = usize>) -> Vec<Position> {
    let mut at = Position::START;
    let mut chars = text.char_indices().peekable();
    offsets
        .map(|offset| {
            while let Some((_, c)) = chars.next_if(|(i, _)| *i < offset) {
                if c == '\n' {
                    at = Position {
                        line: at.line + 1,
                        column: 1,
                    };
                } else {
                    at.column += 1;
                }
            }
            at
        })
        .collect()
}

/// The path to a value, as a linked list on the stack of the reader.
#[derive(Clone, Copy)]
pub(super) struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Top,
    Field(&'a str),
    Entry(&'a str),
    Index(usize),
}

impl<'a> Path<'a> {
    /// The whole text.
    pub(super) const TOP: Self = Self {
        parent: None,
        step: Step::Top,
    };

    /// A field with a fixed name.
    pub(super) fn field(&'a self, name: &'a str) -> Self {
        self.then(Step::Field(name))
    }

    /// An entry with a key that the user chose.
    pub(super) fn entry(&'a self, key: &'a str) -> Self {
        self.then(Step::Entry(key))
    }

    /// An element of a list, from zero.
    pub(super) fn index(&'a self, index: usize) -> Self {
        self.then(Step::Index(index))
    }

    fn then(&'a self, step: Step<'a>) -> Self {
        Self {
            parent: Some(self),
            step,
        }
    }

    fn steps(&self) -> Vec<PathStep> {
        let mut steps = self.parent.map(Self::steps).unwrap_or_default();
        steps.extend(match self.step {
            Step::Top => None,
            Step::Field(key) => Some(PathStep::Key(key.to_owned())),
            // No valid key is longer, and many faults may contain the key.
            Step::Entry(key) => Some(PathStep::Key(cut(key, MAX_LOOKUP_KEY_CHARS))),
            Step::Index(index) => Some(PathStep::Index(index)),
        });
        steps
    }
}

impl Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parent = self.parent.filter(|p| !matches!(p.step, Step::Top));
        if let Some(parent) = parent {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Top => Ok(()),
            Step::Field(name) if parent.is_some() => write!(f, ".{name}"),
            Step::Field(name) => f.write_str(name),
            Step::Entry(key) => write!(f, "[{:?}]", short(key)),
            Step::Index(index) => write!(f, "[{index}]"),
        }
    }
}

/// `text`, shortened if it is too long to show.
pub(super) fn short(text: &str) -> String {
    const SHOWN_CHARS: usize = 120;
    cut(text, SHOWN_CHARS)
}

fn cut(text: &str, max_chars: usize) -> String {
    let mut shown: String = text.chars().take(max_chars).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}
