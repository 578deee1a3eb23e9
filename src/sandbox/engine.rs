//! The passing of time: whatever falls due is done when its time has come.

use super::context::Ctx;
use super::ids::Id;

/// Does what is due at or before `until`, in the order of its time: on the test clock, or for the customers
/// that are on none.
///
/// It is called before every request for the customers without a clock, so that it has to be quick when
/// nothing is due. The clock's `frozen_time` is still the old one during the call.
pub(crate) fn run_until(_ctx: &mut Ctx<'_>, _clock: Option<&Id>, _until: i64) {}

/// The length in seconds of the shortest interval of a subscription on this clock: it may be advanced by two
/// of them at most. `None` without subscriptions.
pub(crate) fn shortest_interval(_ctx: &Ctx<'_>, _clock: &Id) -> Option<i64> {
    None
}
