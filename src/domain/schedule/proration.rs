//! Credits for unused time that never exceed what was paid.
//!
//! When a licensed item is removed, Stripe credits its unused time at its current price, whether or not the invoice was
//! paid, and without regard to its discount. If that credit may be wrong, the change notes on the subscription which
//! time it leaves unused. After the change, the [history] shows what was charged for that time. What an unpaid invoice
//! charges is taken off that invoice, what was paid is credited, and what Stripe credited beyond that is charged back.

mod credit_notes;
mod history;
mod matching;
mod reduction;
mod settle;
mod unused_time;

use super::customer_state::CustomerState;
use super::notes::has_metadata_room;
use super::transfer::starts_new_period;
use super::usage_charge::{CHARGE, CLOCK_SKEW};
use crate::billing::{DiscountAmount, Invoice, InvoiceLine, NewSchedule, PhaseEnd, Subscription};
use crate::domain::org::ResolvedOrg;
use crate::domain::plan_change::{Action, PlanChange};
use crate::domain::revision::Revision;
use crate::domain::{Domain, Failure, Result};
use crate::stripe;

use history::History;
use unused_time::Newest;

pub(super) use history::TIME;
pub(super) use reduction::{LinePart, Reduction};
pub(super) use unused_time::{
    PLANNED_END, StripeCredits, UNUSED_TIME, UnusedTime, UnusedTimeCause,
};

/// Facts about unused time of which some may not have been paid.
#[derive(Clone, Debug, PartialEq, Eq)]
struct UnpaidTime {
    /// Whether some of it was paid.
    is_partly_paid: bool,
    /// Whether some of it is pending for the next invoice.
    is_partly_pending: bool,
    newest: Newest,
}

/// Decides whether Stripe's own credit may be wrong because the time was not paid, or was paid at another price.
struct CreditCheck<'a> {
    /// The id of the discount that continues after the change.
    continuing_discount: Option<&'a str>,
    /// Unix seconds.
    now: i64,
}

impl<'a> CreditCheck<'a> {
    /// `coupon` is the coupon after the change.
    fn new(subscription: &'a Subscription, coupon: Option<&str>, now: i64) -> Self {
        let discount = subscription.discount.as_ref();
        let continuing_discount =
            discount.filter(|discount| coupon == Some(discount.coupon.id.as_str()));
        Self {
            continuing_discount: continuing_discount.map(|discount| discount.id.as_str()),
            now,
        }
    }

    fn may_be_wrong(&self, invoice: &Invoice, line: &InvoiceLine) -> bool {
        let mut discounts = line.discount_amounts.iter();
        let ends = |discount: &DiscountAmount| {
            discount.amount > 0 && self.continuing_discount != Some(discount.discount.as_str())
        };
        invoice.is_unpaid(self.now) || invoice.credited_or_refunded() > 0 || discounts.any(ends)
    }

    fn may_any_be_wrong(&self, invoices: &[Invoice], is_removed: impl Fn(&str) -> bool) -> bool {
        let is_affected = |line: &InvoiceLine| {
            let licensed = line.price.as_ref().filter(|price| price.is_licensed());
            licensed.is_some_and(|price| is_removed(&price.id)) && line.period.end > self.now
        };
        invoices.iter().any(|invoice| {
            let mut lines = invoice.lines().iter();
            lines.any(|line| is_affected(line) && self.may_be_wrong(invoice, line))
        })
    }
}

impl Domain {
    /// The unpaid time of the prices for which `is_removed` holds. None if Stripe's own credit is right.
    async fn unpaid_time(
        &self,
        customer: &str,
        subscription: &Subscription,
        check: CreditCheck<'_>,
        is_removed: impl Fn(&str) -> bool,
    ) -> Result<Option<UnpaidTime>> {
        let items = &subscription.items;
        if items.iter().all(|item| item.price.is_metered()) {
            return Ok(None);
        }
        let (since, now) = (subscription.current_period_start, check.now);
        let invoices = self.invoices_since(&subscription.id, since).await?;
        if !check.may_any_be_wrong(&invoices, &is_removed) {
            return Ok(None);
        }
        let history = self
            .history(customer, &subscription.id, invoices, since)
            .await?;
        let remaining = history.remaining(now, |charge| is_removed(&charge.price), |_| false);
        Ok(Some(UnpaidTime {
            is_partly_paid: remaining
                .iter()
                .any(|charge| !history.is_unpaid(charge, now)),
            is_partly_pending: remaining.iter().any(|charge| charge.invoice.is_none()),
            newest: Newest {
                item: history.items.first().map(|item| item.id.clone()),
                invoice: history.invoices.first().map(|invoice| invoice.id.clone()),
            },
        }))
    }

