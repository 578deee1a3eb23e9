//! The memory that request bodies take. It is limited in all, and shared by callers and addresses as slots are.

use super::{Admission, AdmissionError, AdmissionLimits, FAIR_FACTOR, Request, locked};

impl AdmissionLimits {
    /// Whether a caller or an address whose bodies take `taken` bytes may have `more` of the `left` ones.
    fn has_bytes(self, taken: usize, more: usize, left: usize) -> bool {
        let after = left.checked_sub(more);
        after.is_some_and(|after| {
            taken == 0 || self.is_for_one() || taken + more <= after.saturating_mul(FAIR_FACTOR)
        })
    }
}

impl Admission {
    /// The memory for this request's body, empty at first.
    pub fn buffer(&self) -> BodyBuffer {
        BodyBuffer {
            admission: self.clone(),
            bytes: 0,
        }
    }
}

/// Memory that is counted for a request body until this is dropped.
#[derive(Debug)]
pub struct BodyBuffer {
    admission: Admission,
    bytes: usize,
}

impl BodyBuffer {
    /// Counts `bytes` for the body, unless as many are counted already.
    pub fn grow_to(&mut self, bytes: usize) -> Result<(), AdmissionError> {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 {
            return Ok(());
        }
        let Request {
            slots,
            caller,
            peer,
            limits,
            ..
        } = &*self.admission.0;
        let mut of_caller = locked(&caller.0);
        let mut of_server = locked(&slots.counts);
        let left = limits.bytes.saturating_sub(of_server.all.bytes);
        let of_peer = of_server.of_peer(*peer).bytes;
        let is_fair = |taken| limits.has_bytes(taken, more, left);
        if !is_fair(of_caller.all.bytes) || !is_fair(of_peer) {
            return Err(AdmissionError::Bytes);
        }
        of_server.change(*peer, |counts| counts.bytes += more);
        of_caller.all.bytes += more;
        self.bytes += more;
        Ok(())
    }
}

impl Drop for BodyBuffer {
    fn drop(&mut self) {
        let Request {
            slots,
            caller,
            peer,
            ..
        } = &*self.admission.0;
        locked(&caller.0).all.bytes -= self.bytes;
        locked(&slots.counts).change(*peer, |counts| counts.bytes -= self.bytes);
    }
}
