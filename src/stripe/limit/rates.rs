//! How many calls Stripe allows, and what an operator says instead.

/// Calls for each second, and at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Of one account.
    pub total: u32,
    /// Of one account to one endpoint.
    pub endpoint: u32,
    /// Of one account to search.
    pub search: u32,
    /// At the same time, of one account.
    pub concurrent: usize,
}

impl Rates {
    /// What Stripe documents for live keys, and for test keys.
    pub fn documented(live: bool) -> Self {
        Self {
            total: if live { 100 } else { 25 },
            endpoint: 25,
            search: 20,
            concurrent: 50,
        }
    }

    pub(super) fn of(&self, endpoint: &str) -> u32 {
        if endpoint.ends_with("/search") {
            self.search
        } else {
            self.endpoint
        }
    }
}

/// Which of the [`Rates`] are not the documented ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateSettings {
    /// Of one account. Towards another host than Stripe's own, there is a limit only if this is set.
    pub total: Option<u32>,
    /// Of one account to one endpoint.
    pub endpoint: Option<u32>,
    /// Of one account to search.
    pub search: Option<u32>,
    /// At the same time, of one account.
    pub concurrent: Option<usize>,
}

impl RateSettings {
    /// What holds for an account with a live key, or with a test key; none: no limit.
    pub(in crate::stripe) fn rates(&self, live: bool, stripes_own_host: bool) -> Option<Rates> {
        if !stripes_own_host && self.total.is_none() {
            return None;
        }
        let documented = Rates::documented(live);
        Some(Rates {
            total: self.total.unwrap_or(documented.total),
            endpoint: self.endpoint.unwrap_or(documented.endpoint),
            search: self.search.unwrap_or(documented.search),
            concurrent: self.concurrent.unwrap_or(documented.concurrent),
        })
    }
}
