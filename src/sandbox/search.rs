//! Search as far as clients of this project go: `metadata['k']:'v'` and `email:'v'`, joined by AND or by OR,
//! without regard to case, over an index that lags behind what it indexes.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Value, json};

use super::context::Ctx;
use super::customer::{Customer, Customers};
use super::error::{Error, Result};
use super::params::Params;

/// One `field:'value'`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Clause {
    Email(String),
    Metadata(String, String),
}

/// A query: the clauses, and whether all or any must hold. Stripe does not take a mixture either.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Query {
    all: bool,
    clauses: Vec<Clause>,
}

impl Clause {
    /// What the index files it under. With 64 bits, two different clauses meet once in ages.
    fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        match self {
            Self::Email(email) => ("email", email.to_lowercase()).hash(&mut hasher),
            Self::Metadata(key, value) => {
                // Keys are told apart by case, values are not.
                ("metadata", key, value.to_lowercase()).hash(&mut hasher);
            }
        }
        hasher.finish()
    }
}

/// Which customers each clause finds, by position.
#[derive(Debug, Default)]
pub(crate) struct Index {
    found: HashMap<u64, Positions>,
    /// What each customer is filed under at present.
    filed: HashMap<u32, Box<[u64]>>,
    /// Customers that have changed, and when, in milliseconds, that reaches the index.
    pending: VecDeque<(i64, u32)>,
}

/// Most clauses find one customer, which takes no allocation.
#[derive(Debug)]
enum Positions {
    One(u32),
    Many(BTreeSet<u32>),
}

impl Positions {
    fn add(&mut self, position: u32) {
        match self {
            Self::One(other) if *other == position => {}
            Self::One(other) => *self = Self::Many(BTreeSet::from([*other, position])),
            Self::Many(set) => {
                set.insert(position);
            }
        }
    }

    /// Removes a position and says whether none is left.
    fn remove(&mut self, position: u32) -> bool {
        match self {
            Self::One(other) => *other == position,
            Self::Many(set) => {
                set.remove(&position);
                set.is_empty()
            }
        }
    }

    fn contains(&self, position: u32) -> bool {
        match self {
            Self::One(other) => *other == position,
            Self::Many(set) => set.contains(&position),
        }
    }

    fn iter(&self) -> Box<dyn Iterator<Item = u32> + '_> {
        match self {
            Self::One(position) => Box::new(std::iter::once(*position)),
            Self::Many(set) => Box::new(set.iter().copied()),
        }
    }
}

impl Index {
    /// A customer has changed, which the index will know at `due`.
    pub(super) fn note(&mut self, position: u32, due: i64) {
        self.pending.push_back((due, position));
    }

    /// A customer is gone at once.
    pub(super) fn forget(&mut self, position: u32) {
        for hash in self.filed.remove(&position).unwrap_or_default() {
            if self
                .found
                .get_mut(&hash)
                .is_some_and(|found| found.remove(position))
            {
                self.found.remove(&hash);
            }
        }
    }

    fn file(&mut self, position: u32, customer: &Customer) {
        let email = customer.email.as_ref();
        let email = email.map(|email| Clause::Email(email.to_string()));
        let metadata = customer.metadata.iter();
        let metadata =
            metadata.map(|(key, value)| Clause::Metadata(key.to_owned(), value.to_owned()));
        let hashes: Box<[u64]> = email
            .into_iter()
            .chain(metadata)
            .map(|clause| clause.hash())
            .collect();
        for hash in &hashes {
            self.found
                .entry(*hash)
                .or_insert(Positions::One(position))
                .add(position);
        }
        self.filed.insert(position, hashes);
    }

    /// The positions that the query finds, ascending.
    fn find(&self, query: &Query) -> BTreeSet<u32> {
        let mut lists: Vec<Option<&Positions>> = query
            .clauses
            .iter()
            .map(|clause| self.found.get(&clause.hash()))
            .collect();
        if !query.all {
            return lists
                .into_iter()
                .flatten()
                .flat_map(Positions::iter)
                .collect();
        }
        // The shortest list first: the others are only asked about what is in it.
        lists.sort_by_key(|list| match list {
            None => 0,
            Some(Positions::One(_)) => 1,
            Some(Positions::Many(set)) => set.len(),
        });
        let Some((Some(first), others)) = lists.split_first() else {
            return BTreeSet::new();
        };
        first
            .iter()
            .filter(|position| others.iter().flatten().all(|list| list.contains(*position)))
            .collect()
    }
}

