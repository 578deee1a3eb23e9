//! The pricing table as a page without scripts. Other sites may frame it.

use maud::{Markup, html};

use super::Page;
use crate::domain::{PricedPlan, PricingPage};

/// The page, with a column for each plan.
pub fn pricing_table(page: &PricingPage) -> Page<'_> {
    let title = page.title.as_deref().unwrap_or("Plans");
    let body = html! {
        h1 { (title) }
        @if page.plans.is_empty() { p { "There are no plans." } }
        div.plans { @for plan in &page.plans { (column(page, plan)) } }
    };
    Page::new(title, body).wide().allow_framing()
}

fn column(page: &PricingPage, plan: &PricedPlan) -> Markup {
    html! {
        section.plan.promoted[plan.promoted] {
            h2 { (plan.title) }
            p.price { (plan.text) }
            ul {
                @for feature in &plan.features {
                    li { b { (feature.title) } span { (feature.text) } }
                }
            }
            @if let Some(url) = page.signup_url(&plan.id) {
                a.button.quiet[!plan.promoted] href=(url) rel="noreferrer" target="_top" {
                    "Choose " (plan.title)
                }
            }
        }
    }
}
