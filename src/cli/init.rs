//! `tier init`: writes a first pricing.json.

use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::ValueEnum;

use super::{Context, output};

/// Arguments of `tier init`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tier init                            a free and a paid plan, in pricing.json
  tier init seats
  tier init ai -o plans/pricing.json")]
pub(super) struct Init {
    /// The template
    #[arg(value_enum, default_value_t = Template::Starter)]
    template: Template,

    /// The file to write; an existing file is not overwritten
    #[arg(short, long, value_name = "FILE", default_value = "pricing.json")]
    output: PathBuf,
}

/// A template.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Template {
    /// A free plan, and a paid one with an allowance
    Starter,
    /// A price for each seat
    Seats,
    /// Pay for what is used
    Usage,
    /// Tokens of a language model
    Ai,
}

impl Template {
    fn text(self) -> &'static str {
        match self {
            Self::Starter => include_str!("templates/starter.json"),
            Self::Seats => include_str!("templates/seats.json"),
            Self::Usage => include_str!("templates/usage.json"),
            Self::Ai => include_str!("templates/ai.json"),
        }
    }
}

/// Writes the template into a new file.
pub(super) fn run(context: &Context, arguments: &Init) -> anyhow::Result<()> {
    let path = &arguments.output;
    let mut file = match std::fs::File::create_new(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => anyhow::bail!(
            "{} exists already, and was not changed; -o names another file",
            path.display()
        ),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot write {}", path.display()));
        }
    };
    let written = file.write_all(arguments.template.text().as_bytes());
    written.with_context(|| format!("cannot write {}", path.display()))?;
    let path = path.display();
    if context.global.json {
        return output::json(&serde_json::json!({ "file": path.to_string() }));
    }
    output::done(format_args!(
        "wrote {path}; `tier validate {path}` checks it, `tier push {path}` writes it to Stripe"
    ))
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::Template;
    use crate::domain::pricing::Model;

    #[test]
    fn every_template_is_a_valid_model() {
        for template in Template::value_variants() {
            let model = Model::parse(template.text());
            let model = model.unwrap_or_else(|faults| panic!("{template:?}: {faults}"));
            assert!(!model.plans.is_empty(), "{template:?}");
        }
    }
}
