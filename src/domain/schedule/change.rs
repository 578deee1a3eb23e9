//! A change of plan, carried out: read, decide, write, and end what is superseded.

use std::sync::Arc;

use super::carry::{Carry, Move, restarts};
use super::checks::Attachment;
use super::{Subscribe, forms};
use crate::domain::plan_change::{self, Action, Asked, Change, Held, NewSchedule, Standing};
use crate::domain::refs::OrgName;
use crate::domain::request_key;
use crate::domain::revision::{self, Decisions, Refusal, Revision};
use crate::domain::subscription::Detail;
use crate::domain::{Domain, Error, Result};
use crate::stripe;
use crate::stripe::types::{Expandable, Invoice, Object, Schedule, Subscription};

/// The step of a change that makes its revision.
const CHANGE: &str = "change";

/// What a customer is subscribed to, and waits for.
pub(in crate::domain) struct Found {
    pub(in crate::domain) current: Option<Subscription>,
    /// The schedule that waits, where there is no subscription.
    pub(in crate::domain) waiting: Option<Schedule>,
    /// Older live subscriptions, whose place the org's has taken.
    pub(in crate::domain) superseded: Vec<Subscription>,
    /// Other live subscriptions, which supersede nothing. Only a cancellation ends them.
    pub(in crate::domain) others: Vec<Subscription>,
    /// Other schedules that wait, which a change calls off.
    obsolete: Vec<Schedule>,
    /// The revision of all this.
    pub(in crate::domain) seen: u64,
    /// The keys of clients' requests that it knows.
    request_keys: Vec<String>,
}

impl Found {
    /// Whether the request that came with `key` was carried out before.
    fn knows(&self, key: Option<&str>) -> bool {
        key.is_some_and(|key| self.request_keys.iter().any(|known| known == key))
    }

    fn is_paid_for(&self) -> bool {
        self.current.as_ref().is_some_and(Subscription::is_paid_for)
    }

    fn standing(&self) -> Standing<'_> {
        match (&self.current, &self.waiting) {
            (Some(subscription), _) => Standing::Subscribed(subscription),
            (None, Some(schedule)) => Standing::Waiting(schedule),
            (None, None) => Standing::Nothing,
        }
    }
}

impl Domain {
    /// Makes the org's customer with all that the request says of it, and subscribes it.
    pub(super) async fn sign_up(
        &self,
        org: &OrgName,
        asked: &[Asked],
        request: &Subscribe,
        now: i64,
    ) -> Result<()> {
        let method = Some(request.payment_method.as_str()).filter(|method| !method.is_empty());
        self.check_coupons(asked, &Held::default()).await?;
        let mut info = request.info.clone().unwrap_or_default();
        if let Some(method) = method {
            self.check_payment_method(method, None).await?;
            if info.payment_method.is_empty() {
                method.clone_into(&mut info.payment_method);
            }
        }
        let customer = self.put_org(org, &info).await?.id;
        if let Some(method) = method.filter(|method| *method != info.payment_method) {
            self.attach_payment_method(&customer, method).await?;
        }
        let change = Change {
            asked,
            automatic_tax: request.automatic_tax,
            payment_method: method,
            now,
        };
        self.decide_and_write(&customer, change, None, request.key.as_deref())
            .await
    }

    /// Writes the request's particulars to a customer that is there, and changes what it is subscribed to.
    pub(super) async fn change_plan(
        &self,
        customer: Arc<str>,
        asked: &[Asked],
        request: &Subscribe,
        now: i64,
    ) -> Result<()> {
        let found = self.find_standing(&customer).await?;
        if found.knows(request.key.as_deref()) {
            return Ok(());
        }
        let held = Held::of(found.standing(), now);
        for phase in asked {
            held.check(&phase.features)?;
        }
        self.check_coupons(asked, &held).await?;
        let mut method = Some(request.payment_method.clone()).filter(|method| !method.is_empty());
        let mut attachment = Attachment::Attached;
        if let Some(method) = &method {
            attachment = self.check_payment_method(method, Some(&customer)).await?;
        }
        let before = match &request.info {
            Some(_) => Some(self.customer_before(&customer).await?),
            None => None,
        };
        let mut default = None;
        if let Some(info) = &request.info {
            let written = self.update_customer(customer.clone(), info).await?;
            default = written.default_payment_method;
            default = default.filter(|_| !info.default_payment_method.is_empty());
        }
        if let (Some(method), Attachment::Free) = (&method, attachment) {
            self.attach_payment_method(&customer, method).await?;
        }
        if held.payment_method.is_some() {
            // The new default reaches a subscription to which another one is pinned.
            method = method.or(default);
        }
        let change = Change {
            asked,
            automatic_tax: request.automatic_tax,
            payment_method: method.as_deref(),
            now,
        };
        let key = request.key.as_deref();
        let outcome = self
            .decide_and_write(&customer, change, Some(found), key)
            .await;
        if let (Err(error), Some(info), Some(before)) = (&outcome, &request.info, before)
            && error.is_refusal()
        {
            self.take_back(info, &before).await;
        }
        outcome
    }

