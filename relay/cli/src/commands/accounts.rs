//! `account`: who may sign in at the relay. Signing in opens no server; that takes a key in the trust log.

use super::App;
use super::sign_in::{new_password, secret, yes};
use crate::args::Account;
use crate::fail::Fail;
use crate::output;
use crate::terminal::{ask, ask_hidden};
use cloud_doctor::messages::Id;

pub(super) async fn run(app: &App, asked: Account) -> Result<(), Fail> {
    let signed_in = app.signed_in()?;
    let relay = &signed_in.relay;
    match asked {
        Account::List(listing) => {
            let accounts = relay.accounts().await?;
            if listing.json {
                output::json("accounts", &accounts);
                return Ok(());
            }
            let mut rows = vec![vec![app.words(Id::HeadAccount), app.words(Id::HeadRole)]];
            rows.extend(accounts.into_iter().map(|account| vec![account.name, account.role]));
            output::table(&rows);
        }
        Account::Add { name, admin, password_file } => {
            let password = match &password_file {
                Some(file) => secret(file)?,
                None => new_password(app)?,
            };
            let role = if admin { "admin" } else { "member" };
            relay.add_account(&name, &password, role).await?;
            app.say(Id::AccountAdded.with(&[&name, &role]));
        }
        Account::Remove { name, yes: sure } => {
            if !sure && !yes(&ask(&Id::AskRemoveAccount.with(&[&name]).text(app.language))?) {
                return Ok(());
            }
            relay.remove_account(&name).await?;
            app.say(Id::AccountRemoved.with(&[&name]));
        }
        Account::Password => {
            let account = &signed_in.entry.account;
            let old = ask_hidden(&Id::AskPassword.with(&[account]).text(app.language))?;
            let new = new_password(app)?;
            relay.change_password(&old, &new).await?;
            app.say(Id::PasswordChanged);
        }
    }
    Ok(())
}
