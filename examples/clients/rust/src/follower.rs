//! Keeps a view up to date from one of several servers, and calls a server about a token that the view cannot decide.
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tonic::{Code, Request, Status};

use crate::api::verifier_service_client::VerifierServiceClient;
use crate::api::{WatchRequest, WatchResponse};
use crate::latchkey::{channel, retry_after};
use crate::view::{Verdict, View};

const VERSION: u32 = 1;
const MAX_STALENESS_MS: i64 = 5_000;
const MAX_STALENESS_DISCONNECTED_MS: i64 = 1_000;
const LATE_AFTER_MS: i64 = 1_500;
const SILENT_AFTER: Duration = Duration::from_secs(2);
const NO_ANSWER_AFTER: Duration = Duration::from_secs(5);
const MAX_PAUSE_MS: u64 = 5_000;

pub struct Follower {
    urls: Vec<String>,
    key: String,
    begin: Instant,
    state: Mutex<State>,
    /// True once the first snapshot is complete.
    ready: watch::Sender<bool>,
}

struct State {
    view: View,
    cursor: String,
    index: usize,
    failures: usize,
    is_current: bool,
    last_ms: i64,
}

impl Follower {
    /// `on_error` receives each failure of a stream. The follower continues at the next server.
    pub fn start(urls: Vec<String>, key: String, on_error: impl Fn(&Status) + Send + 'static) -> Arc<Follower> {
        let (view, cursor) = (View::default(), String::new());
        let state = State { view, cursor, index: 0, failures: 0, is_current: false, last_ms: 0 };
        let (begin, ready) = (Instant::now(), watch::Sender::new(false));
        let follower = Arc::new(Follower { urls, key, begin, state: Mutex::new(state), ready });
        let following = follower.clone();
        tokio::spawn(async move {
            loop {
                let ended = following.watch_once().await;
                if let Err(status) = &ended {
                    on_error(status);
                }
                tokio::time::sleep(following.pause_after(ended)).await;
            }
        });
        follower
    }

    /// A channel of its own: a connection that carries nothing is closed with the stream.
    async fn watch_once(&self) -> Result<(), Status> {
        let (url, cursor) = {
            let mut state = self.state.lock().unwrap();
            let is_snapshot = state.cursor.is_empty();
            state.view.begin_stream(is_snapshot);
            (self.urls[state.index].clone(), state.cursor.clone())
        };
        let channel = channel(&url).map_err(|error| Status::unavailable(error.to_string()))?;
        let mut request = Request::new(WatchRequest { cursor, version: VERSION });
        let bearer =
            format!("Bearer {}", self.key).parse().map_err(|_| Status::unauthenticated("invalid service key"))?;
        request.metadata_mut().insert("authorization", bearer);
        let silent = |_| Status::unavailable("the server has been silent for too long");
        let mut client = VerifierServiceClient::new(channel);
        let watching = tokio::time::timeout(NO_ANSWER_AFTER, client.watch(request)).await.map_err(silent)?;
        let mut stream = watching?.into_inner();
        loop {
            let limit = if self.state.lock().unwrap().is_current { SILENT_AFTER } else { NO_ANSWER_AFTER };
            match tokio::time::timeout(limit, stream.message()).await.map_err(silent)?? {
                Some(message) => self.receive(message)?,
                None => return Ok(()),
            }
        }
    }

    fn receive(&self, message: WatchResponse) -> Result<(), Status> {
        let mut state = self.state.lock().unwrap();
        state.last_ms = self.now();
        let (cursor, now) = (message.cursor.clone(), state.last_ms);
        state.view.receive(message, now);
        if cursor.is_empty() {
            return Ok(());
        }
        // Only the second message counts as success.
        state.failures = if state.is_current { 0 } else { state.failures };
        (state.cursor, state.is_current) = (cursor, true);
        self.ready.send_replace(true);
        // An event of an unknown kind makes the view stale too, and does not end the stream.
        match state.view.behind_ms(now) > MAX_STALENESS_MS {
            true => Err(Status::unavailable("the server is too far behind")),
            false => Ok(()),
        }
    }

    /// The pause grows once every server has failed.
    fn pause_after(&self, ended: Result<(), Status>) -> Duration {
        let mut state = self.state.lock().unwrap();
        let status = ended.err();
        if status.as_ref().is_some_and(|status| [Code::OutOfRange, Code::InvalidArgument].contains(&status.code())) {
            state.cursor.clear();
        }
        (state.is_current, state.failures) = (false, state.failures + 1);
        state.index = (state.index + 1) % self.urls.len();
        let milliseconds = match state.failures / self.urls.len() {
            0 => rand::random_range(0..50),
            rounds => (100 << (rounds - 1).min(10)).min(MAX_PAUSE_MS) * rand::random_range(50..150) / 100,
        };
        Duration::from_millis(milliseconds).max(status.as_ref().map(retry_after).unwrap_or_default())
    }

    pub async fn ready(&self) {
        let _ = self.ready.subscribe().wait_for(|is_ready| *is_ready).await;
    }

    pub fn issuer(&self) -> String {
        self.state.lock().unwrap().view.issuer.clone()
    }

    /// The subject of a valid token, or else the name of a reason, or UNAVAILABLE.
    pub async fn verify(&self, token: &str, audience: &str) -> Result<String, String> {
        let (verdict, claims, first) = {
            let state = self.state.lock().unwrap();
            let now = self.now();
            let is_following = state.is_current && now - state.last_ms < LATE_AFTER_MS;
            let limit = if is_following { MAX_STALENESS_MS } else { MAX_STALENESS_DISCONNECTED_MS };
            let (verdict, claims) = state.view.judge(token, audience, now, limit);
            (verdict, claims, state.index)
        };
        match (verdict, claims) {
            (Verdict::Valid, Some(claims)) => Ok(claims.sub),
            (Verdict::Undecided, _) => crate::ask::ask(&self.urls, first, token, audience).await,
            _ => Err(verdict.name().to_owned()),
        }
    }

    fn now(&self) -> i64 {
        self.begin.elapsed().as_millis() as i64
    }
}
