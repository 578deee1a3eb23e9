//! Web pages: their common layout, their contents, and the files that they load.
//!
//! This part decides how pages look. The data comes from [`domain`](crate::domain), and [`api`](crate::api) decides at
//! which paths pages are and who may see them. Pages are HTML that the server writes, and plain ES modules; there is no
//! build step.

mod assets;
mod builder;
mod console;
mod layout;
mod pay;
mod pricing_table;
mod problem;
mod revalidation;
mod start;

pub use assets::Asset;
pub use builder::builder;
pub use console::{
    Change, Fragment, OrgView, OrgsView, console, older_invoices, org, orgs, planned_change,
};
pub use layout::Page;
pub use pay::{LinkProblem, checkout_link, link_problem};
pub use pricing_table::pricing_table;
pub use problem::problem;
pub use revalidation::{Revalidated, etag};
pub use start::start;
