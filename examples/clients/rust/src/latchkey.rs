//! Connections, the service config, and the details of errors.
use std::{collections::BTreeMap, future::Future, sync::LazyLock, time::Duration};

use serde::Deserialize;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Response, Status};
use tonic_types::StatusExt;

/// tonic does not read service configs, so `call` below applies this one.
static CONFIG: LazyLock<ServiceConfig> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../service-config.json")).expect("service-config.json is valid")
});

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServiceConfig {
    method_config: Vec<MethodConfig>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MethodConfig {
    name: Vec<MethodName>,
    timeout: String,
    retry_policy: Option<RetryPolicy>,
}

#[derive(Deserialize)]
struct MethodName {
    service: String,
    method: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RetryPolicy {
    max_attempts: u32,
    initial_backoff: String,
    max_backoff: String,
    backoff_multiplier: f64,
}

/// Connects when the first call needs it.
pub fn channel(url: &str) -> Result<Channel, tonic::transport::Error> {
    let endpoint = Endpoint::from_shared(url.to_owned())?.connect_timeout(Duration::from_secs(2));
    let endpoint = match url.starts_with("https:") {
        true => endpoint.tls_config(ClientTlsConfig::new().with_native_roots())?,
        false => endpoint,
    };
    Ok(endpoint.connect_lazy())
}

/// Runs a call with the deadline and the retries that the service config has for the method: `<service>/<method>`.
pub async fn call<T, F>(method: &str, attempt: impl Fn() -> F) -> Result<T, Status>
where
    F: Future<Output = Result<Response<T>, Status>>,
{
    let config = CONFIG.method_config.iter().find(|config| config.name.iter().any(|name| name.is(method)));
    let Some(config) = config else { return Ok(attempt().await?.into_inner()) };
    let attempts = async {
        let mut n = 0;
        loop {
            n += 1;
            match (attempt().await, &config.retry_policy) {
                (Err(status), Some(policy)) if status.code() == Code::Unavailable && n < policy.max_attempts => {
                    tokio::time::sleep(policy.backoff(n).max(retry_after(&status))).await;
                }
                (result, _) => return result.map(Response::into_inner),
            }
        }
    };
    let timeout = seconds(&config.timeout);
    tokio::time::timeout(timeout, attempts).await.unwrap_or_else(|_| Err(Status::deadline_exceeded("timed out")))
}

impl MethodName {
    fn is(&self, method: &str) -> bool {
        method.split_once('/') == Some((&self.service, &self.method))
    }
}

impl RetryPolicy {
    fn backoff(&self, attempt: u32) -> Duration {
        let longest = seconds(&self.initial_backoff).mul_f64(self.backoff_multiplier.powi(attempt as i32 - 1));
        longest.min(seconds(&self.max_backoff)).mul_f64(rand::random_range(0.8..1.2))
    }
}

fn seconds(text: &str) -> Duration {
    let number = text.strip_suffix('s').and_then(|number| number.parse().ok());
    Duration::from_secs_f64(number.expect("a duration of the service config ends in s"))
}

/// The reason of an error, such as TOKEN_REVOKED. Empty for an error without one.
pub fn reason_of(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// The invalid fields of a request with a description each.
pub fn violations_of(status: &Status) -> BTreeMap<String, String> {
    let violations = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
    violations.into_iter().map(|violation| (violation.field, violation.description)).collect()
}

/// The shortest time until the next attempt, or zero.
pub fn retry_after(status: &Status) -> Duration {
    status.get_details_retry_info().and_then(|info| info.retry_delay).unwrap_or_default()
}
