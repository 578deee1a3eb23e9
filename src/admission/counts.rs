//! How many requests run and wait, and how many bytes their bodies take: in all, by address, and by org.

use std::collections::HashMap;
use std::net::IpAddr;

use super::Stage;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) running: usize,
    pub(super) waiting: usize,
    pub(super) bytes: usize,
}

/// The counts of a whole server.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ServerCounts {
    pub(super) all: Counts,
    /// By address. Addresses without requests have no entry.
    pub(super) peers: HashMap<IpAddr, Counts>,
}

/// The counts of one caller.
#[derive(Debug, Default)]
pub(super) struct CallerCounts {
    pub(super) all: Counts,
    /// Running requests, by org. Orgs without requests have no entry.
    pub(super) orgs: HashMap<String, usize>,
}

impl Counts {
    pub(super) fn change(&mut self, from: Stage, to: Stage) {
        match from {
            Stage::Running => self.running -= 1,
            Stage::Waiting => self.waiting -= 1,
            Stage::Finished => {}
        }
        match to {
            Stage::Running => self.running += 1,
            Stage::Waiting => self.waiting += 1,
            Stage::Finished => {}
        }
    }
}

impl ServerCounts {
    pub(super) fn of_peer(&self, peer: Option<IpAddr>) -> Counts {
        let counts = peer.and_then(|peer| self.peers.get(&peer));
        counts.copied().unwrap_or_default()
    }

    pub(super) fn change(&mut self, peer: Option<IpAddr>, change: impl Fn(&mut Counts)) {
        change(&mut self.all);
        let Some(peer) = peer else { return };
        let counts = self.peers.entry(peer).or_default();
        change(counts);
        if *counts == Counts::default() {
            self.peers.remove(&peer);
        }
    }
}

impl CallerCounts {
    pub(super) fn change_org(&mut self, org: &str, from: Stage, to: Stage) {
        let count = self.orgs.get(org).copied().unwrap_or_default();
        let count = count + usize::from(to == Stage::Running) - usize::from(from == Stage::Running);
        if count == 0 {
            self.orgs.remove(org);
        } else {
            self.orgs.insert(org.to_owned(), count);
        }
    }
}
