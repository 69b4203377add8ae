//! Verification with the published keys alone: it accepts a token until it expires, also after a logout.
use std::{collections::HashMap, time::Duration, time::SystemTime};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL};
use serde::Deserialize;

use crate::token::{Claims, Key, headers_of};
use crate::view::{Verdict, View};

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Jwk>,
}

/// A JSON Web Key (RFC 7517). Bytes are in base64url.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Jwk {
    kid: String,
    alg: String,
    kty: String,
    x: String,
    y: String,
    n: String,
    e: String,
}

impl Jwk {
    fn key(&self) -> Option<Key> {
        let bytes = |text: &String| BASE64URL.decode(text).ok();
        match self.kty.as_str() {
            "OKP" => Some(Key::Ed25519(bytes(&self.x)?)),
            "EC" => Some(Key::P256([vec![4], bytes(&self.x)?, bytes(&self.y)?].concat())),
            "RSA" => Some(Key::RsaParts { n: bytes(&self.n)?, e: bytes(&self.e)? }),
            _ => None,
        }
    }
}

/// A service keeps the key set for the max-age of its Cache-Control.
pub fn verify(
    url: &str,
    issuer: &str,
    token: &str,
    audience: &str,
) -> Result<Claims, Box<dyn std::error::Error + Send + Sync>> {
    let request = ureq::get(format!("{url}/.well-known/jwks.json"));
    let request = request.config().timeout_global(Some(Duration::from_secs(2))).build();
    let set: KeySet = request.call()?.body_mut().read_json()?;
    let mut keys = HashMap::new();
    for published in &set.keys {
        for header in headers_of(&published.kid, &published.alg) {
            published.key().and_then(|key| keys.insert(header, key));
        }
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis() as i64;
    let view = View::of_keys(issuer.to_owned(), keys);
    match view.judge(token, audience, now, i64::MAX) {
        (Verdict::Valid, Some(claims)) => Ok(claims),
        (verdict, _) => Err(format!("the token is rejected: {}", verdict.name()).into()),
    }
}
