//! An org's phases as a timeline.

use maud::{Markup, html};

use super::{day, names};
use crate::domain::{Phase, Phases};

/// The length of the line, in units of the drawing.
const LENGTH: i64 = 1000;

/// The minimum time, in seconds, for which a phase without an end is drawn.
const OPEN: i64 = 30 * 86_400;

/// The line, and a list that says the same in words.
pub(super) fn timeline(phases: &Phases) -> Markup {
    let spans = spans(&phases.phases);
    let begin = spans.first().map_or(0, |(from, _)| *from);
    let end = spans.last().map_or(0, |(_, to)| *to);
    let at = |time: i64| position(time - begin, end - begin);
    let is_current = |index: usize| phases.current_index == Some(index);
    html! {
        @if phases.phases.is_empty() {
            p { "It has no subscription." }
        } @else {
            // Hidden from screen readers: the list below says the same.
            svg.line viewBox={ "0 0 " (LENGTH) " 24" } preserveAspectRatio="none" aria-hidden="true" {
                @for (index, (from, to)) in spans.iter().enumerate() {
                    rect.now[is_current(index)].none[phases.phases[index].features.is_empty()]
                        x=(at(*from)) y="0" width=((at(*to) - at(*from)).max(2)) height="24" {}
                }
            }
            @if let Some(end) = phases.ended { p { "Its subscription ended on " (day(end)) "." } }
            ol.phases {
                @for (index, phase) in phases.phases.iter().enumerate() {
                    li aria-current=[is_current(index).then_some("true")] { (words(phase, is_current(index))) }
                }
            }
        }
    }
}

fn words(phase: &Phase, is_current: bool) -> Markup {
    let features = [names(&phase.plans), names(&phase.fragments)].concat();
    html! {
        b { @if features.is_empty() { "No plan" } @else { (features.join(", ")) } }
        @if phase.trial { " on trial" }
        " from " (day(phase.effective))
        @if let Some(end) = phase.end { " to " (day(end)) }
        @if is_current { " " span.badge { "now" } }
    }
}

/// The start and end with which each phase is drawn, in Unix seconds.
fn spans(phases: &[Phase]) -> Vec<(i64, i64)> {
    let begins: Vec<i64> = phases.iter().map(|phase| phase.effective).collect();
    let total = begins.last().zip(begins.first());
    let total = total.map_or(0, |(last, first)| last.saturating_sub(*first));
    let ends = phases.iter().enumerate().map(|(index, phase)| {
        let next = begins.get(index + 1).copied();
        let open = || phase.effective.saturating_add(OPEN.max(total / 4));
        (phase.effective, phase.end.or(next).unwrap_or_else(open))
    });
    ends.collect()
}

fn position(time: i64, total: i64) -> i64 {
    let position = i128::from(time) * i128::from(LENGTH) / i128::from(total.max(1));
    i64::try_from(position).unwrap_or(LENGTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(effective: i64, end: Option<i64>) -> Phase {
        Phase {
            features: Vec::new(),
            plans: Vec::new(),
            fragments: Vec::new(),
            trial: false,
            coupon: None,
            effective,
            end,
            current_period: None,
            automatic_tax: false,
        }
    }

    #[test]
    fn phases_fill_the_line() {
        let (start, year) = (1_672_531_200, 365 * 86_400);
        let open = [phase(start, None), phase(start + year, None)];
        assert_eq!(
            spans(&open),
            [
                (start, start + year),
                (start + year, start + year + year / 4)
            ]
        );
        let ended = [
            phase(start, Some(start + 10)),
            phase(start + 20, Some(start + 30)),
        ];
        assert_eq!(
            spans(&ended),
            [(start, start + 10), (start + 20, start + 30)]
        );
        assert_eq!(spans(&[phase(0, None)]), [(0, OPEN)]);
        assert_eq!(
            (
                position(5, 10),
                position(0, 0),
                position(i64::MAX, i64::MAX)
            ),
            (500, 0, 1000)
        );
    }
}
