//! The tour: each step prints a line.
use std::error::Error;
use std::time::{Duration, Instant};

use tonic::Status;
use tonic::transport::Channel;

use crate::api::auth_service_client::AuthServiceClient;
use crate::api::check_role_request::Subject;
use crate::api::{CheckRoleRequest, LoginRequest, LogoutRequest, Reason, RegisterRequest, Tokens, VerifyRequest};
use crate::follower::Follower;
use crate::latchkey::{call, channel, reason_of, retry_after, violations_of};

const AUDIENCE: &str = "latchkey";
const MAX_ATTEMPTS: usize = 30;

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// A call of AuthService with the service config.
macro_rules! auth {
    ($channel:expr, $name:literal, $method:ident, $request:expr) => {
        call(concat!("latchkey.auth.v1.AuthService/", $name), || {
            let (mut client, request) = (AuthServiceClient::new($channel.clone()), $request);
            async move { client.$method(request).await }
        })
        .await
    };
}

pub async fn run(url: &str, key: String) -> Outcome {
    let channel = channel(url)?;
    let (email, password) = (new_email(), format!("pass phrase {}", rand::random::<u64>()));
    let person = RegisterRequest { email: email.clone(), password: password.clone(), full_name: "Grace Hopper".into() };
    auth!(channel, "Register", register, person.clone())?;
    let tokens = login(&channel, &email, &password).await?;
    println!("signed in");
    ask(&channel, &tokens.access_token).await?;
    fail(&channel, &email).await;
    verify_locally(&channel, url, key, tokens).await?;
    exhaust(&channel).await;
    Ok(())
}

fn new_email() -> String {
    format!("{:x}@people.example", rand::random::<u128>())
}

async fn login(channel: &Channel, email: &str, password: &str) -> Result<Tokens, Status> {
    let request = LoginRequest { email: email.into(), password: password.into(), ..LoginRequest::default() };
    Ok(auth!(channel, "Login", login, request.clone())?.tokens.unwrap_or_default())
}

async fn ask(channel: &Channel, token: &str) -> Outcome {
    let request = VerifyRequest { access_token: token.into(), audience: AUDIENCE.into(), ..Default::default() };
    let principal = auth!(channel, "Verify", verify, request.clone())?.principal.unwrap_or_default();
    println!("Verify: {} holds {}", principal.user_id, principal.roles.join(", "));
    let subject = Some(Subject::AccessToken(token.into()));
    let request = CheckRoleRequest { subject, role: "admin".into(), ..Default::default() };
    let answer = auth!(channel, "CheckRole", check_role, request.clone())?;
    let reason = Reason::try_from(answer.reason).unwrap_or_default().as_str_name();
    println!("CheckRole: {}", if answer.allowed { "allowed" } else { reason.trim_start_matches("REASON_") });
    Ok(())
}

async fn fail(channel: &Channel, email: &str) {
    let request = RegisterRequest { email: "not an address".into(), password: "short".into(), ..Default::default() };
    if let Err(status) = auth!(channel, "Register", register, request.clone()) {
        let fields: Vec<String> = violations_of(&status).into_keys().collect();
        println!("Register: {} in {}", reason_of(&status), fields.join(", "));
    }
    if let Err(status) = login(channel, email, "another pass phrase").await {
        println!("Login: {}", reason_of(&status));
    }
}

async fn verify_locally(channel: &Channel, url: &str, key: String, tokens: Tokens) -> Outcome {
    let follower = Follower::start(vec![url.to_owned()], key, |status| println!("Watch: {status}"));
    tokio::time::timeout(Duration::from_secs(10), follower.ready()).await?;
    let issuer = follower.issuer();
    println!("JWKS: {}", by_jwks(url, &issuer, &tokens.access_token).await?);
    println!("Watch: {}", follower.verify(&tokens.access_token, AUDIENCE).await?);
    let request = LogoutRequest { refresh_token: tokens.refresh_token.clone() };
    auth!(channel, "Logout", logout, request.clone())?;
    let began = Instant::now();
    let mut verdict = follower.verify(&tokens.access_token, AUDIENCE).await;
    while verdict.is_ok() && began.elapsed() < Duration::from_secs(5) {
        tokio::time::sleep(Duration::from_millis(10)).await;
        verdict = follower.verify(&tokens.access_token, AUDIENCE).await;
    }
    println!("Watch after Logout: {}", verdict.map_or_else(|reason| reason, |_| "accepted".into()));
    by_jwks(url, &issuer, &tokens.access_token).await?;
    println!("JWKS after Logout: accepted until exp");
    Ok(())
}

async fn by_jwks(url: &str, issuer: &str, token: &str) -> Outcome<String> {
    let (url, issuer, token) = (url.to_owned(), issuer.to_owned(), token.to_owned());
    let verified = tokio::task::spawn_blocking(move || crate::jwks::verify(&url, &issuer, &token, AUDIENCE));
    Ok(verified.await??.sub)
}

async fn exhaust(channel: &Channel) {
    let email = new_email();
    for _ in 0..MAX_ATTEMPTS {
        let Err(status) = login(channel, &email, "a wrong pass phrase").await else { continue };
        if !retry_after(&status).is_zero() {
            let seconds = retry_after(&status).as_secs_f64();
            return println!("Login: {}, retry after {seconds:.0} s", reason_of(&status));
        }
    }
    println!("Login: no limit after {MAX_ATTEMPTS} attempts");
}
