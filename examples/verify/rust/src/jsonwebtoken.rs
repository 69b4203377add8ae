use std::error::Error;
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};

/// Latchkey publishes a key for longer than this before the key signs.
const MAX_AGE: Duration = Duration::from_secs(300);

#[derive(serde::Deserialize)]
struct Claims {
    sub: String,
}

pub struct Verifier {
    address: String,
    rules: Validation,
    keys: Option<(JwkSet, Instant)>,
}

impl Verifier {
    pub fn new(issuer: &str, audience: &str) -> Self {
        let mut rules = Validation::default();
        rules.set_issuer(&[issuer]);
        rules.set_audience(&[audience]);
        rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        Self { address: format!("{issuer}/.well-known/jwks.json"), rules, keys: None }
    }

    pub fn verify(&mut self, token: &str) -> Result<String, Box<dyn Error>> {
        let header = decode_header(token)?;
        if header.typ.as_deref() != Some("at+jwt") {
            return Err("not an access token".into());
        }
        let kid = header.kid.ok_or("the token names no key")?;
        let key = self.keys()?.find(&kid).ok_or("unknown key")?.clone();
        // The key decides the algorithm, never the header of the token.
        let algorithm: Algorithm = key.common.key_algorithm.ok_or("the key has no algorithm")?.to_string().parse()?;
        let rules = Validation { algorithms: vec![algorithm], ..self.rules.clone() };
        Ok(decode::<Claims>(token, &DecodingKey::from_jwk(&key)?, &rules)?.claims.sub)
    }

    fn keys(&mut self) -> Result<&JwkSet, Box<dyn Error>> {
        if self.keys.as_ref().is_none_or(|(_, fetched)| fetched.elapsed() > MAX_AGE) {
            self.keys = Some((ureq::get(&self.address).call()?.body_mut().read_json()?, Instant::now()));
        }
        Ok(&self.keys.as_ref().ok_or("no keys")?.0)
    }
}
