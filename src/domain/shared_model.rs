//! Models in links: the compressed JSON of a model, as part of a URL. Nothing is stored, and equal models have equal
//! links.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use miniz_oxide::{deflate, inflate};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::pricing::{Faults, Model};

/// The maximum length of the text in a link. Browsers, mail programs and the server's limit for request heads must
/// accept it.
pub const MAX_LINK_TEXT: usize = 12 << 10;

/// The maximum length of a model's JSON in a link, in bytes.
const MAX_JSON: usize = 256 << 10;

/// The maximum compression ratio of a model. Plans are repetitive, but not as much as a decompression bomb.
const MAX_RATIO: usize = 256;

/// The length up to which a model may have any compression ratio, in bytes.
const SHORT_JSON: usize = 64 << 10;

/// The maximum length of a title, in characters.
const MAX_TITLE_CHARS: usize = 200;

/// The maximum length of the address that a model was read from, in characters.
const MAX_FROM_CHARS: usize = 1000;

const LEVEL: u8 = 9;

/// A model that is shared by a link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SharedModel {
    /// The title, since a pricing.json has none.
    pub title: Option<String>,
    /// The URL that the model was read from.
    pub from: Option<String>,
    /// The model.
    pub model: Model,
}

/// Why a model cannot be shared, or a link cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    /// The model does not fit into a link.
    #[error("the model is too large for a link: share its file instead")]
    TooLarge,
    /// The title is too long.
    #[error("the title must not exceed {MAX_TITLE_CHARS} characters")]
    Title,
    /// The address is not a URL, or is too long.
    #[error(
        "the address that the model is from must begin with http:// or https://, and must not exceed {MAX_FROM_CHARS} characters"
    )]
    From,
    /// The text was not made from a model, or is incomplete.
    #[error("there is no model in this link: it may be incomplete")]
    Unreadable,
    /// The text does not contain a valid model.
    #[error("the model in this link is not valid: {0}")]
    Invalid(Faults),
}

/// The JSON in a link.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Content<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(borrow)]
    plans: &'a RawValue,
}

impl SharedModel {
    /// The text for the model's link.
    pub fn link_text(&self) -> Result<String, ShareError> {
        self.check()?;
        let json = self.json();
        if json.len() > MAX_JSON {
            return Err(ShareError::TooLarge);
        }
        let compressed = deflate::compress_to_vec(json.as_bytes(), LEVEL);
        if json.len() > max_json(compressed.len()) {
            return Err(ShareError::TooLarge);
        }
        let text = URL_SAFE_NO_PAD.encode(compressed);
        if text.len() > MAX_LINK_TEXT {
            return Err(ShareError::TooLarge);
        }
        Ok(text)
    }

    /// Reads the text in a link.
    pub fn from_link_text(text: &str) -> Result<Self, ShareError> {
        if text.len() > MAX_LINK_TEXT {
            return Err(ShareError::Unreadable);
        }
        let compressed = URL_SAFE_NO_PAD.decode(text);
        let compressed = compressed.map_err(|_| ShareError::Unreadable)?;
        let json = inflate::decompress_to_vec_with_limit(&compressed, max_json(compressed.len()));
        let json = json.map_err(|_| ShareError::Unreadable)?;
        let content: Content<'_> =
            serde_json::from_slice(&json).map_err(|_| ShareError::Unreadable)?;
        let plans = format!("{{\"plans\":{}}}", content.plans.get());
        let shared = Self {
            title: content.title.filter(|title| !title.is_empty()),
            from: content.from,
            model: Model::parse(&plans).map_err(ShareError::Invalid)?,
        };
        shared.check()?;
        Ok(shared)
    }

    fn check(&self) -> Result<(), ShareError> {
        let fits = |text: &Option<String>, max_chars| {
            let text = text.as_deref().unwrap_or_default();
            text.chars().nth(max_chars).is_none()
        };
        if !fits(&self.title, MAX_TITLE_CHARS) {
            return Err(ShareError::Title);
        }
        let mut from = self.from.iter();
        let is_address =
            from.all(|from| from.starts_with("http://") || from.starts_with("https://"));
        if !is_address || !fits(&self.from, MAX_FROM_CHARS) {
            return Err(ShareError::From);
        }
        Ok(())
    }

    fn json(&self) -> String {
        let plans = self.model.to_json_of_plans();
        let plans: &RawValue = serde_json::from_str(&plans).expect("a model is JSON");
        let content = Content {
            title: self.title.clone().filter(|title| !title.is_empty()),
            from: self.from.clone(),
            plans,
        };
        serde_json::to_string(&content).expect("a model is text and numbers")
    }
}

