//! Time in tests: waiting for events without a fixed delay, and pausing tokio's time.

use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Long enough for any event in a test, also on an overloaded machine.
pub const TIMEOUT: Duration = Duration::from_secs(120);

/// Polls `ask` until it returns a value. `what` describes the event in the panic after [`TIMEOUT`].
pub async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(start.elapsed() < TIMEOUT, "never: {what}");
        tokio::task::yield_now().await;
    }
}

/// Pauses tokio's time in this test's runtime. From then on only [`tokio::time::advance`] moves it.
#[must_use = "time goes from timer to timer once this is dropped"]
pub fn hold_time() -> HeldTime {
    tokio::time::pause();
    let (held, released) = mpsc::channel();
    // A paused clock jumps to the next timer when the runtime is idle, but not while a blocking task runs.
    tokio::task::spawn_blocking(move || released.recv());
    HeldTime { _held: held }
}

/// See [`hold_time`].
pub struct HeldTime {
    _held: mpsc::Sender<()>,
}
