//! The routes of web pages, and of the files that they load. How pages look is in [`web`](crate::web).

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
pub(super) use problem::{Reader, error_page};

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
