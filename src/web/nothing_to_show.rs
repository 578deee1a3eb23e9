//! What a page says when there is nothing to show.

use std::fmt::Display;

use maud::{Markup, html};

/// What is wrong, for people.
pub fn nothing_to_show(error: &impl Display) -> Markup {
    html! {
        h1 { "There is nothing to show" }
        p.error role="alert" { (error) }
    }
}
