//! The answer of a server about a token.
use tonic::{Code, Status};

use crate::api::{VerifyRequest, VerifyResponse, auth_service_client::AuthServiceClient};
use crate::latchkey::{call, channel, reason_of};

/// Calls the servers, the followed one first, until one answers.
pub async fn ask(urls: &[String], first: usize, token: &str, audience: &str) -> Result<String, String> {
    for n in 0..urls.len() {
        match verify(&urls[(first + n) % urls.len()], token, audience).await {
            Ok(response) => return Ok(subject_of(response)),
            Err(status) if status.code() == Code::Unauthenticated => return Err(reason_of(&status)),
            Err(_) => continue,
        }
    }
    Err("UNAVAILABLE".to_owned())
}

async fn verify(url: &str, token: &str, audience: &str) -> Result<VerifyResponse, Status> {
    let channel = channel(url).map_err(|error| Status::unavailable(error.to_string()))?;
    let request = VerifyRequest { access_token: token.to_owned(), audience: audience.to_owned(), ..Default::default() };
    call("latchkey.auth.v1.AuthService/Verify", || {
        let (mut client, request) = (AuthServiceClient::new(channel.clone()), request.clone());
        async move { client.verify(request).await }
    })
    .await
}

fn subject_of(response: VerifyResponse) -> String {
    let principal = response.principal.unwrap_or_default();
    if principal.user_id.is_empty() { principal.service_account_id } else { principal.user_id }
}
