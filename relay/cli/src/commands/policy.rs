//! `tenant policy`: the customer's rules for all servers.

use super::App;
use super::tenant::publish;
use crate::args::Policy as Asked;
use crate::fail::Fail;
use crate::output;
use cloud_doctor::messages::Id;
use cloud_doctor_proto::ceiling::Span;
use cloud_doctor_proto::trust::{Policy, What};
use serde_json::{Value, json};

pub(super) async fn run(app: &App, asked: Asked) -> Result<(), Fail> {
    let signed_in = app.signed_in()?;
    let mut trust = app.trust_now(&signed_in).await?;
    match asked {
        Asked::Show(listing) => {
            let policy = &trust.log().policy;
            if listing.json {
                output::json("policy", &as_json(policy));
            } else {
                show(app, policy);
            }
        }
        Asked::Set { visit, second_for, never } => {
            let visit = visit.map(|text| text.parse::<Span>()).transpose();
            let visit = visit.map_err(|error| Fail::from(Id::TimeForm.with(&[&error])))?;
            let policy = Policy { visit, second_for, never };
            publish(app, &signed_in, &mut trust, What::SetPolicy { policy: policy.clone() }).await?;
            show(app, &policy);
        }
    }
    Ok(())
}

fn show(app: &App, policy: &Policy) {
    let list = |users: &[String]| if users.is_empty() { "-".to_owned() } else { users.join(", ") };
    let visit = policy.visit.map_or_else(|| "-".to_owned(), |span| span.to_string());
    let said = [
        Id::PolicyVisit.with(&[&visit]),
        Id::PolicySecond.with(&[&list(&policy.second_for)]),
        Id::PolicyNever.with(&[&list(&policy.never)]),
    ];
    for say in said {
        output::data(&say.text(app.language));
    }
}

pub(super) fn as_json(policy: &Policy) -> Value {
    json!({
        "visit": policy.visit.map(|span| span.to_string()),
        "second_for": policy.second_for,
        "never": policy.never,
    })
}
