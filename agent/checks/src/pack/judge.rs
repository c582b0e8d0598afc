//! Judges what was collected: one finding for each item, from a check's own expressions.

use super::message::Message;
use super::rule::{Inputs, Item, Rule};
use super::{Level, OwnCheck};
use crate::found::{Found, Gap};
use crate::run::{Before, Pending};
use crate::words;
use cloud_doctor_proto::finding::{Detail, Finding, Status, Words};
use serde_json::{Map, Value};

/// What is known of the time before: how it was, since when a level holds that must hold for a while, and what time it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory<'a> {
    pub(super) before: &'a Before,
    /// Nothing: levels fire at once, as in tests.
    pub(super) pending: Option<(&'a Pending, u64)>,
}

/// A check with its expressions compiled, for one run.
struct Judge<'a> {
    own: &'a OwnCheck,
    levels: Vec<(Status, &'a Level, Rule, Option<Rule>)>,
    lets: Vec<(&'a str, Rule)>,
    subject: Option<Message>,
    message: [Message; 2],
    value: Option<Rule>,
    evidence: Vec<(&'a str, Rule)>,
    memory: Memory<'a>,
}

/// What fires of one item, and what would if it had held for longer.
#[derive(Default)]
struct Fired<'a> {
    level: Option<(Status, &'a Level)>,
    pending: Vec<(Status, u64, &'a Level)>,
}

/// What is found in `collected`.
///
/// # Errors
/// It cannot be told: an expression of the check as a whole has no value.
pub(super) fn judge(
    own: &OwnCheck,
    collected: Map<String, Value>,
    params: &Map<String, Value>,
    memory: Memory<'_>,
) -> Result<Vec<Found>, Gap> {
    let judge = Judge::new(own, memory).map_err(Gap::Unknown)?;
    let mut collected = collected;
    collected.insert("param".to_owned(), params.clone().into());
    let inputs = Inputs::new(collected).map_err(Gap::Unknown)?;
    let Some(each) = &own.each else {
        return judge.one(&inputs, None).map(|found| vec![found]).map_err(Gap::Unknown);
    };
    let items = Rule::new(each).and_then(|rule| rule.items(&inputs)).map_err(Gap::Unknown)?;
    if items.is_empty() {
        return Err(Gap::NotHere(words!("there is nothing to look at", "没有检查对象")));
    }
    Ok(items.into_iter().map(|item| judge.item(&inputs, item)).collect())
}

impl<'a> Judge<'a> {
    fn new(own: &'a OwnCheck, memory: Memory<'a>) -> Result<Self, Words> {
        let mut levels = Vec::new();
        for (status, level) in [(Status::Critical, &own.crit), (Status::Warning, &own.warn)] {
            if let Some(level) = level {
                let clear = level.clear.as_deref().map(Rule::new).transpose()?;
                levels.push((status, level, Rule::new(&level.when)?, clear));
            }
        }
        let named = |(name, source): &'a (String, String)| Ok((name.as_str(), Rule::new(source)?));
        let shown = |source: &'a String| Ok((source.as_str(), Rule::new(source)?));
        Ok(Self {
            own,
            levels,
            lets: own.lets.iter().map(named).collect::<Result<_, Words>>()?,
            subject: own.subject.as_deref().map(Message::new).transpose()?,
            message: [Message::new(&own.message.en)?, Message::new(&own.message.zh)?],
            value: own.value.as_deref().map(Rule::new).transpose()?,
            evidence: own.evidence.iter().map(shown).collect::<Result<_, Words>>()?,
            memory,
        })
    }

    /// One item; what cannot be told of it is unknown, and says nothing about the others.
    fn item(&self, inputs: &Inputs<'_>, item: Item) -> Found {
        let name = item.name();
        self.one(inputs, Some(item)).unwrap_or_else(|why| Found::new(name, Status::Unknown, why))
    }

    fn one(&self, inputs: &Inputs<'_>, item: Option<Item>) -> Result<Found, Words> {
        let place = item.as_ref().and_then(Item::place);
        let mut inputs = inputs.with_item(item);
        for (name, rule) in &self.lets {
            rule.name(name, &mut inputs)?;
        }
        let subject = self.subject.as_ref().map(|subject| subject.fill(&inputs)).transpose()?.unwrap_or_default();
        let fired = self.fired(&inputs, &subject)?;
        let status = fired.level.map_or(Status::Ok, |(status, _)| status);
        let [en, zh] = &self.message;
        let summary = Words { en: en.fill(&inputs)?, zh: zh.fill(&inputs)? };
        let mut found = Found::new(subject, status, summary);
        if let Some(rule) = &self.value {
            found = found.value(rule.number(&inputs)?, self.own.unit);
        }
        if let Some((source, text)) = place {
            found = found.evidence(source, text);
        }
        for (source, rule) in &self.evidence {
            // Not all items have all fields; what is missing is no evidence.
            if let Ok(text) = rule.text(&inputs) {
                found = found.evidence(*source, text);
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970")]
        for (status, since, level) in &fired.pending {
            let (held, hold) = (self.memory.pending.map_or(0, |(_, now)| now.saturating_sub(*since)), level.hold_secs);
            let text = format!("{} (for {held} s; counts after {hold} s)", level.when);
            found = found.detail(pending_name(*status), *since as f64);
            found = found.evidence(format!("{}:{}", self.own.file, level.line), text);
        }
        // The rule that fired, so that whoever reads it knows the threshold.
        Ok(match fired.level {
            Some((_, level)) => found.evidence(format!("{}:{}", self.own.file, level.line), &level.when),
            None => Found { note: !fired.pending.is_empty(), ..found },
        })
    }

    fn fired(&self, inputs: &Inputs<'_>, subject: &str) -> Result<Fired<'a>, Words> {
        let before = self.memory.before.get(&(self.own.id.clone(), subject.to_owned()));
        let mut fired = Fired::default();
        for (status, level, when, clear) in &self.levels {
            let held = before.is_some_and(|before| before >= status);
            let fires = when.holds(inputs)?
                || match clear {
                    Some(clear) if held => !clear.holds(inputs)?,
                    Some(_) | None => false,
                };
            if !fires {
                continue;
            }
            if let (false, Some((pending, now))) = (held, self.memory.pending) {
                let key = (self.own.id.clone(), subject.to_owned(), pending_name(*status).to_owned());
                let since = pending.get(&key).copied().unwrap_or(now).min(now);
                if now - since < level.hold_secs {
                    fired.pending.push((*status, since, *level));
                    continue;
                }
            }
            fired.level = Some((*status, level));
            break;
        }
        Ok(fired)
    }
}

/// The detail that says since when a level holds that has not held for long enough; whoever runs checks again gives it
/// back in [`Pending`].
pub(super) fn pending_name(status: Status) -> &'static str {
    match status {
        Status::Critical => "critical_pending_since",
        Status::Ok | Status::Unknown | Status::Warning => "warning_pending_since",
    }
}

/// The levels of a finding that hold and have not held for long enough, and since when.
pub fn pending(finding: &Finding) -> Vec<(String, u64)> {
    let names = [Status::Critical, Status::Warning].map(pending_name);
    let since = names.into_iter().filter_map(|name| match finding.details.get(name)? {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "we made it of whole seconds")]
        Detail::Number(since) => Some((name.to_owned(), *since as u64)),
        Detail::Flag(_) | Detail::Text(_) => None,
    });
    since.collect()
}
