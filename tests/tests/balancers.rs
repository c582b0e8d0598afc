//! Checks of load balancers beside the load balancers themselves: the same file is given to `check` and to the real
//! program, a backend dies and comes back, and what was predicted must happen.
//!
//! No test fails because something was slow: failed probes are counted, a member may not leave earlier than the best case
//! of the formula, and times are printed beside what was predicted (`--no-capture` shows them).
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "balancers/apache.rs"]
mod apache;
#[path = "balancers/caddy.rs"]
mod caddy;
#[path = "balancers/databases.rs"]
mod databases;
#[path = "balancers/haproxy.rs"]
mod haproxy;
#[path = "balancers/keepalived.rs"]
mod keepalived;
#[path = "balancers/measured.rs"]
mod measured;
#[path = "balancers/nginx.rs"]
mod nginx;
#[path = "balancers/place.rs"]
mod place;
