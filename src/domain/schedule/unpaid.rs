//! Time that is given back and was not paid: a credit never exceeds what was paid.
//!
//! Stripe credits the unused time of a licensed item at its present price, whether or not its invoice was paid, and
//! whatever discount was on it. Where that may be wrong, the change notes on the subscription which time it gives back, in
//! the call that makes it. Once it is made, the [books] say what was charged for that time and is left: what an
//! unpaid invoice charges is taken off that, what was paid is credited, and what Stripe credited beyond that is taken
//! back.

mod books;
mod credit_notes;
mod given_back;
mod invoice;
mod note;
mod settle;

use super::carry::restarts;
use super::charge::{CHARGE, CLOCK_SKEW};
use super::found::Found;
use super::notes::has_room;
use crate::billing::{DiscountAmount, Invoice, InvoiceLine, NewSchedule, PhaseEnd, Subscription};
use crate::domain::plan_change::{Action, Change};
use crate::domain::revision::Revision;
use crate::domain::{Domain, Failure, Result};
use crate::stripe;

use books::Books;
use note::Newest;

pub(super) use books::TIME;
pub(super) use invoice::{Credit, Part};
pub(super) use note::{Credits, ENDS, GivenBack, How, UNPAID};

/// What is to be known before time is given back that was perhaps not paid.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Doubt {
    /// Whether some of it was paid.
    is_partly_paid: bool,
    /// Whether some of it waits for the next invoice.
    is_partly_waiting: bool,
    newest: Newest,
}

/// Where Stripe's own credit may be wrong: what it credits was not paid, or not at the price that it credits.
struct Doubtful<'a> {
    /// The discount that goes on.
    goes_on: Option<&'a str>,
    /// Unix seconds.
    now: i64,
}

impl<'a> Doubtful<'a> {
    /// `coupon` is the one that is in force after the change.
    fn new(subscription: &'a Subscription, coupon: Option<&str>, now: i64) -> Self {
        let discount = subscription.discount.as_ref();
        let goes_on = discount.filter(|discount| coupon == Some(discount.coupon.id.as_str()));
        Self {
            goes_on: goes_on.map(|discount| discount.id.as_str()),
            now,
        }
    }

    fn is(&self, invoice: &Invoice, line: &InvoiceLine) -> bool {
        let mut discounts = line.discount_amounts.iter();
        let other = |discount: &DiscountAmount| {
            discount.amount > 0 && self.goes_on != Some(discount.discount.as_str())
        };
        invoice.is_unpaid(self.now) || invoice.given_back() > 0 || discounts.any(other)
    }

    fn is_any(&self, invoices: &[Invoice], goes: impl Fn(&str) -> bool) -> bool {
        let concerned = |line: &InvoiceLine| {
            let licensed = line.price.as_ref().filter(|price| price.is_licensed());
            licensed.is_some_and(|price| goes(&price.id)) && line.period.end > self.now
        };
        invoices.iter().any(|invoice| {
            let mut lines = invoice.lines.data.iter();
            lines.any(|line| concerned(line) && self.is(invoice, line))
        })
    }
}

impl Domain {
    /// What is to be known of the time that `goes`; none if Stripe's own credit is right.
    async fn doubt(
        &self,
        customer: &str,
        subscription: &Subscription,
        doubtful: Doubtful<'_>,
        goes: impl Fn(&str) -> bool,
    ) -> Result<Option<Doubt>> {
        let items = &subscription.items.data;
        if items.iter().all(|item| item.price.is_metered()) {
            return Ok(None);
        }
        let (since, now) = (subscription.current_period_start, doubtful.now);
        let invoices = self.invoices_since(&subscription.id, since).await?;
        if !doubtful.is_any(&invoices, &goes) {
            return Ok(None);
        }
        let books = self
            .books(customer, &subscription.id, invoices, since)
            .await?;
        let left = books.left(now, |charge| goes(&charge.price), |_| false);
        Ok(Some(Doubt {
            is_partly_paid: left.iter().any(|charge| !books.is_unpaid(charge, now)),
            is_partly_waiting: left.iter().any(|charge| charge.invoice.is_none()),
            newest: Newest {
                item: books.items.first().map(|item| item.id.clone()),
                invoice: books.invoices.first().map(|invoice| invoice.id.clone()),
            },
        }))
    }

