//! Puts the console's built files (`web/dist`, made by `npm run build`) into the relay. Never builds them itself, and
//! never fails for want of them: a relay without a console is a relay.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Name endings that are no files of their own: packed forms of the file of the same name, and maps for debugging.
const NOT_SERVED: [&str; 3] = ["br", "gz", "map"];

fn main() -> io::Result<()> {
    let dist = Path::new(&variable("CARGO_MANIFEST_DIR")?).join("web/dist");
    // Cargo looks again at each build for as long as what it was told to watch is not there.
    drop(fs::create_dir_all(&dist));
    println!("cargo::rerun-if-changed={}", dist.display());
    let mut files = Vec::new();
    collect(&dist, &mut files)?;
    files.sort();
    let mut code = String::from("&[\n");
    for file in &files {
        write_file(&mut code, &dist, file).map_err(io::Error::other)?;
    }
    code.push_str("]\n");
    fs::write(Path::new(&variable("OUT_DIR")?).join("console.rs"), code)
}

fn variable(name: &str) -> io::Result<String> {
    std::env::var(name).map_err(io::Error::other)
}

/// Whether a file or folder is for browsers: hidden ones are notes of the tools.
fn is_served(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    !hidden && !NOT_SERVED.iter().any(|ending| path.extension().is_some_and(|found| found == *ending))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        if !is_served(&path) {
            continue;
        }
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

fn write_file(code: &mut String, dist: &Path, file: &Path) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let path = file.strip_prefix(dist)?.to_str().ok_or("a name that is no text")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    if !path.chars().all(plain) {
        return Err(format!("web/dist/{path}: the relay serves names of letters, digits, '.', '_' and '-' only").into());
    }
    let packed = |ending: &str| {
        let packed = PathBuf::from(format!("{}.{ending}", file.display()));
        if packed.is_file() { format!("Some(include_bytes!({packed:?}))") } else { "None".to_owned() }
    };
    let (br, gz) = (packed("br"), packed("gz"));
    writeln!(code, "File {{ path: {path:?}, plain: include_bytes!({file:?}), br: {br}, gz: {gz} }},")?;
    Ok(())
}
