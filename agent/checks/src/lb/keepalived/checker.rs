//! How one real server is checked: the values in effect of its checkers, and which of them decides.
//!
//! Precedence and defaults: check_data.c (`validate_check_config`), check_api.c (`queue_checker`), and each checker.

use super::super::detect::detection;
use super::super::includes::Includes;
use super::super::statement::Statement;
use super::super::{Active, Cadence, Layer, Place, Probe, Setting};
use crate::words;

/// Where a checker's settings come from besides itself: what [`settings_of`] both servers gives.
pub(super) struct Scope<'a> {
    pub(super) real: &'a Statement,
    pub(super) server: &'a Statement,
    /// Where traffic goes.
    pub(super) address: &'a str,
}

/// What differs between checkers.
struct Kind {
    layer: Layer,
    retries: u32,
    /// Nothing: as `delay_loop`.
    retry_after_secs: Option<f64>,
    is_script: bool,
}

const DELAY_LOOP: &str = "delay_loop 60, keepalived.conf(5)";
const CONNECT_TIMEOUT: &str = "connect_timeout 5, keepalived.conf(5)";
const RETRY: &str = "retry 1 (DNS_CHECK 3, MISC_CHECK 0), keepalived.conf(5)";
const BEFORE_RETRY: &str = "delay_before_retry 1 (HTTP_GET, SSL_GET 3; DNS_CHECK as delay_loop), keepalived.conf(5)";
/// `UINT_MAX` microseconds: keepalived ignores longer timeouts (check_api.c, `co_timeout_handler`).
const TIMEOUT_SECS_MAX: f64 = 4_294.967_295;
/// Any longer and its microseconds fill 64 bits.
const DELAY_SECS_MAX: f64 = 1e13;

fn kind(checker: &Statement) -> Option<Kind> {
    let plain = |layer| Kind { layer, retries: 1, retry_after_secs: Some(1.0), is_script: false };
    Some(match checker.name() {
        "TCP_CHECK" | "PING_CHECK" => plain(Layer::Tcp),
        "UDP_CHECK" if checker.last("require_reply").is_none() => plain(Layer::Tcp),
        "UDP_CHECK" | "SMTP_CHECK" => plain(Layer::Protocol),
        "HTTP_GET" | "SSL_GET" => Kind { retry_after_secs: Some(3.0), ..plain(Layer::Http) },
        "DNS_CHECK" => Kind { retries: 3, retry_after_secs: None, ..plain(Layer::Protocol) },
        "MISC_CHECK" => Kind { retries: 0, is_script: true, ..plain(Layer::Protocol) },
        _ => return None,
    })
}

/// What checkers take from the servers around them.
const INHERITED: [&str; 4] = ["delay_loop", "connect_timeout", "delay_before_retry", "retry"];
/// Of those in one block; only the last valid one of each counts.
const INHERITED_MAX: usize = 100;

/// A server's own settings without all that it holds besides, as many checkers look for them.
pub(super) fn settings_of(server: &Statement) -> Statement {
    let own = server.inside.iter().rev().filter(|inside| INHERITED.contains(&inside.name()));
    let mut inside: Vec<Statement> = own.take(INHERITED_MAX).cloned().collect();
    inside.reverse();
    Statement { words: server.words.clone(), place: server.place.clone(), inside }
}

