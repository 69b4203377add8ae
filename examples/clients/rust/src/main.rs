//! A client of Latchkey: see README.md.
mod ask;
mod conformance;
mod demo;
mod follower;
mod jwks;
mod latchkey;
mod token;
mod view;

use std::{env, error::Error, process::ExitCode};

use tokio::io::{AsyncBufReadExt, BufReader, stdin};

/// The stubs that build.rs generates.
mod api {
    #![allow(dead_code, reason = "the example uses a part of the contract")]
    tonic::include_proto!("latchkey.auth.v1");
}

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let key = env::var("LATCHKEY_KEY").unwrap_or_default();
    let outcome = match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["demo", url] => demo::run(url, key).await.map_err(|error| error.to_string()),
        ["follow", urls @ ..] if !urls.is_empty() => follow(urls, key).await.map_err(|error| error.to_string()),
        ["conformance", path] => match conformance::run(path) {
            Ok(true) => Ok(()),
            Ok(false) => Err("verdicts differ".to_owned()),
            Err(error) => Err(error.to_string()),
        },
        _ => Err("usage: demo URL | follow URL... | conformance FILE".to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// Prints a verdict for each token on standard input: `ok <sub>` or the reason.
async fn follow(urls: &[&str], key: String) -> Result<(), Box<dyn Error>> {
    let urls = urls.iter().map(|url| (*url).to_owned()).collect();
    let audience = env::var("AUDIENCE").unwrap_or_default();
    let log = |status: &tonic::Status| eprintln!("{} {status}", latchkey::reason_of(status));
    let follower = follower::Follower::start(urls, key, log);
    let mut tokens = BufReader::new(stdin()).lines();
    while let Some(token) = tokens.next_line().await? {
        match follower.verify(&token, &audience).await {
            Ok(subject) => println!("ok {subject}"),
            Err(reason) => println!("{reason}"),
        }
    }
    Ok(())
}
