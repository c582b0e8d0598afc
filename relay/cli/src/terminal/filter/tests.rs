//! Rows of what a server sends and what a terminal gets, each also cut at every byte.

use super::*;

/// As one piece, and in two pieces cut at every place, and byte by byte.
#[track_caller]
fn check(sent: impl AsRef<[u8]>, expected: impl AsRef<[u8]>) {
    let (sent, expected) = (sent.as_ref(), expected.as_ref());
    let show = |bytes: &[u8]| bytes.escape_ascii().to_string();
    for cut in 0..=sent.len() {
        assert_eq!(show(&passed(&[&sent[..cut], &sent[cut..]])), show(expected), "{} cut at {cut}", show(sent));
    }
    let bytes: Vec<&[u8]> = sent.chunks(1).collect();
    assert_eq!(show(&passed(&bytes)), show(expected), "{}", show(sent));
}

#[track_caller]
fn untouched(sent: impl AsRef<[u8]>) {
    check(sent.as_ref(), sent.as_ref());
}

fn passed(pieces: &[&[u8]]) -> Vec<u8> {
    let (mut filter, mut shown, mut all) = (Filter::new(), Vec::new(), Vec::new());
    for piece in pieces {
        all.extend_from_slice(filter.pass(piece, &mut shown));
        assert!(filter.held.len() <= SEQUENCE_BYTES_MAX);
    }
    all
}

#[test]
fn plain_output_is_not_copied() {
    let (mut filter, mut shown) = (Filter::new(), Vec::new());
    let text = b"total 4\r\n\ta\x08b\x07\x0e\x0f\x00 done\n".repeat(1000);
    assert_eq!(filter.pass(&text, &mut shown).as_ptr(), text.as_ptr());
}

#[test]
fn what_programs_need_passes_untouched() {
    untouched("\x1b[2J\x1b[1;1H\x1b[38;5;12mblue\x1b[0m\x1b[?25l\x1b[4:3mcurly\x1b[m");
    // Alternate screen, mouse, focus, bracketed paste, synchronised output, cursor shape, keyboard protocols.
    untouched("\x1b[?1049h\x1b[?1000;1006h\x1b[?1004h\x1b[?2004h\x1b[?2026h\x1b[2 q\x1b[>4;2m\x1b[>1u\x1b[?u\x1b[<u");
    // Questions: cursor, kind, version, modes, sizes, settings, capabilities, colours.
    untouched("\x1b[6n\x1b[5n\x1b[c\x1b[>c\x1b[=c\x1b[>q\x1b[?2026$p\x1b[18t\x1b[14t\x1bZ");
    untouched("\x1bP$q q\x1b\\\x1bP$qm\x1b\\\x1bP+q436f;6b75\x1b\\\x1b]11;?\x07\x1b]10;?\x1b\\\x1b]4;1;?\x07");
    // Titles and their stack, links, colours, prompts, character sets, keypad, scrolling.
    untouched(
        "\x1b[22;2t\x1b]2;web-1: ~/日本 – vim\x07\x1b[23;2t\x1b]8;id=1;https://example.com/a?b\x1b\\x\x1b]8;;\x1b\\",
    );
    untouched(
        "\x1b]4;1;rgb:ff/00/00\x1b\\\x1b]104\x07\x1b]112\x07\x1b]133;A\x1b\\\x1b(0lqk\x1b(B\x1b)0\x1b=\x1b>\x1bM\x1b7\x1b8\x1bc",
    );
    untouched("\x1b[!p\x1b[?3;4l\x1b[4l\x1b>\x1b%G\x1b#8\x1b[1;5r\x1b[2;3H\x1b[8;24;80t");
    untouched("Grüße, 世界, 雛 ° » ➜ 🎉 \u{ad}");
}

#[test]
fn pty_05_questions_with_answers_of_the_authors_choice_are_dropped() {
    // Reports of titles, however they are written.
    for report in ["[21t", "[20t", "[021t", "[0000000021t", "[21;0t", "[21:1t", "[t", "[;21t", "[99999999999t"] {
        check(format!("a\x1b{report}b"), "ab");
    }
    for unknown in ["P$q\nid\n\x1b\\", "P$qfoo\x1b\\", "P$q\x1b\\", "P+q\nid\n\x1b\\", "P+q41zz\x1b\\"] {
        check(format!("a\x1b{unknown}b"), "ab");
    }
    // Answerback, checksums of the screen, keys that type a command, printing, answers in 8 bits, other grammars.
    check("a\x05b", "ab");
    check("\x1b[1;1;1;1;80;24*y|\x1b[1$w|\x1b[2$u|\x1b[1+p|", "||||");
    check("a\x1bP0;1|17/6c730d\x1b\\b", "ab");
    check("a\x1b[5ib\x1b[?5ic\x1b[4i", "abc");
    check("a\x1b Gb\x1b%@c\x1b%/Gd", "abcd");
    check("a\x1b[?2lb\x1b[?25;2lc\x1b[?02l", "abc");
}

