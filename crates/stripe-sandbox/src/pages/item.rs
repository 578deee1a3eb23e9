//! An item on the checkout page or in the portal.

use maud::{Markup, html};

use crate::money::format::money;
use crate::money::lines::PriceTerms;
use crate::money::rating::{Scheme, Tier};

/// The item's name, prices and billing interval.
pub(super) fn details(terms: &PriceTerms, quantity: Option<i64>) -> Markup {
    let per = terms.per();
    let each = if per.starts_with("every") {
        per.clone()
    } else {
        format!("every {per}")
    };
    html! {
        h2 { (terms.name) }
        @match &terms.scheme {
            Scheme::PerUnit { unit, divide } => p {
                (money(*unit, &terms.currency))
                @if let Some(divide) = divide {
                    " for " (divide.by) " (rounded " (divide.round.as_str()) ")"
                }
                " / " (per)
            },
            Scheme::Graduated(tiers) => {
                p { "Each unit at the price of its tier:" }
                (tiered(terms, tiers))
            }
            Scheme::Volume(tiers) => {
                p { "All units at the price of the tier that is reached:" }
                (tiered(terms, tiers))
            }
        }
        p class="note" {
            @match quantity {
                Some(1) => { "Charged " (each) ", in advance." }
                Some(quantity) => { (quantity) " of them, charged " (each) ", in advance." }
                None => { "By usage, charged " (each) "." }
            }
        }
    }
}

fn tiered(terms: &PriceTerms, tiers: &[Tier]) -> Markup {
    let price = |amount| money(amount, &terms.currency);
    let mut from = 1;
    let rows: Vec<[String; 3]> = tiers
        .iter()
        .map(|tier| {
            let units = match tier.up_to {
                Some(to) => format!("{from} to {to}"),
                None => format!("{from} and more"),
            };
            from = tier.up_to.map_or(from, |to| to.saturating_add(1));
            [
                units,
                price(tier.unit),
                tier.flat.map(price).unwrap_or_default(),
            ]
        })
        .collect();
    html! {
        table {
            tr { @for head in ["Units", "Per unit", "Flat"] { th scope="col" { (head) } } }
            @for row in &rows { tr { @for cell in row { td { (cell) } } } }
        }
    }
}
