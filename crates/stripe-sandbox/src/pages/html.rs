//! The HTML of the checkout pages. Every text goes through [`escaped`].

use std::fmt::Write as _;

use rust_decimal::Decimal;

use crate::engine::authentication::Request;
use crate::money::format::money;
use crate::money::lines::Priced;
use crate::money::period::day;
use crate::money::rating::{Scheme, Tier};
use crate::resource::checkout_session::basket::{self, LineItem};
use crate::resource::checkout_session::{Mode, Session, Status};
use crate::store::account::Account;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:3rem auto;padding:0 1rem;color:#1a1f36}
h1{font-size:1.4rem}h2{font-size:1rem;margin:1.2rem 0 .2rem}p{margin:.3rem 0}.note{color:#697386;font-size:.85rem}
.error{background:#fde8e8;color:#8c1a1a;padding:.6rem .8rem;border-radius:.3rem}
table{border-collapse:collapse}td,th{padding:.1rem 1rem .1rem 0;text-align:left}form{margin:1.5rem 0 .5rem}
button{font:inherit;font-weight:600;background:#1a1f36;color:#fff;border:0;border-radius:.3rem;padding:.6rem 1.4rem;cursor:pointer}
select{font:inherit;padding:.3rem;margin:0 0 1rem}";

/// The cards to choose from: test token and name.
const CARDS: [(&str, &str); 3] = [
    ("pm_card_visa", "Visa •••• 4242"),
    ("pm_card_mastercard", "Mastercard •••• 4444"),
    (
        "pm_card_chargeCustomerFail",
        "Visa •••• 0341 (is declined when charged)",
    ),
];

/// Escapes a text from an untrusted source for HTML and quoted attributes.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

fn document(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style></head>\n<body>\n{body}<p class=\"note\">This is a sandbox: no card is charged and nothing is bought.</p>\n</body></html>\n"
    )
}

/// The page on which a payment is authenticated.
pub(crate) fn authentication(request: &Request, message: Option<&str>) -> String {
    let mut body = String::from("<h1>Your bank asks</h1>\n");
    if let Some(message) = message {
        let _ = writeln!(body, "<p class=\"error\">{}</p>", escaped(message));
    }
    if !request.open {
        body += "<p>There is nothing to decide any more. You may close this page.</p>\n";
        return document("Authentication", &body);
    }
    let question = match &request.sum {
        Some((amount, currency)) => {
            format!("Do you pay {}?", money(Decimal::from(*amount), currency))
        }
        None => "May your card be charged later?".to_owned(),
    };
    let _ = writeln!(
        body,
        "<p>{}</p>\n<form method=\"post\"><button name=\"outcome\" value=\"complete\">Yes, it is me</button> <button name=\"outcome\" value=\"fail\">No</button></form>",
        escaped(&question)
    );
    document("Authentication", &body)
}

/// The page after a payment, for apps that have none.
pub(crate) fn thanks() -> String {
    document(
        "Thank you",
        "<h1>Thank you</h1>\n<p>That is done. You may close this page.</p>\n",
    )
}

/// The page for an unknown session.
pub(crate) fn unknown() -> String {
    document(
        "No such checkout",
        "<h1>No such checkout</h1>\n<p>The link is wrong, or the sandbox was restarted after the link was made.</p>\n",
    )
}

/// The page of a session. `error` tells why the payment failed.
pub(crate) fn checkout(account: &Account, session: &Session, error: Option<&str>) -> String {
    let seller = account
        .profile
        .business_name
        .as_deref()
        .unwrap_or("Sandbox");
    let mut body = format!("<p class=\"note\">{}</p>\n", escaped(seller));
    if let Some(error) = error {
        let _ = writeln!(
            body,
            "<p class=\"error\" role=\"alert\">{}</p>",
            escaped(error)
        );
    }
    match session.status {
        Status::Open => body.push_str(&open(account, session)),
        Status::Complete => body.push_str("<h1>This checkout is complete</h1>\n<p>There is nothing more to do.</p>\n"),
        Status::Expired => body.push_str("<h1>This checkout has expired</h1>\n<p>Go back to where you came from and start again.</p>\n"),
    }
    if let (Some(url), false) = (&session.cancel_url, session.status == Status::Complete) {
        let _ = writeln!(
            body,
            "<p><a href=\"{}\" rel=\"noreferrer\">Back</a></p>",
            escaped(url)
        );
    }
    document("Checkout", &body)
}

fn open(account: &Account, session: &Session) -> String {
    let mut body = String::new();
    let button = match &session.mode {
        Mode::Setup { .. } => {
            body.push_str("<h1>Save a card</h1>\n<p>The card is kept for later payments. Nothing is charged now.</p>\n");
            "Save card".to_owned()
        }
        Mode::Subscription(purchase) => {
            body.push_str("<h1>Subscribe</h1>\n");
            for item in basket::basket(account, session) {
                body.push_str(&bought(&item));
            }
            if let Some(coupon) = &purchase.coupon {
                let _ = writeln!(body, "<p>With coupon {}</p>", escaped(&coupon.coupon.id));
            }
            if let Some(trial) = trial(purchase.trial_days, purchase.trial_end) {
                let _ = writeln!(body, "<p><strong>{trial}</strong></p>");
            }
            let due = Decimal::from(purchase.due());
            let due = escaped(&money(due, purchase.currency.as_str()));
            let _ = writeln!(body, "<p>Due today: <strong>{due}</strong></p>");
            if basket::in_trial(session) {
                "Start trial".to_owned()
            } else {
                format!("Pay {due}")
            }
        }
    };
    let who = session
        .customer
        .as_ref()
        .and_then(|id| account.customers.get(id));
    let email = who
        .and_then(|who| who.email.as_deref())
        .or(session.customer_email.as_deref());
    if let Some(email) = email {
        let _ = writeln!(body, "<p class=\"note\">For {}</p>", escaped(email));
    }
    let takes_codes = session.promotion_codes == Some(true);
    body.push_str(&form(&session.id, &button, takes_codes));
    body
}

fn form(session: &str, button: &str, takes_codes: bool) -> String {
    let mut form = format!(
        "<form method=\"post\" action=\"/c/pay/{}\">\n<label>Card<br><select name=\"card\">\n",
        escaped(session)
    );
    for (token, name) in CARDS {
        let _ = writeln!(form, "<option value=\"{token}\">{name}</option>");
    }
    form.push_str("</select></label><br>\n");
    if takes_codes {
        form.push_str(
            "<label>Promotion code<br><input name=\"promotion_code\" autocomplete=\"off\"></label><br>\n",
        );
    }
    let _ = writeln!(form, "<button type=\"submit\">{button}</button>\n</form>");
    form
}

fn trial(days: Option<i64>, end: Option<i64>) -> Option<String> {
    match (days, end) {
        (Some(1), _) => Some("Free for 1 day, then as above.".to_owned()),
        (Some(days), _) => Some(format!("Free for {days} days, then as above.")),
        (None, Some(end)) => Some(format!("Free until {}, then as above.", day(end))),
        (None, None) => None,
    }
}

/// One item of the basket, with all its prices.
fn bought(item: &LineItem) -> String {
    let priced = &item.priced;
    let per = priced.per();
    let mut text = format!("<h2>{}</h2>\n", escaped(&priced.name));
    let note = match item.quantity {
        Some(1) => format!("Charged {per_each}, in advance.", per_each = each(&per)),
        Some(quantity) => format!("{quantity} of them, charged {}, in advance.", each(&per)),
        None => format!("By usage, charged {}.", each(&per)),
    };
    match &priced.scheme {
        Scheme::PerUnit { unit, divide } => {
            let unit = escaped(&money(*unit, &priced.currency));
            let pack = divide.map_or_else(String::new, |divide| {
                let way = divide.round.as_str();
                format!(" for {} (rounded {way})", divide.by)
            });
            let _ = writeln!(text, "<p>{unit}{pack} / {per}</p>");
        }
        Scheme::Graduated(tiers) => tiered(
            &mut text,
            priced,
            tiers,
            "Each unit at the price of its tier:",
        ),
        Scheme::Volume(tiers) => tiered(
            &mut text,
            priced,
            tiers,
            "All units at the price of the tier that is reached:",
        ),
    }
    let _ = writeln!(text, "<p class=\"note\">{note}</p>");
    text
}

fn each(per: &str) -> String {
    if per.starts_with("every") {
        per.to_owned()
    } else {
        format!("every {per}")
    }
}

fn tiered(text: &mut String, priced: &Priced, tiers: &[Tier], how: &str) {
    let _ = writeln!(
        text,
        "<p>{how}</p>\n<table><tr><th>Units</th><th>Per unit</th><th>Flat</th></tr>"
    );
    let mut from = 1;
    for tier in tiers {
        let units = tier.up_to.map_or_else(
            || format!("{from} and more"),
            |to| format!("{from} to {to}"),
        );
        let unit = escaped(&money(tier.unit, &priced.currency));
        let flat = tier
            .flat
            .map_or_else(String::new, |flat| escaped(&money(flat, &priced.currency)));
        let _ = writeln!(
            text,
            "<tr><td>{units}</td><td>{unit}</td><td>{flat}</td></tr>"
        );
        from = tier.up_to.map_or(from, |to| to.saturating_add(1));
    }
    text.push_str("</table>\n");
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn escaped_text_cannot_leave_its_element() {
        assert_eq!(
            escaped("<script>alert('x')</script> \"&"),
            "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &quot;&amp;"
        );
    }
}
