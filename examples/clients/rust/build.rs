//! Generates the stubs from the contract. protox replaces protoc, so no other program is needed.
const PROTO: &str = "../../../proto";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed={PROTO}");
    let files = ["latchkey/auth/v1/auth_service.proto", "latchkey/auth/v1/verifier_service.proto"];
    let descriptors = protox::compile(files, [PROTO])?;
    tonic_prost_build::configure().build_server(false).compile_fds(descriptors)?;
    Ok(())
}
