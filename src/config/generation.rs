//! The setting `--stripe-generation`.

use clap::ValueEnum;

/// How usage of the metered features that a push creates is sent to Stripe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum StripeGeneration {
    /// As for the account's newest metered price. If there is none, as events of billing meters if the server has a
    /// ledger or Stripe refuses usage records, and as usage records otherwise
    #[default]
    Auto,
    /// As usage records, as Stripe had them in 2022
    Classic,
    /// As events of billing meters
    Meters,
}
