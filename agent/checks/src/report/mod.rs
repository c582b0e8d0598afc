//! The report of a host for a ticket: what is wrong, what it costs, what helps, what was not looked at, what has changed.
//!
//! A checker gathers ([`gather`]) inside its sandbox, piece by piece; whoever asked puts the pieces together ([`Gathered`])
//! and renders. Everything goes through the redactor once, before anything is rendered ([`Report::redact`]). It must never
//! say that something is fine because it was not looked at.

mod bundle;
mod facts;
mod files;
mod gather;
mod json;
mod manifest;
mod model;
mod objectives;
mod page;
mod score;
pub(crate) mod stamp;
mod ticket;
mod timeline;

pub use bundle::{BUNDLE_BYTES_MAX, Bundle};
pub use facts::{FileSystem, LoadBalancer, System};
pub use files::{FileText, Part, logs_named};
pub use gather::{Gathered, Piece, Step, gather};
pub use json::{REPORT_SCHEMA, json, schema};
pub use model::Report;
pub use page::page;
pub use score::{CRITICAL_COSTS, Score, WARNING_COSTS};
pub use ticket::{Priority, Ticket, TicketWords};
pub use timeline::{Confidence, Row, RowKind, events};

#[cfg(test)]
pub(crate) mod tests;
