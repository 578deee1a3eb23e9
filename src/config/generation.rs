//! The setting `--stripe-generation`.

use clap::ValueEnum;

/// How Stripe learns of the usage of the metered features that a push creates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum StripeGeneration {
    /// As for the account's newest metered price. If it has none, by meters if the server has a ledger or Stripe refuses
    /// usage records, else by usage records
    #[default]
    Auto,
    /// By usage records, as Stripe had them in 2022
    Classic,
    /// By the events of billing meters
    Meters,
}
