//! Sandboxes on loopback ports whose answers are [recorded](crate::answers).

use std::ops::Deref;

use stripe_sandbox::{Options, Running, Sandbox};

use crate::answers;

/// A sandbox on a loopback port whose answers are recorded. Dropping it also records its events.
pub struct Observed(Running);

/// Starts a sandbox on a loopback port.
pub async fn start(options: Options) -> Observed {
    let running = Sandbox::start_with(options, answers::watch).await;
    Observed(running.expect("a loopback port"))
}

impl Deref for Observed {
    type Target = Running;

    fn deref(&self) -> &Running {
        &self.0
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        answers::keep_events(self.0.sandbox());
    }
}
