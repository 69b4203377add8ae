//! The strict check of a token: form, signature and claims. It decides nothing about time, audience or revocation.
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL};
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use serde::Deserialize;
use spki::{SubjectPublicKeyInfoRef, der::asn1::ObjectIdentifier};

const MAX_TOKEN_LENGTH: usize = 4_608;
const MAX_LIFETIME: i64 = 3_600;
const MAX_INTEGER: i64 = 1 << 53;
const USER_CLIENT: &str = "latchkey";
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// The algorithm belongs to the key and is never taken from a token (RFC 8725 section 3.1).
pub enum Key {
    Ed25519(Vec<u8>),
    /// The point, uncompressed.
    P256(Vec<u8>),
    /// RSAPublicKey in DER (RFC 8017).
    Rsa(Vec<u8>),
    RsaParts {
        n: Vec<u8>,
        e: Vec<u8>,
    },
}

impl Key {
    /// None when the key does not fit the algorithm, or this client lacks the algorithm.
    pub fn from_spki(algorithm: &str, spki: &[u8]) -> Option<Key> {
        let info = SubjectPublicKeyInfoRef::try_from(spki).ok()?;
        let bytes = info.subject_public_key.as_bytes()?.to_vec();
        match (algorithm, info.algorithm.oid) {
            ("EdDSA" | "Ed25519", ED25519) => Some(Key::Ed25519(bytes)),
            ("ES256", EC) if bytes.len() == 65 => Some(Key::P256(bytes)),
            ("RS256", RSA) => Some(Key::Rsa(bytes)),
            _ => None,
        }
    }

    fn has_signed(&self, content: &[u8], signed: &[u8]) -> bool {
        match self {
            Key::Ed25519(key) => UnparsedPublicKey::new(&signature::ED25519, key).verify(content, signed),
            Key::P256(key) => UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, key).verify(content, signed),
            Key::Rsa(key) => {
                UnparsedPublicKey::new(&signature::RSA_PKCS1_2048_8192_SHA256, key).verify(content, signed)
            }
            Key::RsaParts { n, e } => {
                RsaPublicKeyComponents { n, e }.verify(&signature::RSA_PKCS1_2048_8192_SHA256, content, signed)
            }
        }
        .is_ok()
    }
}

/// Claims of an access token (RFC 9068). serde rejects a member that is present twice.
#[derive(Deserialize)]
pub struct Claims {
    pub iss: String,
    pub sub: String,
    pub sid: String,
    pub aud: Vec<String>,
    pub roles: Vec<String>,
    pub epoch: i64,
    pub roles_epoch: i64,
    pub iat: i64,
    pub exp: i64,
    jti: String,
    client_id: String,
    email: Option<String>,
    email_verified: Option<bool>,
    refresh_counter: Option<i64>,
}

impl Claims {
    fn is_well_formed(&self) -> bool {
        let has_form = if self.client_id == USER_CLIENT {
            self.email.is_some() && self.email_verified.is_some() && self.refresh_counter.is_some()
        } else {
            let has_none = self.email.is_none() && self.email_verified.is_none() && self.refresh_counter.is_none();
            is_service_name(&self.client_id) && has_none
        };
        let integers = [self.iat, self.exp, self.epoch, self.roles_epoch, self.refresh_counter.unwrap_or(0)];
        has_form
            && [&self.sub, &self.sid, &self.jti].into_iter().all(|id| is_uuid(id))
            && integers.into_iter().all(|number| (-MAX_INTEGER + 1..MAX_INTEGER).contains(&number))
            && !self.aud.is_empty()
            && self.exp > self.iat
            && self.exp - self.iat <= MAX_LIFETIME
    }
}

/// The first parts that a token of this key can have. They are compared and never parsed. RFC 9864 has the second name.
pub fn headers_of(kid: &str, algorithm: &str) -> Vec<String> {
    let names = if algorithm == "EdDSA" { vec!["EdDSA", "Ed25519"] } else { vec![algorithm] };
    let header = |name| format!(r#"{{"alg":"{name}","kid":"{kid}","typ":"at+jwt"}}"#);
    names.into_iter().map(|name| BASE64URL.encode(header(name))).collect()
}

pub fn split(token: &str) -> Option<(&str, &str, &str)> {
    let mut parts = token.split('.');
    let three = (parts.next()?, parts.next()?, parts.next()?);
    (token.len() <= MAX_TOKEN_LENGTH && parts.next().is_none()).then_some(three)
}

/// The kid of a header in the right form.
pub fn kid_of(header: &str) -> Option<String> {
    let json = String::from_utf8(BASE64URL.decode(header).ok()?).ok()?;
    let (algorithm, rest) = json.strip_prefix(r#"{"alg":""#)?.split_once(r#"","kid":""#)?;
    let kid = rest.strip_suffix(r#"","typ":"at+jwt"}"#)?;
    let is_name = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let has_form = algorithm.len() > 1 && algorithm.starts_with(|first: char| first.is_ascii_uppercase());
    (has_form && is_name(algorithm) && kid.len() == 43 && is_name(kid)).then(|| kid.to_owned())
}

/// The decoder rejects padding, other characters and unused bits that are set.
pub fn read_claims(token: &str, key: &Key) -> Option<Claims> {
    let (header, payload, signed) = split(token)?;
    let (content, signed) = (BASE64URL.decode(payload).ok()?, BASE64URL.decode(signed).ok()?);
    if !key.has_signed(&token.as_bytes()[..header.len() + 1 + payload.len()], &signed) {
        return None;
    }
    serde_json::from_slice(&content).ok().filter(Claims::is_well_formed)
}

fn is_uuid(text: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let has_form = |(at, byte)| if [8, 13, 18, 23].contains(&at) { byte == b'-' } else { is_digit(byte) };
    text.len() == 36 && text.bytes().enumerate().all(has_form)
}

fn is_service_name(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    text.len() <= 63 && text.starts_with(|first: char| first.is_ascii_lowercase()) && text.bytes().all(is_allowed)
}
