//! Six words that two people compare on the phone.
//!
//! The list is the English one of BIP-0039 (2,048 words that differ in their first four letters): 66 bits. The hash
//! is stretched 65,536 times first, so that finding another key with the same words costs about 2^82 hashes.

use crate::ids::Hash;

const LIST: &str = include_str!("words.txt");
/// Hash rounds before words are cut: about 10 ms, once per comparison.
const ROUNDS: u32 = 1 << 16;
/// Words shown.
pub const WORDS: usize = 6;
const BITS_PER_WORD: usize = 11;
/// Letters that tell two words of the list apart.
const LETTERS: usize = 4;

/// The six words of a hash.
#[must_use]
pub fn words(hash: &Hash) -> String {
    let list: Vec<&str> = LIST.lines().collect();
    let mut stretched = Hash::of(&[b"cloud-doctor words v1\0", &hash.0]);
    for _ in 0..ROUNDS {
        stretched = Hash::of(&[&stretched.0, &hash.0]);
    }
    let bit = |i: usize| usize::from(stretched.0[i / 8] >> (7 - i % 8) & 1);
    let index = |word: usize| (0..BITS_PER_WORD).fold(0, |sum, i| sum << 1 | bit(word * BITS_PER_WORD + i));
    (0..WORDS).map(|word| list[index(word)]).collect::<Vec<_>>().join(" ")
}

/// Whether a person typed [`words`] as they were read out: six, in order, each whole or its first four letters.
#[must_use]
pub fn same(said: &str, words: &str) -> bool {
    let said: Vec<String> = said.split_whitespace().map(str::to_lowercase).collect();
    let expected: Vec<&str> = words.split(' ').collect();
    let same =
        |(said, word): (&String, &&str)| said.len() >= LETTERS.min(word.len()) && word.starts_with(said.as_str());
    said.len() == expected.len() && said.iter().zip(&expected).all(same)
}

/// What a person wrote after `--trust`: the six words in any spacing and case, or the whole hash in hex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pin {
    /// Six words.
    Words(String),
    /// All 256 bits.
    Hash(Hash),
}

/// Neither six words of the list nor a hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    /// A word that the list does not have.
    #[error("\"{0}\" is not one of the words; read them again from the other screen")]
    Word(String),
    /// Another number of words, and no hash.
    #[error("expected six words or 64 hexadecimal digits")]
    Count,
}

impl std::str::FromStr for Pin {
    type Err = PinError;
    fn from_str(text: &str) -> Result<Self, PinError> {
        if let Ok(hash) = text.trim().parse() {
            return Ok(Pin::Hash(hash));
        }
        let words: Vec<String> = text
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|w| !w.is_empty())
            .map(str::to_ascii_lowercase)
            .collect();
        if words.len() != WORDS {
            return Err(PinError::Count);
        }
        match words.iter().find(|word| !LIST.lines().any(|known| known == *word)) {
            Some(unknown) => Err(PinError::Word(unknown.clone())),
            None => Ok(Pin::Words(words.join(" "))),
        }
    }
}

impl Pin {
    /// Whether this pin names that hash.
    #[must_use]
    pub fn matches(&self, hash: &Hash) -> bool {
        match self {
            Pin::Words(pinned) => *pinned == words(hash),
            Pin::Hash(pinned) => pinned == hash,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn enr_06_words_name_one_hash() {
        assert_eq!(LIST.lines().count(), 2048);
        let hash = Hash([7; 32]);
        let spoken = words(&hash);
        assert_eq!(spoken.split(' ').count(), WORDS);
        let pin: Pin = spoken.to_uppercase().replace(' ', "-").parse().unwrap();
        assert!(pin.matches(&hash));
        assert!(!pin.matches(&Hash([8; 32])));
        assert!(hash.to_string().parse::<Pin>().unwrap().matches(&hash));
        assert_eq!("a b c".parse::<Pin>(), Err(PinError::Count));
        assert_eq!("zoo zoo zoo zoo zoo zooo".parse::<Pin>(), Err(PinError::Word("zooo".into())));
    }

    #[test]
    fn words_are_heard_in_whole_or_by_four_letters() {
        let hash = Hash([7; 32]);
        let six = words(&hash);
        let short: Vec<String> = six.split(' ').map(|word| word.chars().take(4).collect()).collect();
        assert!(same(&six, &six) && same(&format!("  {}\n", short.join("  ").to_uppercase()), &six));
        let cut =
            |letters| short.iter().map(|word| word.chars().take(letters).collect()).collect::<Vec<String>>().join(" ");
        let swapped = [&short[1..], &short[..1]].concat().join(" ");
        for wrong in [String::new(), "y".into(), short[..5].join(" "), cut(1), swapped, format!("{six} {six}")] {
            assert!(!same(&wrong, &six), "{wrong}");
        }
        assert!(!same(&words(&Hash([8; 32])), &six));
    }
}
