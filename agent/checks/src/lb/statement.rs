//! A statement of a configuration in blocks: words, and what stands in the braces after them.

use super::Place;

/// One statement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) words: Vec<String>,
    pub(crate) place: Place,
    pub(crate) inside: Vec<Statement>,
}

/// Deeper blocks than any system has are not read; reading goes as deep as blocks do.
pub(crate) const BLOCKS_DEEP_MAX: usize = 64;

impl Statement {
    /// Its first word.
    pub(crate) fn name(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// The words after its first.
    pub(crate) fn arguments(&self) -> &[String] {
        self.words.get(1..).unwrap_or_default()
    }

    /// The word after its first.
    pub(crate) fn argument(&self) -> &str {
        self.words.get(1).map_or("", String::as_str)
    }

    /// The statements inside with this name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl DoubleEndedIterator<Item = &'a Statement> {
        self.inside.iter().filter(move |inside| inside.name() == name)
    }

    /// The last statement inside with this name: of several it is the one that counts.
    pub(crate) fn last<'a>(&'a self, name: &'a str) -> Option<&'a Statement> {
        self.all(name).next_back()
    }
}
