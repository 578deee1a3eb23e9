//! Enums for the fixed words in Stripe's answers: statuses, usage types and so on.

/// Declares an enum of words. Unknown words are kept as they are, so a new one of Stripe's never breaks a read.
macro_rules! words {
    (
        $(#[$about:meta])*
        $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)* }
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$doc])* $variant,)*
            /// An unknown word. Empty if there is none.
            Other(String),
        }

        impl $name {
            /// The word itself.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)*
                    Self::Other(word) => word,
                }
            }
        }

        impl From<String> for $name {
            fn from(word: String) -> Self {
                match word.as_str() {
                    $($word => Self::$variant,)*
                    _ => Self::Other(word),
                }
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::Other(String::new())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
                String::deserialize(input).map(Self::from)
            }
        }
    };
}

pub(super) use words;

#[cfg(test)]
mod tests {
    use crate::billing::ClockStatus;

    #[test]
    fn an_unknown_word_is_kept() {
        let read = |text: &str| -> ClockStatus {
            serde_json::from_value(text.into()).expect("any text can be read")
        };
        assert_eq!(read("ready"), ClockStatus::Ready);
        assert_eq!(read("lost"), ClockStatus::Other("lost".to_owned()));
        assert_eq!(read("lost").as_str(), "lost");
        assert_eq!(ClockStatus::default().as_str(), "");
    }
}
