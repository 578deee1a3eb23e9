//! Reservations grant usage in advance, so that concurrent requests do not exceed a limit.

use std::time::Duration;

use tokio::time::Instant;

use super::LedgerHandle;
use super::change::MAX_WAIT;
use crate::domain::pricing::NO_LIMIT;
use crate::domain::refs::{FeatureName, OrgName};
use crate::domain::{Domain, Error, Result};
use crate::ledger::state::{self, Answer, Event, Refusal, ReservationState};
use crate::ledger::values::{ReservationId, Target, Time};

/// Usage to reserve.
#[derive(Clone, Debug)]
pub struct ReservationRequest {
    /// The feature, on any plan.
    pub feature: FeatureName,
    /// Units.
    pub n: i64,
    /// How long the reservation is held. It also ends with the billing period.
    pub ttl: Duration,
    /// Whether to commit the reservation at once if it is granted.
    pub commit: bool,
    /// Whether to grant the reservation even beyond the limit.
    pub ignores_limit: bool,
}

/// The result of a request for a reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReservationOutcome {
    /// The reservation, if it was granted.
    pub granted: Option<GrantedReservation>,
    /// The usage that counts against the limit now, including all reservations.
    pub used: i64,
    /// Units; [`i64::MAX`] for none.
    pub limit: i64,
}

/// A reservation that was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantedReservation {
    /// `rsv_…`.
    pub id: String,
    /// When it expires, in Unix seconds; `None` if it is already committed.
    pub expires: Option<i64>,
}

impl ReservationOutcome {
    /// The remaining units; [`i64::MAX`] if there is no limit.
    pub fn remaining(&self) -> i64 {
        match self.limit {
            NO_LIMIT => NO_LIMIT,
            limit => limit.saturating_sub(self.used).max(0),
        }
    }
}

impl Domain {
    /// Reserves usage, if the limit allows it.
    pub async fn reserve(
        &self,
        org: &OrgName,
        wanted: &ReservationRequest,
    ) -> Result<ReservationOutcome> {
        let handle = self.reserving()?;
        let deadline = Instant::now() + MAX_WAIT;
        loop {
            match self.reserve_once(handle, org, wanted).await {
                Err(Error::PlanChanging) => self.await_plan_change(handle, org, deadline).await?,
                outcome => return outcome,
            }
        }
    }

    async fn reserve_once(
        &self,
        handle: &LedgerHandle,
        org: &OrgName,
        wanted: &ReservationRequest,
    ) -> Result<ReservationOutcome> {
        if wanted.n < 1 {
            return Err(Error::Invalid("n must be 1 or more".to_owned()));
        }
        let ledger = handle.opened()?;
        let now = self.ledger_time().await?;
        let known = self.reported_org(org, &[&wanted.feature]).await?;
        let target = known.usage.target(org, &wanted.feature, now)?;
        let outside = known.usage.used_outside(ledger, org, &wanted.feature, now);
        let outside = outside.elsewhere.saturating_add(outside.unread);
        let rows = known.usage.rows();
        let row = rows.iter().find(|row| row.feature == wanted.feature);
        let limit = row.map_or(0, |row| row.limit);
        let id = format!("rsv_{}", uuid::Uuid::new_v4().simple());
        let ttl = i64::try_from(wanted.ttl.as_millis()).unwrap_or(i64::MAX);
        let event = Event::Reserve(state::Reserve {
            id: id.as_str().into(),
            target,
            n: wanted.n,
            ttl,
            on_test_clock: self.test_clock.is_some(),
            limit: Some(limit)
                .filter(|limit| *limit != NO_LIMIT && !wanted.ignores_limit)
                .map(|limit| limit.saturating_sub(outside)),
            commit: wanted.commit,
        });
        let Answer::Reserved { expires, used } =
            self.submit_reservation(handle, event, now).await?
        else {
            return Err(Error::LedgerUnavailable(
                "it gave another answer".to_owned(),
            ));
        };
        if wanted.commit && expires.is_some() {
            self.deliver_before_clock_moves(handle, org).await;
        }
        let granted = expires.map(|expires| GrantedReservation {
            id,
            expires: (!wanted.commit).then_some(expires.seconds()),
        });
        Ok(ReservationOutcome {
            granted,
            used: used.saturating_add(outside),
            limit,
        })
    }

