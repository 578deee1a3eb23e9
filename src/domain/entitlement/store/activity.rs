//! The reads and writes of orgs in flight.
//!
//! A figure that Stripe returns while usage is being written may or may not include that usage. So all writes and reads
//! in flight are tracked, and the value of a read is not remembered if a write may have overtaken the read.

use std::collections::HashMap;
use std::sync::{Arc, MutexGuard};

use smol_str::SmolStr;

use super::{Entitlements, Entry, OrgKey, Part, RememberedOrg, locked};
use crate::domain::CallerState;
use crate::domain::entitlement::CachedPhase;
use crate::domain::entitlement::usage::{ReportEffect, UsageSnapshot};

/// The reads and writes of an org in flight. An org without any is not listed.
#[derive(Default)]
pub(super) struct Activity {
    readers: u32,
    usage: WriteCount,
    changes: WriteCount,
    /// The result of the change in progress, once it is known.
    result: Option<ChangeResult>,
}

/// The result of a change of an org.
pub(in crate::domain::entitlement) enum ChangeResult {
    /// The remembered values of this customer are still valid.
    Unchanged(Arc<str>),
    /// The remembered values are replaced by these.
    Changed {
        customer: Arc<str>,
        usage: Entry<UsageSnapshot>,
        phase: Option<Entry<CachedPhase>>,
    },
}

/// The writes of one kind.
#[derive(Clone, Copy, Default)]
struct WriteCount {
    in_flight: u32,
    /// The number of starts, ends and invalidations since the org was listed.
    count: u64,
}

impl WriteCount {
    fn begin(&mut self) {
        self.in_flight += 1;
        self.count += 1;
    }

    fn end(&mut self) {
        self.in_flight -= 1;
        self.count += 1;
    }
}

impl Activity {
    fn start(&self) -> ReadStart {
        ReadStart {
            usage: self.usage,
            changes: self.changes,
        }
    }

    fn is_over(&self) -> bool {
        self.readers == 0 && self.usage.in_flight == 0 && self.changes.in_flight == 0
    }
}

/// The kind of write that may have overtaken a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::domain::entitlement) enum Overtaken {
    /// None.
    No,
    /// A report of usage.
    ByUsage,
    /// A change of the org's plan or details.
    ByChange,
}

impl Entitlements {
    /// Registers a reader.
    pub(in crate::domain::entitlement) fn enter(&self, key: &OrgKey) -> Reader<'_> {
        self.activities().entry(key.clone()).or_default().readers += 1;
        Reader {
            store: self,
            key: key.clone(),
        }
    }

    /// Begins a report of usage.
    pub(in crate::domain::entitlement) fn begin_usage(self: &Arc<Self>, key: OrgKey) -> UsageWrite {
        let mut activities = self.activities();
        activities.entry(key.clone()).or_default().usage.begin();
        drop(activities);
        UsageWrite {
            store: Arc::clone(self),
            key,
            effect: None,
        }
    }

    /// Begins a change of an org. `caller` knows whether the change had any effect.
    pub(in crate::domain::entitlement) fn begin_change(
        self: &Arc<Self>,
        key: OrgKey,
        caller: CallerState,
    ) -> ChangeWrite {
        let mut activities = self.activities();
        let activity = activities.entry(key.clone()).or_default();
        activity.changes.begin();
        activity.result = None;
        let begun = activity.start();
        let remembered = self.org(&key);
        locked(&remembered).changes += 1;
        drop(activities);
        ChangeWrite {
            store: Arc::clone(self),
            key,
            begun,
            caller,
        }
    }

    /// Records the result of the change in progress.
    pub(in crate::domain::entitlement) fn record_result(&self, key: &OrgKey, result: ChangeResult) {
        if let Some(activity) = self.activities().get_mut(key)
            && activity.changes.in_flight > 0
        {
            activity.result = Some(result);
        }
    }

    /// Outdates an org that was changed in Stripe. Outdated values are used only while Stripe cannot be asked.
    pub(in crate::domain::entitlement) fn outdate(&self, key: &OrgKey) {
        let mut activities = self.activities();
        if let Some(activity) = activities.get_mut(key) {
            activity.changes.count += 1;
        }
        if let Some(remembered) = self.orgs.get(key) {
            let mut remembered = locked(&remembered);
            if let Some(entry) = &mut remembered.usage {
                entry.is_outdated = true;
            }
            if let Some(entry) = &mut remembered.phase {
                entry.is_outdated = true;
            }
        }
    }

    /// Treats all reads in flight as overtaken, because an event arrived for an unknown customer, which one of them may
    /// be reading.
    pub(in crate::domain::entitlement) fn overtake_reads(&self) {
        let mut activities = self.activities();
        let read = activities
            .values_mut()
            .filter(|activity| activity.readers > 0);
        read.for_each(|activity| activity.changes.count += 1);
    }

    pub(super) fn activities(&self) -> MutexGuard<'_, HashMap<OrgKey, Activity>> {
        locked(&self.in_flight)
    }

    /// Unregisters a guard.
    fn leave<R>(
        &self,
        key: &OrgKey,
        leave: impl FnOnce(&mut Activity, Option<&mut RememberedOrg>) -> R,
    ) -> Option<R> {
        let mut activities = self.activities();
        let remembered = self.orgs.get(key);
        let activity = activities.get_mut(key)?;
        let mut remembered = remembered.as_deref().map(locked);
        let left = leave(activity, remembered.as_deref_mut());
        if activity.is_over() {
            activities.remove(key);
        }
        Some(left)
    }
}

/// A request that waits for a read of an org.
pub(in crate::domain::entitlement) struct Reader<'a> {
    store: &'a Entitlements,
    key: OrgKey,
}

