//! Idempotency keys. The first answer is kept for a day and repeated unchanged.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::error::{Error, Result};

/// How long an answer is kept, in seconds.
const KEPT: i64 = 24 * 60 * 60;

const MAX_KEY_CHARS: usize = 255;

/// The keys of one account.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    entries: HashMap<Arc<str>, Entry>,
    /// The keys by age.
    ages: VecDeque<(i64, Arc<str>)>,
}

#[derive(Debug)]
struct Entry {
    fingerprint: u64,
    at: i64,
    /// `None` while the first request is running.
    answer: Option<KeptAnswer>,
}

/// A kept answer.
#[derive(Clone, Debug)]
pub(crate) struct KeptAnswer {
    pub(crate) status: u16,
    pub(crate) body: Arc<str>,
}

impl Keys {
    /// Begins a request with a key. Returns the answer to repeat, or `None`; the caller must then call
    /// [`keep`](Self::keep) or [`release`](Self::release). `fingerprint` represents the path and parameters.
    pub(crate) fn begin(
        &mut self,
        key: &str,
        fingerprint: u64,
        now: i64,
    ) -> Result<Option<KeptAnswer>> {
        if key.chars().count() > MAX_KEY_CHARS {
            return Err(refused(format!(
                "Idempotency keys are at most {MAX_KEY_CHARS} characters long."
            )));
        }
        self.forget_until(now - KEPT);
        if let Some(entry) = self.entries.get(key) {
            if entry.fingerprint != fingerprint {
                return Err(refused(format!(
                    "Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a key other than '{key}' if you meant to execute a different request."
                )));
            }
            return match &entry.answer {
                Some(kept) => Ok(Some(kept.clone())),
                None => Err(Error::invalid(format!(
                    "There is currently another in-progress request using this Idempotent Key (that probably means you submitted twice, and the other request is still going through): {key}. Please try again later."
                ))
                .code("idempotency_key_in_use")
                .status(409)),
            };
        }
        let key: Arc<str> = key.into();
        self.ages.push_back((now, key.clone()));
        let entry = Entry {
            fingerprint,
            at: now,
            answer: None,
        };
        self.entries.insert(key, entry);
        Ok(None)
    }

    /// Keeps the answer of a request that was executed.
    pub(crate) fn keep(&mut self, key: &str, answer: KeptAnswer) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.answer = Some(answer);
        }
    }

    /// Frees the key of a request that was not executed.
    pub(crate) fn release(&mut self, key: &str) {
        self.entries.remove(key);
    }

    fn forget_until(&mut self, then: i64) {
        while let Some((at, key)) = self.ages.front() {
            if *at > then {
                return;
            }
            if self.entries.get(key).is_some_and(|entry| entry.at == *at) {
                self.entries.remove(key);
            }
            self.ages.pop_front();
        }
    }
}

fn refused(message: String) -> Error {
    Error::invalid(message)
        .kind("idempotency_error")
        .before_execution()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> KeptAnswer {
        KeptAnswer {
            status: 200,
            body: "{}".into(),
        }
    }

    #[test]
    fn the_first_answer_is_given_again_for_a_day() {
        let mut keys = Keys::default();
        assert!(keys.begin("k", 1, 0).expect("new").is_none());
        let running = keys.begin("k", 1, 0).expect_err("in use");
        assert_eq!(
            (running.status, running.code),
            (409, Some("idempotency_key_in_use"))
        );
        keys.keep("k", kept());
        assert!(keys.begin("k", 1, KEPT - 1).expect("kept").is_some());
        let other = keys.begin("k", 2, 0).expect_err("other parameters");
        assert_eq!((other.status, other.kind), (400, "idempotency_error"));
        assert!(keys.begin("k", 2, KEPT).expect("forgotten").is_none());
    }

    #[test]
    fn a_request_that_never_began_frees_its_key() {
        let mut keys = Keys::default();
        assert!(keys.begin("k", 1, 0).expect("new").is_none());
        keys.release("k");
        assert!(keys.begin("k", 2, 0).expect("free").is_none());
        assert!(keys.begin(&"k".repeat(256), 1, 0).is_err());
    }
}
