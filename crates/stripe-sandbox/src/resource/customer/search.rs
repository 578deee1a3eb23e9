//! The index for the search of customers. It ignores case, answers the queries of
//! [`search_query`](super::search_query), and lags behind changes, as Stripe's does.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::search_query::{Clause, Query};
use super::{Customer, Customers};

/// The search index: the positions of the customers that match each clause.
#[derive(Debug, Default)]
pub(crate) struct Index {
    found: HashMap<u64, Positions>,
    /// The hashes of the clauses under which each customer is indexed.
    clauses: HashMap<u32, Box<[u64]>>,
    /// Changed customers, each with the time in milliseconds at which the index is updated.
    pending: VecDeque<(i64, u32)>,
}

/// The positions of a clause's customers. Most clauses match one customer, which needs no allocation.
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

    /// Removes a position and returns whether none is left.
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
    /// Schedules the indexing of a changed customer for `due`, in milliseconds.
    pub(crate) fn mark_changed(&mut self, position: u32, due: i64) {
        self.pending.push_back((due, position));
    }

    /// Removes a customer at once.
    pub(crate) fn forget(&mut self, position: u32) {
        for hash in self.clauses.remove(&position).unwrap_or_default() {
            if self
                .found
                .get_mut(&hash)
                .is_some_and(|found| found.remove(position))
            {
                self.found.remove(&hash);
            }
        }
    }

    fn add_customer(&mut self, position: u32, customer: &Customer) {
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
        self.clauses.insert(position, hashes);
    }

    /// The positions that match the query, ascending.
    pub(crate) fn find(&self, query: &Query) -> BTreeSet<u32> {
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
        // The shortest list comes first; the others only filter it.
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
    /// Indexes the changes that are due.
    pub(crate) fn update_index(&mut self, now_millis: i64) {
        while let Some((due, position)) = self.index.pending.front().copied() {
            if due > now_millis {
                return;
            }
            self.index.pending.pop_front();
            self.index.forget(position);
            let customer = self.table().at(position).cloned();
            if let Some(customer) = customer.filter(|customer| !customer.deleted) {
                self.index.add_customer(position, &customer);
            }
        }
    }
}

pub(super) fn base36(mut number: u32) -> String {
    let mut digits = Vec::new();
    loop {
        digits.push(char::from_digit(number % 36, 36).expect("below 36"));
        number /= 36;
        if number == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}
