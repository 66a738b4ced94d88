//! Long filters of every kind of test: what is hardest for a kernel's verifier.

use std::fmt::Write as _;

use ebpfix::filter::KernelFilter;

/// One of many that are much alike.
type Part = fn(usize) -> String;

/// Each with what it is made of; of about as many BPF instructions as `most`, and no more.
///
/// # Panics
/// Where one is no filter.
pub fn long(most: usize) -> Vec<(&'static str, KernelFilter)> {
    let kinds: [(&str, Part, &str); 6] = [
        (
            "networks of IPv4",
            |n| format!("{}.{}.{}.0/24", 1 + n / 8192, n / 32 % 256, n % 32 * 8),
            ",",
        ),
        ("addresses of IPv6", |n| format!("2001:db8::{n:x}:0:1"), ","),
        // Of the rest nothing becomes one set.
        (
            "pairs",
            |n| format!("src port {n} and dst {}.0.0.0/8 and udp", 1 + n % 200),
            " or ",
        ),
        (
            "denials",
            |n| {
                let (upper, lower) = (n / 256, n % 256);
                format!("not (src 10.{upper}.{lower}.0/24 and (tcp or port {n}))")
            },
            " and ",
        ),
        (
            "ports",
            |n| format!("(src port {} or vlan {})", 2 * n, n % 4096),
            " and ",
        ),
        (
            "MAC addresses",
            |n| {
                let (upper, lower) = (n / 256, n % 256);
                format!("(mac 02:00:00:00:{upper:02x}:{lower:02x} and (tcp or in))")
            },
            " or ",
        ),
    ];
    kinds
        .into_iter()
        .map(|(what, part, join)| (what, as_long_as(most, part, join)))
        .collect()
}

fn as_long_as(most: usize, part: Part, join: &str) -> KernelFilter {
    let of = |parts: usize| {
        let mut text = part(0);
        for n in 1..parts {
            let _ = write!(text, "{join}{}", part(n));
        }
        text.parse::<KernelFilter>().ok()
    };
    let mut parts = 16;
    let mut best = of(parts).expect("a filter");
    // It gets longer with every part, but not by the same always; and the text may get too long.
    let mut aim = most;
    for _ in 0..8 {
        let more = parts * aim / best.instructions();
        match of(more) {
            Some(filter) if filter.instructions() <= most => {
                (parts, best) = (more, filter);
            }
            _ => aim -= aim / 8,
        }
    }
    assert!(
        best.instructions() > most / 2 || best.text().len() > 40_000,
        "{} of {most} instructions",
        best.instructions()
    );
    best
}
