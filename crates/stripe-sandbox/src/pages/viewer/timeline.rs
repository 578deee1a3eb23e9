//! The drawing of a subscription's or schedule's timeline: phases, trial, current periods, invoices, and now.

use maud::{Markup, html};

use super::format::{View, time};
use crate::resource::subscription::Subscription;
use crate::resource::subscription_schedule::{Phase, Schedule};

/// The width of the drawing in its own units.
const WIDTH: i64 = 1000;

/// A part of the timeline.
struct Span {
    from: i64,
    /// `None` if it has no known end.
    to: Option<i64>,
    label: String,
    trial_end: Option<i64>,
}

/// A timeline.
struct Timeline {
    spans: Vec<Span>,
    /// The current periods.
    periods: Vec<(i64, i64)>,
    invoices: Vec<i64>,
    now: i64,
}

pub(super) fn of_subscription(view: View<'_>, subscription: &Subscription) -> Markup {
    let now = view.account.time_on(subscription.clock.as_ref(), view.now);
    let ended = subscription.ended_at;
    let mut spans = phases(view, subscription);
    if spans.is_empty() {
        let items = subscription.items.iter().map(|item| &*item.price);
        spans.push(Span {
            from: subscription.start_date,
            to: ended.or(subscription.ends_at()),
            label: names(view, items),
            trial_end: subscription.trial.map(|(_, end)| end),
        });
    }
    let invoices = view.account.customers.get(&subscription.customer);
    let invoices = invoices.map_or(&[][..], |customer| &customer.invoices);
    let invoices = invoices
        .iter()
        .filter_map(|position| view.account.billing.invoices.at(*position))
        .filter(|invoice| invoice.subscription.as_ref() == Some(&subscription.id))
        .map(|invoice| invoice.created);
    let line = Timeline {
        spans,
        periods: match ended {
            Some(_) => Vec::new(),
            None => periods(subscription),
        },
        invoices: invoices.collect(),
        now,
    };
    line.render()
}

/// The running periods of a subscription, without duplicates.
fn periods(subscription: &Subscription) -> Vec<(i64, i64)> {
    let mut periods: Vec<(i64, i64)> = Vec::new();
    for cycle in &subscription.cycles {
        if !periods.contains(&cycle.period) {
            periods.push(cycle.period);
        }
    }
    periods
}

pub(super) fn of_schedule(view: View<'_>, schedule: &Schedule) -> Markup {
    let line = Timeline {
        spans: spans(view, schedule),
        periods: Vec::new(),
        invoices: Vec::new(),
        now: view.account.time_on(schedule.clock.as_ref(), view.now),
    };
    line.render()
}

/// The phases of all schedules that the subscription has had.
fn phases(view: View<'_>, subscription: &Subscription) -> Vec<Span> {
    let customer = view.account.customers.get(&subscription.customer);
    let schedules = customer.map_or(&[][..], |customer| &customer.schedules);
    let id = Some(&subscription.id);
    let mut phases: Vec<Span> = schedules
        .iter()
        .filter_map(|position| view.account.billing.schedules.at(*position))
        .filter(|schedule| {
            schedule.subscription.as_ref() == id || schedule.released_subscription.as_ref() == id
        })
        .flat_map(|schedule| spans(view, schedule))
        .filter(|span| subscription.ended_at.is_none_or(|end| span.from < end))
        .collect();
    phases.sort_by_key(|span| span.from);
    for span in &mut phases {
        span.to = [span.to, subscription.ended_at].into_iter().flatten().min();
    }
    phases
}

/// The phases of a schedule, up to its end.
fn spans(view: View<'_>, schedule: &Schedule) -> Vec<Span> {
    let over = [
        schedule.canceled_at,
        schedule.completed_at,
        schedule.released_at,
    ];
    let over = over.into_iter().flatten().min();
    let kept = |phase: &&Phase| over.is_none_or(|over| phase.start < over);
    let span = |phase: &Phase| Span {
        from: phase.start,
        to: Some(over.map_or(phase.end, |over| phase.end.min(over))),
        label: names(view, phase.items.iter().map(|item| &*item.price)),
        trial_end: phase.trial_end,
    };
    schedule.phases.iter().filter(kept).map(span).collect()
}

/// The names of the prices' products, without duplicates.
fn names<'a>(view: View<'_>, prices: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<String> = Vec::new();
    for price in prices {
        let name = view.price_name(price).to_owned();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(", ")
}

impl Span {
    fn is_past(&self, now: i64) -> bool {
        self.to.is_some_and(|to| to <= now)
    }

    /// Whether it is past, current or coming, as a word and a CSS class.
    fn state(&self, now: i64) -> &'static str {
        if self.is_past(now) {
            "past"
        } else if self.from <= now {
            "current"
        } else {
            "coming"
        }
    }
}

impl Timeline {
    /// The time range of the drawing. A timeline without an end gets some extra space.
    fn range(&self) -> (i64, i64) {
        let periods = self.periods.iter().flat_map(|(from, to)| [*from, *to]);
        let spans = self
            .spans
            .iter()
            .flat_map(|span| [Some(span.from), span.to]);
        let all: Vec<i64> = spans.flatten().chain(periods).chain([self.now]).collect();
        let from = all.iter().copied().min().unwrap_or(self.now);
        let to = all.iter().copied().max().unwrap_or(self.now);
        let length = (to - from).max(3600);
        let open = self.spans.last().is_some_and(|last| last.to.is_none());
        let more = if open { length / 5 } else { length / 50 };
        (from, from + length + more)
    }

    fn render(&self) -> Markup {
        if self.spans.is_empty() {
            return html! { p class="note" { "It ended before it began." } };
        }
        let (start, end) = self.range();
        let at = |time: i64| (time.clamp(start, end) - start) * WIDTH / (end - start);
        let bar = |from: i64, to: i64, y: i64, height: i64, class: &str| {
            let width = (at(to) - at(from)).max(2);
            html! { rect class=(class) x=(at(from)) y=(y) width=(width) height=(height) {} }
        };
        let mark = |time: i64, class: &str, from: i64, to: i64| {
            html! { line class=(class) x1=(at(time)) x2=(at(time)) y1=(from) y2=(to) {} }
        };
        html! {
            svg class="line" viewBox="0 0 1000 36" preserveAspectRatio="none" aria-hidden="true" {
                @for span in &self.spans {
                    (bar(span.from, span.to.unwrap_or(end), 10, 14, span.state(self.now)))
                    @if let Some(trial) = span.trial_end.filter(|trial| *trial > span.from) {
                        (bar(span.from, trial, 10, 6, "trial"))
                    }
                }
                @for (from, to) in &self.periods { (bar(*from, *to, 7, 20, "period")) }
                @for invoice in &self.invoices { (mark(*invoice, "invoice", 24, 34)) }
                (mark(self.now, "now", 0, 36))
            }
            ol class="spans" {
                @for span in &self.spans { li { (self.words(span)) } }
                @for (from, to) in &self.periods {
                    li { "Current period: " (time(*from)) " to " (time(*to)) }
                }
                li { "Now: " (time(self.now)) }
            }
        }
    }

    fn words(&self, span: &Span) -> Markup {
        let trial = span.trial_end.filter(|trial| *trial > span.from);
        html! {
            (span.state(self.now)) ": " (time(span.from))
            @if let Some(to) = span.to { " to " (time(to)) } @else { ", no end" }
            @if !span.label.is_empty() { ": " (span.label) }
            @if let Some(trial) = trial { ", trial until " (time(trial)) }
        }
    }
}
