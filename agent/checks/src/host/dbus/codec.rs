//! Bytes of D-Bus messages, as far as asking for strings and numbers needs: method calls out, their answers in.
//!
//! Little-endian only, which every system that this program is built for writes. Values are read flat: there is no
//! recursion, and every length is checked against what is there before it is used. It must never panic on any input.

/// Longest message that is read; the specification allows 128 MiB.
pub(crate) const MESSAGE_BYTES_MAX: usize = 4 << 20;
/// What tells how long a message is.
pub(crate) const HEAD_BYTES: usize = 16;

const LITTLE_ENDIAN: u8 = b'l';
const METHOD_CALL: u8 = 1;
const METHOD_RETURN: u8 = 2;
const ERROR: u8 = 3;
/// Asking must not start the service that is asked.
const NO_AUTO_START: u8 = 2;
const PROTOCOL_VERSION: u8 = 1;

/// A method call. All arguments are strings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) destination: &'a str,
    pub(crate) path: &'a str,
    pub(crate) interface: &'a str,
    pub(crate) member: &'a str,
    pub(crate) arguments: &'a [&'a str],
}

/// An answer, or anything else that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// The call that it answers.
    pub(crate) reply_to: u32,
    /// What is in it, or the name of the error.
    pub(crate) answer: Answer,
}

/// What a call came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The body, with the types that stand in it.
    Return { signature: String, body: Vec<u8> },
    /// The error's name.
    Refused(String),
}

/// One value of a variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// A number that is not negative; booleans are 0 and 1.
    Number(u64),
    /// A string, an object path or a signature.
    Text(String),
    /// A negative number.
    Negative,
}

/// The bytes of `call`.
pub(crate) fn encode(call: &Call<'_>, serial: u32) -> Vec<u8> {
    let mut body = Vec::new();
    for argument in call.arguments {
        put_string(&mut body, argument);
    }
    let mut fields = Vec::new();
    put_field(&mut fields, 1, "o", call.path);
    put_field(&mut fields, 2, "s", call.interface);
    put_field(&mut fields, 3, "s", call.member);
    if !call.destination.is_empty() {
        put_field(&mut fields, 6, "s", call.destination);
    }
    if !call.arguments.is_empty() {
        align(&mut fields, 8);
        fields.extend_from_slice(&[8, 1, b'g', 0]);
        put_signature(&mut fields, &"s".repeat(call.arguments.len()));
    }
    let mut message = vec![LITTLE_ENDIAN, METHOD_CALL, NO_AUTO_START, PROTOCOL_VERSION];
    put_u32(&mut message, length(&body));
    put_u32(&mut message, serial);
    put_u32(&mut message, length(&fields));
    message.extend_from_slice(&fields);
    align(&mut message, 8);
    message.extend_from_slice(&body);
    message
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("this program's own calls are short")
}

fn align(bytes: &mut Vec<u8>, to: usize) {
    bytes.resize(bytes.len().next_multiple_of(to), 0);
}

fn put_u32(bytes: &mut Vec<u8>, number: u32) {
    align(bytes, 4);
    bytes.extend_from_slice(&number.to_le_bytes());
}

fn put_string(bytes: &mut Vec<u8>, text: &str) {
    put_u32(bytes, length(text.as_bytes()));
    bytes.extend_from_slice(text.as_bytes());
    bytes.push(0);
}

fn put_signature(bytes: &mut Vec<u8>, signature: &str) {
    bytes.push(u8::try_from(signature.len()).expect("one letter for each argument"));
    bytes.extend_from_slice(signature.as_bytes());
    bytes.push(0);
}

fn put_field(fields: &mut Vec<u8>, code: u8, signature: &str, text: &str) {
    align(fields, 8);
    fields.push(code);
    put_signature(fields, signature);
    put_string(fields, text);
}

/// How long the message is that begins with `head`. Nothing when it is no message, or longer than may be read.
pub(crate) fn message_length(head: &[u8; HEAD_BYTES]) -> Option<usize> {
    let mut reader = Reader::new(head);
    if reader.u8()? != LITTLE_ENDIAN {
        return None;
    }
    reader.skip(2)?;
    if reader.u8()? != PROTOCOL_VERSION {
        return None;
    }
    let body = usize::try_from(reader.u32()?).ok()?;
    reader.skip(4)?;
    let fields = usize::try_from(reader.u32()?).ok()?;
    let whole = HEAD_BYTES.checked_add(fields)?.checked_next_multiple_of(8)?.checked_add(body)?;
    (whole <= MESSAGE_BYTES_MAX).then_some(whole)
}

