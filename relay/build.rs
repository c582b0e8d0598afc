//! Puts the console's built files (`web/dist`, made by `make web`) into the relay, also into one for development
//! (WEB-14). Never builds them itself, and never fails for want of them: a relay without a console is a relay.

use std::path::{Path, PathBuf};
use std::{fs, io};

const DIST: &str = "web/dist";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed={DIST}");
    let code = PathBuf::from(std::env::var("OUT_DIR").map_err(io::Error::other)?).join("memory_serve_assets.rs");
    // Cargo looks again at each build for as long as what it was told to watch is not there.
    drop(fs::create_dir_all(DIST));
    if !Path::new(DIST).is_dir() {
        return fs::write(code, "&[]");
    }
    memory_serve::load_directory_with_embed(DIST, true);
    // Where a file lay belongs into no program: it would name this machine's folders, and be a path to a disk.
    let lines = fs::read_to_string(&code)?;
    let lines = lines.lines().map(|line| if line.trim_start().starts_with("path: ") { "path: \"\"," } else { line });
    fs::write(code, lines.collect::<Vec<_>>().join("\n"))
}