/// The maximum length of a model's JSON whose compressed form has `compressed` bytes.
fn max_json(compressed: usize) -> usize {
    let max = compressed.saturating_mul(MAX_RATIO);
    max.clamp(SHORT_JSON, MAX_JSON)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::pricing::models;

    fn shared(model: &str) -> SharedModel {
        SharedModel {
            model: Model::parse(model).expect("a model"),
            ..SharedModel::default()
        }
    }

    fn link_of(content: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(deflate::compress_to_vec(content, LEVEL))
    }

    #[test]
    fn what_is_not_a_model_is_refused() {
        for text in ["", "a", "%", "====", "AAAA", "_____w", "e30"] {
            let read = SharedModel::from_link_text(text);
            assert_eq!(read, Err(ShareError::Unreadable), "{text}");
        }
        for content in [
            "",
            "{}",
            "null",
            "[]",
            r#"{"plans":{}} x"#,
            r#"{"plans":{},"plans":{}}"#,
            r#"{"plans":{},"x":1}"#,
            r#"{"title":1,"plans":{}}"#,
            r#"{"plans":{}"#,
        ] {
            let read = SharedModel::from_link_text(&link_of(content.as_bytes()));
            assert_eq!(read, Err(ShareError::Unreadable), "{content}");
        }
        let read = |content: &str| SharedModel::from_link_text(&link_of(content.as_bytes()));
        let invalid = read(r#"{"plans":{"plan:a@1":{}}}"#);
        assert!(
            matches!(invalid, Err(ShareError::Invalid(_))),
            "{invalid:?}"
        );
        let from = read(r#"{"from":"javascript:alert(1)","plans":{}}"#);
        assert_eq!(from, Err(ShareError::From));
        let title = format!(r#"{{"title":"{}","plans":{{}}}}"#, "é".repeat(201));
        assert_eq!(read(&title), Err(ShareError::Title));
        assert_eq!(read(r#"{"plans":{}}"#), Ok(SharedModel::default()));
        assert_eq!(read(r#"{"plans":null}"#), Ok(SharedModel::default()));
    }

    #[test]
    fn a_text_that_fills_the_memory_is_not_decoded() {
        // The largest that fits into a link, and one that does not: a gigabyte is a megabyte of these.
        for (size, fits) in [(8 << 20, true), (16 << 20, false)] {
            let bomb = link_of(&vec![b' '; size]);
            assert_eq!(bomb.len() <= MAX_LINK_TEXT, fits, "{size}");
            let read = SharedModel::from_link_text(&bomb);
            assert_eq!(read, Err(ShareError::Unreadable), "{size}");
        }
        // A short text may have any compression ratio, but a long one may not.
        let is_accepted = |length| {
            let content = format!("{}{{\"plans\":{{}}}}", " ".repeat(length));
            SharedModel::from_link_text(&link_of(content.as_bytes())).is_ok()
        };
        assert!(is_accepted(SHORT_JSON - 100));
        assert!(!is_accepted(MAX_JSON / 2));
    }

    #[test]
    fn a_model_that_does_not_fit_has_no_link() {
        let features = (0..10_000).map(|i| format!(r#""feature:f{i}":{{"base":{}}}"#, i * 7919));
        let features: Vec<String> = features.collect();
        let model = format!(
            r#"{{"plans":{{"plan:a@1":{{"features":{{{}}}}}}}}}"#,
            features.join(",")
        );
        assert_eq!(shared(&model).link_text(), Err(ShareError::TooLarge));
    }

    #[test]
    fn a_link_is_short() {
        let model = r#"{"plans":{
            "plan:free@1":{"title":"Free","features":{"feature:convert":{"tiers":[{"upto":10}]}}},
            "plan:pro@1":{"title":"Pro","features":{"feature:seat":{"base":1000},
                "feature:convert":{"tiers":[{"upto":1000},{"price":0.5}]}}}}}"#;
        let link = shared(model).link_text().expect("it fits");
        assert!(link.len() < 240, "{}", link.len());
        assert_eq!(shared(model).link_text(), Ok(link));
    }

    proptest! {
        #[test]
        fn every_model_comes_back(
            model in models::models(4, 4),
            title in proptest::option::of(".{1,200}"),
            from in proptest::option::of("https?://[!-~]{0,300}"),
        ) {
            let model = Model::parse(&model.to_string()).expect("a legal model");
            let shared = SharedModel { title, from, model };
            let link = shared.link_text().expect("it is small");
            prop_assert_eq!(SharedModel::from_link_text(&link), Ok(shared.clone()));
            // The same model has the same link, however it was written.
            let again = SharedModel {
                model: Model::parse(&shared.model.to_json()).expect("its own JSON"),
                ..shared
            };
            prop_assert_eq!(again.link_text(), Ok(link));
        }

        #[test]
        fn random_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let read = SharedModel::from_link_text(&URL_SAFE_NO_PAD.encode(&bytes));
            prop_assert!(read.is_err());
        }

        #[test]
        fn damaged_links_do_no_harm(at in any::<proptest::sample::Index>(), with in "[A-Za-z0-9_-]") {
            let model = r#"{"plans":{"plan:a@1":{"features":{"feature:x":{"tiers":[{"upto":10}]}}}}}"#;
            let mut link = shared(model).link_text().expect("it fits");
            let at = at.index(link.len());
            link.replace_range(at..=at, &with);
            if let Ok(read) = SharedModel::from_link_text(&link) {
                prop_assert!(read.link_text().is_ok());
            }
        }
    }
}
