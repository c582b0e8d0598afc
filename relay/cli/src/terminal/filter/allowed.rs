//! Which sequences a server may show to a terminal. Pure: a whole sequence without its ESC in, the word out.
//!
//! A sequence that the terminal answers is let through only if the answer is of a fixed form without newline and holds
//! nothing that the sequence's author chose. Vim, tmux, less and their like live on those: cursor position, kind of
//! terminal, modes, colours.

use cloud_doctor_proto::refusal::printable;
use std::borrow::Cow;

/// Characters of a title that are passed on.
const TITLE_CHARS_MAX: usize = 128;
/// What may be asked about settings (DECRQSS): answered with numbers.
const SETTINGS: &[&[u8]] = &[b"m", b"r", b"s", b"t", b" q", b"\"p", b"\"q", b"$|", b"$}", b"*|", b"*x"];
/// Window operations: a size, numeric reports, and the stack of titles. Not the reports of titles (20, 21), which type
/// what somebody wrote there before.
const WINDOW: &[u32] = &[8, 11, 13, 14, 15, 16, 18, 19, 22, 23];
/// Sequences with an intermediate byte. Not among them: checksums of the screen, which read what stood there before the
/// visit.
const WITH_INTERMEDIATE: &[(u8, &[u8])] = &[
    (b' ', b"@Aq"),
    (b'!', b"p"),
    (b'"', b"pq"),
    (b'#', b"pq{}"),
    (b'$', b"prtvxz{|}~"),
    (b'\'', b"}~"),
    (b'*', b"x|"),
];
/// Mode 2 off is a terminal of 1975, with a grammar of its own.
const MODE_ANSI: u32 = 2;

/// A sequence that is no word: `[` and what follows, or two or three bytes.
pub(super) fn sequence(held: &[u8]) -> bool {
    match held {
        [b'[', control @ ..] => csi(control),
        // Other than UTF-8 the bytes of a character would be controls.
        [b'%', charset @ ..] => matches!(charset, b"G" | b"8"),
        // Answers in 8 bits.
        [b' ', b'G'] => false,
        _ => true,
    }
}

fn csi(control: &[u8]) -> bool {
    let params = control.iter().take_while(|byte| (0x30..=0x3f).contains(*byte)).count();
    let (params, rest) = control.split_at(params);
    let (private, params) = match params {
        [marker @ b'<'..=b'?', params @ ..] => (Some(*marker), params),
        params => (None, params),
    };
    if params.iter().any(|byte| (b'<'..=b'?').contains(byte)) {
        return false;
    }
    match (rest, private) {
        // Printing.
        ([b'i'], _) => false,
        ([b't'], None) => first_number(params).is_some_and(|what| WINDOW.contains(&what)),
        ([b'l'], Some(b'?')) => !params.split(|byte| *byte == b';').any(|mode| first_number(mode) == Some(MODE_ANSI)),
        ([_], _) => true,
        ([intermediate, last], _) => {
            WITH_INTERMEDIATE.iter().any(|(known, lasts)| known == intermediate && lasts.contains(last))
        }
        _ => false,
    }
}

fn first_number(params: &[u8]) -> Option<u32> {
    let digits = params.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&params[..digits]).ok()?.parse().ok()
}

/// An operating system command (`]`) or control string as it is passed on, without its end.
pub(super) fn word(held: &[u8]) -> Option<Cow<'_, [u8]>> {
    match held {
        [b']', command @ ..] => osc(held, command),
        // DECRQSS, and XTGETTCAP: names and answers are hexadecimal.
        [b'P', b'$', b'q', setting @ ..] => SETTINGS.contains(&setting).then_some(Cow::Borrowed(held)),
        [b'P', b'+', b'q', names @ ..] => {
            names.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b';').then_some(Cow::Borrowed(held))
        }
        // Keys that type what a server chose, images, a way through tmux: nothing that a shell needs.
        _ => None,
    }
}

fn osc<'a>(held: &'a [u8], command: &'a [u8]) -> Option<Cow<'a, [u8]>> {
    let digits = command.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = first_number(command)?;
    let argument = match &command[digits..] {
        [] => &[],
        [b';', argument @ ..] => argument,
        _ => return None,
    };
    match number {
        0..=2 => {
            let title = String::from_utf8_lossy(argument);
            let title: String = title.chars().flat_map(printable).take(TITLE_CHARS_MAX).collect();
            Some(Cow::Owned(format!("]{number};{title}").into_bytes()))
        }
        8 => Some(link(held, argument)),
        // Colours, and marks of prompts. Answers hold numbers.
        4 | 5 | 10..=19 | 104 | 105 | 110..=119 | 133 => is_printable(argument).then_some(Cow::Borrowed(held)),
        // Clipboard, notifications, fonts, files, whatever is invented next.
        _ => None,
    }
}

/// A link to a page on the web; any other ends the link before it.
fn link<'a>(held: &'a [u8], argument: &'a [u8]) -> Cow<'a, [u8]> {
    let address = argument.splitn(2, |byte| *byte == b';').nth(1).unwrap_or_default();
    let web = |scheme: &str| address.get(..scheme.len()).is_some_and(|it| it.eq_ignore_ascii_case(scheme.as_bytes()));
    if is_printable(argument) && (web("https://") || web("http://")) {
        Cow::Borrowed(held)
    } else {
        Cow::Borrowed(b"]8;;")
    }
}

fn is_printable(argument: &[u8]) -> bool {
    argument.iter().all(|byte| matches!(byte, 0x20..=0x7e))
}
