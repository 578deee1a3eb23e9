//! The page at `/`.

use axum::http::Method;
use tier::api::Keys;
use tier::domain::PricingPages;

use crate::harness::TestApp;

const BROWSER: [(&str, &str); 1] = [("accept", "text/html,application/xhtml+xml,*/*;q=0.8")];

/// The targets of a page's links.
fn links(page: &str) -> Vec<&str> {
    let pieces = page.split("<a href=\"").skip(1);
    pieces.filter_map(|piece| piece.split('"').next()).collect()
}

#[tokio::test]
async fn browsers_get_a_start_page_with_links_to_the_pages() {
    let app = TestApp::start().await;
    let app = app.adjusted(|app| app.keys = Keys::new(["secret"]));
    let page = app.get_with("/", &BROWSER).await.ok();
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(page.header("vary"), "accept");
    let policy = page.header("content-security-policy");
    assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("script-src"));
    assert_eq!(links(&page.body), ["/builder", "/console", "/docs"]);
    for link in links(&page.body) {
        app.get_with(link, &BROWSER).await.ok();
    }
    let pages = r#"{"pages": {"default": {"plans": []}}}"#;
    let app = app.adjusted(|app| {
        let pages = PricingPages::parse(pages).expect("a definition");
        app.listed_pages.replace(pages);
        app.stripe_js = Some("http://127.0.0.1:12111/v3/".to_owned());
    });
    let page = app.get_with("/", &BROWSER).await.ok();
    assert_eq!(
        links(&page.body),
        [
            "/pricing",
            "/builder",
            "/console",
            "/docs",
            "http://127.0.0.1:12111/"
        ]
    );
    app.get_with("/pricing", &BROWSER).await.ok();
    let head = app.request(Method::HEAD, "/").headers(&BROWSER);
    head.send().await.ok();
}

/// The page is only for people. Programs get 404 at that path, and so does everybody at the operator's listener.
#[tokio::test]
async fn the_start_page_is_not_found_for_programs() {
    let app = TestApp::start().await;
    for accept in ["*/*", "application/json", "application/json, */*"] {
        let answer = app.get_with("/", &[("accept", accept)]).await;
        answer.fails(404, "not_found");
    }
    app.get("/").await.fails(404, "not_found");
    let posted = app.request(Method::POST, "/").headers(&BROWSER);
    posted.send().await.fails(405, "method_not_allowed");
    let operators = app.admin(true);
    let answer = operators.get_with("/", &BROWSER).await;
    answer.fails(404, "not_found");
    assert_eq!(app.stripe_calls(), 0);
}
