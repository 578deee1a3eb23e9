//! Parses search queries: `metadata['k']:'v'` and `email:'v'`, joined by AND or by OR.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::error::{Error, Result};

/// One `field:'value'`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Clause {
    Email(String),
    Metadata(String, String),
}

/// A query: the clauses, and whether all or any must match. Stripe does not accept a mixture either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Query {
    pub(crate) all: bool,
    pub(crate) clauses: Vec<Clause>,
}

impl Clause {
    /// The key of the clause in the index. With 64 bits, collisions are practically impossible.
    pub(crate) fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        match self {
            Self::Email(email) => ("email", email.to_lowercase()).hash(&mut hasher),
            Self::Metadata(key, value) => {
                // Keys are case-sensitive, values are not.
                ("metadata", key, value.to_lowercase()).hash(&mut hasher);
            }
        }
        hasher.finish()
    }
}

/// Parses a query.
pub(super) fn parse(text: &str) -> Result<Query> {
    let mut rest = text.trim();
    let mut clauses = Vec::new();
    let mut matches_all: Option<bool> = None;
    loop {
        let (clause, after) = clause(rest)?;
        clauses.push(clause);
        rest = after.trim_start();
        if rest.is_empty() {
            return Ok(Query {
                all: matches_all.unwrap_or(true),
                clauses,
            });
        }
        let (all, after) = connective(rest);
        if matches_all.is_some_and(|matches_all| matches_all != all) {
            return Err(parse_error(
                "You cannot use both AND and OR in one search query.",
            ));
        }
        matches_all = Some(all);
        rest = after.trim_start();
    }
}

/// AND, OR, or nothing, which means AND.
fn connective(rest: &str) -> (bool, &str) {
    for (word, all) in [("AND", true), ("OR", false)] {
        let found = rest
            .get(..word.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(word));
        if found && rest[word.len()..].starts_with(char::is_whitespace) {
            return (all, &rest[word.len()..]);
        }
    }
    (true, rest)
}

fn clause(text: &str) -> Result<(Clause, &str)> {
    if let Some(rest) = text.strip_prefix("metadata[") {
        let (key, rest) = quoted(rest)?;
        let rest = rest
            .strip_prefix(']')
            .ok_or_else(|| parse_error("Expected `]` after the metadata key."))?;
        let (value, rest) = value(rest)?;
        return Ok((Clause::Metadata(key, value), rest));
    }
    let end = text
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    match &text[..end] {
        "email" => {
            let (value, rest) = value(&text[end..])?;
            Ok((Clause::Email(value), rest))
        }
        "" => Err(parse_error(
            "Expected a clause such as `email:'jane@example.com'` or `metadata['key']:'value'`.",
        )),
        field => Err(parse_error(&format!(
            "Field `{field}` cannot be searched in the sandbox, only `email` and `metadata['key']`."
        ))),
    }
}

fn value(text: &str) -> Result<(String, &str)> {
    let rest = text.trim_start().strip_prefix(':');
    let rest = rest.ok_or_else(|| {
        parse_error("Expected `:` after the field: the sandbox only finds exact values.")
    })?;
    quoted(rest.trim_start())
}

/// A text in single or double quotes, in which `\` escapes a quote or another `\`.
fn quoted(text: &str) -> Result<(String, &str)> {
    let mut chars = text.char_indices();
    let Some((_, quote @ ('\'' | '"'))) = chars.next() else {
        return Err(parse_error("Values must be in quotes."));
    };
    let mut value = String::new();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some((_, escaped)) => value.push(escaped),
                None => break,
            },
            c if c == quote => return Ok((value, &text[at + c.len_utf8()..])),
            c => value.push(c),
        }
    }
    Err(parse_error("A quote is not closed."))
}

fn parse_error(message: &str) -> Error {
    Error::malformed(
        "query",
        format!("We were unable to parse your search query. {message}"),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn metadata(key: &str, value: &str) -> Clause {
        Clause::Metadata(key.to_owned(), value.to_owned())
    }

    #[test]
    fn queries_are_read_with_quotes_and_escapes() {
        let one = parse(r"metadata['tier.org']:'o\'brien \\ co'").expect("a query");
        assert_eq!(one.clauses, [metadata("tier.org", r"o'brien \ co")]);
        let two = parse(r#"email:"a@b.co" OR metadata["k"] : "v""#).expect("a query");
        assert_eq!(
            two.clauses,
            [Clause::Email("a@b.co".to_owned()), metadata("k", "v")]
        );
        assert!(!two.all);
        assert!(parse("email:'a' AND email:'b'").expect("a query").all);
        assert!(parse("email:'a' email:'b'").expect("a query").all);
    }

    #[test]
    fn other_queries_are_refused() {
        for bad in [
            "",
            "email",
            "email:a",
            "email:'a",
            "email~'a'",
            "name:'a'",
            "metadata['k:'v'",
            "email:'a' AND",
            "email:'a' AND email:'b' OR email:'c'",
            "metadata['k']",
            "-email:'a'",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn values_ignore_case_and_keys_do_not() {
        assert_eq!(metadata("k", "Org:Ä").hash(), metadata("k", "ORG:ä").hash());
        assert_ne!(metadata("k", "v").hash(), metadata("K", "v").hash());
        assert_ne!(
            metadata("email", "v").hash(),
            Clause::Email("v".to_owned()).hash()
        );
    }

    proptest! {
        #[test]
        fn any_value_survives_quoting(value in "\\PC{0,30}") {
            let escaped = value.replace('\\', r"\\").replace('\'', r"\'");
            let query = parse(&format!("metadata['k']:'{escaped}'")).expect("a query");
            prop_assert_eq!(query.clauses, [metadata("k", &value)]);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,60}") {
            let _ = parse(&text);
        }
    }
}
