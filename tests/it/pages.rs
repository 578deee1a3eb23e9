//! The web pages, and the files that they load.

mod console;
mod pay;
mod pricing;
mod problems;
mod share;
mod start;

use crate::harness::TestApp;

#[tokio::test]
async fn a_file_is_sent_once() {
    let app = TestApp::start().await;
    for (path, content_type) in [
        ("/assets/style.css", "text/css; charset=utf-8"),
        ("/assets/icon.svg", "image/svg+xml"),
    ] {
        let first = app.get(path).await.ok();
        assert_eq!(first.header("content-type"), content_type);
        assert_eq!(first.header("cache-control"), "no-cache");
        let again = [("if-none-match", first.header("etag"))];
        let again = app.get_with(path, &again).await;
        assert_eq!(again.status, 304);
        assert_eq!(again.header("etag"), first.header("etag"));
    }
    for path in [
        "/assets/x.css",
        "/assets/..%2fmod.rs",
        "/assets/%ff",
        "/assets/",
    ] {
        app.get(path).await.fails(404, "not_found");
    }
    assert_eq!(app.stripe_calls(), 0);
}
