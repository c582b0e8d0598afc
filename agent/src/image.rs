//! The pages of our own program that are mapped, and giving them back.
//!
//! Starting, connecting and a visit run through code that idling never sees again, and the kernel maps 64 KiB around
//! each page that is touched. Code is never written: a page that was given back comes from the page cache when it is
//! next touched, and until then the kernel may have it for something else, which of a mapped page it thinks twice about.
//! It must never name memory that can be written, and never grow logic.
#![allow(unsafe_code)]

use std::ops::Range;
use std::time::Duration;

/// A tunnel is connected by then.
const FIRST: Duration = Duration::from_secs(5);
/// Between two times after that: what a visit or a lost relay left mapped may stay for so long. What idling uses comes
/// back in some forty faults of three microseconds each.
const EVERY: Duration = Duration::from_secs(600);

/// Gives back what a tunnel's idling does not use, again and again. Runs for ever.
pub(crate) async fn keep_small() {
    tokio::time::sleep(FIRST).await;
    loop {
        give_back();
        tokio::time::sleep(EVERY).await;
    }
}

/// Unmaps the program's code and constants. Whatever is still used comes back by itself.
pub(crate) fn give_back() {
    for range in constant_ranges() {
        // SAFETY: these pages belong to segments of our program that the linker made read-only. The loader relocates
        // none of them, so they are exactly the file's, and the file cannot be written while it runs (ETXTBSY): what
        // is read there later is what is there now. Refused, it changes nothing.
        unsafe { libc::madvise(range.start as *mut libc::c_void, range.len(), libc::MADV_DONTNEED) };
    }
}

/// Whole pages of the loaded segments that may not be written.
fn constant_ranges() -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    // SAFETY: the callback runs during this call only, with the pointer to `ranges` that is given here.
    unsafe { libc::dl_iterate_phdr(Some(first_object), (&raw mut ranges).cast()) };
    ranges
}

/// Reads the first object that the loader names, the program itself, and stops.
unsafe extern "C" fn first_object(
    info: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    ranges: *mut libc::c_void,
) -> libc::c_int {
    // SAFETY: the loader passes a description that is valid during this call, and the table in it is the program's own.
    let (base, headers) =
        unsafe { ((*info).dlpi_addr, std::slice::from_raw_parts((*info).dlpi_phdr, usize::from((*info).dlpi_phnum))) };
    // SAFETY: `constant_ranges` passed this pointer and waits for us.
    let ranges = unsafe { &mut *ranges.cast::<Vec<Range<usize>>>() };
    let constant = |header: &&libc::Elf64_Phdr| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0;
    let page = rustix::param::page_size();
    ranges.extend(headers.iter().filter(constant).filter_map(|header| {
        let from = usize::try_from(base + header.p_vaddr).ok()?;
        let to = from + usize::try_from(header.p_memsz).ok()?;
        Some(from.next_multiple_of(page)..to.next_multiple_of(page))
    }));
    1
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU8, Ordering};

    static WRITTEN: AtomicU8 = AtomicU8::new(7);
    /// Addresses, which the loader writes at the start.
    static RELOCATED: [&str; 2] = ["one", "two"];

    /// Resident code of our own, in kB.
    fn code_kib() -> u64 {
        let own = std::env::current_exe().unwrap_or_default().display().to_string();
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap_or_default();
        let mut lines = maps.lines().skip_while(|line| !(line.contains(" r-xp ") && line.ends_with(&own)));
        let rss = lines.find_map(|line| line.strip_prefix("Rss:"));
        rss.and_then(|rss| rss.trim().trim_end_matches(" kB").parse().ok()).expect("the program maps its code")
    }

    #[test]
    fn code_is_given_back_and_what_was_written_stays() {
        let ranges = constant_ranges();
        let within = |address: usize| ranges.iter().any(|range| range.contains(&address));
        assert!(within(give_back as *const () as usize), "{ranges:x?}");
        for kept in [(&raw const WRITTEN).addr(), (&raw const RELOCATED).addr()] {
            assert!(!within(kept), "{kept:x} in {ranges:x?}");
        }
        WRITTEN.store(8, Ordering::Relaxed);
        let before = code_kib();
        give_back();
        let after = code_kib();
        assert!(after < before, "{before} kB, then {after} kB");
        assert_eq!((WRITTEN.load(Ordering::Relaxed), RELOCATED), (8, ["one", "two"]));
    }
}
