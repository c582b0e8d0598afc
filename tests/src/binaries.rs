//! Finds the programs under test beside the test's own executable. Builds nothing.
//!
//! Cargo writes which sources a program was made of into a `.d` file beside it: a program that is older than one of
//! them would test yesterday's code, so it is refused. Never: a program from `PATH`.

use std::fs;
use std::path::{Path, PathBuf};

/// Programs of the workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// The agent, all roles.
    Agent,
    /// The relay.
    Relay,
    /// The command line client.
    Client,
    /// The load generator, which is of the tests themselves.
    Fleet,
}

impl Program {
    fn file(self) -> &'static str {
        match self {
            Program::Agent => "cloud-doctor-agent",
            Program::Relay => "cloud-doctor-relay",
            Program::Client => "cloud-doctor",
            Program::Fleet => "cloud-doctor-fleet",
        }
    }

    /// Its path.
    ///
    /// # Panics
    /// When it is missing or older than its sources. A folder named by `CLOUD_DOCTOR_TEST_PROGRAMS` is taken as it is:
    /// for testing what was built elsewhere, a package for example.
    #[must_use]
    pub fn path(self) -> PathBuf {
        if let Some(folder) = std::env::var_os("CLOUD_DOCTOR_TEST_PROGRAMS").filter(|_| self != Program::Fleet) {
            return Path::new(&folder).join(self.file());
        }
        let path = folder().join(self.file());
        if let Err(why) = fresh(&path) {
            panic!("{}: {why}; run `cargo build --workspace` first", path.display());
        }
        path
    }
}

/// `target/<profile>`: tests lie in its `deps`, the benchmark directly in it.
fn folder() -> PathBuf {
    let exe = std::env::current_exe().expect("the test has an executable");
    let folder = exe.parent().expect("an executable lies in a folder");
    let folder = if folder.ends_with("deps") { folder.parent().expect("deps lies in a folder") } else { folder };
    folder.to_owned()
}

fn fresh(program: &Path) -> Result<(), String> {
    let built = fs::metadata(program).and_then(|meta| meta.modified()).map_err(|e| e.to_string())?;
    let list = fs::read_to_string(program.with_extension("d")).map_err(|e| e.to_string())?;
    let (_, sources) = list.split_once(": ").ok_or("its list of sources is empty")?;
    for source in sources.split_whitespace() {
        // A source that is gone was removed after the build.
        let changed = fs::metadata(source).and_then(|meta| meta.modified()).map_err(|e| format!("{source}: {e}"))?;
        if changed > built {
            return Err(format!("older than {source}"));
        }
    }
    Ok(())
}