    /// Decides and writes, and does so again when the clock or another request has overtaken it. `found` is what was
    /// read already.
    async fn decide_and_write(
        &self,
        customer: &str,
        change: Change<'_>,
        mut found: Option<Found>,
        key: Option<&str>,
    ) -> Result<()> {
        let mut decisions = Decisions::new(customer);
        loop {
            let read = match found.take() {
                Some(found) => found,
                None => self.find_standing(customer).await?,
            };
            if read.knows(key) {
                return Ok(());
            }
            let mut revision = decisions.at(read.seen);
            if let Some(key) = key {
                revision.remember(request_key::with(&read.request_keys, key));
            }
            match self.write(customer, change, &read, &revision).await {
                Ok(()) => return Ok(()),
                Err(failure) => self.before_next(&mut decisions, failure).await?,
            }
        }
    }

    /// Waits until another decision may go through.
    ///
    /// # Errors
    /// If none would.
    pub(in crate::domain) async fn before_next(
        &self,
        decisions: &mut Decisions,
        failure: Failure,
    ) -> Result<()> {
        match failure {
            Failure::Final(error) => Err(error),
            Failure::Refused(refusal) => {
                let wait = decisions.after(refusal)?;
                tokio::time::sleep(self.stripe().first_wait() * wait).await;
                Ok(())
            }
        }
    }

    pub(in crate::domain) async fn find_standing(&self, customer: &str) -> Result<Found> {
        // In this order, a schedule that begins meanwhile is seen twice rather than not at all.
        let schedules = self.schedules(customer).await?;
        let found = self.subscriptions(customer, Detail::History).await?;
        let seen = revision::newest([].iter(), schedules.iter()).max(found.revision);
        let metadata = schedules.iter().map(|schedule| &schedule.metadata);
        let of_schedules = request_key::noted(metadata);
        let mut request_keys = found.request_keys;
        request_keys.extend(of_schedules);
        let mut waiting = schedules;
        waiting.retain(Schedule::is_waiting);
        let begun = found.current.as_ref().and_then(|s| s.schedule.as_ref());
        waiting.retain(|schedule| begun.is_none_or(|begun| begun.id() != schedule.id));
        let obsolete = match found.current {
            Some(_) => waiting.split_off(0),
            None => waiting.split_off(waiting.len().min(1)),
        };
        Ok(Found {
            current: found.current,
            waiting: waiting.pop(),
            superseded: found.superseded,
            others: found.others,
            obsolete,
            seen,
            request_keys,
        })
    }

