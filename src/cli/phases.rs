//! `tier phases`: an org's past, current and future phases.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::{Context, output};
use clock::Clock;

/// Arguments of `tier phases`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The current phase is marked with *. A phase without features is the end of the subscription.

Examples:
  tier phases org:acme")]
pub(super) struct PhasesArgs {
    /// The org, as org:NAME
    org: String,
}

#[derive(Deserialize)]
struct Phases {
    phases: Vec<Phase>,
}

#[derive(Deserialize)]
struct Phase {
    #[serde(default)]
    features: Vec<String>,
    #[serde(default)]
    trial: bool,
    effective: DateTime<Utc>,
    #[serde(default)]
    end: Option<DateTime<Utc>>,
}

impl Phase {
    fn is_current(&self, now: DateTime<Utc>) -> bool {
        self.effective <= now && self.end.is_none_or(|end| now < end)
    }

    fn rows(&self, now: DateTime<Utc>) -> Vec<Vec<String>> {
        let marker = if self.is_current(now) { "*" } else { "" };
        let trial = if self.trial { " (trial)" } else { "" };
        let end = self.end.map_or("-".to_owned(), shown);
        let row = |feature: &str, plan: &str| {
            let effective = shown(self.effective);
            let plan = format!("{plan}{trial}");
            vec![
                marker.to_owned(),
                effective,
                end.clone(),
                feature.to_owned(),
                plan,
            ]
        };
        if self.features.is_empty() {
            return vec![row("-", "-")];
        }
        self.features
            .iter()
            .map(|name| output::feature_and_plan(name))
            .map(|(feature, plan)| row(feature, plan))
            .collect()
    }
}

fn shown(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A table of all phases.
pub(super) async fn run(context: &Context, arguments: &PhasesArgs) -> anyhow::Result<()> {
    let client = context.client().await?;
    let answer = client.get("/v1/phases", &[("org", &arguments.org)]).await?;
    if context.global.json {
        return output::bytes(&answer.body);
    }
    let now = Clock::system().now();
    let phases: Phases = answer.decode()?;
    let rows = phases.phases.iter().flat_map(|phase| phase.rows(now));
    // The first column has the marker of the current phase, and no heading.
    output::table(" EFFECTIVE END FEATURE PLAN", rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_is_current_until_it_ends() {
        let phase: Phase = serde_json::from_str(
            r#"{"features":["feature:x@plan:p@1"],"trial":true,"effective":"2023-01-01T00:00:00Z","end":"2023-02-01T00:00:00Z"}"#,
        )
        .unwrap();
        let at = |time: &str| phase.is_current(time.parse().unwrap());
        assert!(at("2023-01-01T00:00:00Z") && at("2023-01-31T23:59:59Z"));
        assert!(!at("2022-12-31T23:59:59Z") && !at("2023-02-01T00:00:00Z"));
        let rows = phase.rows("2023-01-15T00:00:00Z".parse().unwrap());
        assert_eq!(
            rows,
            [[
                "*",
                "2023-01-01T00:00:00Z",
                "2023-02-01T00:00:00Z",
                "feature:x",
                "plan:p@1 (trial)"
            ]]
        );
    }
}
