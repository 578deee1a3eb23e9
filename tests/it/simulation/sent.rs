//! What may have become of requests: some were not acknowledged, some were under way at the same time.

use super::model::{Org, Period, Verdict};
use super::ops::Request;
use super::run::Outcome;

/// A request that was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) request: Request,
    /// What its caller was told; none: nothing, or that nobody knows.
    pub(super) told: Option<Verdict>,
}

/// Requests about one org, as they were sent.
pub(super) struct History<'a> {
    /// These in any order, and only two of them.
    pub(super) at_once: &'a [Sent],
    /// These then.
    pub(super) after: &'a [Sent],
    /// Whether those at once were sent to two servers.
    pub(super) apart: bool,
    /// When all of this happened.
    pub(super) now: i64,
    /// The running billing period.
    pub(super) period: Period,
}

/// A state, and what was counted under a key on the way to it.
type Reached = (Org, Vec<Request>);

impl History<'_> {
    /// Everything that may be true of an org in one of these states after that.
    ///
    /// # Errors
    /// If the answers fit none of them.
    pub(super) fn outcomes_of(&self, states: &[Org]) -> Outcome<Vec<Org>> {
        let states = states.iter().flat_map(|state| self.outcomes(state));
        let states: Vec<Org> = states.collect();
        if states.is_empty() {
            return Err(format!("told {:?} and then {:?}", self.at_once, self.after));
        }
        Ok(states)
    }

    /// Everything that may be true of an org in `state` after that. A request whose caller was told nothing was carried
    /// out, or was not.
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
            // An org is made before it is subscribed: whoever comes in between finds it without the feature.
            Some(Verdict::NotFound) if verdict == Verdict::NoOrg && self.at_once.len() > 1 => {
                vec![(state, counted)]
            }
            Some(_) => Vec::new(),
        }
    }

    /// Stripe drops usage that one server records while the other one changes a plan which began in this second. What is
    /// recorded once a trial has begun is free, also if it was meant for the plan before it.
    fn may_drop_usage(&self, state: &Org) -> bool {
        let requests = || self.at_once.iter().map(|sent| sent.request);
        let changes = requests().any(Request::is_change);
        self.apart && changes && (state.began(self.now) || requests().any(Request::is_trial))
    }
}