impl Scope<'_> {
    /// The checker that says most, and of those the one that notices first. Any one that fails takes the server out.
    pub(super) fn probe(&self, checkers: &[Statement], includes: &mut Includes<'_>) -> Probe {
        let mut best: Option<Active> = None;
        for checker in checkers {
            let Some(kind) = kind(checker) else { continue };
            let active = self.active(checker, &kind, includes);
            let rank = |one: &Active| (one.layer, -detection(one).hanging_secs);
            if best.as_ref().is_none_or(|best| rank(&active) > rank(best)) {
                best = Some(active);
            }
        }
        if let Some(best) = best {
            return Probe::Active(Box::new(best));
        }
        let other = checkers.iter().map(Statement::name).find(|name| ["BFD_CHECK", "FILE_CHECK"].contains(name));
        match other {
            Some("BFD_CHECK") => Probe::Unresolved(words!(
                "BFD_CHECK: the two ends agree on its timing while they run",
                "BFD_CHECK：检测时间由两端在运行时协商"
            )),
            Some(_) => Probe::Unresolved(words!(
                "FILE_CHECK: whoever writes the file decides when",
                "FILE_CHECK：何时判定取决于写该文件的程序"
            )),
            None => Probe::Never,
        }
    }

    fn active(&self, checker: &Statement, kind: &Kind, includes: &mut Includes<'_>) -> Active {
        let scopes = [checker, self.real, self.server];
        let delay = |name: &str, least, default, source: &'static str, includes: &mut Includes<'_>| {
            timer(&scopes, name, least, DELAY_SECS_MAX, includes).unwrap_or(Setting::default(default, source))
        };
        let interval = delay("delay_loop", f64::MIN_POSITIVE, 60.0, DELAY_LOOP, includes);
        let retry_after = kind.retry_after_secs.unwrap_or(interval.value);
        let fast = delay("delay_before_retry", 0.0, retry_after, BEFORE_RETRY, includes);
        let hang_secs = if kind.is_script {
            self.script_timeout(checker, includes)
        } else {
            let set = timer(&scopes, "connect_timeout", f64::MIN_POSITIVE, TIMEOUT_SECS_MAX, includes);
            set.unwrap_or(Setting::default(5.0, CONNECT_TIMEOUT))
        };
        let fall = self.fall(checker, kind.retries, includes);
        // A script begins anew an interval after it began, or as soon as it has ended if that is later.
        let stretched = f64::from(fall.value.saturating_sub(1)) * (hang_secs.value - fast.value).max(0.0);
        let (cadence, queue_secs) = if kind.is_script { (Cadence::Fixed, stretched) } else { (Cadence::AfterEnd, 0.0) };
        Active {
            layer: kind.layer,
            cadence,
            down: Setting { value: down_secs(checker, interval.value, fast.value), origin: interval.origin.clone() },
            interval,
            fast,
            hang_secs,
            fall,
            rise: Setting::default(1, "one success, keepalived.conf(5)"),
            consecutive: true,
            slow_start_secs: 0.0,
            queue_secs,
            elsewhere: self.elsewhere(checker),
        }
    }

    /// `misc_timeout`; without it, or at 0, the virtual server's `delay_loop` (check_misc.c).
    fn script_timeout(&self, checker: &Statement, includes: &mut Includes<'_>) -> Setting<f64> {
        if let Some(set) = checker.last("misc_timeout") {
            match set.argument().parse::<u32>() {
                Ok(0) => {}
                Ok(secs) => return Setting::at(f64::from(secs), set.place.clone()),
                Err(_) => ignored(set, includes),
            }
        }
        timer(&[self.server], "delay_loop", f64::MIN_POSITIVE, DELAY_SECS_MAX, includes)
            .unwrap_or(Setting::default(60.0, "misc_timeout as delay_loop, keepalived.conf(5)"))
    }

    /// Failures: the first one and `retry` more. 0 counts only in a checker.
    fn fall(&self, checker: &Statement, retries: u32, includes: &mut Includes<'_>) -> Setting<u32> {
        let own = checker.inside.iter().filter(|one| ["retry", "nb_get_retry"].contains(&one.name()));
        let outer = [self.real, self.server].into_iter().flat_map(|scope| scope.all("retry").rev());
        let candidates = own.rev().map(|set| (set, 0)).chain(outer.map(|set| (set, 1)));
        for (set, least) in candidates {
            match set.argument().parse::<u32>() {
                Ok(retries) if retries >= least => {
                    return Setting::at(retries.saturating_add(1), set.place.clone());
                }
                Ok(_) | Err(_) => ignored(set, includes),
            }
        }
        Setting::default(retries.saturating_add(1), RETRY)
    }

    /// The line that sends the probe to another address or port than the traffic.
    fn elsewhere(&self, checker: &Statement) -> Option<Place> {
        let (ip, port) = self.address.rsplit_once(':').unwrap_or((self.address, ""));
        let port = checker.last("connect_port").filter(|set| set.argument() != port);
        let ip = checker.last("connect_ip").filter(|set| set.argument() != ip.trim_matches(['[', ']']));
        port.or(ip).map(|set| set.place.clone())
    }
}

/// Until a server that answers again is back. A web server's failed URL is asked first, then all of its URLs one after
/// the other, a `delay_loop` apart unless `fast_recovery` is set (check_http.c, `epilog`).
fn down_secs(checker: &Statement, interval: f64, fast: f64) -> f64 {
    if !["HTTP_GET", "SSL_GET"].contains(&checker.name()) {
        return interval;
    }
    let is_fast = checker.last("fast_recovery").is_some_and(|set| !["off", "false", "no"].contains(&set.argument()));
    let urls = if is_fast { 0 } else { checker.all("url").count().max(1) };
    interval.max(fast) + f64::from(u32::try_from(urls).unwrap_or(u32::MAX)) * interval
}

/// The innermost valid value; keepalived ignores the others, and says so in its log only.
fn timer(
    scopes: &[&Statement],
    name: &str,
    least: f64,
    most: f64,
    includes: &mut Includes<'_>,
) -> Option<Setting<f64>> {
    for set in scopes.iter().flat_map(|scope| scope.all(name).rev()) {
        match seconds(set.argument()).filter(|secs| (least..=most).contains(secs)) {
            Some(secs) => return Some(Setting::at(secs, set.place.clone())),
            None => ignored(set, includes),
        }
    }
    None
}

/// Digits with a point at most: no unit, no sign, no exponent.
fn seconds(text: &str) -> Option<f64> {
    let is_plain = !text.is_empty() && text.chars().all(|one| one.is_ascii_digit() || one == '.');
    text.parse().ok().filter(|_| is_plain)
}

fn ignored(set: &Statement, includes: &mut Includes<'_>) {
    let text = set.words.join(" ");
    let is_known = includes.troubles.iter().any(|trouble| trouble.place == set.place);
    if !is_known {
        let why = words!(
            "keepalived ignores {text:?}: no number that it takes here",
            "keepalived 会忽略 {text:?}：不是此处可接受的数值"
        );
        includes.trouble(&set.place, why);
    }
}
