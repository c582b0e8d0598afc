//! Puts the console's built files (`web/dist`, made by `make web`) into the relay, also into one for development
//! (WEB-14). Never builds them itself, and never fails for want of them: a relay without a console is a relay.

use std::io;

const DIST: &str = "web/dist";

fn main() -> io::Result<()> {
    std::fs::create_dir_all(DIST)?;
    memory_serve::load_directory_with_embed(DIST, true);
    Ok(())
}
