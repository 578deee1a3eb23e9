//! The files that pages load. They are part of the binary, and are served under their names in one folder, so that modules
//! find each other by relative paths.

use std::sync::LazyLock;

use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;

use super::revalidation::{Revalidated, etag};

/// The files by name. `include_str!` needs no crate, and a file that is missing does not compile.
macro_rules! files {
    ($($name:literal),* $(,)?) => { &[$(($name, include_str!(concat!("assets/", $name)))),*] };
}

const FILES: &[(&str, &str)] = files![
    "bar.mjs",
    "builder.css",
    "builder.mjs",
    "checkout-link.mjs",
    "console.css",
    "console.mjs",
    "dom.mjs",
    "editor.mjs",
    "faults.mjs",
    "feature-panel.mjs",
    "fields.mjs",
    "files.mjs",
    "grid.mjs",
    "history.mjs",
    "icon.svg",
    "json.mjs",
    "model.mjs",
    "money.mjs",
    "other-panels.mjs",
    "plan-panel.mjs",
    "preview.mjs",
    "server.mjs",
    "stripe-panel.mjs",
    "style.css",
    "tier.js",
    "tiers.mjs",
    "words.mjs",
];

/// A file that pages load.
pub struct Asset {
    name: &'static str,
    text: &'static str,
    etag: HeaderValue,
}

impl Asset {
    /// The file of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
            let asset = |(name, text): &(&'static str, &'static str)| Asset {
                name,
                text,
                etag: etag(text.as_bytes()),
            };
            FILES.iter().map(asset).collect()
        });
        ASSETS.iter().find(|asset| asset.name == name)
    }

    /// The answer to a request with these `headers`. Browsers ask each time, and get a file again only when it changed.
    pub fn answer(&self, headers: &HeaderMap) -> Response {
        self.kept("no-cache", headers)
    }

    /// The same, kept as `cache_control` says.
    pub fn kept(&self, cache_control: &'static str, headers: &HeaderMap) -> Response {
        let content = Revalidated {
            content_type: self.content_type(),
            cache_control,
            etag: self.etag.clone(),
            body: self.text.as_bytes().into(),
        };
        content.answer(headers)
    }

    fn content_type(&self) -> &'static str {
        match self.name.rsplit('.').next() {
            Some("css") => "text/css; charset=utf-8",
            Some("js" | "mjs") => "text/javascript; charset=utf-8",
            _ => "image/svg+xml",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_served() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web/assets");
        for entry in std::fs::read_dir(folder).expect("the folder") {
            let name = entry.expect("a file").file_name();
            let name = name.to_str().expect("ASCII");
            let is_source = [".js", ".mjs", ".css", ".svg"]
                .iter()
                .any(|ending| name.ends_with(ending));
            assert_eq!(Asset::named(name).is_some(), is_source, "{name}");
        }
        assert!(Asset::named("nothing.js").is_none());
    }

    /// Nothing is loaded from elsewhere, also if somebody adds it here and not to a page.
    #[test]
    fn no_file_names_another_host() {
        let namespace = "http://www.w3.org/2000/svg";
        for (name, text) in FILES {
            let mut rest = text.replace(namespace, "");
            if *name == "tier.js" {
                // Stripe wants its script from itself. It is loaded where a page asks for a card.
                rest = rest.replace("https://js.stripe.com/v3/", "");
            }
            for scheme in ["http://", "https://", "@import", "url("] {
                assert!(!rest.contains(scheme), "{name} has {scheme}");
            }
        }
    }
}
