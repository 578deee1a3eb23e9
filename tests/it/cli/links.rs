//! `tier subscribe --checkout URL --link`.

use super::Place;

const SECRET: &str = "a secret of more than 32 characters";

#[tokio::test]
async fn a_checkout_link_is_printed_and_can_be_opened() {
    let place = Place::pushed().await;
    let serve = ["serve", "--addr", "127.0.0.1:0"];
    let server = place.tier(&serve).env("TIER_LINK_SECRET", SECRET);
    let server = server.started().await;
    let thanks = "https://example.com/thanks";
    let args = [
        "subscribe",
        "--checkout",
        thanks,
        "--link",
        "--link-days",
        "3",
    ];
    let args = [&args[..], &["org:acme", "plan:pro@1"]].concat();
    let at = |url: &str| place.tier(&args).env("TIER_BASE_URL", url);
    let link = at(&server.url()).ok().await;
    let link = link.trim_end();
    assert!(
        link.starts_with(&format!("{}/pay/", server.url())),
        "{link}"
    );
    let path = link
        .strip_prefix(&server.url())
        .expect("a link of the server");
    let page = place
        .tier(&["fetch", path])
        .env("TIER_BASE_URL", &server.url());
    assert!(page.ok().await.contains("plan:pro@1"));

    let without = place.tier(&serve).started().await;
    let said = at(&without.url()).fault().await;
    assert!(
        said.contains("start the server with TIER_LINK_SECRET"),
        "{said}"
    );
    let said = place.tier(&args).misused().await;
    assert!(said.contains("TIER_BASE_URL"), "{said}");
    let alone = ["subscribe", "--link", "org:acme", "plan:pro@1"];
    let said = place.tier(&alone).misused().await;
    assert!(said.contains("--checkout"), "{said}");
}
