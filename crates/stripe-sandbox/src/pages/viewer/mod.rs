//! The viewer: shows everything that is in the sandbox, in a browser. Its paths are those of Stripe's dashboard, so
//! that links from other tools work.
//!
//! The pages work without the script; with it, they update themselves. [`controls`] has the actions of the buttons.

pub(super) mod controls;
mod format;
mod lists;
mod objects;
mod overview;
pub(crate) mod target;
mod timeline;

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use tokio::time::{Instant, timeout_at};

use self::format::{View, plural, time};
use self::lists::ROWS;
use self::target::{Kind, Target, TargetPage};
use super::layout;
use crate::params::Params;
use crate::params::form::Form;
use crate::sandbox::Sandbox;
use crate::store::accounts::LockedAccount;
use crate::store::context::CallSettings;
use crate::store::page::Page;

/// How long a page waits for accounts that are busy with a long call.
const BUSY_TIMEOUT: Duration = Duration::from_millis(250);

/// The rows of each list on an overview of several accounts.
const ROWS_PER_ACCOUNT: usize = 10;

/// Answers a request for a page.
pub(crate) async fn answer(
    sandbox: &Sandbox,
    target: Target,
    query: Option<&str>,
    settings: CallSettings,
) -> Response {
    let request = PageRequest {
        sandbox,
        after: after(query),
        settings,
        deadline: Instant::now() + BUSY_TIMEOUT,
    };
    let accounts = match &target.account {
        None => sandbox.0.accounts.newest(),
        Some(id) => sandbox.0.accounts.existing(id).into_iter().collect(),
    };
    if let (Some(id), true) = (&target.account, accounts.is_empty()) {
        return unknown("account", id);
    }
    match target.page {
        TargetPage::Overview => request.overview(&accounts, target.account.as_deref()).await,
        TargetPage::List(kind) => request.list(&accounts, kind).await,
        TargetPage::Object(kind, id) => request.object(&accounts, kind, &id).await,
    }
}

/// The id of the last row on the previous page.
fn after(query: Option<&str>) -> Option<String> {
    let mut form = Form::default();
    form.read(query?.as_bytes()).ok()?;
    let after = Params::new(&form).string("starting_after").ok()??;
    Some(after.to_owned())
}

struct PageRequest<'a> {
    sandbox: &'a Sandbox,
    after: Option<String>,
    settings: CallSettings,
    deadline: Instant,
}

impl PageRequest<'_> {
    /// Runs `work` on a view of the account, after everything that is due; `None` if the account is busy.
    async fn view_account<T>(
        &self,
        account: &LockedAccount,
        work: impl FnOnce(View<'_>) -> T,
    ) -> Option<T> {
        let _turn = timeout_at(self.deadline, account.turn()).await.ok()?;
        let settings = self.settings.clone();
        Some(self.sandbox.in_turn(account, Vec::new(), settings, |ctx| {
            work(View {
                account: ctx.account,
                now: ctx.now,
            })
        }))
    }

    /// One account, or all of them: fifty a page, the newest first.
    async fn overview(&self, accounts: &[Arc<LockedAccount>], only: Option<&str>) -> Response {
        let is_after = |id: &str| accounts.iter().position(|account| &*account.id == id);
        let start = match &self.after {
            None => 0,
            Some(id) => match is_after(id) {
                Some(position) => position + 1,
                None => return unknown("account", id),
            },
        };
        let (on_page, rest) = accounts[start..].split_at(ROWS.min(accounts.len() - start));
        let rows = if accounts.len() == 1 {
            ROWS
        } else {
            ROWS_PER_ACCOUNT
        };
        let mut sections = Vec::new();
        for account in on_page {
            let section = self.view_account(account, |view| overview::account(view, rows));
            let section = section.await.unwrap_or_else(busy);
            sections.push(html! { section { (overview::heading(account)) (section) } });
        }
        let body = html! {
            h1 { (only.map_or("Accounts", |_| "Account")) }
            p class="note" {
                "The time of the sandbox is " (time(self.sandbox.clock().unix()))
                ". Test clocks have their own."
            }
            @if accounts.is_empty() {
                p { "There is nothing yet. Every key " code { "sk_test_…" } " is an account of its own, from its first call on." }
            }
            @for section in &sections { (section) }
            @if let (Some(last), false) = (on_page.last(), rest.is_empty()) {
                p { a href={ "/?starting_after=" (last.id) } { "Older accounts" } }
            }
            (overview::sandbox(self.sandbox, only))
        };
        layout::viewer(StatusCode::OK, "Stripe sandbox", &body)
    }

    async fn list(&self, accounts: &[Arc<LockedAccount>], kind: &'static Kind) -> Response {
        let page = Page::newest(ROWS, self.after.clone());
        let mut sections = Vec::new();
        for account in accounts.iter().take(ROWS) {
            let listed = self.view_account(account, |view| lists::list(view, kind.segment, &page));
            let section = match listed.await {
                Some(Ok(section)) => section,
                Some(Err(error)) => html! { p class="note" { (error.message) } },
                None => busy(),
            };
            sections.push(html! { section { (overview::heading(account)) (section) } });
        }
        let title = plural(kind.segment);
        let body = html! {
            h1 { (title) }
            @for section in &sections { (section) }
        };
        layout::viewer(StatusCode::OK, &title, &body)
    }

    /// The page of an object, from the account that has it.
    async fn object(
        &self,
        accounts: &[Arc<LockedAccount>],
        kind: &'static Kind,
        id: &str,
    ) -> Response {
        let mut any_busy = false;
        let (free, waiting): (Vec<_>, Vec<_>) = accounts
            .iter()
            .partition(|account| account.free_turn().is_some());
        for account in free.into_iter().chain(waiting) {
            let render = |view: View<'_>| {
                objects::exists(view, kind, id).then(|| objects::object(view, kind, id))
            };
            match self.view_account(account, render).await {
                Some(Some(Some((title, body)))) => {
                    return layout::viewer(StatusCode::OK, &title, &body);
                }
                Some(_) => {}
                None => any_busy = true,
            }
        }
        if any_busy {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            return layout::viewer(status, "Busy", &html! { h1 { "Busy" } (busy()) });
        }
        unknown(kind.name, id)
    }
}

fn busy() -> Markup {
    html! { p { "A long call is running on this account. It will be shown again after that." } }
}

/// The page for an object that does not exist.
fn unknown(what: &str, id: &str) -> Response {
    let title = format!("No such {what}");
    let body = html! {
        h1 { (title) }
        p { "No account of this sandbox has a " (what) " " code { (id) } ". It may have been reset." }
        p { a href="/" { "To the overview" } }
    };
    layout::viewer(StatusCode::NOT_FOUND, &title, &body)
}
