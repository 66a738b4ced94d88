//! The host: file systems, what an exporter left, the clock.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use super::Finding;
use crate::config::Config;
use crate::daemon::control::{self, Question};
use crate::observe::inspect;
use crate::record::UnixTime;

const HOST: &str = "host";

pub(super) async fn findings(config: &Config) -> Vec<Finding> {
    let mut findings = vec![bpf_file_system(&config.daemon.pin_dir)];
    let running =
        control::ask::<serde_json::Value>(&config.daemon.control_socket(), Question::Status).await;
    findings.push(exporter(
        running.as_ref().map(|_| ()).map_err(String::as_str),
    ));
    findings.extend(pins(&config.daemon.pin_dir, running.is_ok()));
    findings.push(clock(
        inspect::clock_is_synchronised(),
        UnixTime::from(SystemTime::now()),
    ));
    findings.extend(flow_offload());
    findings
}

fn bpf_file_system(pin_dir: &Path) -> Finding {
    if inspect::on_bpf_file_system(pin_dir) {
        return Finding::ok(
            HOST,
            format!("{} is on a BPF file system", pin_dir.display()),
        );
    }
    Finding::problem(
        HOST,
        format!("{} is on no BPF file system", pin_dir.display()),
        "mount -t bpf bpf /sys/fs/bpf, or name another daemon.pin-dir",
    )
}

pub(super) fn exporter(running: Result<(), &str>) -> Finding {
    match running {
        Ok(()) => Finding::ok(HOST, "an exporter is running: ebpfix status asks it"),
        Err(error) => Finding::info(HOST, error),
    }
}

/// What an exporter left.
fn pins(pin_dir: &Path, running: bool) -> Option<Finding> {
    let entries = match fs::read_dir(pin_dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            let text = format!(
                "whether an exporter left something in {}",
                pin_dir.display()
            );
            return Some(Finding::unknown(HOST, text).advised("run ebpfix doctor as root"));
        }
        Err(_) => return None,
    };
    let names: Vec<_> = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    leftovers(pin_dir, &names, running)
}

pub(super) fn leftovers(pin_dir: &Path, names: &[String], running: bool) -> Option<Finding> {
    let attached = |name: &&String| name.starts_with("link_") || name.starts_with("filter_");
    let programs = names.iter().filter(attached).count();
    let tables = names.iter().any(|name| name.starts_with("tables_"));
    if running || programs == 0 && !tables {
        return None;
    }
    Some(Finding::warning(
        HOST,
        format!(
            "an exporter that is gone left tables and {programs} attached programs in {}, which \
             count on",
            pin_dir.display()
        ),
        "ebpfix run takes them over; ebpfix detach takes them off",
    ))
}

pub(super) fn clock(synchronised: Option<bool>, now: UnixTime) -> Finding {
    /// 2026-01-01, before which no version of this program was there.
    const EARLIEST_S: u64 = 1_767_225_600;
    if now.secs() < EARLIEST_S {
        return Finding::problem(
            HOST,
            format!("the clock says {now}: records would have that time"),
            "set the clock; run chrony, ntpd or systemd-timesyncd",
        );
    }
    match synchronised {
        Some(true) => Finding::ok(HOST, "the clock is kept right"),
        Some(false) => Finding::warning(
            HOST,
            "nobody keeps the clock right: records of several exporters will not fit together",
            "run chrony, ntpd or systemd-timesyncd",
        ),
        None => Finding::unknown(HOST, "whether the clock is kept right"),
    }
}

/// Connections that are forwarded past the usual path.
fn flow_offload() -> Option<Finding> {
    use std::io::{BufRead as _, BufReader, Read as _};
    /// No more of the table is looked at.
    const MOST: u64 = 32 << 20;
    let loaded = Path::new("/sys/module/nf_flow_table").exists();
    let table = match fs::File::open("/proc/net/nf_conntrack") {
        Ok(table) => table,
        Err(_) if loaded => {
            return Some(
                Finding::unknown(
                    HOST,
                    "whether nftables forwards connections in hardware, which no program sees \
                     (the module nf_flow_table is loaded)",
                )
                .advised("nft list flowtables: one with \"flags offload\" does"),
            );
        }
        Err(_) => return None,
    };
    let (mut hardware, mut software) = (0, 0);
    for line in BufReader::new(table.take(MOST))
        .lines()
        .map_while(Result::ok)
    {
        hardware += u64::from(line.contains("[HW_OFFLOAD]"));
        software += u64::from(line.contains("[OFFLOAD]"));
    }
    offloaded(hardware, software)
}

pub(super) fn offloaded(hardware: u64, software: u64) -> Option<Finding> {
    if hardware > 0 {
        return Some(Finding::warning(
            HOST,
            format!("{hardware} connections are forwarded by hardware: their packets are not seen"),
            "take \"flags offload\" off the flowtable of nftables (nft list flowtables)",
        ));
    }
    (software > 0).then(|| {
        let text = format!("{software} connections go through a flowtable of nftables in software");
        Finding::info(HOST, text + ", which is seen")
    })
}
