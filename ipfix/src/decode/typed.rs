//! A value as its element says, fit for printing.

use core::fmt::{self, Write as _};
use core::net::IpAddr;

use super::list::{BasicList, SubTemplateList, SubTemplateMultiList};
use super::value::Value;
use crate::element::AbstractType;

/// A value by the abstract data type of its element (RFC 7012 section 3.1).
///
/// `Display` prints it on one line: numbers in decimal, times as RFC 3339 has them, addresses as
/// usual, text with its control characters escaped, octets and lists in hexadecimal.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TypedValue<'a> {
    /// `unsigned8` to `unsigned64`, and `unsigned256` of at most 8 octets.
    Unsigned(u64),
    /// `unsigned256` of more than 8 octets, big endian.
    Unsigned256([u8; 32]),
    /// `signed8` to `signed64`.
    Signed(i64),
    /// `float32`, which keeps its value, and `float64`.
    Float(f64),
    /// `boolean`.
    Boolean(bool),
    /// `macAddress`.
    Mac([u8; 6]),
    /// `string`, up to the zeros that fill a fixed field.
    Text(&'a str),
    /// The four dateTime types.
    Time(DateTime),
    /// `ipv4Address` and `ipv6Address`.
    Ip(IpAddr),
    /// `basicList`.
    BasicList(BasicList<'a>, &'a [u8]),
    /// `subTemplateList`.
    SubTemplateList(SubTemplateList<'a>, &'a [u8]),
    /// `subTemplateMultiList`.
    SubTemplateMultiList(SubTemplateMultiList<'a>, &'a [u8]),
    /// `octetArray`; any value whose element is not known; any value that its type does not allow,
    /// for example a `boolean` of 3 or text that is not UTF-8.
    Octets(&'a [u8]),
}

/// An instant of one of the dateTime types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DateTime {
    seconds: u64,
    nanos: u32,
    decimals: u8,
}

impl<'a> Value<'a> {
    /// It by the type of its element.
    pub fn typed(&self) -> TypedValue<'a> {
        self.by_type().unwrap_or(TypedValue::Octets(self.octets()))
    }

    fn by_type(&self) -> Option<TypedValue<'a>> {
        use AbstractType as T;
        let data_type = self.field().element()?.data_type();
        let octets = self.octets();
        let natural = data_type.natural_length().map(usize::from);
        let fits = match natural {
            Some(natural) if data_type.is_integer() => (1..=natural).contains(&octets.len()),
            Some(natural) => {
                octets.len() == natural || (data_type == T::Float64 && octets.len() == 4)
            }
            None => true,
        };
        if !fits {
            return None;
        }
        Some(match data_type {
            T::Unsigned8 | T::Unsigned16 | T::Unsigned32 | T::Unsigned64 => {
                TypedValue::Unsigned(self.unsigned()?)
            }
            T::Unsigned256 => match self.unsigned() {
                Some(number) => TypedValue::Unsigned(number),
                None => TypedValue::Unsigned256(self.unsigned256()?),
            },
            T::Signed8 | T::Signed16 | T::Signed32 | T::Signed64 => {
                TypedValue::Signed(self.signed()?)
            }
            T::Float32 | T::Float64 => TypedValue::Float(self.float()?),
            T::Boolean => TypedValue::Boolean(self.boolean()?),
            T::MacAddress => TypedValue::Mac(self.mac_address()?),
            T::OctetArray => TypedValue::Octets(octets),
            T::String => TypedValue::Text(self.text()?),
            T::DateTimeSeconds
            | T::DateTimeMilliseconds
            | T::DateTimeMicroseconds
            | T::DateTimeNanoseconds => TypedValue::Time(self.date_time()?),
            T::Ipv4Address | T::Ipv6Address => TypedValue::Ip(self.ip_address()?),
            T::BasicList => TypedValue::BasicList(self.basic_list().ok()?, octets),
            T::SubTemplateList => {
                TypedValue::SubTemplateList(self.sub_template_list().ok()?, octets)
            }
            T::SubTemplateMultiList => {
                TypedValue::SubTemplateMultiList(self.sub_template_multi_list().ok()?, octets)
            }
        })
    }

    /// It as an instant, for the four dateTime types.
    pub fn date_time(&self) -> Option<DateTime> {
        const NANOS: u64 = 1_000_000_000;
        let (seconds, nanos, decimals) = match self.field().element()?.data_type() {
            AbstractType::DateTimeSeconds => (self.unsigned()?, 0, 0),
            AbstractType::DateTimeMilliseconds => {
                let millis = self.unsigned()?;
                (millis / 1000, millis % 1000 * 1_000_000, 3)
            }
            AbstractType::DateTimeMicroseconds => {
                let nanos = self.unix_ns()?;
                (nanos / NANOS, nanos % NANOS, 6)
            }
            AbstractType::DateTimeNanoseconds => {
                let nanos = self.unix_ns()?;
                (nanos / NANOS, nanos % NANOS, 9)
            }
            _ => return None,
        };
        Some(DateTime {
            seconds,
            nanos: u32::try_from(nanos).ok()?,
            decimals,
        })
    }
}