    /// Commits `n` units of a reservation, or all, and releases the rest. Repeating the call has no further effect.
    pub async fn commit_reservation(&self, id: &str, n: Option<i64>) -> Result<()> {
        let handle = self.reserving()?;
        let now = self.ledger_time().await?;
        let (reservation, now) = self.reservation(handle, id, now).await?;
        match reservation.state {
            ReservationState::Committed(done) if n.is_none_or(|n| n == done) => return Ok(()),
            ReservationState::Held if now < reservation.expires => {}
            state => return Err(ended_error(state)),
        }
        let reserved = reservation.n;
        if n.is_some_and(|n| !(0..=reserved).contains(&n)) {
            return Err(Error::Invalid(format!(
                "n must be from 0 to {reserved}, which was reserved"
            )));
        }
        let org: OrgName = reservation.org.as_str().parse()?;
        let feature: FeatureName = reservation.feature.as_str().parse()?;
        let deadline = Instant::now() + MAX_WAIT;
        loop {
            let known = self.reported_org(&org, &[&feature]).await?;
            let target: Target = known.usage.target(&org, &feature, now)?;
            let id = reservation.id.clone();
            let commit = Event::Commit { id, n, target };
            let committed = self.submit_reservation(handle, commit, now).await;
            drop(known);
            match committed {
                Err(Error::PlanChanging) => self.await_plan_change(handle, &org, deadline).await?,
                committed => break drop(committed?),
            }
        }
        self.deliver_before_clock_moves(handle, &org).await;
        Ok(())
    }

    /// Releases a reservation. Repeating the call has no further effect.
    pub async fn release_reservation(&self, id: &str) -> Result<()> {
        let handle = self.reserving()?;
        let now = self.ledger_time().await?;
        let (reservation, now) = self.reservation(handle, id, now).await?;
        match reservation.state {
            ReservationState::Released => return Ok(()),
            ReservationState::Held if now < reservation.expires => {}
            state => return Err(ended_error(state)),
        }
        let release = Event::Release(reservation.id);
        self.submit_reservation(handle, release, now)
            .await
            .map(drop)
    }

    /// Ends expired reservations in the ledger. They stopped counting when they expired. Reservations on test clocks
    /// are ended when the org next reserves.
    pub async fn expire_reservations(&self) -> Result<()> {
        let Some(handle) = self.ledger().filter(|handle| handle.opened().is_ok()) else {
            return Ok(());
        };
        let now = Time::from_millis(self.account.clock.millis());
        self.submit_reservation(handle, Event::Expire, now)
            .await
            .map(drop)
    }

    /// The reservation with that id, held or ended, and the time to compare with its expiry.
    async fn reservation(
        &self,
        handle: &LedgerHandle,
        id: &str,
        now: Time,
    ) -> Result<(state::Reservation, Time)> {
        let id: ReservationId = id.into();
        let found = handle.opened()?.reservation(id, self.by_clock(now)).await?;
        found.ok_or_else(|| Error::Invalid("there is no such reservation".to_owned()))
    }

    fn reserving(&self) -> Result<&LedgerHandle> {
        self.needed_ledger("a reservation")
    }

    async fn submit_reservation(
        &self,
        handle: &LedgerHandle,
        event: Event,
        now: Time,
    ) -> Result<Answer> {
        let answers = handle
            .opened()?
            .submit(vec![event], self.by_clock(now))
            .await?;
        let answer = answers.into_iter().next();
        let answer = answer.ok_or_else(|| Error::LedgerUnavailable("it did not answer".into()))?;
        answer.map_err(|refusal| match refusal {
            Refusal::PlanChanged => Error::PlanChanging,
            Refusal::ReservationEnded => ended_error(ReservationState::Expired),
            Refusal::NotReservable => Error::Invalid(
                "only a feature whose usage adds up (aggregate sum) can be reserved".to_owned(),
            ),
            other => Error::Invalid(other.to_string()),
        })
    }

    /// Delivers the usage of an org on a test clock, since the next advance of the clock may end the period.
    pub(super) async fn deliver_before_clock_moves(&self, handle: &LedgerHandle, org: &OrgName) {
        if self.test_clock.is_none() {
            return;
        }
        if let Err(error) = self.deliver_org(handle, org).await {
            tracing::warn!(%error, %org, "could not deliver usage of an org on a test clock; will try again");
        }
    }
}

/// The error for a reservation that has ended, or has expired while it was held.
fn ended_error(state: ReservationState) -> Error {
    Error::ReservationEnded(match state {
        ReservationState::Committed(_) => "been committed",
        ReservationState::Released => "been released",
        ReservationState::Held | ReservationState::Expired => "expired",
    })
}
