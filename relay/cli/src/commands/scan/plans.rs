//! `scan plan`: scans by the clock, as the relay keeps them.

use super::super::App;
use super::wish;
use crate::args::ScanPlanCommand;
use crate::fail::Fail;
use crate::output;
use cloud_doctor::messages::Id;
use cloud_doctor::moments::shown;
use cloud_doctor::relay_api::{Relay, ScanPlanLine};
use cloud_doctor::zone::offset_secs;
use cloud_doctor_proto::time::UnixTime;

pub(super) async fn run(app: &App, asked: ScanPlanCommand) -> Result<(), Fail> {
    let relay = app.signed_in()?.relay;
    match asked {
        ScanPlanCommand::Add { name, cron, which } => {
            let known = find(&relay, &name).await?;
            let id = known.as_ref().map(|plan| plan.plan.as_str());
            let plan = relay.plan_scans(id, &name, &cron, &wish(&which)).await?;
            app.say(Id::ScanPlanned.with(&[&plan.name, &moment(plan.next_at)]));
        }
        ScanPlanCommand::List(listing) => list(app, &relay.scan_plans().await?, listing.json),
        ScanPlanCommand::Pause { name } => {
            let plan = relay.pause_scan_plan(&named(&relay, &name).await?.plan, true).await?;
            app.say(Id::ScanPlanPaused.with(&[&plan.name]));
        }
        ScanPlanCommand::Resume { name } => {
            let plan = relay.pause_scan_plan(&named(&relay, &name).await?.plan, false).await?;
            app.say(Id::ScanPlanned.with(&[&plan.name, &moment(plan.next_at)]));
        }
        ScanPlanCommand::Remove { name } => {
            let plan = named(&relay, &name).await?;
            relay.remove_scan_plan(&plan.plan).await?;
            app.say(Id::ScanPlanGone.with(&[&plan.name]));
        }
    }
    Ok(())
}

async fn find(relay: &Relay, name: &str) -> Result<Option<ScanPlanLine>, Fail> {
    Ok(relay.scan_plans().await?.into_iter().find(|plan| plan.name == name))
}

async fn named(relay: &Relay, name: &str) -> Result<ScanPlanLine, Fail> {
    find(relay, name).await?.ok_or_else(|| Fail::from(Id::NoScanPlan.with(&[&name])))
}

fn moment(at: u64) -> String {
    shown(UnixTime(at), &offset_secs)
}

fn list(app: &App, plans: &[ScanPlanLine], as_json: bool) {
    if as_json {
        output::json("plans", &plans);
        return;
    }
    if plans.is_empty() {
        app.say(Id::NoScanPlans);
        return;
    }
    let heads = [Id::HeadPlan, Id::HeadWhen, Id::HeadNext, Id::HeadLast, Id::HeadLabels, Id::HeadChecks, Id::HeadBy];
    let mut rows: Vec<Vec<String>> = vec![heads.iter().map(|id| app.words(*id)).collect()];
    for plan in plans {
        let (labels, checks) = (plan.labels.join(" "), plan.checks.join(" "));
        let next = if plan.paused { app.words(Id::ScanPlanWaits) } else { moment(plan.next_at) };
        let last = plan.last_at.map(moment).unwrap_or_default();
        rows.push(vec![plan.name.clone(), plan.cron.clone(), next, last, labels, checks, plan.by.clone()]);
    }
    output::table(&rows);
}