/// Reads a whole message. Signals and calls are messages that answer call 0, which nobody makes.
pub(crate) fn decode(bytes: &[u8]) -> Option<Message> {
    let whole = message_length(bytes.first_chunk()?).filter(|whole| *whole == bytes.len())?;
    let mut reader = Reader::new(bytes);
    reader.skip(1)?;
    let kind = reader.u8()?;
    reader.skip(2)?;
    let body_bytes = usize::try_from(reader.u32()?).ok()?;
    let (mut reply_to, mut error, mut signature) = (0, String::new(), String::new());
    reader.skip(4)?;
    let fields_bytes = usize::try_from(reader.u32()?).ok()?;
    let fields_end = reader.at.checked_add(fields_bytes)?;
    while reader.at < fields_end {
        reader.align(8)?;
        let code = reader.u8()?;
        match (code, reader.variant()?) {
            (4, Value::Text(text)) => error = text,
            (5, Value::Number(number)) => reply_to = u32::try_from(number).ok()?,
            (8, Value::Text(text)) => signature = text,
            // Who sent it, what it is called, and what later versions add.
            (_, Value::Text(_) | Value::Number(_) | Value::Negative) => {}
        }
    }
    let body = bytes.get(whole.checked_sub(body_bytes)?..)?.to_vec();
    match kind {
        METHOD_RETURN => Some(Message { reply_to, answer: Answer::Return { signature, body } }),
        ERROR => Some(Message { reply_to, answer: Answer::Refused(error) }),
        _ => Some(Message { reply_to: 0, answer: Answer::Refused(String::new()) }),
    }
}

