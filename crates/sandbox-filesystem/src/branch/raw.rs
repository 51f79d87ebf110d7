//! Bytes in a JSON document: targets of links, names and values of extended attributes.

use serde::{Deserialize, Serialize};

/// Bytes that are mostly text: a string in JSON where they are UTF-8, `{"hex": "…"}` elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(try_from = "Encoded", into = "Encoded")]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Encoded {
    Text(String),
    Hex { hex: String },
}

/// Digits that are no bytes.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not an even number of hexadecimal digits")]
pub(crate) struct InvalidHex(String);

impl From<Bytes> for Encoded {
    fn from(bytes: Bytes) -> Self {
        match String::from_utf8(bytes.0) {
            Ok(text) => Self::Text(text),
            Err(raw) => Self::Hex {
                hex: raw.as_bytes().iter().fold(String::new(), |mut hex, byte| {
                    hex.push_str(&format!("{byte:02x}"));
                    hex
                }),
            },
        }
    }
}

impl TryFrom<Encoded> for Bytes {
    type Error = InvalidHex;

    fn try_from(encoded: Encoded) -> Result<Self, InvalidHex> {
        match encoded {
            Encoded::Text(text) => Ok(Self(text.into_bytes())),
            Encoded::Hex { hex } => from_hex(&hex).map(Self).ok_or(InvalidHex(hex)),
        }
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let (pairs, rest) = digits.as_deref()?.as_chunks::<2>();
    rest.is_empty()
        .then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive_json_whether_they_are_text_or_not() {
        for bytes in [&b""[..], b"text", b"\xff\x00a", "ä".as_bytes()] {
            let json = serde_json::to_string(&Bytes(bytes.to_vec())).unwrap();
            assert_eq!(serde_json::from_str::<Bytes>(&json).unwrap().0, bytes, "{json}");
        }
        assert!(serde_json::from_str::<Bytes>(r#"{"hex":"abc"}"#).is_err());
    }
}
