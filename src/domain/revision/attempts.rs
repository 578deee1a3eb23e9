//! Decisions that are made one after the other, until one goes through.

use super::Revision;
use crate::stripe;

/// How many decisions are made for one request. Each but the last met another request's write, or a kept failure.
const DECISIONS: u32 = 100;

/// How often a change is decided anew because the clock overtook it.
const RACES: u32 = 3;

/// How often the revision is read again while another request's write, which has taken the key, does not show. After
/// that it is taken to have failed, and the next key is used.
const LOOKS: u32 = 5;

/// Why a write did not go through, where another decision may.
#[derive(Debug)]
pub(in crate::domain) enum Refusal {
    /// The schedule moved on between our read and our write.
    Overtaken(stripe::Error),
    /// The key was used with other parameters: by another request, which may still be under way.
    Taken(stripe::Error),
    /// The key gives the failure of an earlier try.
    Kept(stripe::Error),
}

impl Refusal {
    /// The refusal that `error` is, or `error` itself if another decision would not help.
    pub(in crate::domain) fn of(error: stripe::Error) -> Result<Self, stripe::Error> {
        if error.is_idempotency_conflict() {
            Ok(Self::Taken(error))
        } else if error.is_schedule_over() {
            Ok(Self::Overtaken(error))
        } else if error.is_replayed() {
            Ok(Self::Kept(error))
        } else {
            Err(error)
        }
    }

    fn error(&self) -> &stripe::Error {
        let (Self::Overtaken(error) | Self::Taken(error) | Self::Kept(error)) = self;
        error
    }

    fn into_error(self) -> stripe::Error {
        let (Self::Overtaken(error) | Self::Taken(error) | Self::Kept(error)) = self;
        error
    }
}

/// The decisions that one request makes, one after the other, until its writes go through.
pub(in crate::domain) struct Decisions {
    customer: String,
    attempts: Attempts,
}

impl Decisions {
    pub(in crate::domain) fn new(customer: &str) -> Self {
        Self {
            customer: customer.to_owned(),
            attempts: Attempts::default(),
        }
    }

    /// The next decision, which is based on the revision `seen`.
    pub(in crate::domain) fn at(&mut self, seen: u64) -> Revision {
        Revision {
            customer: self.customer.clone(),
            seen,
            attempt: self.attempts.at(seen),
            request_keys: None,
        }
    }

    /// How long to wait, in units of the first wait between tries, before everything is read again.
    ///
    /// # Errors
    /// Why the request is given up.
    pub(in crate::domain) fn after(&mut self, refusal: Refusal) -> Result<u32, stripe::Error> {
        self.attempts.after(refusal)
    }
}

/// Which of the keys that are made of what was seen is next.
#[derive(Default)]
pub(in crate::domain) struct Attempts {
    /// What was seen last: a revision, or a total.
    seen: Option<u64>,
    attempt: u32,
    made: u32,
    races: u32,
    looks: u32,
}

impl Attempts {
    /// The number of the key for what is `seen` now, from 1.
    pub(in crate::domain) fn at(&mut self, seen: u64) -> u32 {
        if self.seen != Some(seen) {
            (self.seen, self.attempt, self.looks) = (Some(seen), 1, 0);
        }
        self.made += 1;
        self.attempt
    }

    /// The key is spent, and what it was spent on is no more.
    pub(in crate::domain) fn next(&mut self) {
        self.attempt += 1;
    }

    /// As [`Decisions::after`].
    pub(in crate::domain) fn after(&mut self, refusal: Refusal) -> Result<u32, stripe::Error> {
        tracing::info!(error = %refusal.error(), seen = self.seen, "decided anew");
        let (wait, give_up) = match &refusal {
            Refusal::Taken(_) if self.looks < LOOKS => {
                self.looks += 1;
                // The first look is free: most often the other request has just ended.
                ((1 << self.looks) >> 2, false)
            }
            Refusal::Overtaken(_) => {
                self.races += 1;
                self.attempt += 1;
                (0, self.races >= RACES)
            }
            Refusal::Taken(_) | Refusal::Kept(_) => {
                self.attempt += 1;
                (0, false)
            }
        };
        if give_up || self.made >= DECISIONS {
            return Err(refusal.into_error());
        }
        Ok(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(kind: &str, status: u16, replayed: bool) -> stripe::Error {
        stripe::Error::Api(Box::new(stripe::ApiError {
            kind: kind.into(),
            status,
            replayed,
            ..stripe::ApiError::default()
        }))
    }

    fn refusal(kind: &str, status: u16, replayed: bool) -> Refusal {
        Refusal::of(error(kind, status, replayed)).expect("worth another decision")
    }

    #[test]
    fn a_key_says_what_was_seen_and_a_spent_one_is_followed_by_the_next() {
        let mut decisions = Decisions::new("cus_1");
        assert_eq!(decisions.at(4).key("change"), "sub:cus_1:4:change");
        let kept = refusal("card_error", 402, true);
        assert_eq!(decisions.after(kept).expect("goes on"), 0);
        assert_eq!(decisions.at(4).key("change"), "sub:cus_1:4:change:2");
        assert_eq!(decisions.at(5).key("change"), "sub:cus_1:5:change");
        assert!(Refusal::of(error("card_error", 402, false)).is_err());
    }

    #[test]
    fn a_key_that_another_request_took_is_waited_for_before_the_next_is_used() {
        let mut decisions = Decisions::new("cus_1");
        let mut waits = Vec::new();
        while decisions.at(0).key("x") == "sub:cus_1:0:x" {
            waits.push(
                decisions
                    .after(refusal("idempotency_error", 400, false))
                    .expect("goes on"),
            );
        }
        assert_eq!(waits, [0, 1, 2, 4, 8, 0]);
        assert_eq!(decisions.at(0).key("x"), "sub:cus_1:0:x:2");
        assert_eq!(decisions.at(1).key("x"), "sub:cus_1:1:x");
    }

    #[test]
    fn a_request_is_given_up_in_the_end() {
        let mut decisions = Decisions::new("cus_1");
        let mut made = 0;
        let given_up = loop {
            decisions.at(0);
            made += 1;
            if let Err(error) = decisions.after(refusal("card_error", 402, true)) {
                break error;
            }
        };
        assert_eq!((made, given_up.is_replayed()), (DECISIONS, true));
    }
}
