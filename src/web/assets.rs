//! Static files that pages load. They are part of the binary, and are served by name from one folder, so that
//! JavaScript modules can import each other by relative paths.

use std::sync::LazyLock;

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use miniz_oxide::deflate::compress_to_vec_zlib;

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
    "keyboard.mjs",
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
    plain: Variant<&'static str>,
    deflated: Variant<Vec<u8>>,
}

/// One form of a file.
struct Variant<T> {
    bytes: T,
    etag: HeaderValue,
}

impl<T: AsRef<[u8]>> Variant<T> {
    fn new(bytes: T) -> Self {
        let etag = etag(bytes.as_ref());
        Self { bytes, etag }
    }
}

impl Asset {
    /// The file with this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
            let asset = |(name, text): &(&'static str, &'static str)| Asset {
                name,
                plain: Variant::new(*text),
                deflated: Variant::new(compress_to_vec_zlib(text.as_bytes(), 9)),
            };
            FILES.iter().map(asset).collect()
        });
        ASSETS.iter().find(|asset| asset.name == name)
    }

    /// The answer to a request with these `headers`. Browsers revalidate the file each time they use it, and get it
    /// again only if it has changed.
    pub fn answer(&'static self, headers: &HeaderMap) -> Response {
        self.answer_cached("no-cache", headers)
    }

    /// The answer to a request with these `headers`, with this `Cache-Control`.
    pub fn answer_cached(
        &'static self,
        cache_control: &'static str,
        headers: &HeaderMap,
    ) -> Response {
        let is_deflated = accepts_deflate(headers);
        let (etag, body) = if is_deflated {
            (&self.deflated.etag, &*self.deflated.bytes)
        } else {
            (&self.plain.etag, self.plain.bytes.as_bytes())
        };
        let content = Revalidated {
            content_type: self.content_type(),
            cache_control,
            etag: etag.clone(),
            encoding: is_deflated.then_some("deflate"),
            body: body.into(),
        };
        let mut answer = content.answer(headers);
        let vary = HeaderValue::from_static("accept-encoding");
        answer.headers_mut().append(header::VARY, vary);
        answer
    }

    fn content_type(&self) -> &'static str {
        match self.name.rsplit('.').next() {
            Some("css") => "text/css; charset=utf-8",
            Some("js" | "mjs") => "text/javascript; charset=utf-8",
            _ => "image/svg+xml",
        }
    }
}

/// Whether the client accepts a compressed file. All browsers do.
fn accepts_deflate(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT_ENCODING).iter();
    let mut accepted = accepted
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    accepted.any(|coding| {
        let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = parameters.trim().strip_prefix("q=");
        let is_refused = weight.is_some_and(|weight| weight.trim().parse() == Ok(0.0));
        name.trim().eq_ignore_ascii_case("deflate") && !is_refused
    })
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use miniz_oxide::inflate::decompress_to_vec_zlib;

    use super::*;

    async fn ask(
        asset: &'static Asset,
        headers: &[(header::HeaderName, &str)],
    ) -> (HeaderMap, Vec<u8>) {
        let value = |value: &str| HeaderValue::from_str(value).expect("a header");
        let headers = headers
            .iter()
            .map(|(name, text)| (name.clone(), value(text)));
        let (head, body) = asset.answer(&headers.collect()).into_parts();
        let body = to_bytes(body, usize::MAX).await;
        let body = body.expect("it is in memory");
        (head.headers, body.to_vec())
    }

    /// Every page of an app loads this script, so it must stay small.
    #[tokio::test]
    async fn a_file_is_compressed_for_clients_that_accept_it() {
        let script = Asset::named("tier.js").expect("it is there");
        let (plain, text) = ask(script, &[(header::ACCEPT_ENCODING, "gzip, deflate;q=0")]).await;
        assert!(!plain.contains_key(header::CONTENT_ENCODING));
        let browser = (header::ACCEPT_ENCODING, "gzip, Deflate;q=0.5, br");
        let (small, bytes) = ask(script, std::slice::from_ref(&browser)).await;
        assert_eq!(small[header::CONTENT_ENCODING], "deflate");
        assert_eq!(decompress_to_vec_zlib(&bytes).expect("it is whole"), text);
        assert!(bytes.len() < 5_000, "{} bytes", bytes.len());
        assert_ne!(small[header::ETAG], plain[header::ETAG]);
        let known = (
            header::IF_NONE_MATCH,
            small[header::ETAG].to_str().expect("ASCII"),
        );
        assert_eq!(ask(script, &[browser, known]).await.1, b"");
        for headers in [plain, small] {
            assert_eq!(headers[header::VARY], "accept-encoding");
        }
    }

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

    /// No file loads anything from another host.
    #[test]
    fn no_file_names_another_host() {
        let namespace = "http://www.w3.org/2000/svg";
        for (name, text) in FILES {
            let mut rest = text.replace(namespace, "");
            if *name == "tier.js" {
                // Stripe requires that its script is loaded from its own host. Only pages with a card form load it.
                rest = rest.replace("https://js.stripe.com/v3/", "");
            }
            for scheme in ["http://", "https://", "@import", "url("] {
                assert!(!rest.contains(scheme), "{name} has {scheme}");
            }
        }
    }
}