    /// Writes the new state, and then ends what it supersedes.
    async fn write(
        &self,
        customer: &str,
        change: Change<'_>,
        found: &Found,
        revision: &Revision,
    ) -> Result<(), Failure> {
        let mut action = plan_change::decide(found.standing(), change);
        let carry = self
            .carry_into(customer, change, found, &mut action)
            .await?;
        let unpaid = self.unpaid_before(change, found, &mut action).await?;
        if let Some(subscription) = &found.current {
            self.empty_levels(subscription, &carry, revision).await?;
        }
        let cancels = matches!(action, Action::Cancel(_));
        let mut changed = None;
        match action {
            Action::Nothing => {}
            Action::Cancel(_) => {
                for live in found
                    .current
                    .iter()
                    .chain(&found.others)
                    .chain(&found.superseded)
                {
                    let key = revision.key(&format!("end:{}", live.id));
                    self.end_subscription(live, change.now, &key).await?;
                }
                if let Some(current) = &found.current {
                    self.note_keys(&current.id, revision).await;
                }
            }
            Action::CallOff(schedule) => self.call_off(&schedule, None).await?,
            Action::Create(plan) => {
                let form = forms::create_form(customer, &plan, revision);
                let create = self.stripe().post("/v1/subscription_schedules").form(form);
                revision.write(CHANGE, create).send::<Object>().await?;
            }
            Action::Replace(schedule, plan) => {
                let current = found.current.as_ref();
                let current = current.and_then(Subscription::active_schedule);
                let started = current.and_then(|schedule| schedule.current_phase);
                let started = started.map(|phase| phase.start_date);
                changed = self.replace(&schedule, started, &plan, revision).await?;
            }
            Action::Adopt(subscription, plan) => {
                let adopt = self
                    .stripe()
                    .post("/v1/subscription_schedules")
                    .param("from_subscription", subscription);
                let schedule: Schedule = revision.once("adopt", adopt).send().await?;
                let started = schedule.current_phase.map(|phase| phase.start_date);
                changed = self.replace(&schedule.id, started, &plan, revision).await?;
            }
        }
        if let Some(subscription) = &changed {
            self.settle_carry(customer, subscription, &carry, revision)
                .await?;
            self.settle_unpaid(customer, change.now, found, subscription, &unpaid, revision)
                .await?;
        }
        if !cancels {
            self.end_superseded(None, found, change.now).await?;
        }
        if cancels || !found.is_paid_for() {
            for schedule in &found.obsolete {
                self.call_off(&schedule.id, None).await?;
            }
        }
        Ok(())
    }

    /// Ends the subscriptions whose place the org's has taken, and calls off what waits, once the org's is paid for.
    pub(in crate::domain) async fn end_superseded(
        &self,
        org: Option<&OrgName>,
        found: &Found,
        now: i64,
    ) -> Result<(), Failure> {
        let Some(current) = found.current.as_ref().filter(|s| s.is_paid_for()) else {
            return Ok(());
        };
        let audit = |old: &str| {
            self.stripe().metrics().superseded.inc();
            let org = org.map(ToString::to_string);
            tracing::info!(target: "audit", org, old, new = current.id, "ended what another subscription superseded");
        };
        for old in &found.superseded {
            let key = format!("supersede:{}:{}", old.id, current.id);
            self.end_subscription(old, now, &key).await?;
            audit(&old.id);
        }
        for schedule in &found.obsolete {
            let key = format!("supersede:{}:{}", schedule.id, current.id);
            self.call_off(&schedule.id, Some(key)).await?;
            audit(&schedule.id);
        }
        Ok(())
    }

    /// Works out what an action now takes along of the running subscription's usage, and notes it in the phase that
    /// begins.
    async fn carry_into(
        &self,
        customer: &str,
        change: Change<'_>,
        found: &Found,
        action: &mut Action,
    ) -> Result<Carry> {
        let (Action::Replace(_, plan) | Action::Adopt(_, plan)) = action else {
            return Ok(Carry::default());
        };
        let (Some(subscription), Some(begins), Some(first)) =
            (&found.current, plan.begins, change.asked.first())
        else {
            return Ok(Carry::default());
        };
        let change = Move {
            subscription,
            features: &first.features,
            ends_phase: begins > 0,
            trial: first.trial,
            now: change.now,
        };
        let carry = self.carry(customer, change).await?;
        plan.phases[begins].metadata.extend(carry.figures.clone());
        Ok(carry)
    }

    /// Gives a schedule other phases. Answers with the subscription as it is then, if there is one.
    async fn replace(
        &self,
        schedule: &str,
        current_phase_start: Option<i64>,
        plan: &NewSchedule,
        revision: &Revision,
    ) -> Result<Option<Subscription>, Failure> {
        let form = forms::replace_form(plan, current_phase_start, revision);
        let path = format!("/v1/subscription_schedules/{schedule}");
        let replace = self.stripe().post(path).form(form);
        let replace = revision.write(CHANGE, replace.expand("subscription"));
        let schedule: Schedule = replace.send().await?;
        let subscription = schedule.subscription;
        Ok(subscription.and_then(|subscription| match subscription {
            Expandable::Object(subscription) => Some(*subscription),
            Expandable::Id(_) => None,
        }))
    }

    /// Notes the request's key on what it has ended: an end takes no metadata along.
    async fn note_keys(&self, subscription: &str, revision: &Revision) {
        let Some(keys) = revision.request_keys() else {
            return;
        };
        let note = self
            .stripe()
            .post(format!("/v1/subscriptions/{subscription}"))
            .param(format!("metadata[{}]", request_key::KEYS), keys);
        if let Err(error) = note.send::<Object>().await {
            tracing::warn!(%error, subscription, "another server will not know the key of this cancellation");
        }
    }

