//! The page at `/`, for anyone who opens the server in a browser.

use maud::html;

use super::Page;

/// The page, with links to the server's other pages. `has_pricing`: whether its pricing table is public. `sandbox`:
/// the URL of the sandbox that the server uses instead of Stripe.
pub fn start(has_pricing: bool, sandbox: Option<&str>) -> Page<'static> {
    let body = html! {
        h1 { "tier" }
        p { "This server tells apps what their customers may use, and bills them through Stripe." }
        ul {
            @if has_pricing { li { a href="/pricing" { "Plans and prices" } } }
            li { a href="/builder" { "Model Builder" } ": describe plans, and push them" }
            li { a href="/console" { "Console" } ": what an org has, uses and pays" }
            li { a href="/docs" { "API" } ": all endpoints" }
            @if let Some(sandbox) = sandbox {
                li { a href=(sandbox) { "Sandbox" } ": the orgs and invoices that are not in Stripe" }
            }
        }
    };
    Page::new("tier", body)
}
