//! A change of plan, carried out: read, decide, write, and end what is superseded.

use std::sync::Arc;

use tokio::sync::OwnedRwLockWriteGuard;

use super::Subscribe;
use super::carry::{Carry, Move};
use super::charge::Charge;
use super::checks::Attachment;
use super::found::Found;
use super::notes::check_room;
use crate::billing::{NewSchedule, Schedule, Subscription};
use crate::domain::org::ResolvedOrg;
use crate::domain::plan_change::{self, Action, Change, Held, ResolvedPhase};
use crate::domain::request_key;
use crate::domain::revision::{Decisions, Revision};
use crate::domain::{Domain, Failure, Result};

/// How often a change settles what others before it have left: there is no end to what cannot be settled.
const SETTLEMENTS: u32 = 3;

/// The step of a change that makes its revision.
const CHANGE: &str = "change";

impl Domain {
    /// Writes the request's particulars to a customer that is there, and changes what it is subscribed to.
    pub(super) async fn change_plan(
        &self,
        org: &ResolvedOrg,
        asked: &[ResolvedPhase],
        request: &Subscribe,
        now: i64,
    ) -> Result<()> {
        let customer = &org.customer;
        let found = self.find_current_state(customer).await?;
        if found.knows(request.key.as_deref()) {
            return Ok(());
        }
        let held = Held::of(found.current_state(), now);
        for phase in asked {
            held.check(&phase.features)?;
        }
        self.check_coupons(asked, &held).await?;
        let mut attachment = Attachment::Attached;
        if !request.payment_method.is_empty() {
            let method = request.payment_method.as_str();
            attachment = self.check_payment_method(method, Some(customer)).await?;
        }
        let before = match &request.info {
            Some(_) => Some(self.existing_customer(customer).await?),
            None => None,
        };
        let mut attached = Vec::new();
        let mut is_made = false;
        let pinned = held.payment_method.is_some();
        let outcome = async {
            let method = self
                .write_particulars(customer, request, attachment, pinned, &mut attached)
                .await?;
            let change = Change {
                asked,
                automatic_tax: request.automatic_tax,
                payment_method: method.as_deref(),
                now,
            };
            let key = request.key.as_deref();
            self.decide_and_write(org, change, Some(found), key, &mut is_made)
                .await
        };
        let outcome = outcome.await;
        if let Err(error) = &outcome
            && error.is_refusal()
            && !is_made
        {
            if let (Some(info), Some(before)) = (&request.info, before) {
                self.take_back(info, &before).await;
            }
            if error.is_definite_refusal() {
                self.detach(&attached).await;
            }
        }
        outcome
    }

    /// Writes the request's particulars, and attaches what it is to be paid with. Answers with what the subscription is
    /// to be paid with, if that is to change. The payment methods that were not the customer's before are added to
    /// `attached`.
    async fn write_particulars(
        &self,
        customer: &Arc<str>,
        request: &Subscribe,
        attachment: Attachment,
        pinned: bool,
        attached: &mut Vec<String>,
    ) -> Result<Option<String>> {
        let method = Some(request.payment_method.clone()).filter(|method| !method.is_empty());
        let mut default = None;
        if let Some(info) = &request.info {
            let written = self.update_customer(customer.clone(), info).await?;
            attached.extend(written.attached);
            default = written.default_payment_method;
            default = default.filter(|_| !info.default_payment_method.is_empty());
        }
        if let (Some(method), Attachment::Free) = (&method, attachment) {
            attached.push(self.attach_payment_method(customer, method).await?);
        }
        // The new default reaches a subscription to which another one is pinned.
        Ok(method.or(default.filter(|_| pinned)))
    }

    /// Decides and writes, and does so again when the clock or another request has overtaken it. `found` is what was
    /// read already. `is_made` becomes true with the change itself: what is refused after that is not the change.
    pub(super) async fn decide_and_write(
        &self,
        org: &ResolvedOrg,
        change: Change<'_>,
        mut found: Option<Found>,
        key: Option<&str>,
        is_made: &mut bool,
    ) -> Result<()> {
        let customer = &org.customer;
        let mut decisions = Decisions::new(customer);
        let mut settlements = 0;
        loop {
            let read = match found.take() {
                Some(found) => found,
                None => self.find_current_state(customer).await?,
            };
            if read.knows(key) {
                return Ok(());
            }
            let mut revision = decisions.at(read.seen);
            if settlements < SETTLEMENTS && read.is_unsettled() {
                match self.settle_changes(customer, &read, &revision).await {
                    Ok(()) => settlements += 1,
                    Err(failure) => self.before_next(&mut decisions, failure).await?,
                }
                continue;
            }
            if let Some(key) = key {
                revision.remember(request_key::with(&read.request_keys, key));
            }
            let written = self.write(org, change, &read, &revision, is_made);
            match written.await {
                Ok(()) => return Ok(()),
                Err(failure) => self.before_next(&mut decisions, failure).await?,
            }
        }
    }