impl DateTime {
    /// Whole seconds since 1970-01-01 UTC.
    pub fn unix_seconds(&self) -> u64 {
        self.seconds
    }

    /// Nanoseconds beyond them.
    pub fn subsec_nanos(&self) -> u32 {
        self.nanos
    }
}

impl fmt::Display for DateTime {
    /// `2026-11-24T16:00:00.250Z`, with as many decimals as the type has.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DAY: u64 = 86_400;
        let (year, month, day) = civil(self.seconds / DAY);
        let second = self.seconds % DAY;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
        )?;
        let unit = 10_u32.pow(9 - u32::from(self.decimals.min(9)));
        match usize::from(self.decimals) {
            0 => {}
            width => write!(f, ".{:0width$}", self.nanos / unit)?,
        }
        f.write_char('Z')
    }
}

/// Year, month and day of the Gregorian calendar, of a day since 1970-01-01. Years are counted from
/// March, so that the day that may be missing is the last.
fn civil(day: u64) -> (u64, u64, u64) {
    const DAYS_OF_400_YEARS: u64 = 146_097;
    const DAYS_OF_100_YEARS: u64 = 36_524;
    const DAYS_OF_4_YEARS: u64 = 1_461;
    /// From 0000-03-01 to 1970-01-01.
    const TO_1970: u64 = 719_468;
    let day = day + TO_1970;
    let (era, day) = (day / DAYS_OF_400_YEARS, day % DAYS_OF_400_YEARS);
    let century = (day / DAYS_OF_100_YEARS).min(3);
    let day = day - century * DAYS_OF_100_YEARS;
    let (leap, day) = (day / DAYS_OF_4_YEARS, day % DAYS_OF_4_YEARS);
    let year = (day / 365).min(3);
    let day = day - year * 365;
    // From March on, five months have 153 days.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let year = era * 400 + century * 100 + leap * 4 + year;
    if month < 10 {
        (year, month + 3, day)
    } else {
        (year + 1, month - 9, day)
    }
}

impl fmt::Display for TypedValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned(number) => number.fmt(f),
            Self::Unsigned256(number) => decimal(*number, f),
            Self::Signed(number) => number.fmt(f),
            Self::Float(number) => number.fmt(f),
            Self::Boolean(truth) => truth.fmt(f),
            Self::Mac(address) => {
                for (at, octet) in address.iter().enumerate() {
                    let colon = if at == 0 { "" } else { ":" };
                    write!(f, "{colon}{octet:02x}")?;
                }
                Ok(())
            }
            Self::Text(text) => {
                for char in text.chars() {
                    if char.is_control() {
                        write!(f, "{}", char.escape_default())?;
                    } else {
                        f.write_char(char)?;
                    }
                }
                Ok(())
            }
            Self::Time(time) => time.fmt(f),
            Self::Ip(address) => address.fmt(f),
            Self::BasicList(_, octets)
            | Self::SubTemplateList(_, octets)
            | Self::SubTemplateMultiList(_, octets)
            | Self::Octets(octets) => {
                f.write_str("0x")?;
                octets.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
            }
        }
    }
}

/// Prints a big endian number by dividing it by ten as on paper.
fn decimal(mut number: [u8; 32], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    /// Digits of the largest.
    const DIGITS: usize = 78;
    let mut digits = [0_u8; DIGITS];
    let mut first = DIGITS - 1;
    for (at, digit) in digits.iter_mut().enumerate().rev() {
        let mut rest = 0_u16;
        for octet in &mut number {
            let part = rest << 8 | u16::from(*octet);
            *octet = u8::try_from(part / 10).unwrap_or(0);
            rest = part % 10;
        }
        *digit = u8::try_from(rest).unwrap_or(0);
        if *digit != 0 {
            first = at;
        }
    }
    let mut digits = digits.iter().skip(first);
    digits.try_for_each(|digit| write!(f, "{digit}"))
}
