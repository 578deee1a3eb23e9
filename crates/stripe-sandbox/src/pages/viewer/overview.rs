//! The overview: an account's newest objects, and the sandbox's last requests, fault rules and reset button.

use maud::{Markup, html};
use serde_json::Value;

use super::format::{View, plural};
use super::lists::{self, OVERVIEW};
use crate::sandbox::Sandbox;
use crate::store::accounts::LockedAccount;
use crate::store::locked;
use crate::store::page::Page;

/// How many of the last calls are shown.
const CALLS: usize = 50;

/// An account's newest objects of each kind.
pub(super) fn account(view: View<'_>, rows: usize) -> Markup {
    html! {
        @for segment in OVERVIEW {
            h3 { a href=(view.path(&[segment])) { (plural(segment)) } }
            (lists::list(view, segment, &Page::newest(rows, None)).unwrap_or_default())
        }
    }
}

/// The heading of an account: its key and its id.
pub(super) fn heading(account: &LockedAccount) -> Markup {
    let path = format!("/{}", account.id);
    html! {
        h2 {
            @match account.display_key() {
                Some(key) => { code { (key) } " " },
                None => "Connected account ",
            }
            a href=(path) { (account.id) }
        }
    }
}

/// The last requests, the fault rules and the reset button: of one account, or of all.
pub(super) fn sandbox(sandbox: &Sandbox, account: Option<&str>) -> Markup {
    let calls = locked(&sandbox.0.record).last(CALLS, account);
    let faults = sandbox.faults_json(None);
    let faults = faults.as_array().into_iter().flatten();
    let faults: Vec<&Value> = faults
        .filter(|rule| {
            let of = rule["account"].as_str();
            account.is_none() || of.is_none() || of == account
        })
        .collect();
    html! {
        h2 { "Last requests" }
        @if calls.is_empty() { p class="note" { "None." } } @else {
            div class="scroll" tabindex="0" role="region" aria-label="Last requests" {
                table {
                    thead { tr { @for head in ["Request", "Status", "Account"] { th scope="col" { (head) } } } }
                    tbody {
                        @for call in &calls {
                            tr {
                                td { (call.method) " " (call.path) }
                                td {
                                    @if call.status == 0 { "dropped" } @else { (call.status) }
                                    @if call.replayed { ", replayed" }
                                }
                                td { @if !call.account.is_empty() { a href={ "/" (call.account) } { (call.account) } } }
                            }
                        }
                    }
                }
            }
        }
        h2 { "Fault rules" }
        @if faults.is_empty() { p class="note" { "None." } }
        ul { @for rule in faults { li { (fault(rule)) } } }
        h2 { "Reset" }
        form method="post" action="/_sandbox/reset" {
            @if let Some(account) = account { input type="hidden" name="account" value=(account); }
            p { "Deletes everything of " (account.unwrap_or("all accounts")) ", with the requests and fault rules." }
            button class="small" { "Reset" }
        }
    }
}

/// A rule in words: `POST /v1/customers: drop, before; 2 times; 0 hits`.
fn fault(rule: &Value) -> Markup {
    let text = |key: &str| rule[key].as_str().unwrap_or_default();
    html! {
        @match rule["webhook"].as_str() {
            Some(kind) => { "Webhooks of " (kind) ": " (text("action")) },
            None => { (text("method")) " " (text("path")) ": " (text("action")) ", " (text("when")) " the effect" },
        }
        @if let Some(count) = rule["count"].as_u64() { "; times: " (count) }
        @if let Some(probability) = rule["probability"].as_f64() { "; probability: " (probability) }
        @if let Some(skip) = rule["skip"].as_u64().filter(|skip| *skip > 0) { "; lets pass: " (skip) }
        "; hits: " (rule["hits"].as_u64().unwrap_or_default())
        @if let Some(account) = rule["account"].as_str() { "; account: " (account) }
    }
}
