//! Stripe's documented rate limits, and an operator's settings.

/// Limits on calls per second, and on concurrent calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Calls per second of one account.
    pub total: u32,
    /// Calls per second of one account to one endpoint.
    pub endpoint: u32,
    /// Search calls per second of one account.
    pub search: u32,
    /// Concurrent calls of one account.
    pub concurrent: usize,
}

impl Rates {
    /// Stripe's documented limits for live keys, or for test keys.
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

/// The [`Rates`] that differ from the documented ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateSettings {
    /// Calls per second of one account. For a host other than Stripe's own, there is a limit only if this is set.
    pub total: Option<u32>,
    /// Calls per second of one account to one endpoint.
    pub endpoint: Option<u32>,
    /// Search calls per second of one account.
    pub search: Option<u32>,
    /// Concurrent calls of one account.
    pub concurrent: Option<usize>,
}

impl RateSettings {
    /// The limits of an account with a live key, or with a test key; `None`: no limit.
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
