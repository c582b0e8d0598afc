//! `check-schedule`: how often the relay asks a server for its checks by itself. What may run is the ceiling's to say, so
//! nothing is signed here.

use super::App;
use super::servers::find;
use crate::args::CheckSchedule as Asked;
use crate::fail::Fail;
use crate::output;
use cloud_doctor::messages::Id;
use cloud_doctor::relay_api::CheckSchedule;
use cloud_doctor_proto::ceiling::Span;
use serde_json::json;

pub(super) async fn run(app: &App, asked: Asked) -> Result<(), Fail> {
    let wanted = asked.every.as_deref().map(every).transpose()?;
    let signed_in = app.signed_in()?;
    let trust = app.trust_now(&signed_in).await?;
    let target = find(trust.log(), &asked.server)?;
    let CheckSchedule { every_secs } = match wanted {
        Some(secs) => signed_in.relay.schedule_checks(&target.agent, secs).await?,
        None => signed_in.relay.known_checks(&target.agent).await?.schedule,
    };
    if asked.json {
        let schedule = json!({"server": target.name, "server_id": target.agent.to_string(), "every_secs": every_secs});
        output::json("check_schedule", &schedule);
    } else if every_secs == 0 {
        app.say(Id::ScheduleOff.with(&[&target.name]));
    } else {
        app.say(Id::ScheduleEvery.with(&[&target.name, &Span(every_secs)]));
    }
    Ok(())
}

/// Seconds between two runs; 0: never. How often is too often is the relay's to say.
fn every(text: &str) -> Result<u64, Fail> {
    let form = || Fail::from(Id::EveryForm.with(&[&text]));
    match text {
        "off" => Ok(0),
        _ => text.parse::<Span>().map(|span| span.0).ok().filter(|secs| *secs > 0).ok_or_else(form),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distance_is_a_span_or_off() {
        for (text, secs) in [("off", 0), ("5m", 300), ("6h", 21_600), ("7d", 604_800)] {
            assert_eq!(every(text).ok(), Some(secs), "{text}");
        }
        for text in ["", "0h", "0", "6", "-6h", "6 h", "Off", "+6h", "hourly", "99999999999999999999d"] {
            assert!(every(text).is_err(), "{text}");
        }
    }
}
