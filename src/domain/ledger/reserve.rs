//! Reservations: usage that is allowed before it happens, so that many at once do not exceed a limit.

use std::time::Duration;

use super::LedgerHandle;
use crate::domain::pricing::NO_LIMIT;
use crate::domain::refs::{FeatureName, OrgName};
use crate::domain::{Domain, Error, Result};
use crate::ledger::state::{self, Answer, Event, Refusal, ReservationState};
use crate::ledger::values::{ReservationId, Target, Time};

/// Usage to reserve.
#[derive(Clone, Debug)]
pub struct Reservation {
    /// The feature, whatever the plan.
    pub feature: FeatureName,
    /// Units.
    pub n: i64,
    /// How long it is held, at the latest until the end of the billing period.
    pub ttl: Duration,
    /// Whether it counts as used at once, if it is granted.
    pub commit: bool,
}

/// What became of a request for a reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reserved {
    /// The reservation, if there was room for it.
    pub granted: Option<Granted>,
    /// What is used of the limit now, with all that is reserved.
    pub used: i64,
    /// Units; [`i64::MAX`] for none.
    pub limit: i64,
}

/// A reservation that was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// `rsv_…`.
    pub id: String,
    /// When it ends by itself, in Unix seconds; none if it is committed already.
    pub expires: Option<i64>,
}

impl Reserved {
    /// What is left of the limit; [`i64::MAX`] if there is none.
    pub fn remaining(&self) -> i64 {
        match self.limit {
            NO_LIMIT => NO_LIMIT,
            limit => limit.saturating_sub(self.used).max(0),
        }
    }
}

impl Domain {
    /// Reserves usage, if the limit has room for it.
    pub async fn reserve(&self, org: &OrgName, wanted: &Reservation) -> Result<Reserved> {
        let handle = self.reserving()?;
        if wanted.n < 1 {
            return Err(Error::Invalid("n must be 1 or more".to_owned()));
        }
        let ledger = handle.opened()?;
        let now = self.ledger_time().await?;
        let known = self.reported_org(org, &[&wanted.feature]).await?;
        let target = known.usage.target(org, &wanted.feature, now)?;
        let beside = known.usage.used_beside(ledger, org, &wanted.feature, now);
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
            limit: (limit != NO_LIMIT).then(|| limit.saturating_sub(beside)),
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
            self.tell_before_clock_moves(handle, org).await;
        }
        let granted = expires.map(|expires| Granted {
            id,
            expires: (!wanted.commit).then_some(expires.seconds()),
        });
        Ok(Reserved {
            granted,
            used: used.saturating_add(beside),
            limit,
        })
    }

    /// Counts `n` units of a reservation as used, or all, and gives the rest back. It can be repeated.
    pub async fn commit_reservation(&self, id: &str, n: Option<i64>) -> Result<()> {
        let handle = self.reserving()?;
        let now = self.ledger_time().await?;
        let reservation = reservation(handle, id).await?;
        match reservation.state {
            ReservationState::Committed(done) if n.is_none_or(|n| n == done) => return Ok(()),
            ReservationState::Held if now < reservation.expires => {}
            state => return Err(ended(state)),
        }
        let most = reservation.n;
        if n.is_some_and(|n| !(0..=most).contains(&n)) {
            return Err(Error::Invalid(format!(
                "n must be from 0 to {most}, which was reserved"
            )));
        }
        let org: OrgName = reservation.org.as_str().parse()?;
        let feature: FeatureName = reservation.feature.as_str().parse()?;
        let known = self.reported_org(&org, &[&feature]).await?;
        let target: Target = known.usage.target(&org, &feature, now)?;
        let id = reservation.id;
        let commit = Event::Commit { id, n, target };
        self.submit_reservation(handle, commit, now).await?;
        self.tell_before_clock_moves(handle, &org).await;
        Ok(())
    }

    /// Gives a reservation back. It can be repeated.
    pub async fn release_reservation(&self, id: &str) -> Result<()> {
        let handle = self.reserving()?;
        let now = self.ledger_time().await?;
        let reservation = reservation(handle, id).await?;
        match reservation.state {
            ReservationState::Released => return Ok(()),
            ReservationState::Held if now < reservation.expires => {}
            state => return Err(ended(state)),
        }
        let release = Event::Release(reservation.id);
        self.submit_reservation(handle, release, now)
            .await
            .map(drop)
    }

    /// Ends the reservations whose time is over. They do not count any more before that either.
    pub async fn expire_reservations(&self) -> Result<()> {
        let Some(handle) = self.ledger().filter(|handle| handle.opened().is_ok()) else {
            return Ok(());
        };
        let now = Time::from_millis(self.account.clock.millis());
        self.submit_reservation(handle, Event::Expire, now)
            .await
            .map(drop)
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
        let answers = handle.opened()?.submit(vec![event], now).await?;
        let answer = answers.into_iter().next();
        let answer = answer.ok_or_else(|| Error::LedgerUnavailable("it did not answer".into()))?;
        answer.map_err(|refusal| match refusal {
            Refusal::ReservationEnded => ended(ReservationState::Expired),
            Refusal::NotReservable => Error::Invalid(
                "only a feature whose usage adds up (aggregate sum) can be reserved".to_owned(),
            ),
            other => Error::Invalid(other.to_string()),
        })
    }

    /// Tells Stripe what an org on a test clock has used: whoever moves the clock next may end the period.
    pub(super) async fn tell_before_clock_moves(&self, handle: &LedgerHandle, org: &OrgName) {
        if self.test_clock.is_none() {
            return;
        }
        if let Err(error) = self.deliver_org(handle, org).await {
            tracing::warn!(%error, %org, "usage of an org on a test clock is told later");
        }
    }
}

/// The reservation with that id, whatever became of it.
async fn reservation(handle: &LedgerHandle, id: &str) -> Result<state::Reservation> {
    let id: ReservationId = id.into();
    let found = handle.opened()?.reservation(id).await?;
    found.ok_or_else(|| Error::Invalid("there is no such reservation".to_owned()))
}

/// Why nothing can be done with a reservation any more.
fn ended(state: ReservationState) -> Error {
    Error::ReservationEnded(match state {
        ReservationState::Committed(_) => "been committed",
        ReservationState::Released => "been released",
        ReservationState::Held | ReservationState::Expired => "expired",
    })
}
