//! MessagePack, two ways.
//!
//! *Tolerant* for control bodies: maps with named fields, unknown fields ignored. *Strict* for signed objects: the
//! bytes must be exactly what this code would write, so unknown or doubled fields, other number forms, another
//! order and trailing bytes are all refused, and what was verified is what was read.

use crate::limits::PACK_DEPTH_MAX;
use serde::{Serialize, de::DeserializeOwned};

/// The bytes are not what was expected. Says where it went wrong, not what the bytes were.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackError {
    /// Longer than the limit of this object.
    #[error("{len} bytes, at most {max} are accepted")]
    TooLong {
        /// Bytes that arrived.
        len: usize,
        /// Bytes accepted.
        max: usize,
    },
    /// Not MessagePack of this type.
    #[error("malformed: {0}")]
    Malformed(String),
    /// Readable, but not in the one form that signatures cover.
    #[error("not in canonical form")]
    NotCanonical,
}

/// Encodes as a map with named fields.
///
/// # Panics
/// Never for the types of this crate: writing to memory cannot fail and all their maps have known lengths.
#[must_use]
pub fn to_bytes<T: Serialize>(value: &T) -> Vec<u8> {
    rmp_serde::to_vec_named(value).expect("types of this crate serialise into memory")
}

/// Reads a control body; unknown fields are ignored.
///
/// # Errors
/// [`PackError`] when the bytes are too long, too deep or of another type.
pub fn from_bytes<T: DeserializeOwned>(bytes: &[u8], max: usize) -> Result<T, PackError> {
    if bytes.len() > max {
        return Err(PackError::TooLong { len: bytes.len(), max });
    }
    let mut decoder = rmp_serde::Deserializer::from_read_ref(bytes);
    decoder.set_max_depth(PACK_DEPTH_MAX);
    serde::Deserialize::deserialize(&mut decoder).map_err(|e| PackError::Malformed(e.to_string()))
}

/// Reads a signed object: anything but the canonical bytes is refused.
///
/// # Errors
/// [`PackError`]; the type itself should be `deny_unknown_fields` for a better message.
pub fn from_signed_bytes<T: DeserializeOwned + Serialize>(bytes: &[u8], max: usize) -> Result<T, PackError> {
    let value: T = from_bytes(bytes, max)?;
    if to_bytes(&value) == bytes { Ok(value) } else { Err(PackError::NotCanonical) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Small {
        a: u8,
        b: String,
    }
    #[derive(Serialize)]
    struct Wide {
        a: u8,
        b: String,
        c: bool,
    }

    #[test]
    fn cod_02_tolerant_ignores_and_strict_refuses_unknown_fields() {
        let bytes = to_bytes(&Wide { a: 1, b: "x".into(), c: true });
        assert_eq!(from_bytes::<Small>(&bytes, 100).unwrap().a, 1);
        assert_eq!(from_signed_bytes::<Small>(&bytes, 100), Err(PackError::NotCanonical));
    }

    #[test]
    fn cod_03_strict_refuses_other_forms_of_the_same_value() {
        let good = to_bytes(&Small { a: 1, b: "x".into() });
        assert!(from_signed_bytes::<Small>(&good, 100).is_ok());
        let mut trailing = good.clone();
        trailing.push(0xc0);
        // {"a": u8(1) written as two bytes, "b": "x"}
        let long_number = [0x82, 0xa1, b'a', 0xcc, 1, 0xa1, b'b', 0xa1, b'x'];
        let other_order = [0x82, 0xa1, b'b', 0xa1, b'x', 0xa1, b'a', 1];
        for bad in [&trailing[..], &long_number, &other_order] {
            assert_eq!(from_signed_bytes::<Small>(bad, 100), Err(PackError::NotCanonical));
        }
        assert!(matches!(from_bytes::<Small>(&good, 3), Err(PackError::TooLong { .. })));
    }

    #[test]
    fn cod_03_ten_thousand_levels_are_refused() {
        let mut deep = vec![0x91; 10_000];
        deep.push(0xc0);
        assert!(from_bytes::<serde::de::IgnoredAny>(&deep, 100_000).is_err());
        let wide = [0xdf, 0xff, 0xff, 0xff, 0xff];
        assert!(from_bytes::<Vec<u8>>(&wide, 100).is_err());
    }
}
