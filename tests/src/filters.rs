//! Filters as long as they may be, of every kind of test: what is hardest for a kernel's verifier.

use std::fmt::Write as _;

use ebpfix::filter::KernelFilter;
use ebpfix::filter::kernel::MAX_INSTRUCTIONS;

/// One of many that are much alike.
type Part = fn(usize) -> String;

/// Each with what it is made of.
///
/// # Panics
/// Where one is no filter.
pub fn longest() -> Vec<(&'static str, KernelFilter)> {
    let kinds: [(&str, Part, &str); 6] = [
        (
            "networks of IPv4",
            |n| format!("{}.{}.{}.0/24", 1 + n / 8192, n / 32 % 256, n % 32 * 8),
            ",",
        ),
        ("addresses of IPv6", |n| format!("2001:db8::{n:x}:0:1"), ","),
        // Nothing that becomes one set.
        (
            "pairs",
            |n| {
                let n = n % 60_000;
                format!("src port {n} and dst {}.0.0.0/8 and udp", 1 + n % 200)
            },
            " or ",
        ),
        (
            "denials",
            |n| {
                let n = n % 60_000;
                format!(
                    "not (src 10.{}.{}.0/24 and (tcp or port {n}))",
                    n / 256,
                    n % 256
                )
            },
            " and ",
        ),
        (
            "ports",
            |n| format!("(src port {} or vlan {})", 2 * (n % 30_000), n % 4096),
            " and ",
        ),
        (
            "MAC addresses",
            |n| {
                format!(
                    "(mac 02:00:00:00:{:02x}:{:02x} and (tcp or in))",
                    n / 256,
                    n % 256
                )
            },
            " or ",
        ),
    ];
    kinds
        .into_iter()
        .map(|(what, part, join)| (what, as_long_as_can_be(part, join)))
        .collect()
}

/// By halves: the largest number of parts that is still a filter.
fn as_long_as_can_be(part: Part, join: &str) -> KernelFilter {
    let of = |count: usize| {
        let mut text = part(0);
        for n in 1..count {
            let _ = write!(text, "{join}{}", part(n));
        }
        text.parse::<KernelFilter>()
    };
    let (mut least, mut most) = (1, MAX_INSTRUCTIONS);
    while least + 1 < most {
        let middle = usize::midpoint(least, most);
        if of(middle).is_ok() {
            least = middle;
        } else {
            most = middle;
        }
    }
    of(least).expect("a filter")
}
