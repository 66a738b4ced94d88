//! One value of a record, by its type.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::header::Header;
use super::template::Field;
use crate::element::AbstractType;
use crate::elements;
use crate::wire::low32;

/// One value of a record.
///
/// The readings go by the octets: a value of 4 octets can be read as a number as well as an
/// address. Only those of times, and [`typed`](Self::typed), go by the element's type.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a> {
    field: &'a Field,
    octets: &'a [u8],
    clock: Clock,
}

impl<'a> Value<'a> {
    #[inline]
    pub(super) fn new(field: &'a Field, octets: &'a [u8], clock: Clock) -> Self {
        Self {
            field,
            octets,
            clock,
        }
    }

    /// Its field.
    #[inline]
    pub fn field(&self) -> &'a Field {
        self.field
    }

    /// It as received, without the length prefix of a variable field.
    #[inline]
    pub fn octets(&self) -> &'a [u8] {
        self.octets
    }

    pub(super) fn clock(&self) -> Clock {
        self.clock
    }

    /// It as an unsigned integer of 1 to 8 octets.
    #[inline]
    pub fn unsigned(&self) -> Option<u64> {
        match self.octets.len() {
            1 => self.octets.first().map(|&octet| octet.into()),
            2 => self.array().map(|octets| u16::from_be_bytes(octets).into()),
            4 => self.array().map(|octets| u32::from_be_bytes(octets).into()),
            8 => self.array().map(u64::from_be_bytes),
            _ => unsigned_of_odd_length(self.octets),
        }
    }

    #[inline]
    fn array<const N: usize>(&self) -> Option<[u8; N]> {
        self.octets.try_into().ok()
    }

    /// It as an unsigned integer of 1 to 32 octets (`unsigned256`), in 32 octets, big endian.
    pub fn unsigned256(&self) -> Option<[u8; 32]> {
        let mut number = [0; 32];
        let start = number.len().checked_sub(self.octets.len())?;
        if self.octets.is_empty() {
            return None;
        }
        number.get_mut(start..)?.copy_from_slice(self.octets);
        Some(number)
    }

    /// It as a signed integer of 1 to 8 octets.
    #[inline]
    pub fn signed(&self) -> Option<i64> {
        let unused = 64 - 8 * u32::try_from(self.octets.len()).ok()?.min(8);
        self.unsigned()
            .map(|value| (value << unused).cast_signed() >> unused)
    }

    /// It as a binary32 or binary64.
    #[inline]
    pub fn float(&self) -> Option<f64> {
        if let Some(octets) = self.array() {
            return Some(f32::from_be_bytes(octets).into());
        }
        self.array().map(f64::from_be_bytes)
    }

    /// It as a boolean (RFC 7011 section 6.1.5).
    #[inline]
    pub fn boolean(&self) -> Option<bool> {
        match self.octets {
            [1] => Some(true),
            [2] => Some(false),
            _ => None,
        }
    }

    /// It as an address, of 4 or of 16 octets.
    #[inline]
    pub fn ip_address(&self) -> Option<IpAddr> {
        if let Some(octets) = self.array::<4>() {
            return Some(Ipv4Addr::from(octets).into());
        }
        self.array::<16>()
            .map(|octets| Ipv6Addr::from(octets).into())
    }

    /// It as a MAC address.
    #[inline]
    pub fn mac_address(&self) -> Option<[u8; 6]> {
        self.array()
    }

    /// It as text, up to the zeros that fill a fixed field; `None` if it is not UTF-8.
    pub fn text(&self) -> Option<&'a str> {
        core::str::from_utf8(self.octets)
            .ok()
            .map(|text| text.trim_end_matches('\0'))
    }

    /// It as a time in milliseconds since 1970-01-01 UTC, by the element's type: the four dateTime
    /// types, and the sysUptime times 21 and 22. Those are known in `NetFlow`, whose header says
    /// what sysUptime is, and in IPFIX where systemInitTimeMilliseconds (160) is in the record or
    /// came as options data before it. `None` for other elements, and for times before 1970.
    #[inline]
    pub fn unix_ms(&self) -> Option<u64> {
        let element = self.field.element()?;
        match element.data_type() {
            AbstractType::DateTimeMilliseconds => self.unsigned(),
            AbstractType::DateTimeSeconds => self.unsigned()?.checked_mul(1000),
            AbstractType::DateTimeMicroseconds => {
                Some(ntp_ns(self.array()?, MICROSECONDS_MASK) / 1_000_000)
            }
            AbstractType::DateTimeNanoseconds => Some(ntp_ns(self.array()?, !0) / 1_000_000),
            _ if self.field.is(&elements::FLOW_START_SYS_UP_TIME)
                || self.field.is(&elements::FLOW_END_SYS_UP_TIME)
                || self.field.is(&REVERSE_START)
                || self.field.is(&REVERSE_END) =>
            {
                self.clock.unix_ms(u32::try_from(self.unsigned()?).ok()?)
            }
            _ => None,
        }
    }

    /// It as a time in nanoseconds since 1970-01-01 UTC, as [`unix_ms`](Self::unix_ms). NTP times
    /// before 1970 belong to the era that begins in 2036; the 11 bits of dateTimeMicroseconds that
    /// carry nothing are ignored (RFC 7011 section 6.1.9). `None` for times after the year 2554.
    pub fn unix_ns(&self) -> Option<u64> {
        match self.field.element()?.data_type() {
            AbstractType::DateTimeMicroseconds => Some(ntp_ns(self.array()?, MICROSECONDS_MASK)),
            AbstractType::DateTimeNanoseconds => Some(ntp_ns(self.array()?, !0)),
            _ => self.unix_ms()?.checked_mul(1_000_000),
        }
    }
}

