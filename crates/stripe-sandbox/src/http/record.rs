//! A record of the last calls, and of how often each endpoint was called.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;
use serde_json::Value;

const MAX_REQUESTS: usize = 1_000;

/// One call to the API.
#[derive(Clone, Debug, Serialize)]
pub struct Request {
    /// The HTTP method.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The route, such as `GET /v1/customers/:id`; empty if no route matches.
    pub endpoint: String,
    /// The parameters of query and body together, nested.
    pub params: Value,
    /// The status of the answer; 0 if the connection was dropped.
    pub status: u16,
    /// The account of the call; empty without a valid key.
    pub account: String,
    /// The header `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// Whether the answer is a replay of an earlier one with the same key.
    pub replayed: bool,
}

/// The recorded calls.
#[derive(Debug, Default)]
pub(crate) struct CallRecord {
    last: VecDeque<Request>,
    /// By account and endpoint.
    counts: BTreeMap<(String, String), u64>,
}

impl CallRecord {
    pub(crate) fn add(&mut self, request: Request) {
        let key = (request.account.clone(), request.endpoint.clone());
        *self.counts.entry(key).or_default() += 1;
        if self.last.len() == MAX_REQUESTS {
            self.last.pop_front();
        }
        self.last.push_back(request);
    }

    pub(crate) fn requests(&self, account: Option<&str>) -> Vec<Request> {
        let of = |request: &&Request| account.is_none_or(|account| request.account == account);
        self.last.iter().filter(of).cloned().collect()
    }

    /// The last calls, at most `count`, newest first.
    pub(crate) fn last(&self, count: usize, account: Option<&str>) -> Vec<Request> {
        let of = |request: &&Request| account.is_none_or(|account| request.account == account);
        self.last
            .iter()
            .rev()
            .filter(of)
            .take(count)
            .cloned()
            .collect()
    }

    pub(crate) fn counts(&self, account: Option<&str>) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::new();
        for ((of, endpoint), count) in &self.counts {
            if account.is_none_or(|account| of == account) {
                *sums.entry(endpoint.clone()).or_default() += count;
            }
        }
        sums
    }

    pub(crate) fn clear(&mut self, account: Option<&str>) {
        let is_kept = |of: &str| account.is_some_and(|account| of != account);
        self.last.retain(|request| is_kept(&request.account));
        self.counts.retain(|(of, _), _| is_kept(of));
    }
}
