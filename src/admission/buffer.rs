//! The memory that request bodies take: bounded in all, and shared by callers and addresses as places are.

use super::{Admission, Bounds, Refused, Request, SHARE, locked};

impl Bounds {
    /// Whether a caller, or an address, whose bodies have `taken` bytes may have `more` of those `left` in the server.
    fn has_bytes(self, taken: usize, more: usize, left: usize) -> bool {
        let after = left.checked_sub(more);
        after.is_some_and(|after| {
            taken == 0 || self.is_for_one() || taken + more <= after.saturating_mul(SHARE)
        })
    }
}

impl Admission {
    /// Room in memory for a body, of which nothing is there yet.
    pub fn buffer(&self) -> Buffer {
        Buffer {
            admission: self.clone(),
            bytes: 0,
        }
    }
}

/// Room in memory that a body takes until this is dropped.
#[derive(Debug)]
pub struct Buffer {
    admission: Admission,
    bytes: usize,
}

impl Buffer {
    /// Makes the room as large as `bytes`, if it is smaller.
    pub fn grow_to(&mut self, bytes: usize) -> Result<(), Refused> {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 {
            return Ok(());
        }
        let Request {
            places,
            share,
            peer,
            bounds,
            ..
        } = &*self.admission.0;
        let mut callers = locked(&share.0);
        let mut servers = locked(&places.taken);
        let left = bounds.bytes.saturating_sub(servers.all.bytes);
        let of_peer = servers.of_peer(*peer).bytes;
        let is_fair = |taken| bounds.has_bytes(taken, more, left);
        if !is_fair(callers.all.bytes) || !is_fair(of_peer) {
            return Err(Refused::Bytes);
        }
        servers.change(*peer, |taken| taken.bytes += more);
        callers.all.bytes += more;
        self.bytes += more;
        Ok(())
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let Request {
            places,
            share,
            peer,
            ..
        } = &*self.admission.0;
        locked(&share.0).all.bytes -= self.bytes;
        locked(&places.taken).change(*peer, |taken| taken.bytes -= self.bytes);
    }
}