    /// Cancels a schedule that has not begun.
    async fn call_off(&self, schedule: &str, key: Option<String>) -> Result<(), stripe::Error> {
        let path = format!("/v1/subscription_schedules/{schedule}/cancel");
        let mut request = self.stripe().post(path);
        if let Some(key) = key {
            request = request.idempotency_key(key);
        }
        match request.send::<Object>().await {
            // Called off by somebody else since we looked.
            Err(error) if error.is_schedule_over() => Ok(()),
            other => other.map(drop),
        }
    }

    /// The unpaid invoices that charge for time which the action gives back. Where a period begins, Stripe would credit
    /// it at once: then nothing is prorated.
    async fn unpaid_before(
        &self,
        change: Change<'_>,
        found: &Found,
        action: &mut Action,
    ) -> Result<Vec<Invoice>> {
        let (Action::Replace(_, plan) | Action::Adopt(_, plan)) = action else {
            return Ok(Vec::new());
        };
        let (Some(subscription), Some(begins)) = (&found.current, plan.begins) else {
            return Ok(Vec::new());
        };
        let Some(first) = change.asked.first() else {
            return Ok(Vec::new());
        };
        let stays = |price: &str| {
            let mut items = plan.phases[begins].items.iter();
            items.any(|item| item.price == price)
        };
        let restarts = restarts(subscription, &first.features, first.trial);
        let items = &subscription.items.data;
        if !restarts && items.iter().all(|item| stays(&item.price.id)) {
            return Ok(Vec::new());
        }
        let unpaid = self.unpaid(subscription, change.now).await?;
        plan.unprorated = restarts && !unpaid.is_empty();
        Ok(unpaid)
    }

    /// Takes what a change has given back off the invoices that nobody has paid.
    async fn settle_unpaid(
        &self,
        customer: &str,
        now: i64,
        found: &Found,
        changed: &Subscription,
        unpaid: &[Invoice],
        revision: &Revision,
    ) -> Result<(), Failure> {
        let (Some(before), false) = (&found.current, unpaid.is_empty()) else {
            return Ok(());
        };
        let restarted = changed.current_period_start != before.current_period_start;
        let stays = |price: &str| changed.items.data.iter().any(|item| item.price.id == price);
        let prices = before.items.data.iter().map(|item| item.price.id.as_str());
        let prices: Vec<&str> = prices.filter(|price| restarted || !stays(price)).collect();
        if !restarted {
            self.drop_credits(customer, &changed.id, &prices).await?;
        }
        for invoice in unpaid {
            let key = revision.key(&format!("unpaid:{}", invoice.id));
            self.take_off(invoice, &prices, now, &key).await?;
        }
        Ok(())
    }

    /// Ends a subscription now, billing what was used and giving back what was paid and is not.
    async fn end_subscription(
        &self,
        subscription: &Subscription,
        now: i64,
        key: &str,
    ) -> Result<(), Failure> {
        let id = &subscription.id;
        let unpaid = self.unpaid(subscription, now).await?;
        let request = self.stripe().delete(format!("/v1/subscriptions/{id}"));
        let ended = request
            .param("invoice_now", true)
            .param("prorate", unpaid.is_empty())
            .send::<Object>();
        match ended.await {
            // Ended by somebody else since we looked, or by our own try whose answer was lost.
            Err(error) if error.is_subscription_over() => {}
            other => drop(other?),
        }
        let prices = subscription.items.data.iter();
        let prices: Vec<&str> = prices.map(|item| item.price.id.as_str()).collect();
        for invoice in &unpaid {
            let key = format!("{key}:{}", invoice.id);
            self.take_off(invoice, &prices, now, &key).await?;
        }
        Ok(())
    }
}

/// Why a change was not made.
pub(in crate::domain) enum Failure {
    /// Another decision, based on what is there by then, may go through.
    Refused(Refusal),
    /// Another one would not help.
    Final(Error),
}

impl From<stripe::Error> for Failure {
    fn from(error: stripe::Error) -> Self {
        match Refusal::of(error) {
            Ok(refusal) => Self::Refused(refusal),
            Err(error) => Self::Final(error.into()),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}