    /// Notes in the phase that begins which time the action leaves unused, if that time may not have been paid. If the
    /// change starts a new period and nothing was paid, also switches proration off, since Stripe would credit the time
    /// at once. Not with meters: Stripe bills their usage by a proration.
    pub(super) async fn note_unused_time(
        &self,
        customer: &str,
        change: PlanChange<'_>,
        state: &CustomerState,
        action: &mut Action,
    ) -> Result<()> {
        let plan = match action {
            Action::Create(plan) => {
                // It changes no other subscription.
                note_end(plan);
                return Ok(());
            }
            Action::Replace(_, plan) | Action::Adopt(_, plan) => plan,
            _ => return Ok(()),
        };
        note_end(plan);
        let (Some(subscription), Some(begins), Some(first)) =
            (&state.current, plan.begins, change.requested.first())
        else {
            return Ok(());
        };
        let phase = &plan.phases[begins];
        let stays = |price: &str| phase.items.iter().any(|item| item.price == price);
        let starts_new_period = starts_new_period(subscription, &first.features, first.trial);
        let items = &subscription.items;
        if !starts_new_period && items.iter().all(|item| stays(&item.price.id)) {
            return Ok(());
        }
        let check = CreditCheck::new(subscription, phase.coupon.as_deref(), change.now);
        let is_removed = |price: &str| starts_new_period || !stays(price);
        let unpaid_time = self
            .unpaid_time(customer, subscription, check, is_removed)
            .await?;
        let Some(unpaid_time) = unpaid_time else {
            return Ok(());
        };
        let may_prorate = unpaid_time.is_partly_paid || subscription.is_on_meters();
        let cause = match (starts_new_period, may_prorate) {
            (false, _) => UnusedTimeCause::RemovedItems,
            (true, false) => UnusedTimeCause::NewPeriod,
            (true, true) => UnusedTimeCause::CreditedNewPeriod,
        };
        plan.unprorated = !cause.is_credited();
        let note = UnusedTime {
            cause,
            at: change.now,
            since: subscription.current_period_start,
            credits: StripeCredits::NewerThan(unpaid_time.newest),
        };
        let metadata = &mut plan.phases[begins].metadata;
        metadata.insert(UNUSED_TIME.to_owned(), note.to_string());
        Ok(())
    }

    /// Notes the unused time of a subscription that is about to be ended. Returns the note, or none if Stripe's own
    /// credit is right.
    pub(super) async fn note_unused_time_at_end(
        &self,
        org: &ResolvedOrg,
        subscription: &Subscription,
        now: i64,
        revision: &Revision,
    ) -> Result<Option<UnusedTime>, Failure> {
        let coupon = subscription.discount.as_ref();
        let coupon = coupon.map(|discount| discount.coupon.id.as_str());
        let check = CreditCheck::new(subscription, coupon, now);
        let unpaid_time = self.unpaid_time(&org.customer, subscription, check, |_| true);
        let Some(unpaid_time) = unpaid_time.await? else {
            return Ok(None);
        };
        // The last invoice charges pending items, so it must credit them too.
        let cause = if unpaid_time.is_partly_pending {
            UnusedTimeCause::CreditedEnd
        } else {
            UnusedTimeCause::End
        };
        let note = UnusedTime {
            cause,
            at: now,
            since: subscription.current_period_start,
            credits: StripeCredits::NewerThan(unpaid_time.newest),
        };
        if !has_metadata_room(subscription) {
            // Without the note, only this request can settle it.
            return Ok(Some(note));
        }
        self.shared().await?.forget_settled(org);
        let step = format!("ending:{}", subscription.id);
        let noted = [(UNUSED_TIME.to_owned(), note.to_string())].into();
        self.note_on(&subscription.id, noted, &step, revision)
            .await?;
        Ok(Some(note))
    }

    /// All charges and credits for the time of a subscription, on `invoices` or pending.
    async fn history(
        &self,
        customer: &str,
        subscription: &str,
        invoices: Vec<Invoice>,
        since: i64,
    ) -> Result<History, stripe::Error> {
        // An invoice also has items that were pending since an earlier period.
        let lines = invoices.iter().flat_map(Invoice::lines);
        let earliest = lines.map(|line| line.period.start).chain([since]).min();
        let since = (earliest.unwrap_or(since) - CLOCK_SKEW).max(0);
        let mut items = self.billing().invoice_items_since(customer, since).await?;
        // A credit that Tier made after the end belongs to no subscription.
        let prefix = format!("unpaid:{subscription}:");
        items.retain(|item| {
            let named = item.metadata.get(CHARGE);
            item.subscription.as_deref() == Some(subscription)
                || named.is_some_and(|name| name.starts_with(&prefix))
        });
        let is_listed = |id: &str| invoices.iter().any(|invoice| invoice.id == id);
        let notes = self.billing().credit_notes_of_customer(customer, is_listed);
        let notes = notes.await?;
        Ok(History::new(invoices, items, &notes))
    }
}

impl NewSchedule {
    /// Whether a phase notes time that the change leaves unused.
    pub(super) fn notes_unused_time(&self) -> bool {
        let mut phases = self.phases.iter();
        phases.any(|phase| phase.metadata.contains_key(UNUSED_TIME))
    }
}

/// Notes when a schedule ends the subscription, since Stripe then credits the unused time without Tier.
fn note_end(plan: &mut NewSchedule) {
    let Some(last) = plan.phases.last_mut() else {
        return;
    };
    let noted = match last.end {
        Some(PhaseEnd::At(end)) if plan.ends => end.to_string(),
        _ => String::new(),
    };
    last.metadata.insert(PLANNED_END.to_owned(), noted);
}