#[test]
fn pty_07_clipboard_links_titles_notes_and_fonts() {
    for command in
        ["52;c;aWQK", "52;c;?", "052;p;aWQK", "9;hello", "777;notify;a;b", "99;;a", "50;?", "50;#1", "7;file:///"]
    {
        check(format!("a\x1b]{command}\x07b\x1b]{command}\x1b\\c"), "abc");
    }
    for odd in ["", ";", "x;y", "0x", "L1", "l1", "I/etc/passwd", "1337;File=;:AAAA", "5522;type=read", "99999999999;a"]
    {
        check(format!("a\x1b]{odd}\x07b"), "ab");
    }
    for address in ["javascript:alert(1)", "file:///etc/passwd", "ssh://x", "https:x", "http://é", "HTTP", "x"] {
        check(format!("\x1b]8;;{address}\x07b"), "\x1b]8;;\x07b");
    }
    untouched("\x1b]8;a=b;HTTPS://example.com\x07b");
    // A title is text of one line and of some length.
    check("\x1b]0;<img onerror>\u{202e}\x01\n\x07", "\x1b]0;<img onerror>\\u{202e}\\u{1}\\u{a}\x07");
    check(b"\x1b]2;\x9b21t\x9c\x07", "\x1b]2;\u{fffd}21t\u{fffd}\x07");
    check(format!("\x1b]2;{}\x1b\\", "é".repeat(500)), format!("\x1b]2;{}\x1b\\", "é".repeat(128)));
    // Control strings of other kinds: images, a way through tmux or screen.
    for string in ["_Ga=q;AAAA", "^private", "Xstart", "Ptmux;\x1b\x1b]52;c;aWQK\x07", "P0q#0;2;0;0;0~~", "P=1s"] {
        let left = if string.starts_with("Ptmux") { "a\x1b\\b" } else { "ab" };
        check(format!("a\x1b{string}\x1b\\b"), left);
    }
}

#[test]
fn pty_08_long_sequences_are_dropped_without_being_kept() {
    for begin in ["]0;", "]52;c;", "P0q", "_G", "P$q", "X", "^"] {
        let (mut filter, mut shown) = (Filter::new(), Vec::new());
        assert_eq!(filter.pass(format!("a\x1b{begin}").as_bytes(), &mut shown), b"a");
        let piece = vec![b'x'; 64 << 10];
        for _ in 0..64 {
            assert_eq!(filter.pass(&piece, &mut shown), b"");
            assert!(filter.held.capacity() <= 2 * SEQUENCE_BYTES_MAX && shown.capacity() <= 2 * piece.len());
        }
        assert_eq!(filter.pass(b"\x1b\\back", &mut shown), b"back");
        // Without an end, the next sequence is one.
        assert_eq!(filter.pass(format!("\x1b{begin}lost").as_bytes(), &mut shown), b"");
        assert_eq!(filter.pass(b"\x1bcback", &mut shown), b"\x1bcback");
    }
    check(format!("a\x1b[{}mb", "1;".repeat(2049)), "ab");
    untouched(format!("a\x1b[{}mb", "1;".repeat(2000)));
    check(format!("a\x1b({}Bb", " ".repeat(5000)), "ab");
}

#[test]
fn controls_of_eight_bits_are_no_controls() {
    let bad = "\u{fffd}".as_bytes();
    check(b"a\x9b6nb\x9d52;c;?\x07", "a\u{fffd}6nb\u{fffd}52;c;?\x07");
    check(b"a\xc2\x9b6n\xc2\x85b", "a\u{fffd}6n\u{fffd}b");
    // Forms that are too long, and characters that break off.
    check(b"\xe0\x82\x9b6n", [&b"\xe0"[..], bad, bad, b"6n"].concat());
    check(b"\xe9\x9b\xc2\x9b6n", [&b"\xe9\x9b"[..], bad, b"6n"].concat());
    check(b"\xe9\x9bx\x9b6n", [&b"\xe9\x9bx"[..], bad, b"6n"].concat());
    check(b"\xc2\x1b[6n\xc2", b"\xc2\x1b[6n");
    check(b"\xf5\x9b\xc0\x9b", [&b"\xf5"[..], bad, b"\xc0", bad].concat());
}

#[test]
fn sequences_that_break_off_are_none() {
    check("a\x1b[21\x18tb", "atb");
    check("a\x1b[2\x1b[1mb", "a\x1b[1mb");
    check("a\x1b]0;b\x18c", "ac");
    check("a\x1b]0;b\x1b[21tc\x07", "ac\x07");
    check("a\x1b\x1b\x1b[0mb", "a\x1b[0mb");
    // Terminals carry out a line break inside a sequence and go on.
    check("a\x1b[2\n1tb", "a\nb");
    check("a\x1b[1\r\nmb\x1b\n[0m", "a\r\n\x1b[1mb\n\x1b[0m");
    check("a\x1b[2\u{e9}1tb", "a\u{e9}1tb");
    check(b"a\x1b[2\x9b1tb", "a\u{fffd}1tb");
    check("a\x1b[1?25lb\x1b[1$2pc\x1b[1$$pd", "abcd");
    check("a\x1b[2\x7f1tb", "ab");
    check("a\x1b]Rb\x1b]P1234567c", "abc");
}

/// Whatever comes: nothing that is passed on changes when it is looked at again, and memory is bounded.
#[test]
fn pty_02_random_bytes_are_harmless_once_and_for_all() {
    let mut state = 1u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 40).unwrap_or(0)
    };
    let telling = b"\x1b\x1b\x1b[]PX^_\\\x07;?$!\"*>0125tqnclip\x05\x18\x9b\x9c\xc2\xe9\x9bmR \n";
    for round in 0..20_000 {
        let len = random() % 64;
        let pick = |n: usize| if round % 4 == 0 { n.to_le_bytes()[0] } else { telling[n % telling.len()] };
        let sent: Vec<u8> = (0..len).map(|_| pick(random())).collect();
        let once = passed(&[&sent]);
        let bytes: Vec<&[u8]> = sent.chunks(1).collect();
        assert_eq!(passed(&bytes), once, "{}", sent.escape_ascii());
        // What follows decides about a last byte that is kept back.
        let again = passed(&[&once, b" "]);
        assert_eq!(again, [&once[..], b" "].concat(), "{} became {}", sent.escape_ascii(), once.escape_ascii());
    }
}
