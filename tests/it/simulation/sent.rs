//! What may have become of requests: some were not acknowledged, some were under way at the same time.

use super::model::{Org, Verdict};
use super::ops::Request;

/// A request that was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) request: Request,
    /// What its caller was told; none: nothing, or that nobody knows.
    pub(super) told: Option<Verdict>,
}

/// Everything that may be true of an org in `state` after requests were sent: those `at_once` in any order, then those
/// that were sent `after` them. One whose caller was told nothing was carried out, or was not.
pub(super) fn outcomes(
    state: &Org,
    at_once: &[Sent],
    after: &[Sent],
    (now, period): (i64, i64),
) -> Vec<Org> {
    let mut orders = vec![at_once.to_vec()];
    if let [first, second] = *at_once {
        orders.push(vec![second, first]);
    }
    let mut states = Vec::new();
    for order in orders {
        let mut reached = vec![(state.clone(), Vec::new())];
        for sent in order.iter().chain(after) {
            reached = reached
                .into_iter()
                .flat_map(|before| one_more(before, *sent, (now, period), at_once.len()))
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

/// A state, and what was counted under a key on the way to it.
type Reached = (Org, Vec<Request>);

fn one_more(
    before: Reached,
    sent: Sent,
    (now, period): (i64, i64),
    at_once: usize,
) -> Vec<Reached> {
    let Sent { request, told } = sent;
    let (mut state, mut counted) = before.clone();
    let verdict = if counted.contains(&request) {
        Verdict::Done
    } else {
        state.apply(now, period, request)
    };
    if request.is_keyed() && verdict == Verdict::Done {
        counted.push(request);
    }
    match told {
        None => vec![(state, counted), before],
        Some(told) if told == verdict => vec![(state, counted)],
        // An org is made before it is subscribed: whoever comes in between finds it without the feature.
        Some(Verdict::NotFound) if verdict == Verdict::NoOrg && at_once > 1 => {
            vec![(state, counted)]
        }
        Some(_) => Vec::new(),
    }
}
