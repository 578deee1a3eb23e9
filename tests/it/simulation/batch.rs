//! Several reports in one request, which is one commit of a ledger.

use std::iter;

use serde_json::{Value, json};

use super::calls::body;
use super::model::Verdict;
use super::ops::Request;
use super::run::{Outcome, Run};
use super::sent::{History, Sent};

/// A report and its idempotency key.
type Keyed = (Request, Option<String>);

impl Run<'_> {
    pub(super) async fn batch(&mut self, org: u8, reports: [Request; 3]) -> Outcome {
        for request in reports {
            if self.prepare(org, request).await?.is_none() {
                return Ok(());
            }
        }
        let mut keyed: Vec<Keyed> = Vec::new();
        for request in reports {
            // Two equal reports are one report that was sent twice.
            let same = keyed.iter().find(|(other, _)| *other == request);
            let key = same.map(|(_, key)| key.clone());
            let key = key.unwrap_or_else(|| self.key(request));
            keyed.push((request, key));
        }
        self.arm_faults();
        let mut sent = self.send_batch(org, &keyed).await?;
        self.settle().await;
        self.clear_faults();
        keyed.retain(|(_, key)| key.is_some());
        sent.extend(self.send_batch(org, &keyed).await?);
        self.judge(org, &sent).await
    }

    async fn send_batch(&self, org: u8, reports: &[Keyed]) -> Outcome<Vec<Sent>> {
        if reports.is_empty() {
            return Ok(Vec::new());
        }
        let bodies = reports.iter().map(|(request, key)| {
            let (_, mut body) = body(*request, &self.name(org), self.now, &[]);
            body["key"] = json!(key);
            body
        });
        let bodies: Vec<Value> = bodies.collect();
        let request = json!({"reports": bodies});
        let server = self.world.server(0);
        let answer = server.post_json("/v1/reports", &request).await;
        let requests = reports.iter().map(|(request, _)| *request);
        if answer.status != 200 {
            return requests.map(|one| self.sent(one, &answer)).collect();
        }
        let answer = answer.json();
        let results = answer["results"].as_array().ok_or("no results")?;
        let sent = iter::zip(requests, results).map(|(request, result)| {
            let told = match result["code"].as_str() {
                None => Some(Verdict::Done),
                Some("org_not_found") => Some(Verdict::NoOrg),
                Some("feature_not_found") => Some(Verdict::NotFound),
                Some("invalid_request") => Some(Verdict::Invalid),
                Some(_) if self.faulty => None,
                Some(_) => return Err(format!("{request:?} is answered {result}")),
            };
            Ok(Sent { request, told })
        });
        sent.collect()
    }

    async fn judge(&mut self, org: u8, sent: &[Sent]) -> Outcome {
        self.judge_at(org, sent, self.now).await
    }

    /// Compares the org with the model after requests that count in the order of `sent`, at the time `now`.
    pub(super) async fn judge_at(&mut self, org: u8, sent: &[Sent], now: i64) -> Outcome {
        let known = &mut self.orgs[usize::from(org)];
        let history = History {
            at_once: &[],
            after: sent,
            apart: false,
            now,
            period: known.period,
        };
        known.states = history.outcomes_of(&known.states)?;
        let seen = self.look(org, 0).await?;
        let compared = self.compare(org, &seen).await;
        compared.map_err(|reason| format!("told {sent:?}: {reason}"))
    }
}
