//! The harness: real relay, agents, clients, terminals and network faults, one [`world::World`] per test.
//!
//! It starts the programs that cargo has built and speaks to them as people and networks do. It never reaches into
//! them, never waits without a deadline, and leaves no process and no file behind, also when a test fails.

pub mod agent;
pub mod api;
pub mod backend;
pub mod balancer;
pub mod binaries;
pub mod calls;
pub mod chaosproxy;
pub mod children;
pub mod eventually;
pub mod evil;
pub mod fleet;
pub mod interceptor;
pub mod not_tested;
pub mod own_relay;
pub mod people;
pub mod process;
pub mod raw_keys;
pub mod relay;
pub mod road;
pub mod scale;
pub mod site;
pub mod ssh_agent;
pub mod terminal;
pub mod tmux;
pub mod trace;
pub mod traces;
pub mod visitor;
pub mod world;
