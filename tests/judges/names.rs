//! Ids differ from run to run. This maps the recording's ids to the sandbox's.

use std::collections::HashMap;

/// Pairs of a recorded name and the sandbox's name. A pair is learnt when two answers have the names in the same place.
#[derive(Debug, Default)]
pub(crate) struct Names(HashMap<String, String>);

impl Names {
    /// Whether both names mean the same thing. A new recorded name is paired with the sandbox's name from now on.
    pub(crate) fn relate(&mut self, recorded: &str, replayed: &str) -> bool {
        if let Some(known) = self.0.get(recorded) {
            return known == replayed;
        }
        self.0.insert(recorded.to_owned(), replayed.to_owned());
        true
    }

    /// The text with the sandbox's names in place of the recording's.
    pub(crate) fn translate(&self, text: &str) -> String {
        if let Some(name) = self.0.get(text) {
            return name.clone();
        }
        // A plan's id may be an English word.
        let is_name = |word: &str| word.contains(|c: char| !c.is_ascii_lowercase());
        let named = |word| self.0.get(word).filter(|_| is_name(word));
        words(text)
            .map(|word| named(word).map_or(word, String::as_str))
            .collect()
    }

    /// A name in the text that has no counterpart yet.
    pub(crate) fn unknown<'a>(&self, text: &'a str) -> Option<&'a str> {
        words(text).find(|word| is_id(word) && !self.0.contains_key(*word))
    }
}

/// Whether a text is an id as Stripe makes them: letters, an underscore, and then at least eight letters and digits
/// that are not all lower case. The names of test cards only look like ids.
pub(crate) fn is_id(text: &str) -> bool {
    let Some((prefix, random)) = text.rsplit_once('_') else {
        return false;
    };
    !prefix.is_empty()
        && prefix != "pm_card"
        && prefix.chars().all(|c| c.is_ascii_lowercase() || c == '_')
        && random.len() >= 8
        && random.chars().all(|c| c.is_ascii_alphanumeric())
        && random.chars().any(|c| !c.is_ascii_lowercase())
}

/// The prefix of an id, which says what kind of object it names.
pub(crate) fn prefix(id: &str) -> &str {
    id.rsplit_once('_').map_or("", |(prefix, _)| prefix)
}

/// The text with placeholders in place of its ids.
pub(crate) fn without_ids(text: &str) -> String {
    words(text)
        .map(|word| {
            if is_id(word) {
                format!("{}_…", prefix(word))
            } else {
                word.to_owned()
            }
        })
        .collect()
}

/// The words of a text, and the text between them.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let end = rest
            .find(|c| is_word(c) != is_word(first))
            .unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        rest = after;
        Some(word)
    })
}
