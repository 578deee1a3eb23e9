//! Identical reads in flight are one call. A read that began before a write ended is never shared
//! with one that began after it: whoever was told that a write is done sees it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};

use super::Error;

/// The body of an answer, or why there is none.
type Answer = Result<Arc<[u8]>, Error>;

/// A read that several may wait for.
type Read = Shared<BoxFuture<'static, Answer>>;

/// Reads are the same if no write ended between them and they ask the same.
type Key = (u64, String);

/// The reads of one account that are in flight.
#[derive(Debug, Default)]
pub(super) struct Reads {
    /// How many writes have ended. Part of each read's name.
    writes: AtomicU64,
    in_flight: Mutex<HashMap<Key, Read>>,
}

impl Reads {
    /// Answers as `read` does, or as one of the same name that is in flight does.
    pub(super) async fn share(
        &self,
        name: String,
        read: impl Future<Output = Result<Vec<u8>, Error>> + Send + 'static,
    ) -> Answer {
        let key = (self.writes.load(Ordering::Acquire), name);
        let shared = {
            let mut in_flight = self
                .in_flight
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if let Some(shared) = in_flight.get(&key) {
                shared.clone()
            } else {
                let shared = read.map(|body| body.map(Arc::from)).boxed().shared();
                in_flight.insert(key.clone(), shared.clone());
                shared
            }
        };
        let _entry = Entry {
            reads: self,
            key: &key,
            shared: &shared,
        };
        shared.clone().await
    }

    /// A write that is under way, until what this returns is dropped: successful, refused, or given up.
    pub(super) fn writing(&self) -> Writing<'_> {
        Writing(self)
    }
}

/// A write. When it is dropped, the reads that began before are shared with nobody who comes after.
pub(super) struct Writing<'a>(&'a Reads);

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.0.writes.fetch_add(1, Ordering::AcqRel);
    }
}

/// A reader's interest in a read. The first to leave takes it off the list: it has its answer, or
/// gave up, and then the others still drive it but no newcomer joins.
struct Entry<'a> {
    reads: &'a Reads,
    key: &'a Key,
    shared: &'a Read,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let mut in_flight = self
            .reads
            .in_flight
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if in_flight
            .get(self.key)
            .is_some_and(|listed| listed.ptr_eq(self.shared))
        {
            in_flight.remove(self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// A read that counts how often it is made and ends when told to.
    fn read(
        made: &Arc<AtomicUsize>,
        end: &Arc<tokio::sync::Notify>,
    ) -> impl Future<Output = Result<Vec<u8>, Error>> + Send + 'static {
        let (made, end) = (made.clone(), end.clone());
        async move {
            made.fetch_add(1, Ordering::SeqCst);
            end.notified().await;
            Ok(b"body".to_vec())
        }
    }

    #[tokio::test]
    async fn readers_share_until_a_write_ends() {
        let (reads, made, end) = (Reads::default(), Arc::default(), Arc::default());
        let share = || reads.share("/v1/x".into(), read(&made, &end));
        let (mut first, mut second) = (Box::pin(share()), Box::pin(share()));
        assert!(futures::poll!(&mut first).is_pending());
        assert!(futures::poll!(&mut second).is_pending());
        assert_eq!(made.load(Ordering::SeqCst), 1);
        drop(reads.writing());
        let mut third = Box::pin(share());
        assert!(futures::poll!(&mut third).is_pending());
        assert_eq!(
            made.load(Ordering::SeqCst),
            2,
            "it must see what was written"
        );
        end.notify_waiters();
        for reader in [first, second, third] {
            assert_eq!(&*reader.await.expect("an answer"), b"body");
        }
        assert!(reads.in_flight.lock().expect("not poisoned").is_empty());
    }

    #[tokio::test]
    async fn a_reader_that_gives_up_does_not_take_the_read_with_it() {
        let (reads, made, end) = (Reads::default(), Arc::default(), Arc::default());
        let share = || reads.share("/v1/x".into(), read(&made, &end));
        let (mut first, mut second) = (Box::pin(share()), Box::pin(share()));
        assert!(futures::poll!(&mut first).is_pending());
        assert!(futures::poll!(&mut second).is_pending());
        drop(first);
        end.notify_waiters();
        assert!(second.await.is_ok());
        assert_eq!(made.load(Ordering::SeqCst), 1);
    }
}
