//! Compiles the kernel programs: Rust to LLVM bitcode with cargo, bitcode to a BPF object with
//! bpf-linker.
//!
//! The probe crate is compiled for the *host*, because rustup ships a core library for the host
//! and none for BPF; only its bitcode is taken and translated for `bpfel`. Neither nightly nor the
//! compiler's sources are needed.
#![forbid(unsafe_code)]

use bpf_linker::{Cpu, Linker, LinkerInput, LinkerOptions, OptLevel, OutputType};
use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The entry points; everything else in the object is internal.
const PROGRAMS: [&str; 4] = [
    "outer_ingress_flow_parse",
    "outer_egress_flow_parse",
    "outer_ingress_flow_parse_l3",
    "outer_egress_flow_parse_l3",
];
/// Data that the loader reads by name.
const DATA: [&str; 6] = [
    "LICENSE",
    "VERSION",
    "control",
    "cpu_state",
    "aggregated_flows",
    "direct_flows",
];

/// How the probe is compiled, beside the release profile.
///
/// Vector instructions do not exist in BPF; one codegen unit keeps everything inlinable.
const RUSTFLAGS: [&str; 6] = [
    "-Cembed-bitcode=yes",
    "-Cpanic=abort",
    "-Ccodegen-units=1",
    "-Cno-vectorize-loops",
    "-Cno-vectorize-slp",
    "-Cdebuginfo=2",
];

/// Builds the probe crate in `probes` and writes the BPF object to `out_dir/ebpfix.o`.
///
/// # Errors
/// In words for the person who builds: what failed and what is likely missing.
pub fn build(probes: &Path, out_dir: &Path) -> Result<PathBuf, String> {
    let target_dir = out_dir.join("probe");
    compile(probes, &target_dir)?;
    let inputs = bitcode(&target_dir)?;
    let object = out_dir.join("ebpfix.o");
    link(&inputs, &object)?;
    Ok(object)
}

fn compile(probes: &Path, target_dir: &Path) -> Result<(), String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .current_dir(probes)
        .args([
            "rustc",
            "--release",
            "--lib",
            "--features",
            "kernel",
            "--target",
        ])
        .arg(env::var("HOST").unwrap_or_else(|_| "x86_64-unknown-linux-gnu".to_owned()))
        .arg("--target-dir")
        .arg(target_dir)
        .args(["--", "--emit=llvm-bc"])
        .env("CARGO_ENCODED_RUSTFLAGS", RUSTFLAGS.join("\u{1f}"));
    // What the outer build says of itself must not reach the inner one.
    for name in [
        "RUSTFLAGS",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "CARGO_TARGET_DIR",
        "RUSTC",
        "RUSTDOC",
    ] {
        command.env_remove(name);
    }
    if env::var_os("KERNEL_VERSION").is_none() && env::var_os("KERNEL_SOURCE").is_none() {
        command.env("KERNEL_VERSION", kernel_headers()?);
    }
    let output = command
        .output()
        .map_err(|e| format!("cannot start cargo for the probes: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "the probes do not compile:\n{}",
        String::from_utf8_lossy(&output.stderr)
    ))
}

/// The version of installed kernel headers, for redbpf-probes' bindings. It need not be the
/// running kernel's: only the stable user interface is taken from them.
fn kernel_headers() -> Result<String, String> {
    let mut versions: Vec<String> = fs::read_dir("/lib/modules")
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .filter(|entry| {
            entry
                .path()
                .join("source/include/uapi/linux/bpf.h")
                .exists()
        })
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    versions.sort();
    versions.pop().ok_or_else(|| {
        "no kernel headers under /lib/modules/*/source: install linux-headers-amd64 \
         (`make setup` does)"
            .to_owned()
    })
}

/// The probe's bitcode and the libraries that it may call into.
fn bitcode(target_dir: &Path) -> Result<Vec<PathBuf>, String> {
    let mut deps = Vec::new();
    for triple in fs::read_dir(target_dir)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
    {
        let dir = triple.path().join("release/deps");
        deps.extend(
            fs::read_dir(dir)
                .into_iter()
                .flatten()
                .filter_map(Result::ok)
                .map(|e| e.path()),
        );
    }
    let newest = |prefix: &str, suffix: &str| {
        deps.iter()
            .filter(|path| {
                path.file_name()
                    .and_then(|name| name.to_str())
                    .is_some_and(|name| name.starts_with(prefix) && name.ends_with(suffix))
            })
            .max_by_key(|path| fs::metadata(path).and_then(|m| m.modified()).ok())
            .cloned()
            .ok_or_else(|| format!("no {prefix}*{suffix} under {}", target_dir.display()))
    };
    Ok(vec![
        newest("ebpfix_probes-", ".bc")?,
        newest("libredbpf_probes-", ".rlib")?,
    ])
}

fn link(inputs: &[PathBuf], object: &Path) -> Result<(), String> {
    let options = LinkerOptions {
        target: Some(CString::from(c"bpfel")),
        // 32-bit arithmetic and jumps: kernel 5.1.
        cpu: Cpu::V3,
        cpu_features: CString::default(),
        optimize: OptLevel::Aggressive,
        unroll_loops: false,
        ignore_inline_never: true,
        // The functions still carry the host's target features, and with them its vectors.
        llvm_args: vec![
            c"-vectorize-slp=false".into(),
            c"-vectorize-loops=false".into(),
        ],
        // In order means octet by octet: zeroing a Flow Key would cost more than hashing it.
        disable_expand_memcpy_in_order: true,
        disable_memory_builtins: false,
        btf: false,
        allow_bpf_trap: false,
    };
    // What LLVM complains of comes as events; a build that fails shows them.
    let _ = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .without_time()
        .try_init();
    let mut linker = Linker::new(options);
    if let Some(dir) = env::var_os("EBPFIX_DUMP_PROBE") {
        linker.set_dump_module_path(dir);
    }
    linker
        .link_to_file(
            inputs.iter().map(|path| LinkerInput::new_from_file(path)),
            object,
            OutputType::Object,
            PROGRAMS.into_iter().chain(DATA),
        )
        .map_err(|e| format!("bpf-linker: {e}"))
}
