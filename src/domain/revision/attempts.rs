//! Repeats decisions for one request until one succeeds.

use super::Revision;
use crate::stripe;

/// The maximum number of decisions for one request. Each one fails because of another request's write, or a replayed
/// failure.
const MAX_DECISIONS: u32 = 100;

/// How many times a change is decided again because its schedule advanced meanwhile.
const MAX_RACES: u32 = 3;

/// How many times a change waits for Stripe's next second, each time for a part of a second.
const MAX_WAITS: u32 = 4;

/// How many times the revision is read again while another request's write has the key but is not visible yet. After
/// that, the write is assumed to have failed, and the next key is used.
const MAX_READS: u32 = 5;

/// Why a write failed in a way that another decision may avoid.
#[derive(Debug)]
pub(in crate::domain) enum Refusal {
    /// The schedule advanced between the read and the write.
    Overtaken(stripe::Error),
    /// Another request used the key with other parameters, and may still be running.
    KeyTaken(stripe::Error),
    /// Stripe replays the failure of an earlier attempt.
    Replayed(stripe::Error),
}

impl Refusal {
    /// Classifies `error` as a refusal, or returns it if another decision would not help.
    pub(in crate::domain) fn of(error: stripe::Error) -> Result<Self, stripe::Error> {
        if error.is_idempotency_conflict() {
            Ok(Self::KeyTaken(error))
        } else if error.is_schedule_over() {
            Ok(Self::Overtaken(error))
        } else if error.is_replayed() {
            Ok(Self::Replayed(error))
        } else {
            Err(error)
        }
    }

    fn error(&self) -> &stripe::Error {
        let (Self::Overtaken(error) | Self::KeyTaken(error) | Self::Replayed(error)) = self;
        error
    }

    fn into_error(self) -> stripe::Error {
        let (Self::Overtaken(error) | Self::KeyTaken(error) | Self::Replayed(error)) = self;
        error
    }
}

/// The decisions of one request, until its writes succeed.
pub(in crate::domain) struct Decisions {
    customer: String,
    attempts: Attempts,
    waits: u32,
}

impl Decisions {
    pub(in crate::domain) fn new(customer: &str) -> Self {
        Self {
            customer: customer.to_owned(),
            attempts: Attempts::default(),
            waits: 0,
        }
    }

    /// The next decision, which is based on the revision `seen`.
    pub(in crate::domain) fn at(&mut self, seen: u64) -> Revision {
        Revision {
            customer: self.customer.clone(),
            seen,
            attempt: self.attempts.at(seen),
            request_keys: None,
            migrations: None,
        }
    }

    /// How long to wait before everything is read again, in units of the first wait between attempts.
    ///
    /// # Errors
    /// The final error, if there are no attempts left.
    pub(in crate::domain) fn wait_after(&mut self, refusal: Refusal) -> Result<u32, stripe::Error> {
        self.attempts.wait_after(refusal)
    }

    /// Whether to wait once more for Stripe's next second. Counts the call.
    pub(in crate::domain) fn may_await_second(&mut self) -> bool {
        self.waits += 1;
        self.waits <= MAX_WAITS
    }
}

/// Counts the decisions of a request, and the keys at the state that it has read.
#[derive(Default)]
pub(in crate::domain) struct Attempts {
    /// The revision or total that was read last.
    seen: Option<u64>,
    attempt: u32,
    decisions: u32,
    races: u32,
    reads: u32,
}

impl Attempts {
    /// The number of the next key for the state `seen`, from 1.
    pub(in crate::domain) fn at(&mut self, seen: u64) -> u32 {
        if self.seen != Some(seen) {
            (self.seen, self.attempt, self.reads) = (Some(seen), 1, 0);
        }
        self.decisions += 1;
        self.attempt
    }

    /// Moves to the next key, because the write that used this one has ended.
    pub(in crate::domain) fn use_next_key(&mut self) {
        self.attempt += 1;
    }

    /// As [`Decisions::wait_after`].
    pub(in crate::domain) fn wait_after(&mut self, refusal: Refusal) -> Result<u32, stripe::Error> {
        tracing::info!(error = %refusal.error(), seen = self.seen, "deciding again");
        let (wait, give_up) = match &refusal {
            Refusal::KeyTaken(_) if self.reads < MAX_READS => {
                self.reads += 1;
                // The first retry does not wait: usually the other request has just ended.
                ((1 << self.reads) >> 2, false)
            }
            Refusal::Overtaken(_) => {
                self.races += 1;
                self.attempt += 1;
                (0, self.races >= MAX_RACES)
            }
            Refusal::KeyTaken(_) | Refusal::Replayed(_) => {
                self.attempt += 1;
                (0, false)
            }
        };
        if give_up || self.decisions >= MAX_DECISIONS {
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
    fn a_key_names_the_revision_and_a_new_one_follows_a_kept_failure() {
        let mut decisions = Decisions::new("cus_1");
        assert_eq!(decisions.at(4).key("change"), "sub:cus_1:4:change");
        let kept = refusal("card_error", 402, true);
        assert_eq!(decisions.wait_after(kept).expect("goes on"), 0);
        assert_eq!(decisions.at(4).key("change"), "sub:cus_1:4:change:2");
        assert_eq!(decisions.at(5).key("change"), "sub:cus_1:5:change");
        assert!(Refusal::of(error("card_error", 402, false)).is_err());
    }

    #[test]
    fn a_key_taken_by_another_request_is_retried_before_the_next_is_used() {
        let mut decisions = Decisions::new("cus_1");
        let mut waits = Vec::new();
        while decisions.at(0).key("x") == "sub:cus_1:0:x" {
            waits.push(
                decisions
                    .wait_after(refusal("idempotency_error", 400, false))
                    .expect("goes on"),
            );
        }
        assert_eq!(waits, [0, 1, 2, 4, 8, 0]);
        assert_eq!(decisions.at(0).key("x"), "sub:cus_1:0:x:2");
        assert_eq!(decisions.at(1).key("x"), "sub:cus_1:1:x");
    }

    #[test]
    fn a_request_gives_up_after_the_last_attempt() {
        let mut decisions = Decisions::new("cus_1");
        let mut made = 0;
        let given_up = loop {
            decisions.at(0);
            made += 1;
            if let Err(error) = decisions.wait_after(refusal("card_error", 402, true)) {
                break error;
            }
        };
        assert_eq!((made, given_up.is_replayed()), (MAX_DECISIONS, true));
    }
}
