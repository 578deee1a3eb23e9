//! `tier serve`: the API, over the real Stripe or over a sandbox of its own.

use super::sandbox::{Embedded, bind};
use super::session::Session;
use super::{Global, output};
use crate::api::{self, App, Keys};
use crate::config::{self, Environment};
use crate::server;

/// Serves until a signal ends it.
pub(super) async fn run(
    global: &Global,
    settings: &config::Serve,
    environment: &Environment,
) -> anyhow::Result<()> {
    let stop = server::stop_signal()?;
    let sandbox = if global.sandbox {
        Some(Embedded::start(settings).await?)
    } else {
        None
    };
    let session = match &sandbox {
        // Nothing has been in it before, so `tier.state` names nothing there.
        Some(sandbox) => Session::of_sandbox(environment, sandbox.url())?,
        None => Session::open(global, environment).await?,
    };
    let mut app = App::new(session.domain());
    app.keys = Keys::new(&environment.api_keys);
    app.limits.body = settings.max_body;

    let listener = bind(&settings.addr).await?;
    output::line(format_args!("listening on {}", listener.local_addr()?))?;
    server::serve(listener, api::router(app), stop).await;
    if let Some(sandbox) = sandbox {
        sandbox.stop().await;
    }
    Ok(())
}
