//! The possible results of requests, some of which were concurrent or not acknowledged.

use super::model::{Org, Period, Verdict};
use super::ops::Request;
use super::run::Outcome;

/// A request that was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) request: Request,
    /// The result in the answer. None if there was no answer, or if the answer does not say what happened.
    pub(super) told: Option<Verdict>,
}

/// Requests about one org, in the order in which they were sent.
pub(super) struct History<'a> {
    /// At most two concurrent requests, which count in any order.
    pub(super) at_once: &'a [Sent],
    /// The requests after them, in this order.
    pub(super) after: &'a [Sent],
    /// Whether the concurrent requests were sent to two servers.
    pub(super) apart: bool,
    /// The time of all requests.
    pub(super) now: i64,
    /// The billing period at that time.
    pub(super) period: Period,
}

/// A state, and the requests with a key that were counted before it.
type Reached = (Org, Vec<Request>);

impl History<'_> {
    /// The possible states after the requests, for an org that was in one of `states`.
    ///
    /// # Errors
    /// If no order of the requests explains the answers.
    pub(super) fn outcomes_of(&self, states: &[Org]) -> Outcome<Vec<Org>> {
        let states = states.iter().flat_map(|state| self.outcomes(state));
        let states: Vec<Org> = states.collect();
        if states.is_empty() {
            return Err(format!("told {:?} and then {:?}", self.at_once, self.after));
        }
        Ok(states)
    }

    /// The possible states after the requests, for an org that was in `state`. A request without a known result may
    /// have been applied or not.
    fn outcomes(&self, state: &Org) -> Vec<Org> {
        let mut orders = vec![self.at_once.to_vec()];
        if let [first, second] = *self.at_once {
            orders.push(vec![second, first]);
        }
        let may_be_dropped = self.may_drop_usage(state);
        let mut states = Vec::new();
        for order in orders {
            let mut reached = vec![(state.clone(), Vec::new())];
            for sent in order.iter().chain(self.after) {
                reached = reached
                    .into_iter()
                    .flat_map(|before| self.one_more(before, *sent, may_be_dropped))
                    .collect();
            }
            for (state, _) in reached {
                if !states.contains(&state) {
                    states.push(state);
                }
            }
        }
        states
    }

    fn one_more(&self, before: Reached, sent: Sent, may_be_dropped: bool) -> Vec<Reached> {
        let Sent { request, told } = sent;
        let (mut state, mut counted) = before.clone();
        let verdict = if counted.contains(&request) {
            Verdict::Done
        } else {
            state.apply(self.now, self.period, request)
        };
        if request.is_keyed() && verdict == Verdict::Done {
            counted.push(request);
        }
        match told {
            None => vec![(state, counted), before],
            Some(told) if told == verdict && may_be_dropped && !request.is_change() => {
                let free = state.clone().without_charge_since(&before.0);
                vec![(state, counted.clone()), (free, counted)]
            }
            Some(told) if told == verdict => vec![(state, counted)],
            // An org is created before it is subscribed. A concurrent request may find it without the feature.
            Some(Verdict::NotFound) if verdict == Verdict::NoOrg && self.at_once.len() > 1 => {
                vec![(state, counted)]
            }
            Some(_) => Vec::new(),
        }
    }

    /// Whether usage may be free. Stripe drops usage that one server records while the other server changes a plan that
    /// began in the same second. Usage that is recorded after a trial has begun is free, even if it was meant for the
    /// plan before.
    fn may_drop_usage(&self, state: &Org) -> bool {
        let requests = || self.at_once.iter().map(|sent| sent.request);
        let changes = requests().any(Request::is_change);
        self.apart && changes && (state.began(self.now) || requests().any(Request::is_trial))
    }
}
