//! The pages of our own program that are mapped, and giving them back.
//!
//! Starting, connecting and a visit run through code that idling never sees again, and the kernel maps 64 KiB around
//! each page that is touched. Code is never written: a page that was given back comes from the page cache when it is
//! next touched, and until then the kernel may have it for something else, which of a mapped page it thinks twice about.
//! It must never name memory that can be written, and never grow logic.
#![allow(unsafe_code)]

use std::ops::Range;
use std::sync::Once;
use std::time::Duration;

/// A tunnel is connected by then. What follows that comes soon too, so the pauses only become longer.
const FIRST: Duration = Duration::from_secs(5);
/// The longest pause: what a visit or a lost relay left mapped may stay for so long.
const EVERY: Duration = Duration::from_secs(120);
/// Pages that are mapped together when one of them is touched, instead of the kernel's sixteen. What idling uses lies
/// scattered: of sixteen pages it needs one or two. An area costs the kernel 200 bytes, so single pages would gain nothing.
const TOGETHER: usize = 2;

/// Gives back what a tunnel's idling does not use, again and again. Runs for ever.
pub(crate) async fn keep_small() {
    let mut pause = FIRST;
    loop {
        tokio::time::sleep(pause).await;
        give_back();
        pause = EVERY.min(pause * 2);
    }
}

/// Unmaps the program's code and constants. Whatever is still used comes back by itself, in small pieces.
pub(crate) fn give_back() {
    static SPLIT: Once = Once::new();
    let ranges = constant_ranges();
    // Not at the start, which touches most of it and is faster with large pieces.
    SPLIT.call_once(|| ranges.iter().cloned().for_each(split));
    for range in ranges {
        // SAFETY: these pages belong to segments of our program that the linker made read-only. The loader relocates
        // none of them, so they are exactly the file's, and the file cannot be written while it runs (ETXTBSY): what
        // is read there later is what is there now. Refused, it changes nothing.
        unsafe { libc::madvise(range.start as *mut libc::c_void, range.len(), libc::MADV_DONTNEED) };
    }
}

/// Makes every second piece of a range another area than its neighbours, whose border the kernel does not map across.
/// They differ in what makes no other difference: code is in no core dump anyway. The first piece stays, the file's
/// header, which may be in one.
fn split(range: Range<usize>) {
    let piece = TOGETHER * rustix::param::page_size();
    for from in range.clone().skip(piece).step_by(2 * piece) {
        let bytes = piece.min(range.end - from);
        // SAFETY: this changes no byte and no right of a page, only whether it is dumped. Refused, it changes nothing.
        unsafe { libc::madvise(from as *mut libc::c_void, bytes, libc::MADV_DONTDUMP) };
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

    /// Areas of our own code, with what is resident of each, in kB.
    fn code_kib() -> Vec<u64> {
        let own = std::env::current_exe().unwrap_or_default().display().to_string();
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap_or_default();
        let mut lines = maps.lines();
        let mut areas = Vec::new();
        while lines.any(|line| line.contains(" r-xp ") && line.ends_with(&own)) {
            let rss = lines.find_map(|line| line.strip_prefix("Rss:")).expect("each area says what is resident");
            areas.push(rss.trim().trim_end_matches(" kB").parse().unwrap());
        }
        areas
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
        let kib = |areas: &[u64]| areas.iter().sum::<u64>();
        let before = code_kib();
        assert!(kib(&before) > 0, "the program maps its code");
        give_back();
        let after = code_kib();
        assert!(kib(&after) < kib(&before), "{before:?} kB, then {after:?} kB");
        let piece = u64::try_from(TOGETHER * rustix::param::page_size() / 1024).unwrap();
        assert!(after.len() > before.len() && after.iter().all(|kib| *kib <= piece), "{after:?}");
        assert_eq!((WRITTEN.load(Ordering::Relaxed), RELOCATED), (8, ["one", "two"]));
    }
}
