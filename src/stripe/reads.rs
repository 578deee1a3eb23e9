//! Identical reads in flight share one call. A read that began before a write ended is never shared with one that
//! begins after it, so a client that knows of the end of a write sees its effect.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::{Client, Error, Flights};

/// The body of an answer, or the error.
type Answer = Result<Arc<[u8]>, Error>;

/// The reads of one account that are in flight.
#[derive(Debug, Default)]
pub(super) struct Reads {
    /// The number of ended writes. Equal reads are shared if no write ended between them.
    writes: AtomicU64,
    /// The number of ended writes with any key of the account.
    shared_writes: OnceLock<Arc<AtomicU64>>,
    in_flight: Flights<(u64, String), Answer>,
}

impl Reads {
    /// Runs `read`, or waits for an identical one in flight.
    pub(super) async fn share<F>(
        &self,
        name: String,
        client: &Client,
        read: impl FnOnce(Client) -> F,
    ) -> Answer
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let key = (self.writes(), name);
        self.in_flight.share(key, client, read).await
    }

    /// Counts writes with the account's other keys too, from now on.
    pub(super) fn share_writes(&self, all: Arc<AtomicU64>) {
        // A key never changes its account, so the first assignment stays.
        let _ = self.shared_writes.set(all);
    }

    fn writes(&self) -> u64 {
        let shared = self.shared_writes.get();
        let shared = shared.map_or(0, |shared| shared.load(Ordering::Acquire));
        self.writes.load(Ordering::Acquire) + shared
    }

    /// Begins a write. It ends when the guard is dropped, whether it succeeded, was refused, or was abandoned.
    pub(super) fn writing(&self) -> Writing<'_> {
        Writing(self)
    }
}

/// A write in flight. After it is dropped, reads that began before are not shared with later ones.
pub(super) struct Writing<'a>(&'a Reads);

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        let shared = self.0.shared_writes.get();
        let counter = shared.map_or(&self.0.writes, |shared| &**shared);
        counter.fetch_add(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::stripe::{ApiVersion, Credentials, Options, Transport};

    fn client() -> Client {
        let transport = Transport::new(Options::default()).expect("a URL");
        Client::new(transport, Credentials::new("sk_test_x"))
    }

    /// A read that counts its runs and ends on request.
    fn read(
        made: &Arc<AtomicUsize>,
        end: &Arc<tokio::sync::Notify>,
    ) -> impl Future<Output = Answer> + Send + 'static {
        let (made, end) = (made.clone(), end.clone());
        async move {
            made.fetch_add(1, Ordering::SeqCst);
            end.notified().await;
            Ok(Arc::from(*b"body"))
        }
    }

    #[tokio::test]
    async fn readers_share_until_a_write_ends() {
        let (reads, made, end) = (Reads::default(), Arc::default(), Arc::default());
        let client = client();
        let share = || reads.share("/v1/x".into(), &client, |_| read(&made, &end));
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
        assert!(reads.in_flight.is_empty());
    }

    #[tokio::test]
    async fn a_reader_that_gives_up_does_not_cancel_the_shared_read() {
        let (reads, made, end) = (Reads::default(), Arc::default(), Arc::default());
        let client = client();
        let share = || reads.share("/v1/x".into(), &client, |_| read(&made, &end));
        let (mut first, mut second) = (Box::pin(share()), Box::pin(share()));
        assert!(futures::poll!(&mut first).is_pending());
        assert!(futures::poll!(&mut second).is_pending());
        drop(first);
        end.notify_waiters();
        assert!(second.await.is_ok());
        assert_eq!(made.load(Ordering::SeqCst), 1);
    }

    /// The write may have had its effect.
    #[tokio::test]
    async fn a_write_cut_short_by_its_deadline_counts_as_ended() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let silent = silent.expect("a port");
        let address = silent.local_addr().expect("an address");
        let options = Options {
            base_url: format!("http://{address}"),
            deadline: std::time::Duration::from_millis(10),
            ..Options::default()
        };
        let transport = Transport::new(options).expect("a URL");
        let client = Client::new(transport, Credentials::new("sk_test_x"));
        let before = client.key_state.reads.writes();
        let cut = client
            .post(ApiVersion("2022-11-15"), "/v1/x")
            .send::<serde_json::Value>()
            .await;
        assert!(matches!(cut, Err(Error::Timeout(_))), "{cut:?}");
        assert_eq!(client.key_state.reads.writes(), before + 1);
    }
}
