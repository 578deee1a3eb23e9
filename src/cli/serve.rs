//! `tier serve`: the API, over the real Stripe or over a sandbox of its own.

use anyhow::Context as _;

use super::sandbox::{Embedded, bind};
use super::{Global, output};
use crate::api::{self, App, Keys};
use crate::clock::Clock;
use crate::config::{self, Environment};
use crate::domain::Domain;
use crate::server;
use crate::stripe::{Client, Credentials, Options, Transport};

/// The key that the built-in sandbox is used with; any test key would do.
const SANDBOX_KEY: &str = "sk_test_sandbox";

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
    let domain = if let Some(sandbox) = &sandbox {
        domain(environment, sandbox.url(), SANDBOX_KEY, "sandbox")?
    } else {
        let key = config::stripe_key(global.live)?;
        let stripe = &environment.stripe_base_url;
        domain(environment, stripe, &key.secret, &key.source)?
    };
    let mut app = App::new(domain);
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

/// The account that `key` opens at the Stripe of `base_url`.
fn domain(
    environment: &Environment,
    base_url: &str,
    key: &str,
    key_source: &str,
) -> anyhow::Result<Domain> {
    let transport = Transport::new(Options {
        base_url: base_url.to_owned(),
        debug: environment.stripe_debug,
        ..Options::default()
    });
    let transport = transport.context("cannot call Stripe")?;
    let credentials = Credentials {
        key_prefix: Some(environment.key_prefix.clone()).filter(|prefix| !prefix.is_empty()),
        ..Credentials::new(key)
    };
    let stripe = Client::new(transport, credentials);
    Ok(Domain::new(stripe, Clock::system(), key_source))
}
