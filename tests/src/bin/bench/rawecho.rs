//! The remote program of the echo figures: gives back every byte as it comes, on a terminal in raw mode.
//!
//! The same program runs at the end of our road and of ssh's, so that only the roads differ.

use anyhow::{Context as _, Result};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use std::io::{stdin, stdout};

/// Printed when the terminal is raw.
pub(crate) const READY: &[u8] = b"READY\r\n";
/// Ends the program: what Ctrl-D sends.
pub(crate) const END: u8 = 4;

/// Echoes until [`END`] or until the terminal is gone.
pub(crate) fn run() -> Result<()> {
    let (input, output) = (stdin(), stdout());
    let mut modes = tcgetattr(&input).context("rawecho needs a terminal")?;
    modes.make_raw();
    tcsetattr(&input, OptionalActions::Now, &modes).context("the terminal cannot be made raw")?;
    write_all(&output, READY)?;
    let mut buffer = [0; 4096];
    loop {
        let len = rustix::io::read(&input, &mut buffer)?;
        if len == 0 || buffer[..len].contains(&END) {
            return Ok(());
        }
        write_all(&output, &buffer[..len])?;
    }
}

fn write_all(output: &impl std::os::fd::AsFd, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        let written = rustix::io::write(output, bytes)?;
        bytes = &bytes[written..];
    }
    Ok(())
}
