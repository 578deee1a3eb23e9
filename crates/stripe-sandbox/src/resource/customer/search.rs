//! Search for customers by what [`search_query`](crate::resource::customer::search_query) reads, without regard to case, over an
//! index that lags behind what it indexes.

use std::collections::{BTreeSet, HashMap, VecDeque};

use serde_json::{Value, json};

use super::search_query::{Clause, Query, parse};
use super::{Customer, Customers};
use crate::error::{Error, Result};
use crate::params::Params;
use crate::store::context::Ctx;

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
    pub(crate) fn note(&mut self, position: u32, due: i64) {
        self.pending.push_back((due, position));
    }

    /// A customer is gone at once.
    pub(crate) fn forget(&mut self, position: u32) {
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
    pub(crate) fn settle(&mut self, now_millis: i64) {
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
