//! Reservations: usage that is granted in advance.
//!
//! Invariant, in units: granted = committed + released + expired + held. The uncommitted part of a commit counts as
//! released.

use super::super::values::{Aggregate, Feature, Org, Period, ReservationId, Target, Time};
use super::event::Reserve;
use super::total::EntryKind;
use super::{Answer, Refusal, State};

/// A reservation that was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// The id that the caller chose.
    pub id: ReservationId,
    /// The org.
    pub org: Org,
    /// The feature.
    pub feature: Feature,
    /// Units.
    pub n: i64,
    /// When it was granted.
    pub made: Time,
    /// When it expires.
    pub expires: Time,
    /// Whether its times are those of a test clock, independent of real time.
    pub on_test_clock: bool,
    /// Whether it is held, or how it ended.
    pub state: ReservationState,
}

/// Whether a reservation is held, or how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReservationState {
    /// It counts against the limit.
    Held,
    /// This many units were committed; the rest was released.
    Committed(i64),
    /// It was released by the caller.
    Released,
    /// It expired.
    Expired,
}

impl Reservation {
    pub(super) fn is_held(&self) -> bool {
        self.state == ReservationState::Held
    }
}

impl State {
    pub(super) fn reserve(&mut self, reserve: &Reserve, now: Time) -> Result<Answer, Refusal> {
        let target = &reserve.target;
        if target.aggregate != Aggregate::Sum {
            return Err(Refusal::NotReservable);
        }
        if reserve.n <= 0 || reserve.ttl <= 0 {
            return Err(Refusal::BadQuantity);
        }
        if self.reservations.get(&reserve.id).is_some() {
            return Err(Refusal::ReservationExists);
        }
        self.check_plan(target)?;
        if !target.period.contains(now) {
            return Err(Refusal::OutsidePeriod);
        }
        let used = self.used(&target.org, &target.feature, target.period.start);
        let taken = used.n.saturating_add(used.reserved(now));
        let after = taken.checked_add(reserve.n).ok_or(Refusal::TooLarge)?;
        if reserve.limit.is_some_and(|limit| after > limit) {
            return Ok(Answer::Reserved {
                expires: None,
                used: taken,
            });
        }
        self.grant(reserve, now)?;
        // Expired reservations were not counted above, so they must not be committed later by a process whose clock is
        // behind. On a test clock, nothing else ends them.
        self.end_expired(reserve, now);
        Ok(Answer::Reserved {
            expires: Some(expiry(target.period, now, reserve.ttl)),
            used: after,
        })
    }

    fn grant(&mut self, reserve: &Reserve, now: Time) -> Result<(), Refusal> {
        let target = &reserve.target;
        let mut reservation = Reservation {
            id: reserve.id.clone(),
            org: target.org.clone(),
            feature: target.feature.clone(),
            n: reserve.n,
            made: now,
            expires: expiry(target.period, now, reserve.ttl),
            on_test_clock: reserve.on_test_clock,
            state: ReservationState::Held,
        };
        if reserve.commit {
            self.count(target, reserve.n, now)?;
            reservation.state = ReservationState::Committed(reserve.n);
        } else {
            let mut records = self.records(&target.org, &target.feature);
            records.reservations.push(reserve.id.clone());
            let id = (target.org.clone(), target.feature.clone());
            self.uses.put(id, records);
        }
        self.reservations.put(reserve.id.clone(), reservation);
        Ok(())
    }

    pub(super) fn commit_reserved(
        &mut self,
        id: &ReservationId,
        n: Option<i64>,
        target: &Target,
        now: Time,
    ) -> Result<Answer, Refusal> {
        let reservation = self.reservation(id)?.clone();
        if let ReservationState::Committed(done) = reservation.state
            && n.is_none_or(|n| n == done)
        {
            return Ok(Answer::Committed(done));
        }
        if !reservation.is_held() || now >= reservation.expires {
            return Err(Refusal::ReservationEnded);
        }
        let n = n.unwrap_or(reservation.n);
        let same = target.org == reservation.org && target.feature == reservation.feature;
        if n < 0 || n > reservation.n || !same {
            return Err(Refusal::BadQuantity);
        }
        self.check_plan(target)?;
        if target.aggregate != Aggregate::Sum {
            return Err(Refusal::NotReservable);
        }
        if !target.period.contains(now) {
            return Err(Refusal::OutsidePeriod);
        }
        self.count(target, n, now)?;
        self.end(reservation, ReservationState::Committed(n));
        Ok(Answer::Committed(n))
    }

    pub(super) fn release(&mut self, id: &ReservationId, now: Time) -> Result<Answer, Refusal> {
        let reservation = self.reservation(id)?.clone();
        match reservation.state {
            ReservationState::Released => Ok(Answer::Done),
            ReservationState::Held if now < reservation.expires => {
                self.end(reservation, ReservationState::Released);
                Ok(Answer::Done)
            }
            _ => Err(Refusal::ReservationEnded),
        }
    }

    pub(super) fn expire(&mut self, now: Time) -> Answer {
        let held = self.reservations.iter().map(|(_, reservation)| reservation);
        let held = held.filter(|held| held.is_held() && !held.on_test_clock);
        let over: Vec<Reservation> = held.filter(|held| held.expires <= now).cloned().collect();
        Answer::Expired(self.end_all(over))
    }

    /// Ends the expired reservations of the same feature of the same org.
    fn end_expired(&mut self, reserve: &Reserve, now: Time) {
        let records = self.records(&reserve.target.org, &reserve.target.feature);
        let reservations = records.reservations.iter();
        let held = reservations.filter_map(|id| self.reservations.get(id));
        let held =
            held.filter(|held| held.is_held() && held.on_test_clock == reserve.on_test_clock);
        let over = held.filter(|held| held.expires <= now).cloned().collect();
        self.end_all(over);
    }

    /// Ends expired reservations. Returns how many there were.
    fn end_all(&mut self, expired: Vec<Reservation>) -> usize {
        let count = expired.len();
        for reservation in expired {
            self.end(reservation, ReservationState::Expired);
        }
        count
    }

    /// A held or recalled reservation.
    pub fn reservation(&self, id: &ReservationId) -> Result<&Reservation, Refusal> {
        let found = self.reservations.get(id);
        found.ok_or(Refusal::UnknownReservation)
    }

    /// Adds committed units to the total.
    fn count(&mut self, target: &Target, n: i64, now: Time) -> Result<(), Refusal> {
        let mut draft = self.open(target, target.period, now)?;
        draft.enter(0, EntryKind::Commit, n, now)?;
        self.write(draft, now);
        Ok(())
    }

    fn end(&mut self, reservation: Reservation, state: ReservationState) {
        let id = (reservation.org.clone(), reservation.feature.clone());
        let mut records = self.records(&id.0, &id.1);
        records
            .reservations
            .retain(|other| *other != reservation.id);
        self.uses.put(id, records);
        let key = reservation.id.clone();
        self.reservations.put(
            key,
            Reservation {
                state,
                ..reservation
            },
        );
    }
}

/// When a reservation expires: at the latest with the period.
fn expiry(period: Period, now: Time, ttl: i64) -> Time {
    now.plus(ttl).min(period.end)
}
