//! `tenant token` and `tenant tokens`: install tokens of new servers, the command that uses one, and taking one back.
//!
//! The token has two halves: the relay's, and a batch key that a root has put into the trust log. The file holds both;
//! it is written for its owner only and shown nowhere.

use super::App;
use super::tenant::publish;
use crate::args::{Listing, Token as Asked};
use crate::fail::Fail;
use crate::output;
use cloud_doctor::clock;
use cloud_doctor::messages::Id;
use cloud_doctor::relay_api::{RelayError, TokenLine, TokenMade, TokenWish};
use cloud_doctor_proto::audit::rfc3339;
use cloud_doctor_proto::ids::{Hash, TenantId, VerifyKey};
use cloud_doctor_proto::pin::Pin;
use cloud_doctor_proto::time::UnixTime;
use cloud_doctor_proto::token::Token;
use cloud_doctor_proto::trust::What;
use cloud_doctor_proto::words::words;
use ed25519_dalek::SigningKey;
use serde_json::json;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use zeroize::Zeroizing;

pub(super) async fn make(app: &App, asked: Asked) -> Result<(), Fail> {
    let signed_in = app.signed_in()?;
    let mut trust = app.trust_now(&signed_in).await?;
    let seconds = asked.hours.saturating_mul(3600);
    let mut file = create(&asked.out)?;
    let seed = Zeroizing::new(clock::random::<32>());
    let key = VerifyKey(SigningKey::from_bytes(&seed).verifying_key().to_bytes());
    let until = clock::wall().plus_secs(seconds);
    let batch = What::EnrolBatch { key, until, uses: asked.max, note: asked.note.clone() };
    let made = async {
        publish(app, &signed_in, &mut trust, batch).await?;
        let wish = TokenWish { uses: asked.max, valid_secs: seconds, label: asked.note.clone() };
        Ok::<_, Fail>(signed_in.relay.make_token(&wish).await?)
    };
    let made = match made.await {
        Ok(made) => made,
        Err(error) => {
            // An empty token file would only mislead; that it cannot be removed is no news.
            drop(std::fs::remove_file(&asked.out));
            return Err(error);
        }
    };
    let odd = || RelayError::Odd { why: "a token's secret has 32 bytes".to_owned() };
    let secret: [u8; 32] = made.secret.0.as_slice().try_into().map_err(|_| odd())?;
    let tenant = trust.log().tenant();
    let token = Token { secret, batch_seed: *seed, tenant };
    let written = writeln!(file, "{}", token.line().as_str()).and_then(|()| file.sync_all());
    written.map_err(|error| Fail::system(&asked.out.display().to_string(), &error))?;
    tell(app, &asked, &made, tenant);
    Ok(())
}

/// `tenant tokens`: the relay's list. Whether a token counts is decided by the relay and by the trust log.
pub(super) async fn list(app: &App, listing: Listing) -> Result<(), Fail> {
    let tokens = app.signed_in()?.relay.tokens().await?;
    if listing.json {
        output::json("tokens", &tokens);
        return Ok(());
    }
    if tokens.is_empty() {
        app.say(Id::NoTokens);
        return Ok(());
    }
    let head = [Id::HeadId, Id::HeadLabel, Id::HeadBy, Id::HeadUses, Id::HeadExpires, Id::HeadState];
    let mut rows: Vec<Vec<String>> = vec![head.iter().map(|id| app.words(*id)).collect()];
    for token in tokens {
        let state = app.words(state(&token, clock::wall().0));
        let used = format!("{}/{}", token.uses, token.uses_max);
        let expires: String = rfc3339(UnixTime(token.expires_at)).chars().take(16).collect();
        rows.push(vec![brief(&token.id), token.label, token.created_by, used, expires, state]);
    }
    output::table(&rows);
    Ok(())
}

/// As much of an id as tells tokens apart.
fn brief(id: &str) -> String {
    id.chars().take(12).collect()
}

fn state(token: &TokenLine, now: u64) -> Id {
    match (token.revoked, now > token.expires_at, token.uses >= token.uses_max) {
        (true, _, _) => Id::TokenRevokedState,
        (false, _, true) => Id::TokenUsedUp,
        (false, true, false) => Id::TokenExpired,
        (false, false, false) => Id::TokenCounts,
    }
}

/// `tenant token revoke`.
pub(super) async fn revoke(app: &App, id: &str) -> Result<(), Fail> {
    let relay = app.signed_in()?.relay;
    let mut found = relay.tokens().await?.into_iter().filter(|token| !id.is_empty() && token.id.starts_with(id));
    let token = match (found.next(), found.next()) {
        (Some(token), None) => token,
        (Some(_), Some(_)) => return Err(Id::ManyTokens.with(&[&id]).into()),
        (None, _) => return Err(Id::NoToken.with(&[&id]).into()),
    };
    if !token.revoked {
        relay.revoke_token(&token.id).await?;
    }
    app.say(Id::TokenRevoked.with(&[&brief(&token.id), &token.label]));
    Ok(())
}

fn create(path: &Path) -> Result<std::fs::File, Fail> {
    let opened = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    opened.map_err(|error| Fail::system(&path.display().to_string(), &error))
}

fn tell(app: &App, asked: &Asked, made: &TokenMade, tenant: TenantId) {
    let six = words(&Hash(tenant.0));
    let relay = asked.relay_address.clone().or_else(|| made.agents.clone().filter(|text| is_address(text)));
    let mut pins = asked.relay_pin.clone();
    if pins.is_empty() {
        let said = made.agents_pin.iter().chain(&made.agents_next_pin);
        pins.extend(said.filter(|pin| pin.parse::<Pin>().is_ok()).cloned());
    }
    let unknown = relay.is_none() || pins.is_empty();
    let relay = relay.unwrap_or_else(|| "quic://RELAY:PORT".to_owned());
    if pins.is_empty() {
        pins.push("sha256:PIN".to_owned());
    }
    let pinned: String = pins.iter().map(|pin| format!(" --relay-pin {}", quoted(pin))).collect();
    let file = asked.out.display().to_string();
    let command = format!(
        "cloud-doctor-agent enrol --relay {}{pinned} --trust \"{six}\" --preset own --token-file {}",
        quoted(&relay),
        quoted(&file),
    );
    if asked.json {
        let token = json!({
            "id": made.id, "file": file, "relay": relay, "relay_pins": pins, "words": six, "command": command,
        });
        output::json("token", &token);
        return;
    }
    app.say(Id::TokenWritten.with(&[&file, &asked.max, &asked.hours]));
    if unknown {
        app.say(Id::TokenRelayUnknown);
    }
    app.say(Id::TokenCommand);
    output::data(&command);
}

/// Whether the relay's word about its address has the one form that may stand in a command that root will paste.
fn is_address(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    text.strip_prefix("quic://").is_some_and(|rest| !rest.is_empty() && rest.len() <= 255 && rest.chars().all(plain))
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@[],=+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn words_stay_one_word() {
        for (word, shown) in [("a/b.token", "a/b.token"), ("a b", "'a b'"), ("a'b", "'a'\\''b'"), ("$(x)", "'$(x)'")] {
            assert_eq!(quoted(word), shown);
        }
    }
}
