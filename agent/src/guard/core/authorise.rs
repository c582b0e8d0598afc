//! From an open visit to a channel: may this handshake start something, or attach to something, here and now?

use super::super::channels::{Channel, Ends, Pass};
use super::super::visits::{CHANNELS_PER_VISIT_MAX, Claims, Visit};
use super::{Core, brief};
use crate::audit::Event;
use crate::session::door;
use cloud_doctor_proto::audit::Moment;
use cloud_doctor_proto::ceiling::{Ceiling, Mode};
use cloud_doctor_proto::channel::{ChannelKind, Keys, Responder};
use cloud_doctor_proto::grant::Scope;
use cloud_doctor_proto::limits::{CHANNELS_MAX, GREETING_BYTES_MAX};
use cloud_doctor_proto::pack;
use cloud_doctor_proto::refusal::{Refusal, Refused};
use cloud_doctor_proto::session::OpenRequest;
use cloud_doctor_proto::visit::OpenChannel;
use serde_bytes::ByteBuf;
use tokio::sync::mpsc;

/// Characters of a command line in the audit.
pub(super) const COMMAND_CHARS_MAX: usize = 1000;
/// How long the tail and the exit status of a program wait for a view that was away.
const LINGER_SECS: u64 = 120;
/// Holders that may be alive, including those whose program is gone and whose tail waits.
const HOLDERS_MAX: usize = 4 * CHANNELS_MAX;

/// Where a client goes.
#[derive(Debug)]
pub(crate) enum Route {
    /// A new holder is to be started; the channel is already entered.
    Start(Box<door::Open>, Ends, mpsc::Sender<Pass>),
    /// A living holder takes it.
    Attach(Box<door::Open>, mpsc::Sender<Pass>),
}

/// What a first message says, once it is known to be the grant's client who made it.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) user: String,
    pub(super) attach: bool,
    /// The command, for the audit.
    argv: Vec<String>,
}

impl Core {
    /// Decides about a channel's first handshake message.
    ///
    /// # Errors
    /// Why nothing starts, already in the audit.
    pub(crate) fn authorise(
        &mut self,
        moment: Moment,
        claims: &Claims,
        request: &OpenChannel,
        seed: [u8; 32],
    ) -> Result<Route, Refused> {
        let result = self.try_authorise(moment, request, seed);
        if let Err(refused) = &result {
            let detail = format!("visit {} channel {} {}", request.visit, request.channel, refused.detail);
            self.refused(moment, "channel", claims, refused, detail.trim_end());
        }
        result
    }

    fn try_authorise(&mut self, moment: Moment, request: &OpenChannel, seed: [u8; 32]) -> Result<Route, Refused> {
        self.not_locked()?;
        self.sweep(moment);
        let visit = self.visits.get(&request.visit).ok_or(Refusal::NoVisit)?;
        let scope = match request.kind {
            ChannelKind::Shell => |user| Scope::Shell { user },
            ChannelKind::Exec => |user| Scope::Exec { user },
            ChannelKind::Watch => return self.try_watch(moment, request, seed),
            // A question has no holder.
            ChannelKind::Ask => return Err(Refusal::Malformed.with("ask")),
        };
        let asked = self.asked(visit, request, seed)?;
        let ceiling = self.ceiling().map_err(|reason| Refusal::Ceiling.telling(reason.told()))?;
        self.within(moment, visit, &ceiling, &scope(asked.user.clone()))?;
        let open = Box::new(open_for(visit, request, &ceiling));
        if let Some(channel) = self.channels.get(&request.channel) {
            let same =
                channel.engineer == *visit.engineer() && channel.kind == request.kind && channel.user == asked.user;
            let again = asked.attach || channel.visit == request.visit;
            if !same || !again {
                return Err(Refusal::NoChannel.into());
            }
            return Ok(Route::Attach(open, channel.pass.clone()));
        }
        if asked.attach {
            return Err(Refusal::NoChannel.into());
        }
        self.room_for_another(&ceiling, visit)?;
        if visit.used.contains(&request.channel) {
            return Err(Refusal::Handshake.with("replayed"));
        }
        self.enter(moment, request, &asked, open)
    }

    /// What the sealed first message asks for. With a resume secret only the holder can read it; then the channel
    /// itself says whose and what it is.
    pub(super) fn asked(&self, visit: &Visit, request: &OpenChannel, seed: [u8; 32]) -> Result<Asked, Refused> {
        if request.resume != 0 {
            let channel = self.channels.get(&request.channel).ok_or(Refusal::NoChannel)?;
            return Ok(Asked { user: channel.user.clone(), attach: true, argv: Vec::new() });
        }
        let read = first_message(visit, request, seed)?;
        let asked: OpenRequest = pack::from_bytes(&read.payload, GREETING_BYTES_MAX)
            .map_err(|error| Refusal::Malformed.with(error.to_string()))?;
        let argv = asked.argv.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        Ok(Asked { user: asked.user, attach: asked.attach, argv })
    }

