//! The two codes of a login: one with which the device polls, and one that the user types.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

/// No vowels, so that codes form no words, and no letters that are easily mistaken for a digit or another letter (RFC
/// 8628, 6.1).
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

const LENGTH: usize = 8;

/// The code with which a device polls: 244 random bits in hexadecimal.
pub(super) struct DeviceCode(String);

impl DeviceCode {
    pub(super) fn random() -> Self {
        let half = || Uuid::new_v4().simple();
        Self(format!("{}{}", half(), half()))
    }

    pub(super) fn expose(&self) -> &str {
        &self.0
    }

    /// The digest of a code. Only this is kept, so that the timing of a look-up reveals nothing about the code.
    pub(super) fn digest(code: &str) -> [u8; 32] {
        Sha256::digest(code).into()
    }
}

/// The code that the user types, such as `BCDF-GHJK`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct UserCode([u8; LENGTH]);

impl UserCode {
    pub(super) fn random() -> Self {
        let (_, random) = Uuid::new_v4().as_u64_pair();
        // The first two bits are the same in every UUID.
        let mut rest = random << 2 >> 2;
        Self([0; LENGTH].map(|_| {
            let letter = usize::try_from(rest % 20).expect("it is below 20");
            rest /= 20;
            LETTERS[letter]
        }))
    }

    /// Compares two codes in constant time.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Display for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = str::from_utf8(&self.0).expect("letters are UTF-8");
        let (first, second) = text.split_at(LENGTH / 2);
        write!(f, "{first}-{second}")
    }
}

impl FromStr for UserCode {
    type Err = ();

    /// People leave out the hyphen, add spaces and type small letters.
    fn from_str(text: &str) -> Result<Self, ()> {
        let typed = text.chars().filter(|c| !c.is_whitespace() && *c != '-');
        let letters = typed.map(|c| {
            let letter = u8::try_from(c.to_ascii_uppercase()).ok()?;
            LETTERS.contains(&letter).then_some(letter)
        });
        let letters: Vec<u8> = letters.take(LENGTH + 1).collect::<Option<_>>().ok_or(())?;
        letters.try_into().map(Self).map_err(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_people_type_it() {
        let code: UserCode = "BCDF-GHJK".parse().expect("a code");
        for typed in ["BCDFGHJK", "bcdf-ghjk", " bcdf ghjk\n", "B-C-D-F-G-H-J-K"] {
            let read = typed.parse();
            assert!(read.is_ok_and(|read: UserCode| read.is(&code)), "{typed}");
        }
        for typed in [
            "",
            "BCDF-GHJ",
            "BCDF-GHJKL",
            "BCDF-GHJA",
            "BCDF-GHJ1",
            "BCDF-GHJÉ",
            "<",
        ] {
            assert!(typed.parse::<UserCode>().is_err(), "{typed}");
        }
        let other: UserCode = "BCDF-GHJL".parse().expect("a code");
        assert!(!other.is(&code));
    }

    #[test]
    fn codes_are_random_and_well_formed() {
        let codes: Vec<String> = (0..100).map(|_| UserCode::random().to_string()).collect();
        for (i, code) in codes.iter().enumerate() {
            let (first, second) = code.split_once('-').expect("two parts");
            assert_eq!((first.len(), second.len()), (4, 4), "{code}");
            assert!(code.parse::<UserCode>().is_ok(), "{code}");
            assert!(!codes[..i].contains(code), "{code} comes twice");
        }
        let all = codes.concat();
        assert!(
            LETTERS
                .iter()
                .all(|letter| all.contains(char::from(*letter)))
        );
        let (one, other) = (DeviceCode::random(), DeviceCode::random());
        assert!(one.expose().len() == 64 && one.expose() != other.expose());
    }
}
