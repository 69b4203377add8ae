//! Reads access tokens from standard input, and prints a line for each: `ok <sub>` or `rejected <why>`.
//!
//!     ISSUER=http://localhost:8080 AUDIENCE=latchkey cargo run <<< "$ACCESS"

mod jsonwebtoken;

use std::env;
use std::io::stdin;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut verifier = jsonwebtoken::Verifier::new(&env::var("ISSUER")?, &env::var("AUDIENCE")?);
    for token in stdin().lines() {
        match verifier.verify(&token?) {
            Ok(subject) => println!("ok {subject}"),
            Err(error) => println!("rejected {error}"),
        }
    }
    Ok(())
}