    /// Writes the new state, and then ends what it supersedes. What came of it is in the next answer about the org.
    async fn write(
        &self,
        org: &ResolvedOrg,
        change: Change<'_>,
        found: &Found,
        revision: &Revision,
        is_made: &mut bool,
    ) -> Result<(), Failure> {
        let customer = &org.customer;
        let mut action = plan_change::decide(found.current_state(), change);
        let _closed = self.close_items(change, found, &action).await?;
        let carry = self
            .carry_into(customer, change, found, &mut action, revision)
            .await?;
        self.note_unpaid(customer, change, found, &mut action)
            .await?;
        if let (Some(subscription), Action::Replace(_, plan) | Action::Adopt(_, plan)) =
            (&found.current, &action)
        {
            check_room(subscription, change.asked, &plan.phases)?;
        }
        if let Some(subscription) = &found.current {
            self.empty_levels(subscription, &carry, revision).await?;
        }
        let cancels = matches!(action, Action::Cancel(_));
        let sent_at = self.account.clock.millis();
        let scheduled = self
            .act(customer, change, found, action, revision, is_made)
            .await?;
        *is_made = true;
        let changed = scheduled.as_ref().and_then(Schedule::driven);
        let mut is_known = cancels || changed.is_some() || found.current.is_none();
        if let (Some(before), Some(after)) = (&found.current, changed) {
            let late = self.count_late_usage(before, after, &carry, revision);
            is_known &= !late.await?;
        }
        if let Some(subscription) = changed {
            self.settle_notes(customer, subscription, true, revision)
                .await?;
        }
        if !cancels {
            self.end_superseded(org, found, change.now, revision)
                .await?;
        }
        if cancels || !found.is_paid_for() {
            for schedule in &found.obsolete {
                self.call_off(&schedule.id, None).await?;
            }
        }
        if is_known && (cancels || found.is_alone()) {
            let after = scheduled.and_then(Schedule::into_subscription);
            self.note_change(org, found.current.as_ref(), after, sent_at)
                .await?;
        }
        Ok(())
    }

    /// Carries an action out. Answers with the schedule that it has made or changed, with the subscription that this drives.
    async fn act(
        &self,
        customer: &str,
        change: Change<'_>,
        found: &Found,
        action: Action,
        revision: &Revision,
        is_made: &mut bool,
    ) -> Result<Option<Schedule>, Failure> {
        match action {
            Action::Nothing => {}
            Action::Cancel(_) => {
                for live in found
                    .current
                    .iter()
                    .chain(&found.others)
                    .chain(&found.superseded)
                {
                    self.end_subscription(customer, live, change.now, revision)
                        .await?;
                    *is_made = true;
                }
                if let Some(current) = &found.current {
                    self.note_keys(&current.id, revision).await;
                }
            }
            Action::CallOff(schedule) => self.call_off(&schedule, None).await?,
            Action::Create(plan) => {
                let plan = marked(plan, revision);
                let create = self.billing().create_schedule(customer, &plan);
                return Ok(Some(self.decided(revision.write(CHANGE, create)).await?));
            }
            Action::Replace(schedule, plan) => {
                let current = found.current.as_ref();
                let current = current.and_then(Subscription::active_schedule);
                let started = current.and_then(|schedule| schedule.current_phase);
                let started = started.map(|phase| phase.start_date);
                let replaced = self.replace(&schedule, started, plan, revision).await?;
                return Ok(Some(replaced));
            }
            Action::Adopt(subscription, plan) => {
                let adopt = self.billing().adopt_subscription(&subscription);
                let schedule = self.decided(revision.once("adopt", adopt)).await?;
                let started = schedule.current_phase.map(|phase| phase.start_date);
                let replaced = self.replace(&schedule.id, started, plan, revision).await?;
                return Ok(Some(replaced));
            }
        }
        Ok(None)
    }

    /// Keeps usage from being recorded on the items that an action takes away without billing them: what came between
    /// the look at it and the write would be lost. For reports by way of this server; Stripe has nothing that stops others.
    async fn close_items(
        &self,
        change: Change<'_>,
        found: &Found,
        action: &Action,
    ) -> Result<Vec<OwnedRwLockWriteGuard<()>>> {
        let mut closed = Vec::new();
        let change = Move::of(change, found, action).filter(|change| !change.ends_phase);
        if let Some(change) = change {
            let shared = self.shared().await?;
            for (_, item) in change.going() {
                closed.push(self.hold(&shared.items, &item.id).await?);
            }
        }
        Ok(closed)
    }

    /// Works out what an action now takes along of the running subscription's usage, and notes it in the phase that
    /// begins.
    async fn carry_into(
        &self,
        customer: &str,
        change: Change<'_>,
        found: &Found,
        action: &mut Action,
        revision: &Revision,
    ) -> Result<Carry, Failure> {
        let Some(change) = Move::of(change, found, action) else {
            return Ok(Carry::default());
        };
        let carry = self.carry(customer, change).await?;
        if let Action::Replace(_, plan) | Action::Adopt(_, plan) = action
            && let Some(begins) = plan.begins
        {
            let metadata = &mut plan.phases[begins].metadata;
            metadata.extend(carry.figures.clone());
            metadata.extend(Charge::notes(&carry.charges, revision.made()));
        }
        Ok(carry)
    }

    /// Gives a schedule other phases.
    async fn replace(
        &self,
        schedule: &str,
        current_phase_start: Option<i64>,
        plan: NewSchedule,
        revision: &Revision,
    ) -> Result<Schedule, Failure> {
        let plan = marked(plan, revision);
        let replace = self
            .billing()
            .replace_phases(schedule, &plan, current_phase_start);
        Ok(self.decided(revision.write(CHANGE, replace)).await?)
    }
}

/// The plan with the revision in the metadata of each phase.
fn marked(mut plan: NewSchedule, revision: &Revision) -> NewSchedule {
    for phase in &mut plan.phases {
        revision.mark(&mut phase.metadata);
    }
    plan
}
