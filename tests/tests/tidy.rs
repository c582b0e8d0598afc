//! The rules of the house that no compiler holds: who may import whom, sizes, words, and what README promises.
//!
//! Plain reading of files, so that it runs in a second. Each rule is a function from a [`tree::Tree`] to complaints,
//! and has a test that shows it can complain; a rule that cannot fail holds nothing. It must never repair what it reads.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "tidy/cases.rs"]
mod cases;
#[path = "tidy/code.rs"]
mod code;
#[path = "tidy/house.rs"]
mod house;
#[path = "tidy/imports.rs"]
mod imports;
#[path = "tidy/promises.rs"]
mod promises;
#[path = "tidy/sizes.rs"]
mod sizes;
#[path = "tidy/tree.rs"]
mod tree;
#[path = "tidy/words.rs"]
mod words;
