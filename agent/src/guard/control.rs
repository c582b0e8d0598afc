//! What the tunnel itself asks: entries of the trust log, a word for its key, its state for `status`.

use super::server::Guard;
use super::stream::{FrameStream, StreamError};
use super::visits::Claims;
use cloud_doctor_proto::control::{BindTransport, TrustUpdate, TunnelState};
use cloud_doctor_proto::frame::{Frame, Kind};
use cloud_doctor_proto::pack;
use cloud_doctor_proto::refusal::Refusal;

/// Answers one frame of the tunnel. `false`: it has no place here and the connection is over.
///
/// # Errors
/// [`StreamError`] when the tunnel is gone.
pub(super) async fn answer(guard: &Guard, stream: &mut FrameStream, frame: &Frame) -> Result<bool, StreamError> {
    let (body, max) = (&frame.body, frame.kind.bytes_max());
    if frame.kind == Kind::TrustUpdate {
        if let Ok(update) = pack::from_bytes::<TrustUpdate>(body, max) {
            return match guard.with(|core, moment| core.trust_update(moment, &update.entries)) {
                Ok(head) => stream.send(Kind::TrustHead, &head).await.map(|()| true),
                Err(refused) => stream.refuse(&refused).await.map(|()| true),
            };
        }
    } else if frame.kind == Kind::BindTransport {
        if let Ok(bind) = pack::from_bytes::<BindTransport>(body, max) {
            let binding = guard.with(|core, moment| core.bind_transport(moment, bind.transport));
            return stream.send(Kind::TransportBinding, &binding).await.map(|()| true);
        }
    } else if frame.kind == Kind::TunnelState
        && let Ok(state) = pack::from_bytes::<TunnelState>(body, max)
    {
        guard.with(|core, _| core.tunnel_says(state));
        return Ok(true);
    }
    let refused = Refusal::Malformed.with(format!("{:?}", frame.kind));
    guard.refused(&Claims::default(), "frame", &refused);
    stream.refuse(&refused).await?;
    Ok(false)
}
