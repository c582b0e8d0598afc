//! How the agent that is shipped (profile `agent`, musl) is linked: without what nobody reads.
//!
//! Tables for unwinding (0.57 MB): see `no-unwinding.ld`. And the addresses that the loader moves to a random base: one
//! bit each instead of 24 bytes (0.26 MB), which also need not be read at each start.
#![allow(clippy::print_stdout, reason = "this is how a build script speaks")]

use std::env::var;

fn main() {
    println!("cargo::rerun-if-changed=no-unwinding.ld");
    let is = |name: &str, value: &str| var(name).is_ok_and(|found| found == value);
    // Only the profile `agent` optimises for size, and only it aborts on a panic: a build script is not told that.
    if !is("CARGO_CFG_TARGET_ENV", "musl") || !is("OPT_LEVEL", "z") {
        return;
    }
    let folder = var("CARGO_MANIFEST_DIR").unwrap_or_default();
    println!("cargo::rustc-link-arg-bins=-Wl,-T,{folder}/no-unwinding.ld");
    // Debian's linker knows this for x86-64 only.
    if is("CARGO_CFG_TARGET_ARCH", "x86_64") {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
