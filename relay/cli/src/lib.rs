//! The client library of Cloud Doctor: what the `cloud-doctor` command, the tests and the benchmark drive.
//!
//! - [`relay_api`], [`stream`]: the relay's HTTP calls and its pipe of sealed bytes.
//! - [`trust_store`], [`signer`]: this person's copy of the customer's trust log, and the keys that sign.
//! - [`visit`], [`channel`]: a grant, and the shells and commands under it.
//! - [`home`], [`messages`], [`clock`], [`zone`], [`moments`]: files, words, time.
//!
//! Never: signing bytes that a peer composed, believing a relay about who a server is, or saying anything to a holder
//! unsealed.

pub mod channel;
pub mod clock;
pub mod home;
pub mod messages;
pub mod moments;
pub mod relay_api;
pub mod signer;
pub mod stream;
pub mod trust_store;
pub mod visit;
pub mod zone;
