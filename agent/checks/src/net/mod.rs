//! Network: lost packets, full queues, ports and tables that run out.

mod accept_queue;
mod bandwidth;
mod bond;
mod conntrack;
mod counters;
mod drops;
mod errors;
mod listen_overflow;
mod local_ports;
mod neighbours;
mod orphans;
mod resets;
mod retransmits;
mod routes;
mod softnet;
mod syn_queue;
mod tcp_memory;
mod time_wait;
mod udp_buffer;

use crate::check::Check;

/// This group's checks.
pub(crate) const CHECKS: &[&Check] = &[
    &retransmits::CHECK,
    &listen_overflow::CHECK,
    &accept_queue::CHECK,
    &syn_queue::CHECK,
    &conntrack::CHECK,
    &local_ports::CHECK,
    &time_wait::CHECK,
    &orphans::CHECK,
    &tcp_memory::CHECK,
    &udp_buffer::CHECK,
    &resets::CHECK,
    &drops::CHECK,
    &errors::CHECK,
    &bandwidth::CHECK,
    &softnet::CHECK,
    &bond::CHECK,
    &routes::CHECK,
    &neighbours::CHECK,
];
