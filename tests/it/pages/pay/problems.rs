//! A link that does not work. People get a page that says what to do, and programs get JSON.

use stripe_sandbox::{Action, Rule};

use super::*;
use crate::harness::{STRIPE_KEY, Settings};

/// The `accept` header of browsers.
const BROWSER: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
const PROGRAM: (&str, &str) = ("accept", "application/json");
const ORIGIN: (&str, &str) = ("origin", "http://pay.example");

/// Opens a link, or presses its button, as a browser and as a program. Returns the browser's page.
async fn told(app: &TestApp, method: Method, link: &str, status: u16, code: &str) -> String {
    let ask = async |accept| {
        let call = app.request(method.clone(), link).headers(&[HOST, accept]);
        // Browsers send the origin of a form's page.
        let sent = if method == Method::POST {
            call.headers(&[ORIGIN])
        } else {
            call
        };
        sent.send().await
    };
    ask(PROGRAM).await.fails(status, code);
    let page = ask(BROWSER).await;
    assert_eq!(page.status, status, "{}", page.body);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(page.header("cache-control"), "no-store");
    assert_eq!(page.header("vary"), "accept");
    assert_eq!(page.header("x-robots-tag"), "noindex");
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'self'"));
    assert!(policy.ends_with("frame-ancestors 'none'"), "{policy}");
    assert!(page.body.contains("<title>") && !page.body.contains("<title></title>"));
    let number = page.header("x-request-id");
    assert_eq!(
        page.body.contains("Number of this request"),
        page.body.contains(number)
    );
    page.body
}

fn says(page: &str, words: &[&str]) {
    for word in words {
        assert!(page.contains(word), "{word}: {page}");
    }
}

#[tokio::test]
async fn a_link_that_is_over_says_why() {
    let app = start().await;
    let closed = async |link: &str, code: &str, words: &[&str]| {
        says(&told(&app, Method::POST, link, 410, code).await, words);
    };
    let ask = "ask whoever sent it to you for a new one";
    closed(
        "/pay/x",
        "link_ended",
        &["It is not complete, or its time is over.", ask],
    )
    .await;
    let looked = told(&app, Method::GET, "/pay/x", 410, "link_ended").await;
    says(&looked, &["This link cannot be used", ask]);

    let made = link(&app, &pro()).await;
    let opened = page(&app, &made).await;
    pay(&app, &opened).await;
    closed(
        &made,
        "plan_in_force",
        &["The plan that it offers is in force.", "nothing left to do"],
    )
    .await;

    let mut trial = pro();
    trial["org"] = json!("org:tries");
    trial["trial_days"] = json!(14);
    let tried = link(&app, &trial).await;
    let opened = page(&app, &tried).await;
    pay(&app, &opened).await;
    closed(&tried, "plan_in_force", &["in force"]).await;
    let cancel = json!({"org": "org:tries", "phases": [{}]}).to_string();
    let call = app.request(Method::POST, "/v1/subscribe").headers(&[KEY]);
    call.body(cancel).send().await.ok();
    app.advance(DAY);
    closed(
        &tried,
        "trial_used",
        &["there has been one already", "a link without a trial"],
    )
    .await;

    let mut team = pro();
    team["features"] = json!(["plan:team@1"]);
    let team = link(&app, &team).await;
    let archived = json!({"plan": "plan:team@1", "archived": true}).to_string();
    let call = app.request(Method::POST, "/v1/archive").headers(&[KEY]);
    call.body(archived).send().await.ok();
    closed(
        &team,
        "not_on_sale",
        &["not sold any more", "for a new one"],
    )
    .await;

    let off = app.clone().adjusted(|app| app.checkout_links = None);
    let page = told(&off, Method::GET, &team, 404, "not_found").await;
    says(&page, &["There is nothing here", "Check the address"]);
}

#[tokio::test]
async fn a_stripe_that_is_away_is_asked_again_later() {
    let app = start().await;
    let made = link(&app, &pro()).await;
    for (action, status, words) in [
        (
            Action::Status(500, None),
            502,
            "The payment service does not answer",
        ),
        (Action::HtmlPage, 502, "The payment service does not answer"),
        (
            Action::Status(409, None),
            503,
            "The payment service does not answer",
        ),
        (
            Action::Status(429, Some("global-rate".into())),
            429,
            "too much to do",
        ),
    ] {
        let code = if status == 429 {
            "rate_limited"
        } else {
            "stripe_unavailable"
        };
        let mut rule = Rule::new("POST", "/v1/checkout/sessions", action);
        rule.account = Some(app.sandbox().account_id(STRIPE_KEY));
        app.sandbox().add_fault(rule);
        let page = told(&app, Method::POST, &made, status, code).await;
        says(
            &page,
            &[
                words,
                "Nothing was charged.",
                r#"<a class="button" href="?">Try again</a>"#,
            ],
        );
        app.stripe_delete("/_sandbox/faults").await;
    }
    // The page's button leads to this path.
    app.get_with(&format!("{made}?"), &[HOST]).await.ok();
    page(&app, &made).await;
}

#[tokio::test]
async fn a_fault_of_the_server_is_shown_as_an_internal_error() {
    let app = start().await;
    let made = link(&app, &pro()).await;
    let other = app.second_server_with(&Settings {
        stripe_key: "not a key of Stripe's".into(),
        ..Settings::default()
    });
    let links = links(&app, SECRET, None);
    let other = other.adjusted(|app| app.checkout_links = Some(links));
    let page = told(&other, Method::POST, &made, 500, "internal_error").await;
    says(
        &page,
        &[
            "The server has a fault. Nothing was charged.",
            "Number of this request",
            "Try again",
        ],
    );
    assert!(!page.contains("key"), "{page}");
}

#[tokio::test]
async fn a_refused_purchase_is_shown_with_a_request_number() {
    let app = start().await;
    let model = json!({"plans": {"plan:japan@1": {"currency": "jpy", "features": {"feature:x": {"base": 100}}}}});
    let call = app.request(Method::POST, "/v1/push").headers(&[KEY]);
    call.body(model.to_string()).send().await.ok();
    let body = json!({"org": "org:acme", "phases": [{"features": ["plan:japan@1"]}]}).to_string();
    let call = app.request(Method::POST, "/v1/subscribe").headers(&[KEY]);
    call.body(body).send().await.ok();
    let made = link(&app, &pro()).await;
    let page = told(&app, Method::POST, &made, 400, "invalid_request").await;
    says(
        &page,
        &["cannot be bought as things are", "with the number below"],
    );
}

#[tokio::test]
async fn a_page_of_another_site_is_refused_with_a_page() {
    let app = start().await;
    let made = link(&app, &pro()).await;
    let evil = ("origin", "https://evil.example");
    let call = app
        .request(Method::POST, &made)
        .headers(&[HOST, evil, BROWSER]);
    let page = call.send().await;
    assert_eq!(page.status, 403);
    says(
        &page.body,
        &["press the button there", "Number of this request"],
    );
    // A caller cannot write on the page by sending a request id.
    let number = ("x-request-id", "<script>alert(1)</script>");
    let call = app
        .request(Method::POST, &made)
        .headers(&[HOST, evil, BROWSER, number]);
    let page = call.send().await;
    says(&page.body, &["&lt;script&gt;"]);
    assert!(!page.body.contains("<script>"), "{}", page.body);
}
