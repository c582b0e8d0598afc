//! A visit that looks: which shells live, a view of one of them, and pages of the server's own audit.
//!
//! Guard answers questions in a handshake each, on the stream that the visit was opened on. Never: a question whose
//! answer anybody but the server of the visit could have made.

use super::{First, Ground, Hands, Target, Terms, Visit, VisitError, next, send, sign};
use crate::channel::Channel;
use crate::clock;
use crate::relay_api::StreamNote;
use crate::stream::FrameStream;
use cloud_doctor_proto::channel::{Broken, ChannelKind, Initiator, Keys};
use cloud_doctor_proto::frame::{self, Kind};
use cloud_doctor_proto::grant::Scope;
use cloud_doctor_proto::ids::ChannelId;
use cloud_doctor_proto::limits::{ANSWER_BYTES_MAX, GREETING_BYTES_MAX};
use cloud_doctor_proto::look::{Answer, AuditPage, LivingShell, Question};
use cloud_doctor_proto::pack;
use cloud_doctor_proto::visit::{ChannelReply, OpenChannel};
use serde_bytes::ByteBuf;

/// An open visit that looks.
#[derive(Debug)]
pub struct Look {
    visit: Visit,
    stream: FrameStream,
}

/// Opens a visit and asks its first question. The key that signs may be an approver's.
///
/// # Errors
/// [`VisitError`]; nothing was opened then.
pub async fn open_look(
    hands: &mut Hands<'_>,
    target: &Target,
    terms: &Terms,
    question: Question,
) -> Result<(Look, Answer), VisitError> {
    let note = StreamNote { purpose: "ask", channel: None, visit: None };
    let signed = sign(hands, target, terms, &note).await?;
    let (initiator, knock) = signed.ground.ask(question)?;
    let (visit, stream, reply) = send(hands, target, signed, knock).await?;
    Ok((Look { visit, stream }, read(initiator, &reply)?))
}

impl Ground {
    /// The first message of a question, and what reads its answer.
    fn ask(&self, question: Question) -> Result<(Initiator, Vec<u8>), VisitError> {
        let (kind, channel) = (ChannelKind::Ask, ChannelId(clock::random()));
        let keys = Keys { ours: &self.ours, theirs: &self.theirs, resume: None };
        let payload = pack::to_bytes(&question);
        let started = Initiator::start(&self.binding(kind, channel), keys, clock::random(), &payload);
        let (initiator, first) = started.map_err(|Broken| VisitError::Handshake)?;
        let open = OpenChannel { visit: self.visit, channel, kind, resume: 0, first: ByteBuf::from(first) };
        Ok((initiator, frame::message(Kind::OpenChannel, &open)))
    }
}

fn read(initiator: Initiator, body: &[u8]) -> Result<Answer, VisitError> {
    let reply: ChannelReply = pack::from_bytes(body, GREETING_BYTES_MAX).map_err(|_| VisitError::Handshake)?;
    let (_no_records, answer) = initiator.finish(&reply.second).map_err(|Broken| VisitError::Handshake)?;
    pack::from_bytes(&answer, ANSWER_BYTES_MAX).map_err(|_| VisitError::Handshake)
}

impl Look {
    /// Asks another question.
    ///
    /// # Errors
    /// [`VisitError`].
    pub async fn ask(&mut self, question: Question) -> Result<Answer, VisitError> {
        let (initiator, frame) = self.visit.ground.ask(question)?;
        self.stream.outgoing().extend(frame);
        let frame = next(&mut self.stream).await?;
        if frame.kind == Kind::ChannelReply {
            read(initiator, &frame.body)
        } else {
            Err(VisitError::OutOfTurn(frame.kind))
        }
    }

    /// A page of the server's audit.
    ///
    /// # Errors
    /// [`VisitError`].
    pub async fn audit(&mut self, file: u64, offset: u64) -> Result<AuditPage, VisitError> {
        match self.ask(Question::Audit { file, offset }).await? {
            Answer::Audit(page) => Ok(page),
            Answer::Shells { .. } => Err(VisitError::OutOfTurn(Kind::ChannelReply)),
        }
    }

    /// Looks at a living shell, on a stream of its own; that of the questions ends.
    ///
    /// # Errors
    /// [`VisitError`].
    pub async fn watch(self, shell: &LivingShell) -> Result<Channel, VisitError> {
        let first = First {
            scope: Scope::Watch { user: shell.user.clone() },
            attach: Some(shell.channel),
            term: String::new(),
            lang: String::new(),
            argv: Vec::new(),
            size: (0, 0),
        };
        let channel = self.visit.open_channel(&first).await?;
        self.stream.leave().await;
        Ok(channel)
    }
}
