//! Runs the real binary, and checks its output and its exit codes.

mod accounts;
mod clocks;
mod connect;
mod dev;
mod docs;
mod doctor;
mod init;
mod keys;
mod ledger;
mod links;
mod listen;
mod meters;
mod models;
mod orgs;
mod plans;
mod servers;
mod terminal;
mod usage;
mod web;
mod webhooks;
mod wrong;

use crate::binary::{KEY, Place, TIER, shows_a_key};
use crate::web::Web;

/// Two plans, one with a price of zero.
const PRICING: &str = r#"{
  "plans": {
    "plan:free@1": {
      "features": {
        "feature:convert": { "tiers": [{ "upto": 10 }] }, // ten are free
      },
    },
    "plan:pro@1": {
      "title": "Pro",
      "features": {
        "feature:base": { "base": 1000 },
        "feature:convert": { "tiers": [{ "upto": 100 }, { "price": 0.5 }], "mode": "volume", "aggregate": "max" },
      },
    },
  },
}
"#;

impl Place {
    /// A place with [`PRICING`] in a file, already pushed.
    async fn pushed() -> Self {
        let place = Self::start().await;
        place.write("pricing.json", PRICING);
        place.tier(&["push", "pricing.json"]).ok().await;
        place
    }
}

/// The JSON in a text.
fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The rows of a table, as columns without padding.
fn cells(table: &str) -> Vec<Vec<&str>> {
    table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect()
}