    /// Notes the time that the action gives back and that was perhaps not paid, in the phase that begins. Where a period
    /// begins, Stripe would credit it at once: if nothing was paid, nothing is prorated then.
    pub(super) async fn note_unpaid(
        &self,
        customer: &str,
        change: Change<'_>,
        found: &Found,
        action: &mut Action,
    ) -> Result<()> {
        let (Action::Create(plan) | Action::Replace(_, plan) | Action::Adopt(_, plan)) = action
        else {
            return Ok(());
        };
        note_end(plan);
        let (Some(subscription), Some(begins), Some(first)) =
            (&found.current, plan.begins, change.asked.first())
        else {
            return Ok(());
        };
        let phase = &plan.phases[begins];
        let stays = |price: &str| phase.items.iter().any(|item| item.price == price);
        let restarts = restarts(subscription, &first.features, first.trial);
        let items = &subscription.items.data;
        if !restarts && items.iter().all(|item| stays(&item.price.id)) {
            return Ok(());
        }
        let doubtful = Doubtful::new(subscription, phase.coupon.as_deref(), change.now);
        let goes = |price: &str| restarts || !stays(price);
        let doubt = self.doubt(customer, subscription, doubtful, goes).await?;
        let Some(doubt) = doubt else {
            return Ok(());
        };
        let how = match (restarts, doubt.is_partly_paid) {
            (false, _) => How::Going,
            (true, false) => How::Restart,
            (true, true) => How::CreditedRestart,
        };
        plan.unprorated = how == How::Restart;
        let note = GivenBack {
            how,
            at: change.now,
            since: subscription.current_period_start,
            credits: Credits::After(doubt.newest),
        };
        let metadata = &mut plan.phases[begins].metadata;
        metadata.insert(UNPAID.to_owned(), note.to_string());
        Ok(())
    }

    /// Notes what is perhaps not paid of a subscription that is about to be ended, and says what; none if
    /// Stripe's own credit is right.
    pub(super) async fn note_unpaid_at_end(
        &self,
        customer: &str,
        subscription: &Subscription,
        now: i64,
        revision: &Revision,
    ) -> Result<Option<GivenBack>, Failure> {
        let coupon = subscription.discount.as_ref();
        let coupon = coupon.map(|discount| discount.coupon.id.as_str());
        let doubtful = Doubtful::new(subscription, coupon, now);
        let doubt = self.doubt(customer, subscription, doubtful, |_| true);
        let Some(doubt) = doubt.await? else {
            return Ok(None);
        };
        // What the last invoice charges for, it has to credit.
        let how = if doubt.is_partly_waiting {
            How::CreditedEnd
        } else {
            How::End
        };
        let note = GivenBack {
            how,
            at: now,
            since: subscription.current_period_start,
            credits: Credits::After(doubt.newest),
        };
        if !has_room(subscription) {
            // It is settled all the same, if nothing fails in between.
            return Ok(Some(note));
        }
        let shared = self.shared().await?;
        let key = (shared.number, customer.to_owned());
        shared.memory.settled().invalidate(&key).await;
        let step = format!("ending:{}", subscription.id);
        let noted = [(UNPAID.to_owned(), note.to_string())].into();
        self.note_on(&subscription.id, noted, &step, revision)
            .await?;
        Ok(Some(note))
    }

    /// Everything that charges for time of a subscription, on `invoices` or waiting for one, and what was given back.
    async fn books(
        &self,
        customer: &str,
        subscription: &str,
        invoices: Vec<Invoice>,
        since: i64,
    ) -> Result<Books, stripe::Error> {
        // An invoice also has what waited for it since an earlier period.
        let lines = invoices.iter().flat_map(|invoice| &invoice.lines.data);
        let earliest = lines.map(|line| line.period.start).chain([since]).min();
        let since = (earliest.unwrap_or(since) - CLOCK_SKEW).max(0);
        let mut items = self.billing().invoice_items_since(customer, since).await?;
        // A credit of ours that was made after the end is of no subscription.
        let ours = format!("unpaid:{subscription}:");
        items.retain(|item| {
            let named = item.metadata.get(CHARGE);
            item.subscription.as_deref() == Some(subscription)
                || named.is_some_and(|name| name.starts_with(&ours))
        });
        let mut notes = self.billing().customers_credit_notes(customer).await?;
        notes.retain(|note| invoices.iter().any(|invoice| invoice.id == note.invoice));
        let notes = self.billing().with_lines(notes).await?;
        Ok(Books::new(invoices, items, &notes))
    }
}

/// Notes when a schedule ends the subscription: nobody is there when Stripe credits its time.
fn note_end(plan: &mut NewSchedule) {
    let Some(last) = plan.phases.last_mut() else {
        return;
    };
    let noted = match last.end {
        Some(PhaseEnd::At(end)) if plan.ends => end.to_string(),
        _ => String::new(),
    };
    last.metadata.insert(ENDS.to_owned(), noted);
}
