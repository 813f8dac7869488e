//! Serial numbers of certificates.

use std::fmt;
use std::str::FromStr;

use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Longest serial number X.509 allows, in bytes.
const MAX_BYTES: usize = 20;

/// A certificate's serial number, unique within the authority. Text form: lower-case hex without leading zero bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Serial(Box<[u8]>);

/// The text is no serial number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a serial number of 2 to 40 hex digits, got {0:?}")]
pub struct ParseSerialError(String);

impl Serial {
    /// A new random serial number of 16 bytes.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn random() -> Result<Self, Error> {
        let mut bytes = [0_u8; 16];
        SystemRandom::new().fill(&mut bytes).map_err(|_| Error::Random)?;
        // Positive, and 16 bytes long whatever was drawn.
        bytes[0] = (bytes[0] & 0x7f) | 0x40;
        Ok(Self(bytes.into()))
    }

    /// From the big-endian bytes in a certificate; `None` for an empty or overlong one.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let start = bytes.iter().position(|&b| b != 0)?;
        let bytes = &bytes[start..];
        (bytes.len() <= MAX_BYTES).then(|| Self(bytes.into()))
    }

    /// Big-endian bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serial({self})")
    }
}

impl FromStr for Serial {
    type Err = ParseSerialError;

    /// Upper-case digits and colons between bytes, as other tools print them, are taken too.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseSerialError(text.chars().take(80).collect());
        let digits: Vec<u8> = text.bytes().filter(|&b| b != b':').collect();
        if digits.is_empty() || !digits.len().is_multiple_of(2) || digits.len() > 2 * MAX_BYTES {
            return Err(error());
        }
        let bytes = digits
            .chunks_exact(2)
            .map(|pair| {
                let high = char::from(pair[0]).to_digit(16)?;
                let low = char::from(pair[1]).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()
            })
            .collect::<Option<Vec<u8>>>()
            .ok_or_else(error)?;
        Self::from_bytes(&bytes).ok_or_else(error)
    }
}

impl TryFrom<String> for Serial {
    type Error = ParseSerialError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Serial> for String {
    fn from(serial: Serial) -> Self {
        serial.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn text_form_round_trips(bytes in proptest::collection::vec(any::<u8>(), 1..=20)) {
            if let Some(serial) = Serial::from_bytes(&bytes) {
                prop_assert_eq!(serial.to_string().parse::<Serial>(), Ok(serial));
            }
        }

        #[test]
        fn any_text_parses_or_is_refused(text in ".{0,60}") {
            let _ = text.parse::<Serial>();
        }
    }

    #[test]
    fn forms_of_other_tools_are_the_same_number() {
        let serial: Serial = "4a0b".parse().unwrap();
        assert_eq!("4A:0B".parse(), Ok(serial.clone()));
        assert_eq!("004a0b".parse(), Ok(serial));
        for text in ["", "4", "zz", "00", ":", &"aa".repeat(21)] {
            assert!(text.parse::<Serial>().is_err(), "{text}");
        }
    }

    #[test]
    fn random_ones_are_positive_and_differ() {
        let (a, b) = (Serial::random().unwrap(), Serial::random().unwrap());
        assert_ne!(a, b);
        assert_eq!(a.as_bytes().len(), 16);
        assert!(a.as_bytes()[0] < 0x80);
    }
}
