//! One value of a record, by its type.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::header::Header;
use super::template::Field;
use crate::element::AbstractType;
use crate::elements;

/// One value of a record.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a> {
    pub(super) field: &'a Field,
    pub(super) octets: &'a [u8],
    pub(super) uptime: Option<Uptime>,
}

impl<'a> Value<'a> {
    /// Its field.
    pub fn field(&self) -> &'a Field {
        self.field
    }

    /// It as received, without the length prefix of a variable field.
    pub fn octets(&self) -> &'a [u8] {
        self.octets
    }

    /// It as an unsigned integer of 1 to 8 octets.
    pub fn unsigned(&self) -> Option<u64> {
        if self.octets.is_empty() || self.octets.len() > size_of::<u64>() {
            return None;
        }
        Some(
            self.octets
                .iter()
                .fold(0, |value, &octet| value << 8 | u64::from(octet)),
        )
    }

    /// It as a signed integer of 1 to 8 octets.
    pub fn signed(&self) -> Option<i64> {
        let unused = 64 - 8 * u32::try_from(self.octets.len()).ok()?.min(8);
        self.unsigned()
            .map(|value| (value << unused).cast_signed() >> unused)
    }

    /// It as a binary32 or binary64.
    pub fn float(&self) -> Option<f64> {
        if let Ok(octets) = self.octets.try_into() {
            return Some(f32::from_be_bytes(octets).into());
        }
        self.octets.try_into().ok().map(f64::from_be_bytes)
    }

    /// It as a boolean (RFC 7011 section 6.1.5).
    pub fn boolean(&self) -> Option<bool> {
        match self.octets {
            [1] => Some(true),
            [2] => Some(false),
            _ => None,
        }
    }

    /// It as an address, of 4 or of 16 octets.
    pub fn ip_address(&self) -> Option<IpAddr> {
        if let Ok(octets) = <[u8; 4]>::try_from(self.octets) {
            return Some(Ipv4Addr::from(octets).into());
        }
        let octets = <[u8; 16]>::try_from(self.octets).ok()?;
        Some(Ipv6Addr::from(octets).into())
    }

    /// It as a MAC address.
    pub fn mac_address(&self) -> Option<[u8; 6]> {
        self.octets.try_into().ok()
    }

    /// It as text, up to the zeros that fill a fixed field; `None` if it is not UTF-8.
    pub fn text(&self) -> Option<&'a str> {
        core::str::from_utf8(self.octets)
            .ok()
            .map(|text| text.trim_end_matches('\0'))
    }

    /// It as a time in milliseconds since 1970-01-01 UTC, by the element's type: the four dateTime
    /// types and, in `NetFlow` v9, the sysUptime times 21 and 22. `None` for other elements, and for
    /// times before 1970.
    pub fn unix_ms(&self) -> Option<u64> {
        let element = self.field.element()?;
        match element.data_type() {
            AbstractType::DateTimeMilliseconds => self.unsigned(),
            AbstractType::DateTimeSeconds => self.unsigned()?.checked_mul(1000),
            AbstractType::DateTimeMicroseconds | AbstractType::DateTimeNanoseconds => {
                Some(self.unix_ns()? / 1_000_000)
            }
            _ if element.id() == elements::FLOW_START_SYS_UP_TIME.id()
                || element.id() == elements::FLOW_END_SYS_UP_TIME.id() =>
            {
                self.uptime?.unix_ms(u32::try_from(self.unsigned()?).ok()?)
            }
            _ => None,
        }
    }

    /// It as a time in nanoseconds since 1970-01-01 UTC, for dateTimeMicroseconds and
    /// dateTimeNanoseconds. NTP times before 1970 belong to the era that begins in 2036.
    pub fn unix_ns(&self) -> Option<u64> {
        const NTP_UNIX_OFFSET: u32 = 2_208_988_800;
        const NANOS: u64 = 1_000_000_000;
        let (seconds, fraction) = self.octets.split_first_chunk::<4>()?;
        let fraction = u32::from_be_bytes(fraction.try_into().ok()?);
        let seconds = u32::from_be_bytes(*seconds);
        let unix_seconds = if seconds >= NTP_UNIX_OFFSET {
            u64::from(seconds - NTP_UNIX_OFFSET)
        } else {
            u64::from(seconds) + (1 << 32) - u64::from(NTP_UNIX_OFFSET)
        };
        Some(unix_seconds * NANOS + ((u64::from(fraction) * NANOS) >> 32))
    }
}

/// Two readings of the same instant, from a `NetFlow` v9 header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Uptime {
    export_time: u32,
    sys_uptime_ms: u32,
}

impl Uptime {
    pub(super) fn of(header: &Header) -> Option<Self> {
        header.sys_uptime_ms.map(|sys_uptime_ms| Self {
            export_time: header.export_time,
            sys_uptime_ms,
        })
    }

    /// sysUptime wraps every 49.7 days: of all times with this uptime, the one nearest to the
    /// header's.
    fn unix_ms(self, uptime: u32) -> Option<u64> {
        let difference = uptime.wrapping_sub(self.sys_uptime_ms).cast_signed();
        u64::try_from(i64::from(self.export_time) * 1000 + i64::from(difference)).ok()
    }
}
