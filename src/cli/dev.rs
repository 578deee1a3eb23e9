//! `tier dev`: a server with its sandbox, and a model that is pushed whenever its file changes.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::document::Source;
use super::error::usage;
use super::serve::Purpose;
use super::{Global, output, push, serve};
use crate::background::Tasks;
use crate::config::{self, Environment};
use crate::domain::{Domain, Memory, PushOutcome};
use stripe_sandbox::Sandbox;

/// How often the file is checked.
const CHECK_EVERY: Duration = Duration::from_millis(300);

/// Arguments of `tier dev`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tier init && tier dev
  tier dev plans/pricing.json --addr :8080

Like `tier serve --sandbox`, and also pushes FILE now and whenever it changes. A plan that changed without a new version cannot be \
pushed over the old one, so the sandbox is then reset, and its orgs are lost.")]
pub(super) struct Dev {
    /// The model
    #[arg(value_name = "FILE", default_value = "pricing.json")]
    model: PathBuf,

    #[command(flatten)]
    settings: config::Serve,
}

/// Serves until a signal stops it.
pub(super) async fn run(
    global: &Global,
    arguments: &Dev,
    environment: &Environment,
) -> anyhow::Result<()> {
    if arguments.settings.cloud || arguments.settings.ledger()?.is_some() {
        return Err(usage(
            "dev",
            "its sandbox may be reset: leave out --cloud and --ledger, or use `tier serve --sandbox`",
        ));
    }
    let global = Global {
        sandbox: true,
        ..global.clone()
    };
    let model = WatchedModel::new(arguments.model.clone());
    serve::run_for(
        &global,
        &arguments.settings,
        environment,
        Purpose::Dev(model),
    )
    .await
}

/// A file with a model, and its contents when it was last read.
#[derive(Clone)]
pub(super) struct WatchedModel {
    file: PathBuf,
    last: Arc<Mutex<Option<Contents>>>,
}

#[derive(PartialEq, Eq)]
enum Contents {
    Missing,
    Text(Vec<u8>),
}

impl WatchedModel {
    fn new(file: PathBuf) -> Self {
        Self {
            file,
            last: Arc::default(),
        }
    }

    /// Pushes the model into the sandbox now, and whenever the file changes.
    pub(super) fn push_on_change(
        self,
        tasks: &mut Tasks,
        domain: &Domain,
        sandbox: &Sandbox,
        memory: &Memory,
    ) {
        let (domain, sandbox, memory) = (domain.clone(), sandbox.clone(), memory.clone());
        tasks.repeat("push-model", CHECK_EVERY, move || {
            let (model, domain) = (self.clone(), domain.clone());
            let (sandbox, memory) = (sandbox.clone(), memory.clone());
            async move {
                let reset = || {
                    sandbox.reset();
                    memory.clear();
                };
                model.push_if_changed(&domain, reset).await
            }
        });
    }

    /// Pushes the model if the file changed since it was last read. `reset` empties the sandbox.
    ///
    /// # Errors
    /// If the sandbox cannot be called. The next check tries again.
    async fn push_if_changed(&self, domain: &Domain, reset: impl Fn()) -> anyhow::Result<()> {
        let name = self.file.display();
        let now = match tokio::fs::read(&self.file).await {
            Ok(text) => Contents::Text(text),
            Err(error) if error.kind() == ErrorKind::NotFound => Contents::Missing,
            Err(error) => return Err(error.into()),
        };
        let mut last = self.last.lock().await;
        if last.as_ref() == Some(&now) {
            return Ok(());
        }
        match &now {
            Contents::Missing => output::note(format_args!(
                "{name} does not exist: `tier init -o {name}` writes one, which is then pushed"
            )),
            Contents::Text(_) => self.push(domain, reset).await?,
        }
        *last = Some(now);
        Ok(())
    }

    /// Pushes the file's model, or prints its faults.
    async fn push(&self, domain: &Domain, reset: impl Fn()) -> anyhow::Result<()> {
        let document = Source::File(self.file.clone()).read().await?;
        let model = match document.model() {
            Ok(model) => model,
            Err(faults) => {
                output::fault(&faults);
                return Ok(());
            }
        };
        let name = self.file.display();
        let mut results = domain.push(&model, |_| {}).await?;
        let differs = results.iter().any(|result| {
            matches!(
                result.outcome,
                PushOutcome::Differs | PushOutcome::PlanDiffers
            )
        });
        if differs {
            reset();
            output::note(format_args!(
                "a plan in {name} changed without a new version: the sandbox is reset, without orgs"
            ));
            results = domain.push(&model, |_| {}).await?;
        }
        for result in results.iter().filter(|result| !result.outcome.is_ok()) {
            output::note(format_args!(
                "{}: {}",
                result.feature,
                result.outcome.reason()
            ));
        }
        let created = results
            .iter()
            .filter(|result| result.outcome == PushOutcome::Created);
        output::note(format_args!(
            "pushed {name}: {}",
            push::summary(results.len(), created.count())
        ));
        Ok(())
    }
}
