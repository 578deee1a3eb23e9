//! Enums for the fixed strings in Stripe's answers: statuses, usage types and so on.

/// Declares an enum of strings. An unknown string is kept as it is, so a value that Stripe adds never breaks a read.
macro_rules! string_enum {
    (
        $(#[$about:meta])*
        $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)* }
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$doc])* $variant,)*
            /// An unknown string. Empty if Stripe sent none.
            Other(String),
        }

        impl $name {
            /// Stripe's string.
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

pub(super) use string_enum;

#[cfg(test)]
mod tests {
    use crate::billing::ClockStatus;

    #[test]
    fn an_unknown_string_is_kept() {
        let read = |text: &str| -> ClockStatus {
            serde_json::from_value(text.into()).expect("any text can be read")
        };
        assert_eq!(read("ready"), ClockStatus::Ready);
        assert_eq!(read("lost"), ClockStatus::Other("lost".to_owned()));
        assert_eq!(read("lost").as_str(), "lost");
        assert_eq!(ClockStatus::default().as_str(), "");
    }
}