/// Reads values one after the other. Everything is nothing once the bytes are over or wrong.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// `bytes` begin where 8 divides their place in the message.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Whether everything before `end` has been read.
    pub(crate) fn is_before(&self, end: usize) -> bool {
        self.at < end
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.take(count).map(|_| ())
    }

    pub(crate) fn align(&mut self, to: usize) -> Option<()> {
        self.skip(self.at.checked_next_multiple_of(to)? - self.at)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.align(4)?;
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.align(8)?;
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }

    /// Where an array ends that begins here; its elements are aligned to `to`.
    pub(crate) fn array(&mut self, to: usize) -> Option<usize> {
        let bytes = usize::try_from(self.u32()?).ok()?;
        self.align(to)?;
        self.at.checked_add(bytes).filter(|end| *end <= self.bytes.len())
    }

    /// A string or an object path.
    pub(crate) fn string(&mut self) -> Option<&'a str> {
        let count = usize::try_from(self.u32()?).ok()?;
        let text = self.take(count)?;
        self.skip(1)?;
        std::str::from_utf8(text).ok()
    }

    fn signature(&mut self) -> Option<&'a str> {
        let count = usize::from(self.u8()?);
        let text = self.take(count)?;
        self.skip(1)?;
        std::str::from_utf8(text).ok()
    }

    /// A value with its type before it. Nothing when it is an array or a structure: nobody asks for one.
    pub(crate) fn variant(&mut self) -> Option<Value> {
        let whole = |negative: bool, number: u64| if negative { Value::Negative } else { Value::Number(number) };
        Some(match self.signature()? {
            "y" => Value::Number(u64::from(self.u8()?)),
            "b" | "u" => Value::Number(u64::from(self.u32()?)),
            "i" => {
                let number = self.u32()?;
                whole(number > i32::MAX.cast_unsigned(), u64::from(number))
            }
            "t" => Value::Number(self.u64()?),
            "x" => {
                let number = self.u64()?;
                whole(number > i64::MAX.cast_unsigned(), number)
            }
            "s" | "o" => Value::Text(self.string()?.to_owned()),
            "g" => Value::Text(self.signature()?.to_owned()),
            _ => return None,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// An answer to call `reply_to`, as a bus writes it.
    pub(crate) fn answer(reply_to: u32, signature: &str, body: &[u8]) -> Vec<u8> {
        let mut fields = vec![5, 1, b'u', 0];
        put_u32(&mut fields, reply_to);
        put_field(&mut fields, 7, "s", ":1.0");
        if !signature.is_empty() {
            align(&mut fields, 8);
            fields.extend_from_slice(&[8, 1, b'g', 0]);
            put_signature(&mut fields, signature);
        }
        let mut message = vec![LITTLE_ENDIAN, METHOD_RETURN, 1, PROTOCOL_VERSION];
        put_u32(&mut message, length(body));
        put_u32(&mut message, 7);
        put_u32(&mut message, length(&fields));
        message.extend_from_slice(&fields);
        align(&mut message, 8);
        message.extend_from_slice(body);
        message
    }

    /// A variant with a number.
    pub(crate) fn variant_u64(number: u64) -> Vec<u8> {
        let mut body = vec![1, b't', 0, 0, 0, 0, 0, 0];
        body.extend_from_slice(&number.to_le_bytes());
        body
    }

    /// The body that `ListUnits` answers.
    pub(crate) fn units(rows: &[[&str; 4]]) -> Vec<u8> {
        let mut array = vec![0; 8];
        for [name, load, active, sub] in rows {
            align(&mut array, 8);
            let path = format!("/org/freedesktop/systemd1/unit/{name}");
            for text in [*name, "A unit", load, active, sub, "", path.as_str()] {
                put_string(&mut array, text);
            }
            put_u32(&mut array, 0);
            put_string(&mut array, "");
            put_string(&mut array, "/");
        }
        let bytes = length(&array) - 8;
        array[..4].copy_from_slice(&bytes.to_le_bytes());
        array
    }

    const HELLO: Call<'static> = Call {
        destination: "org.freedesktop.DBus",
        path: "/org/freedesktop/DBus",
        interface: "org.freedesktop.DBus",
        member: "Hello",
        arguments: &[],
    };

    #[test]
    fn a_call_is_these_bytes() {
        // These were sent to dbus-daemon 1.14.10, which answered what the next test holds.
        let mut expected = b"l\x01\x02\x01\0\0\0\0\x01\0\0\0\x6d\0\0\0".to_vec();
        expected.extend_from_slice(b"\x01\x01o\0\x15\0\0\0/org/freedesktop/DBus\0\0\0");
        expected.extend_from_slice(b"\x02\x01s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0");
        expected.extend_from_slice(b"\x03\x01s\0\x05\0\0\0Hello\0\0\0");
        expected.extend_from_slice(b"\x06\x01s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0");
        assert_eq!(encode(&HELLO, 1), expected);
        let call = Call { arguments: &["a.b", "C"], ..HELLO };
        assert!(encode(&call, 2).ends_with(b"\x08\x01g\0\x02ss\0\x03\0\0\0a.b\0\x01\0\0\0C\0"));
    }

    #[test]
    fn an_answer_is_read_as_it_was_recorded() {
        // dbus-daemon 1.14.10, Debian 12.
        let recorded =
            b"l\x02\x01\x01\x09\0\0\0\x01\0\0\0\x3d\0\0\0\x06\x01s\0\x04\0\0\0:1.0\0\0\0\0\x05\x01u\0\x01\0\0\0\
            \x08\x01g\0\x01s\0\0\x07\x01s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0\x04\0\0\0:1.0\0";
        let message = decode(recorded).unwrap();
        let body = b"\x04\0\0\0:1.0\0".to_vec();
        assert_eq!(message, Message { reply_to: 1, answer: Answer::Return { signature: "s".into(), body } });
    }

    #[test]
    fn variants_are_read_by_their_type() {
        for (bytes, expected) in [
            (&b"\x01u\0\0\x05\0\0\0"[..], Some(Value::Number(5))),
            (b"\x01i\0\0\xff\xff\xff\xff", Some(Value::Negative)),
            (b"\x01i\0\0\x09\0\0\0", Some(Value::Number(9))),
            (b"\x01s\0\0\x02\0\0\0ok\0", Some(Value::Text("ok".into()))),
            (b"\x01t\0\0\0\0\0\0\x01\0\0\0\0\0\0\x80", Some(Value::Number((1 << 63) + 1))),
            (b"\x02as\0\0\0\0\0", None),
            (b"\x01s\0\0\xff\xff\xff\xff", None),
            (b"\x01s\0\0\x02\0\0\0\xff\xfe\0", None),
            (b"", None),
        ] {
            assert_eq!(Reader::new(bytes).variant(), expected, "{bytes:?}");
        }
    }

    #[test]
    fn damaged_messages_are_refused_without_a_panic() {
        let whole = answer(3, "a(ssssssouso)", &units(&[["a.service", "loaded", "active", "running"]]));
        assert!(decode(&whole).is_some());
        for cut in 0..whole.len() {
            assert_eq!(decode(&whole[..cut]), None, "{cut}");
        }
        for at in 0..whole.len() {
            for byte in [0, 1, 0x7f, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] = byte;
                let _ = decode(&damaged).map(|message| match message.answer {
                    Answer::Return { body, .. } => Reader::new(&body).variant(),
                    Answer::Refused(_) => None,
                });
            }
        }
        let long = *b"l\x02\x01\x01\xff\xff\xff\x7f\x01\0\0\0\x3d\0\0\0";
        assert_eq!(message_length(&long), None);
        assert_eq!(message_length(b"B\x02\x01\x01\0\0\0\x01\0\0\0\x01\0\0\0\x01"), None);
    }
}