/// The activity of an org when a read began.
#[derive(Clone, Copy, Default)]
pub(in crate::domain::entitlement) struct ReadStart {
    usage: WriteCount,
    changes: WriteCount,
}

impl Reader<'_> {
    /// Identifies the writes that a read includes, so that a caller does not share a read that began before the
    /// caller's own write.
    pub(in crate::domain::entitlement) fn generation<T: Part>(&self) -> u64 {
        let ReadStart { usage, changes } = self.begin();
        let usage = if T::HAS_USAGE { usage.count } else { 0 };
        usage + changes.count
    }

    /// The remembered part at `now`, in Unix milliseconds.
    pub(in crate::domain::entitlement) fn remembered<T: Part>(&self, now: i64) -> Option<Entry<T>> {
        let (entry, _) = self.store.get::<T>(&self.key, now)?;
        Some(entry)
    }

    /// Begins a read. Returns the activity at its start.
    pub(in crate::domain::entitlement) fn begin(&self) -> ReadStart {
        let activities = self.store.activities();
        let activity = activities.get(&self.key);
        activity.map(Activity::start).unwrap_or_default()
    }

    /// Forgets the org, because Stripe does not have it.
    pub(in crate::domain::entitlement) fn forget(&self) {
        self.store.forget(&self.key);
    }

    /// Ends a read, and remembers its value unless a write may have overtaken it.
    pub(in crate::domain::entitlement) fn remember<T: Part>(
        &self,
        begun: ReadStart,
        customer: &Arc<str>,
        entry: &Entry<T>,
    ) -> Overtaken {
        let activities = self.store.activities();
        let overtaken =
            |begun: WriteCount, now: WriteCount| begun.in_flight > 0 || begun.count != now.count;
        if let Some(activity) = activities.get(&self.key) {
            if overtaken(begun.changes, activity.changes) {
                return Overtaken::ByChange;
            }
            if T::HAS_USAGE && overtaken(begun.usage, activity.usage) {
                return Overtaken::ByUsage;
            }
        }
        let remembered = self.store.org(&self.key);
        let before = locked(&remembered).remember(customer, entry.clone());
        self.store.index(&self.key, customer, before);
        Overtaken::No
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        self.store
            .leave(&self.key, |activity, _| activity.readers -= 1);
    }
}

/// A report of usage in flight. Dropping it applies its effect to the remembered usage, or outdates that usage if the
/// effect is unknown.
pub(in crate::domain) struct UsageWrite {
    store: Arc<Entitlements>,
    key: OrgKey,
    effect: Option<ReportEffect>,
}

impl UsageWrite {
    /// Runs the report. If the caller leaves before it ends, the remembered usage is outdated.
    pub(in crate::domain) async fn watch<T>(
        &self,
        caller: &CallerState,
        report: impl Future<Output = T>,
    ) -> T {
        let mut report = std::pin::pin!(report);
        tokio::select! {
            biased;
            done = &mut report => return done,
            () = caller.leaves() => {}
        }
        if let Some(remembered) = self.store.orgs.get(&self.key)
            && let Some(usage) = &mut locked(&remembered).usage
        {
            usage.is_outdated = true;
        }
        report.await
    }

    /// Records the report's effect.
    pub(in crate::domain) fn record_effect(&mut self, effect: ReportEffect) {
        self.effect = Some(effect);
    }
}

impl Drop for UsageWrite {
    fn drop(&mut self) {
        let effect = self.effect.take();
        self.store.leave(&self.key, |activity, remembered| {
            activity.usage.end();
            let Some(entry) = remembered.and_then(|remembered| remembered.usage.as_mut()) else {
                return;
            };
            match effect.and_then(|effect| entry.value.with(&effect)) {
                Some(value) => entry.value = Arc::new(value),
                None => entry.is_outdated = true,
            }
        });
    }
}

/// A change of an org in progress, during which remembered values are not used. If the change had any effect, they are
/// then replaced by its result, or forgotten if the result is unknown.
pub(in crate::domain) struct ChangeWrite {
    store: Arc<Entitlements>,
    key: OrgKey,
    /// The activity when it began, including this change.
    begun: ReadStart,
    caller: CallerState,
}

impl ChangeWrite {
    /// Applies the result, unless another write happened meanwhile. Returns the customer, and the previous customer if
    /// it differs.
    fn end(
        &self,
        activity: &mut Activity,
        remembered: &mut RememberedOrg,
    ) -> Option<(Arc<str>, Option<SmolStr>)> {
        remembered.changes = remembered.changes.saturating_sub(1);
        let is_alone = activity.usage.in_flight == 0
            && activity.usage.count == self.begun.usage.count
            && activity.changes.count == self.begun.changes.count;
        let result = activity.result.take();
        if self.caller.is_without_effects() {
            return None;
        }
        match result {
            Some(ChangeResult::Unchanged(customer))
                if remembered.customer.as_deref() == Some(&*customer) =>
            {
                None
            }
            Some(ChangeResult::Changed {
                customer,
                usage,
                phase,
            }) if is_alone => {
                remembered.forget();
                let before = remembered.remember(&customer, usage);
                remembered.phase = phase;
                Some((customer, before))
            }
            _ => {
                remembered.forget();
                None
            }
        }
    }
}

impl Drop for ChangeWrite {
    fn drop(&mut self) {
        let ended = self.store.leave(&self.key, |activity, remembered| {
            let ended = remembered.and_then(|remembered| self.end(activity, remembered));
            activity.changes.end();
            ended
        });
        if let Some((customer, before)) = ended.flatten() {
            self.store.index(&self.key, &customer, before);
        }
    }
}
