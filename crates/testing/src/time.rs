//! How tests deal with time: they wait for what happens, however long it takes, or hold tokio's time still.

use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Long enough for whatever has to happen, on a machine that does ten other things.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Asks again and again, until there is an answer.
pub async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        tokio::task::yield_now().await;
    }
}

/// Tokio's time in this test's runtime stands still from now on, and moves by [`tokio::time::advance`] only.
#[must_use = "time goes from timer to timer once this is dropped"]
pub fn hold_time() -> HeldTime {
    tokio::time::pause();
    let (held, released) = mpsc::channel();
    // A paused clock goes to the next timer when nothing else is to do; not while a blocking task runs.
    tokio::task::spawn_blocking(move || released.recv());
    HeldTime { _held: held }
}

/// See [`hold_time`].
pub struct HeldTime {
    _held: mpsc::Sender<()>,
}
