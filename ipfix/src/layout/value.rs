//! Values as octets.

use crate::element::{AbstractType, Element, Semantics};
use crate::wire::low32;

/// Whether columns of unsigned integers take the element.
pub(super) fn takes_unsigned(element: Element) -> bool {
    let data_type = element.data_type();
    data_type.is_unsigned()
        || matches!(
            data_type,
            AbstractType::DateTimeSeconds | AbstractType::DateTimeMilliseconds
        )
}

/// Whether too large a value is cut to its low bits, instead of becoming the largest that fits: sets
/// of flags, and seconds, which count modulo 2^32 (RFC 7011 section 5.2).
pub(super) fn low_bits_only(element: Element) -> bool {
    element.semantics() == Semantics::Flags || element.data_type() == AbstractType::DateTimeSeconds
}

/// The low `N` octets of a value, which is first brought into their range.
pub(super) fn reduced<const N: usize>(value: u64, low_bits: bool) -> [u8; N] {
    let fits = match N {
        0..8 => value >> (8 * N) == 0,
        _ => true,
    };
    if fits || low_bits {
        low_octets(value)
    } else {
        [0xff; N]
    }
}

pub(super) fn reduced_signed<const N: usize>(value: i64) -> [u8; N] {
    let value = match N {
        1..8 => {
            let max = (1_i64 << (8 * N - 1)) - 1;
            value.clamp(-max - 1, max)
        }
        _ => value,
    };
    low_octets(value.cast_unsigned())
}

fn low_octets<const N: usize>(value: u64) -> [u8; N] {
    value.to_be_bytes().last_chunk().copied().unwrap_or([0; N])
}

/// Nanoseconds since 1970 as seconds and 2^-32 fractions since 1900, modulo the NTP era.
///
/// The fraction is rounded up, so that reading it back in nanoseconds by cutting off gives the same.
pub(super) fn ntp_timestamp(unix_ns: u64) -> u64 {
    const NANOS: u64 = 1_000_000_000;
    let seconds = low32(unix_ns / NANOS + NTP_UNIX_OFFSET);
    let fraction = ((unix_ns % NANOS) << 32).div_ceil(NANOS);
    (u64::from(seconds) << 32) | fraction
}

/// The same for whole microseconds with the last 11 bits zero, as RFC 7011 section 6.1.9 wants:
/// the step of 0.48 us is rounded up, so that cutting off to microseconds gives the same again.
pub(super) fn ntp_microseconds(unix_ns: u64) -> u64 {
    const UNUSED_BITS: u64 = 0x7ff;
    (ntp_timestamp(unix_ns - unix_ns % 1_000) + UNUSED_BITS) & !UNUSED_BITS
}

/// Seconds from the NTP epoch, 1900, to the Unix epoch.
const NTP_UNIX_OFFSET: u64 = 2_208_988_800;
