//! What surrounds every handler, from the outside: [`observe`] tells of each request, [`origin`] keeps web pages out,
//! [`auth`] finds the caller, and [`load`] bounds what is done at once. All of them read and fill one [`RequestContext`].

pub(super) mod auth;
mod context;
pub(super) mod load;
pub(super) mod observe;
pub(super) mod origin;
mod peer;
pub(super) mod strangers;

pub(super) use context::RequestContext;
