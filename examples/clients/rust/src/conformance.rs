//! Compares the verdicts of this client with conformance/verdicts.jsonl.
use base64::{Engine, prelude::BASE64_STANDARD};
use prost::Message;
use serde::Deserialize;

use crate::api::WatchResponse;
use crate::view::View;

#[derive(Deserialize)]
struct VerdictCase {
    name: String,
    token: String,
    audience: String,
    messages: Vec<Received>,
    resumes_after: Option<usize>,
    verify_at_ms: i64,
    max_staleness_ms: i64,
    verdict: String,
}

#[derive(Deserialize)]
struct Received {
    arrives_at_ms: i64,
    wire: String,
}

/// Prints each failure and the totals, and returns whether all passed.
pub fn run(path: &str) -> Result<bool, Box<dyn std::error::Error>> {
    let (mut passed, mut failed) = (0, 0);
    for line in std::fs::read_to_string(path)?.lines() {
        let case: VerdictCase = serde_json::from_str(line)?;
        let verdict = verdict_of(&case)?;
        if verdict == case.verdict {
            passed += 1;
        } else {
            failed += 1;
            println!("{}: expected {}, received {verdict}", case.name, case.verdict);
        }
    }
    println!("{passed} passed, {failed} failed");
    Ok(failed == 0 && passed > 0)
}

fn verdict_of(case: &VerdictCase) -> Result<&'static str, Box<dyn std::error::Error>> {
    let mut view = View::default();
    view.begin_stream(true);
    for (n, message) in case.messages.iter().enumerate() {
        if case.resumes_after == Some(n) {
            view.begin_stream(false);
        }
        let wire = BASE64_STANDARD.decode(&message.wire)?;
        view.receive(WatchResponse::decode(wire.as_slice())?, message.arrives_at_ms);
    }
    if case.resumes_after == Some(case.messages.len()) {
        view.begin_stream(false);
    }
    let (verdict, _) = view.judge(&case.token, &case.audience, case.verify_at_ms, case.max_staleness_ms);
    Ok(verdict.name())
}
