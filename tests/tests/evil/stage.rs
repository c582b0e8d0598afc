//! One customer, one engineer, one agent under the kernel's eyes, and the attacker at the other end of its tunnel.

use cloud_doctor_proto::channel::ChannelKind;
use cloud_doctor_proto::control::TrustHead;
use cloud_doctor_proto::grant::Scope;
use cloud_doctor_proto::ids::ChannelId;
use cloud_doctor_proto::refusal::{Refusal, Refused};
use cloud_doctor_proto::token::Token;
use cloud_doctor_proto::trust::Role;
use cloud_doctor_proto::visit::OpenVisit;
use cloud_doctor_tests::agent::{Agent, Invitation};
use cloud_doctor_tests::eventually::SOON;
use cloud_doctor_tests::evil::{EvilRelay, Tunnel};
use cloud_doctor_tests::people::{Customer, Person, random};
use cloud_doctor_tests::road::Road;
use cloud_doctor_tests::trace::Deed;
use cloud_doctor_tests::visitor::{self, Answer, Challenged, Channel, Plan, Visit, challenge, request};
use cloud_doctor_tests::world::World;
use ed25519_dalek::SigningKey;
use std::cell::RefCell;

pub(crate) struct Stage {
    pub(crate) tunnel: Tunnel,
    pub(crate) agent: Agent,
    pub(crate) relay: EvilRelay,
    pub(crate) customer: Customer,
    pub(crate) engineer: Person,
    pub(crate) approver: Person,
    pub(crate) batch: SigningKey,
    pub(crate) world: World,
    mark: usize,
    /// Streams on which challenges were asked for: a challenge lives as long as its stream.
    asked: RefCell<Vec<Road>>,
}

impl Stage {
    /// With root's shells and commands open to the engineer's signature.
    #[track_caller]
    pub(crate) fn new() -> Self {
        Self::with("own", |_| {})
    }

    /// With a preset, and changes before the agent starts.
    #[track_caller]
    pub(crate) fn with(preset: &str, change: impl FnOnce(&Agent)) -> Self {
        let world = World::new();
        let (engineer, approver) = (Person::new("erin"), Person::new("anna"));
        let mut customer = Customer::new("Example Ltd");
        customer.add(&engineer, Role::Engineer);
        customer.add(&approver, Role::Approver);
        let batch = customer.batch(10);
        let relay = EvilRelay::start(SigningKey::from_bytes(&random()), 0);
        let mut agent = enrol(&world, &relay, &mut customer, &batch, "web-1", preset);
        change(&agent);
        agent.run_traced();
        let tunnel = relay.tunnel();
        let mut stage = Self {
            tunnel,
            agent,
            relay,
            customer,
            engineer,
            approver,
            batch,
            world,
            mark: 0,
            asked: RefCell::default(),
        };
        challenge(&mut stage.tunnel.open()).expect("guard is there");
        stage.mark = stage.agent.trace().mark();
        stage
    }

    pub(crate) fn head(&self) -> TrustHead {
        self.customer.log.head()
    }

    #[track_caller]
    pub(crate) fn challenge(&self) -> Challenged {
        let mut road = self.tunnel.open();
        let challenged = challenge(&mut road).expect("a challenge");
        self.asked.borrow_mut().push(road);
        challenged
    }

    /// An honest plan for commands as root.
    #[track_caller]
    pub(crate) fn plan(&self) -> Plan {
        Plan::honest(self.challenge(), &self.engineer, self.head(), commands())
    }

    /// Sends a grant on a stream of its own.
    #[track_caller]
    pub(crate) fn offer(&self, message: &OpenVisit) -> Answer {
        visitor::open(&mut self.tunnel.open(), message)
    }

    /// The refusal of a grant.
    #[track_caller]
    pub(crate) fn refusal(&self, message: &OpenVisit) -> Refusal {
        match self.offer(message) {
            Answer::Refused(refused) => refused.code,
            opened @ (Answer::Opened(_) | Answer::NeedSecond(_)) => panic!("not refused: {opened:?}"),
        }
    }

    /// A visit that the engineer opened.
    #[track_caller]
    pub(crate) fn visit(&self) -> Visit {
        let plan = self.plan();
        match self.offer(&plan.message(&self.engineer)) {
            Answer::Opened(_) => Visit::of(plan),
            closed @ (Answer::Refused(_) | Answer::NeedSecond(_)) => panic!("not opened: {closed:?}"),
        }
    }

    /// A command that the engineer runs as root.
    #[track_caller]
    pub(crate) fn command(&self, visit: &Visit, argv: &[&str]) -> Result<Channel, Refused> {
        visit.channel(self.tunnel.open(), ChannelKind::Exec, ChannelId(random()), None, &request("root", argv))
    }

    /// From here on whatever was started or changed is the attacker's doing.
    pub(crate) fn mark(&mut self) {
        self.mark = self.agent.trace().mark();
    }

    /// Programs started and files changed that nobody allowed.
    pub(crate) fn strange(&self) -> Vec<Deed> {
        let (audit, run) = (self.agent.state.join("guard/audit"), self.agent.state.join("run"));
        // Metrics are kept whatever a relay says.
        let history = self.agent.state.join("tunnel/history");
        self.agent.trace().strange(self.mark, &[&audit, &run, &history])
    }

    /// The kernel saw nothing, the audit is whole, and this stands in it.
    #[track_caller]
    pub(crate) fn nothing_but_audited(&self, texts: &[&str]) {
        self.agent.wait_for_audit(texts);
        assert_eq!(self.strange(), []);
        assert!(!self.agent.audit(self.tunnel.claim.identity).is_empty());
    }
}

/// Enrols a further agent of the same customer at the same relay; does not start it.
#[track_caller]
pub(crate) fn enrol(
    world: &World,
    relay: &EvilRelay,
    customer: &mut Customer,
    batch: &SigningKey,
    name: &str,
    preset: &str,
) -> Agent {
    let token = Token { secret: random(), batch_seed: batch.to_bytes(), tenant: customer.log.tenant() };
    let invitation = Invitation {
        relay: format!("quic://{}", relay.addr()),
        relay_pin: relay.pin().to_string(),
        trust: customer.log.tenant().to_string(),
        token: token.line().to_string(),
    };
    let agent = Agent::new(world, name);
    let mut enrolling = agent.start_enrol(&invitation, preset);
    let connection = relay.enrol(&mut customer.log, &token.secret);
    let status = enrolling.wait(SOON);
    drop(connection);
    assert!(status.success(), "enrol: {status}: {}{}", enrolling.stdout(), enrolling.stderr());
    agent
}

/// Commands as root.
pub(crate) fn commands() -> Vec<Scope> {
    vec![Scope::Exec { user: "root".to_owned() }]
}

/// A shell as root.
pub(crate) fn shells() -> Vec<Scope> {
    vec![Scope::Shell { user: "root".to_owned() }]
}