/// The bits of an NTP fraction that count in dateTimeMicroseconds (RFC 7011 section 6.1.9).
const MICROSECONDS_MASK: u32 = !0x7ff;

// The rare readings take the octets: a value whose address is needed would have to be in memory.

fn unsigned_of_odd_length(octets: &[u8]) -> Option<u64> {
    if octets.is_empty() || octets.len() > size_of::<u64>() {
        return None;
    }
    Some(
        octets
            .iter()
            .fold(0, |value, &octet| value << 8 | u64::from(octet)),
    )
}

/// Nanoseconds since 1970 of an NTP timestamp, of whose fraction the bits of `mask` count.
fn ntp_ns(octets: [u8; 8], mask: u32) -> u64 {
    const NTP_UNIX_OFFSET: u64 = 2_208_988_800;
    const NANOS: u64 = 1_000_000_000;
    let ntp = u64::from_be_bytes(octets);
    let seconds = ntp >> 32;
    let fraction = u64::from(low32(ntp) & mask);
    let unix_seconds = match seconds.checked_sub(NTP_UNIX_OFFSET) {
        Some(seconds) => seconds,
        None => seconds + (1 << 32) - NTP_UNIX_OFFSET,
    };
    unix_seconds * NANOS + ((fraction * NANOS) >> 32)
}

const REVERSE_START: crate::Element = elements::FLOW_START_SYS_UP_TIME.reverse();
const REVERSE_END: crate::Element = elements::FLOW_END_SYS_UP_TIME.reverse();

/// Two readings of the same instant, from which sysUptime times are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clock {
    export_ms: u64,
    /// sysUptime at the export time.
    uptime_ms: u32,
    source: ClockSource,
}

/// A number and no `enum`, so that a clock is copied whole: each value has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ClockSource(u32);

impl ClockSource {
    const UNKNOWN: Self = Self(0);
    /// When the system started.
    const SYSTEM_INIT: Self = Self(1);
    /// The header says what sysUptime is.
    const HEADER: Self = Self(2);
}

impl Clock {
    pub(super) fn of(header: &Header) -> Self {
        Self {
            export_ms: header.export_time_ms(),
            uptime_ms: header.sys_uptime_ms.unwrap_or(0),
            source: match header.sys_uptime_ms {
                Some(_) => ClockSource::HEADER,
                None => ClockSource::UNKNOWN,
            },
        }
    }

    /// The clock by when sysUptime was zero, unless the header knows better.
    #[inline]
    pub(super) fn since(self, system_init_ms: Option<u64>) -> Self {
        match system_init_ms {
            Some(init) if self.source != ClockSource::HEADER => Self {
                uptime_ms: low32(self.export_ms.wrapping_sub(init)),
                source: ClockSource::SYSTEM_INIT,
                ..self
            },
            _ => self,
        }
    }

    /// sysUptime wraps every 49.7 days: of all times with this uptime, the one nearest to the
    /// export time.
    fn unix_ms(self, uptime: u32) -> Option<u64> {
        if self.source == ClockSource::UNKNOWN {
            return None;
        }
        let difference = uptime.wrapping_sub(self.uptime_ms).cast_signed();
        self.export_ms.checked_add_signed(difference.into())
    }
}
