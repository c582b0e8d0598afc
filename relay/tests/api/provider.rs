//! An identity provider with every knob that an attacker would turn: what it says about itself, its keys, its tokens.

use crate::client::parse;
use crate::world::base64;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use cloud_doctor_relay::clock;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// How the next token is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signed {
    /// By the key that is published.
    Well,
    /// Not at all.
    None,
    /// With the public key as a shared secret.
    Symmetric,
    /// By a key that nobody published.
    ByAnother,
    /// By a key that is published from now on.
    ByTheNext,
}

#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) issuer: String,
    state: Arc<Mutex<State>>,
    serving: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
struct State {
    key: EcdsaKeyPair,
    kid: u32,
    signed: Signed,
    /// Replace claims, or take them away (`null`).
    claims: Map<String, Value>,
    /// Where it sends whoever asks for its keys, and what was asked.
    away: Option<String>,
    asked: Vec<String>,
    /// By code: nonce and challenge.
    codes: Vec<(String, String, String)>,
}

fn key() -> EcdsaKeyPair {
    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()
}

impl Provider {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let state = State {
            key: key(),
            kid: 1,
            signed: Signed::Well,
            claims: Map::new(),
            away: None,
            asked: Vec::new(),
            codes: Vec::new(),
        };
        let state = Arc::new(Mutex::new(state));
        let (of_task, at) = (state.clone(), issuer.clone());
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                answer(stream, &at, &of_task).await;
            }
        });
        Self { issuer, state, serving }
    }

    /// How the next tokens are.
    pub(crate) fn will(&self, signed: Signed, claims: Value) {
        let mut state = self.state.lock().unwrap();
        (state.signed, state.claims) = (signed, claims.as_object().unwrap().clone());
    }

    /// Sends whoever asks for its keys elsewhere from now on.
    pub(crate) fn redirects(&self, to: &str) {
        self.state.lock().unwrap().away = Some(to.to_owned());
    }

    /// The paths that were asked for.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.state.lock().unwrap().asked.clone()
    }

    /// What its page would do once somebody has signed in there: a code for the browser, and the state.
    pub(crate) fn visit(&self, url: &str) -> (String, String) {
        let query = url.split_once('?').unwrap().1;
        let get = |name: &str| {
            let pair = query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
            pair.unwrap_or_else(|| panic!("no {name} in {url}")).to_owned()
        };
        assert_eq!(
            (get("response_type").as_str(), get("code_challenge_method").as_str()),
            ("code", "S256"),
            "no downgrade"
        );
        assert!(get("redirect_uri").ends_with("%2Foidc%2Fcallback"), "{url}");
        let mut state = self.state.lock().unwrap();
        let code = format!("code{}", state.codes.len());
        state.codes.push((code.clone(), get("nonce"), get("code_challenge")));
        (code, get("state"))
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(mut stream: TcpStream, issuer: &str, state: &Mutex<State>) {
    let mut request = vec![0; 16 << 10];
    let mut read = 0;
    let text = loop {
        read += stream.read(&mut request[read..]).await.unwrap_or(0);
        let text = String::from_utf8_lossy(&request[..read]).into_owned();
        let whole = parse(text.as_bytes()).length().unwrap_or(0);
        if text.split_once("\r\n\r\n").is_some_and(|(_, body)| body.len() >= whole) || read == 0 {
            break text;
        }
    };
    let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
    let (status, body, away) = {
        let mut state = state.lock().unwrap();
        state.asked.push(path.clone());
        let away = state.away.clone().filter(|_| path == "/keys");
        let (status, body) = match path.as_str() {
            "/keys" if away.is_some() => ("302 Found", json!({"inside": "a word from inside"})),
            "/.well-known/openid-configuration" => ("200 OK", configuration(issuer)),
            "/keys" => ("200 OK", state.keys()),
            "/token" => state.token(issuer, &text),
            _ => ("404 Not Found", json!({})),
        };
        (status, body, away.map(|to| format!("location: {to}\r\n")).unwrap_or_default())
    };
    let body = body.to_string();
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n", body.len());
    drop(stream.write_all(format!("{head}{away}connection: close\r\n\r\n{body}").as_bytes()).await);
}

fn configuration(issuer: &str) -> Value {
    json!({
        "issuer": issuer, "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"), "jwks_uri": format!("{issuer}/keys"),
        "response_types_supported": ["code"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256", "HS256", "none"],
    })
}

impl State {
    fn keys(&self) -> Value {
        let point = self.key.public_key().as_ref();
        let (x, y) = (base64(&point[1..33]), base64(&point[33..]));
        json!({"keys": [{"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.kid.to_string(), "x": x, "y": y}]})
    }

    fn token(&mut self, issuer: &str, request: &str) -> (&'static str, Value) {
        let body = request.split_once("\r\n\r\n").unwrap().1;
        let get =
            |name: &str| body.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}="))).unwrap_or_default();
        let found = self.codes.iter().find(|(code, ..)| code == get("code"));
        let Some((_, nonce, challenge)) = found.cloned() else {
            return ("400 Bad Request", json!({"error": "invalid_grant"}));
        };
        // The code counts for whoever began it (PKCE), once.
        if base64(&Sha256::digest(get("code_verifier"))) != challenge {
            return ("400 Bad Request", json!({"error": "invalid_grant"}));
        }
        let used = get("code").to_owned();
        self.codes.retain(|(code, ..)| *code != used);
        self.codes.push((String::new(), String::new(), String::new()));
        let now = clock::now().0;
        let mut claims = json!({
            "iss": issuer, "sub": "s-1", "aud": "relay", "exp": now + 60, "iat": now, "nonce": nonce,
            "email": "ann@example.com", "email_verified": true, "preferred_username": "ann-at-work", "groups": ["sre"],
        });
        for (name, value) in self.claims.clone() {
            claims[name] = value;
        }
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        ("200 OK", json!({"access_token": "x", "token_type": "Bearer", "id_token": self.sign(&claims)}))
    }

    fn sign(&mut self, claims: &Value) -> String {
        if self.signed == Signed::ByTheNext {
            (self.key, self.kid) = (key(), self.kid + 1);
        }
        let alg = match self.signed {
            Signed::None => "none",
            Signed::Symmetric => "HS256",
            Signed::Well | Signed::ByAnother | Signed::ByTheNext => "ES256",
        };
        let head = json!({"alg": alg, "kid": self.kid.to_string()});
        let signed = [head, claims.clone()].map(|part| base64(part.to_string().as_bytes())).join(".");
        let signature = match self.signed {
            Signed::None => Vec::new(),
            Signed::Symmetric => {
                let secret = hmac::Key::new(hmac::HMAC_SHA256, self.key.public_key().as_ref());
                hmac::sign(&secret, signed.as_bytes()).as_ref().to_vec()
            }
            Signed::ByAnother => key().sign(&SystemRandom::new(), signed.as_bytes()).unwrap().as_ref().to_vec(),
            Signed::Well | Signed::ByTheNext => {
                self.key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap().as_ref().to_vec()
            }
        };
        format!("{signed}.{}", base64(&signature))
    }
}