impl Customers {
    /// Lets the index know of what has changed long enough ago.
    fn settle(&mut self, now_millis: i64) {
        while let Some((due, position)) = self.index.pending.front().copied() {
            if due > now_millis {
                return;
            }
            self.index.pending.pop_front();
            self.index.forget(position);
            let customer = self.table().at(position).cloned();
            if let Some(customer) = customer.filter(|customer| !customer.deleted) {
                self.index.file(position, &customer);
            }
        }
    }
}

/// `GET /v1/customers/search`: newest first.
pub(crate) fn customers(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let query = parse(params.required("query")?)?;
    let limit = match params.integer("limit")?.unwrap_or(10) {
        limit @ 1..=100 => usize::try_from(limit).expect("at most 100"),
        limit => {
            return Err(Error::malformed(
                "limit",
                format!("Invalid integer: {limit}; the limit is 1 to 100."),
            )
            .code("parameter_invalid_integer"));
        }
    };
    let before = match params.string("page")? {
        Some(page) => Some(u32::from_str_radix(page, 36).map_err(|_| {
            Error::malformed(
                "page",
                format!("Invalid page: {page}. Use the `next_page` of the answer before."),
            )
        })?),
        None => None,
    };
    params.finish()?;
    let customers = &mut ctx.account.customers;
    customers.settle(ctx.now_millis);
    let found = customers.index.find(&query);
    let mut positions = found
        .iter()
        .rev()
        .filter(|at| before.is_none_or(|before| **at < before));
    let page: Vec<u32> = positions.by_ref().take(limit).copied().collect();
    let has_more = positions.next().is_some();
    let next_page = page.last().filter(|_| has_more).map(|last| base36(*last));
    let customers = page
        .iter()
        .filter_map(|at| ctx.account.customers.table().at(*at));
    let data: Vec<Value> = customers
        .map(|customer| {
            customer.to_json(ctx.account.time_on(customer.test_clock.as_ref(), ctx.now))
        })
        .collect();
    Ok(json!({
        "object": "search_result",
        "data": data,
        "has_more": has_more,
        "next_page": next_page,
        "url": "/v1/customers/search",
    }))
}

fn base36(mut number: u32) -> String {
    let mut digits = Vec::new();
    loop {
        digits.push(char::from_digit(number % 36, 36).expect("below 36"));
        number /= 36;
        if number == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}

/// Reads a query.
fn parse(text: &str) -> Result<Query> {
    let mut rest = text.trim();
    let mut clauses = Vec::new();
    let mut joint: Option<bool> = None;
    loop {
        let (clause, after) = clause(rest)?;
        clauses.push(clause);
        rest = after.trim_start();
        if rest.is_empty() {
            return Ok(Query {
                all: joint.unwrap_or(true),
                clauses,
            });
        }
        let (all, after) = joiner(rest);
        if joint.is_some_and(|joint| joint != all) {
            return Err(wrong("You cannot use both AND and OR in one search query."));
        }
        joint = Some(all);
        rest = after.trim_start();
    }
}

/// AND, OR, or nothing, which means AND.
fn joiner(rest: &str) -> (bool, &str) {
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
            .ok_or_else(|| wrong("Expected `]` after the metadata key."))?;
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
        "" => Err(wrong(
            "Expected a clause such as `email:'jane@example.com'` or `metadata['key']:'value'`.",
        )),
        field => Err(wrong(&format!(
            "Field `{field}` cannot be searched in the sandbox, only `email` and `metadata['key']`."
        ))),
    }
}

fn value(text: &str) -> Result<(String, &str)> {
    let rest = text.trim_start().strip_prefix(':');
    let rest = rest.ok_or_else(|| {
        wrong("Expected `:` after the field: the sandbox finds exact values only.")
    })?;
    quoted(rest.trim_start())
}

/// A text in single or double quotes, with `\` before a quote or another `\`.
fn quoted(text: &str) -> Result<(String, &str)> {
    let mut chars = text.char_indices();
    let Some((_, quote @ ('\'' | '"'))) = chars.next() else {
        return Err(wrong("Values must be in quotes."));
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
    Err(wrong("A quote is not closed."))
}

fn wrong(message: &str) -> Error {
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
    fn values_are_found_in_any_case_and_keys_are_not() {
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
