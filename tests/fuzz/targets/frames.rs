//! What arrives on a stream: frames however they are cut, and the bodies that each kind may have.
#![no_main]

use cloud_doctor_proto::control::{Hello, HelloAck, TransportBinding};
use cloud_doctor_proto::events::{Events, EventsRequest};
use cloud_doctor_proto::frame::{Decoder, Frame, FrameError, encode};
use cloud_doctor_proto::limits::CONTROL_BYTES_MAX;
use cloud_doctor_proto::look::{Answer, Question};
use cloud_doctor_proto::metrics::{MetricsRequest, MetricsSeries, Processes, Range, Sample};
use cloud_doctor_proto::pack;
use cloud_doctor_proto::refusal::Refused;
use cloud_doctor_proto::session::{ToClient, ToHolder};
use cloud_doctor_proto::visit::{ChallengeReply, ChallengeRequest, OpenChannel, OpenVisit};

fn decode(pieces: &[&[u8]]) -> (Vec<Frame>, Option<FrameError>) {
    let (mut decoder, mut frames) = (Decoder::new(), Vec::new());
    for piece in pieces {
        decoder.push(piece);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

fn bodies(body: &[u8]) {
    let max = CONTROL_BYTES_MAX;
    let _ = pack::from_bytes::<Hello>(body, max).map(|hello| hello.binding.verify());
    let _ = pack::from_bytes::<HelloAck>(body, max);
    let _ = pack::from_bytes::<TransportBinding>(body, max).map(|binding| binding.verify());
    let _ = pack::from_bytes::<ChallengeRequest>(body, max);
    let _ = pack::from_bytes::<ChallengeReply>(body, max);
    let _ = pack::from_bytes::<OpenVisit>(body, max);
    let _ = pack::from_bytes::<OpenChannel>(body, max);
    let _ = pack::from_bytes::<Refused>(body, max);
    let _ = pack::from_bytes::<Question>(body, max);
    let _ = pack::from_bytes::<Answer>(body, max);
    let _ = pack::from_bytes::<MetricsRequest>(body, max);
    let _ = pack::from_bytes::<MetricsSeries>(body, max).map(|page| page.series.iter().all(|one| one.is_bounded()));
    let _ = pack::from_bytes::<Processes>(body, max);
    if let Ok(events) = pack::from_bytes::<Events>(body, max) {
        let asked = EventsRequest { from: 0, to: u64::MAX };
        assert!(events.bounded(&asked).is_bounded(&asked));
    }
    if let Ok(sample) = Sample::from_bytes(body) {
        assert_eq!(sample.to_bytes().len(), body.len());
    }
    if let Ok(range) = Range::from_bytes(body) {
        assert_eq!(range.to_bytes().len(), body.len());
    }
    let mut again = Vec::new();
    if let Ok(message) = ToHolder::decode(body) {
        message.encode(&mut again);
        assert_eq!(ToHolder::decode(&again), Ok(message));
    }
    again.clear();
    if let Ok(message) = ToClient::decode(body) {
        message.encode(&mut again);
        assert_eq!(ToClient::decode(&again), Ok(message));
    }
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((first, bytes)) = input.split_first() else { return };
    let (head, tail) = bytes.split_at(usize::from(*first) * bytes.len() / 255);
    let whole = decode(&[bytes]);
    assert_eq!(whole, decode(&[head, tail]), "cutting changes nothing");
    for frame in &whole.0 {
        let kind = frame.kind;
        assert!(frame.body.len() <= kind.bytes_max(), "a body beyond its limit");
        let (again, _) = decode(&[&encode(kind, &frame.body)]);
        assert_eq!(again[0].body, frame.body);
        bodies(&frame.body);
    }
    bodies(bytes);
});