    /// Whether grant, ceiling and policy have this scope now: both may have changed since the grant was decided, and
    /// the hour has.
    pub(super) fn within(
        &self,
        moment: Moment,
        visit: &Visit,
        ceiling: &Ceiling,
        scope: &Scope,
    ) -> Result<(), Refused> {
        let beyond = || Refusal::Ceiling.with(scope.to_string());
        if !visit.scopes().contains(scope) {
            return Err(beyond());
        }
        let rule = ceiling.rule_of(scope).ok_or_else(beyond)?;
        let policy = &self.trust.log().policy;
        let names = |users: &[String]| users.iter().any(|user| scope.user() == Some(user.as_str()));
        let asks = rule.mode == Mode::Ask || names(&policy.second_for);
        // An approver's own signature is the customer's.
        let asked = !visit.note.second.is_empty() || self.is_approver(visit);
        if names(&policy.never) || (asks && !asked) {
            return Err(Refusal::Policy.with(scope.to_string()));
        }
        if !rule.open_at(moment.at, (self.host.zone_secs)()) {
            let hours: Vec<String> = rule.hours.iter().map(ToString::to_string).collect();
            return Err(Refusal::Hours.with(hours.join("; ")));
        }
        Ok(())
    }

    fn room_for_another(&self, ceiling: &Ceiling, visit: &Visit) -> Result<(), Refused> {
        let max = ceiling.limits.channels.min(CHANNELS_MAX);
        let running = self.channels.values().filter(|channel| !channel.over).count();
        if running >= max {
            return Err(Refusal::TooMany.with(max.to_string()));
        }
        if self.channels.len() >= HOLDERS_MAX {
            return Err(Refusal::TooMany.with(HOLDERS_MAX.to_string()));
        }
        if visit.used.len() >= CHANNELS_PER_VISIT_MAX {
            return Err(Refusal::TooMany.with(CHANNELS_PER_VISIT_MAX.to_string()));
        }
        Ok(())
    }

    /// Enters a channel before its holder is started, so that the limit holds for those that come at the same time.
    fn enter(
        &mut self,
        moment: Moment,
        request: &OpenChannel,
        asked: &Asked,
        open: Box<door::Open>,
    ) -> Result<Route, Refused> {
        let visit = self.visits.get_mut(&request.visit).ok_or(Refusal::NoVisit)?;
        let event = Event::new("channel-opening")
            .with("visit", request.visit.to_string())
            .with("channel", request.channel.to_string())
            .with("kind", kind_word(request.kind))
            .with("user", asked.user.as_str())
            .with("argv", brief(&asked.argv.join(" "), COMMAND_CHARS_MAX))
            .with("engineer", visit.note.person.as_str());
        self.audit.begin(moment, &event)?;
        visit.used.insert(request.channel);
        let (channel, ends) = Channel::new(request.kind, &asked.user, *visit.engineer(), request.visit, moment.at);
        let pass = channel.pass.clone();
        self.channels.insert(request.channel, channel);
        Ok(Route::Start(open, ends, pass))
    }
}

/// Reads a channel's first message: the grant's client made it, now or before.
pub(super) fn first_message(visit: &Visit, request: &OpenChannel, seed: [u8; 32]) -> Result<Responder, Refused> {
    let binding = visit.door.binding(request.kind, request.channel, request.resume);
    let keys = Keys { ours: &visit.door.agent_secret, theirs: &visit.door.client_key, resume: None };
    Responder::read(&binding, keys, seed, &request.first).map_err(|_| Refusal::Handshake.into())
}

pub(super) fn open_for(visit: &Visit, request: &OpenChannel, ceiling: &Ceiling) -> door::Open {
    let idle = ceiling.limits.idle.0;
    door::Open {
        visit: visit.door.clone(),
        channel: request.channel,
        kind: request.kind,
        resume: request.resume,
        first: request.first.clone(),
        already_read: ByteBuf::new(),
        limits: door::Limits {
            idle_secs: (idle > 0).then_some(idle),
            detached_secs: ceiling.limits.detached.0,
            linger_secs: LINGER_SECS.min(ceiling.limits.detached.0),
        },
        watcher: None,
    }
}

/// A kind for the audit.
pub(crate) fn kind_word(kind: ChannelKind) -> &'static str {
    match kind {
        ChannelKind::Shell => "shell",
        ChannelKind::Exec => "exec",
        ChannelKind::Watch => "watch",
        ChannelKind::Ask => "ask",
    }
}
