//! Generates the Rust side of the contracts with protox, so that no `protoc` is needed.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

use prost::Message as _;

const FILES: [&str; 9] = [
    "picket/agent/v1/agent.proto",
    "picket/formats/v1/formats.proto",
    "picket/ingest/v1/ingest.proto",
    "picket/detection/v1/detection.proto",
    "picket/response/v1/response.proto",
    "picket/rules/v1/rules.proto",
    "picket/intel/v1/feeds.proto",
    "picket/intel/v1/hunts.proto",
    "picket/query/v1/query.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=picket");
    let descriptors = protox::compile(FILES, ["."])?;
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    fs::write(out_dir.join("picket.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .bytes(".picket.ingest.v1.Batch.payload")
        .bytes(".picket.ingest.v1.Record.line")
        .bytes(".picket.ingest.v1.Record.json")
        .bytes(".picket.detection.v1.SubmitBlockRequest.block")
        .compile_fds(descriptors)?;
    Ok(())
}
