//! Pages for people, and what they load. How they look is in [`web`](crate::web).

mod assets;
mod builder;
mod console;
mod pay;
mod pricing;
mod problem;
mod share;
mod start;

pub(super) use pay::OpenLink;
pub use problem::refusal_page;
pub(super) use problem::{Reader, for_people};

use super::operation::Operation;

/// The operations of all pages.
pub(super) fn operations() -> impl Iterator<Item = Operation> {
    assets::operations()
        .into_iter()
        .chain(builder::operations())
        .chain(console::operations())
        .chain(pay::operations())
        .chain(pricing::operations())
        .chain(share::operations())
        .chain(start::operations())
}
