//! Builds the kernel programs that the exporter embeds.

use std::env;
use std::path::PathBuf;

fn main() {
    let probes =
        PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../probes");
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    for path in ["src", "Cargo.toml"] {
        println!("cargo:rerun-if-changed={}", probes.join(path).display());
    }
    match ebpfix_probe_linker::build(&probes, &out_dir) {
        Ok(object) => println!("cargo:rustc-env=EBPFIX_PROBE={}", object.display()),
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(1);
        }
    }
}
