//! Flow Records as they leave the meter: a flow, what was counted of it, and all that the kernel
//! does not know: the time of day, the interface's name, why the flow ended.
#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use ebpfix_probes::abi::{FlowId, FlowMetrics, FlowRecord, MacAddress, ShortRecord};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A Flow Record (RFC 7011 section 2), ready for export.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// The Flow Key.
    pub id: FlowId,
    /// What was counted.
    pub metrics: FlowMetrics,
    /// Time of day of the first packet (`flowStartMilliseconds` and its kin).
    pub time_flow_start: UnixTime,
    /// Time of day of the last packet (`flowEndMilliseconds` and its kin).
    pub time_flow_end: UnixTime,
    /// Name of the interface that saw the flow (`interfaceName`); empty where it is not known.
    pub interface: Arc<str>,
    /// Whether another interface, direction or VLAN of this host counts the same packets.
    pub duplicate: bool,
    /// Address of this exporter (`exporterIPv4Address`, `exporterIPv6Address`); unspecified where
    /// it is not known.
    pub agent_ip: IpAddr,
    /// Why the flow ended (`flowEndReason`).
    pub end_reason: FlowEndReason,
}

impl Record {
    /// The record of a flow whose counts were just read.
    ///
    /// `current_time` and `monotonic_current_time_ns` are one moment on the two clocks: the time of
    /// day, and the kernel's boot clock that also stamped `metrics`. The flow's times of day are
    /// reckoned from that moment, so that they fit each other whatever happened to the time of day
    /// since the packets came. A packet newer than the moment lies after it. A metric's time that is
    /// unset (0) takes the other one's place, and the moment itself if both are.
    ///
    /// Interface and agent stay unknown, `duplicate` false and the end reason
    /// [`ForcedEnd`](FlowEndReason::ForcedEnd): counts were taken from a flow that may go on.
    pub fn new(
        id: FlowId,
        metrics: FlowMetrics,
        current_time: UnixTime,
        monotonic_current_time_ns: u64,
    ) -> Self {
        let (start, end) = match (metrics.start_mono_time_ns, metrics.end_mono_time_ns) {
            (0, 0) => (monotonic_current_time_ns, monotonic_current_time_ns),
            (0, time) | (time, 0) => (time, time),
            (start, end) => (start, end.max(start)),
        };
        let time_of_day = |mono: u64| match monotonic_current_time_ns.checked_sub(mono) {
            Some(ago) => current_time.saturating_sub_ns(ago),
            None => current_time.saturating_add_ns(mono.abs_diff(monotonic_current_time_ns)),
        };
        Self {
            id,
            metrics,
            time_flow_start: time_of_day(start),
            time_flow_end: time_of_day(end),
            interface: Arc::default(),
            duplicate: false,
            agent_ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            end_reason: FlowEndReason::ForcedEnd,
        }
    }
}

/// Why a flow ended: the values of the IANA registry for `flowEndReason` (element 136).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum FlowEndReason {
    /// No packet came for the idle timeout.
    IdleTimeout = 1,
    /// The flow goes on, but its record was due.
    ActiveTimeout = 2,
    /// The end was seen: a TCP FIN or RST.
    EndOfFlow = 3,
    /// Something outside ended it: shutdown, an interface that went away, a hand-over.
    ForcedEnd = 4,
    /// Room was needed for other flows.
    LackOfResources = 5,
}

impl FlowEndReason {
    /// The value of `flowEndReason`.
    pub const fn value(self) -> u8 {
        self as u8
    }

    /// The reason of a value of `flowEndReason`; `None` for a value the registry does not have.
    pub const fn from_value(value: u8) -> Option<Self> {
        match value {
            1 => Some(Self::IdleTimeout),
            2 => Some(Self::ActiveTimeout),
            3 => Some(Self::EndOfFlow),
            4 => Some(Self::ForcedEnd),
            5 => Some(Self::LackOfResources),
            _ => None,
        }
    }
}

impl fmt::Display for FlowEndReason {
    /// The registry's words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IdleTimeout => "idle timeout",
            Self::ActiveTimeout => "active timeout",
            Self::EndOfFlow => "end of flow detected",
            Self::ForcedEnd => "forced end",
            Self::LackOfResources => "lack of resources",
        })
    }
}

/// A time of day: nanoseconds since 1970-01-01 00:00:00 UTC, leap seconds not counted.
///
/// It reaches from 1677-09-21 to 2262-04-11; all arithmetic stays at these ends.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct UnixTime(i64);

const NS_PER_MS: i64 = 1_000_000;
const NS_PER_S: i64 = 1_000_000_000;
const MS_PER_S: i64 = 1_000;
const S_PER_DAY: i64 = 86_400;

impl UnixTime {
    /// 1970-01-01 00:00:00 UTC.
    pub const EPOCH: Self = Self(0);

    /// The time this many nanoseconds after the epoch.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// The time this many milliseconds after the epoch, as `flowStartMilliseconds` has it.
    pub fn from_millis(millis: u64) -> Self {
        Self(
            i64::try_from(millis)
                .unwrap_or(i64::MAX)
                .saturating_mul(NS_PER_MS),
        )
    }

    /// Nanoseconds since the epoch; negative before it.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// Whole milliseconds since the epoch, rounded down; 0 before it, as the IPFIX type
    /// `dateTimeMilliseconds` has no time before it.
    pub fn millis(self) -> u64 {
        u64::try_from(self.0.div_euclid(NS_PER_MS)).unwrap_or(0)
    }

    /// Whole seconds since the epoch, rounded down; 0 before it.
    pub fn secs(self) -> u64 {
        u64::try_from(self.0.div_euclid(NS_PER_S)).unwrap_or(0)
    }

    /// The time `ns` later.
    #[must_use]
    pub const fn saturating_add_ns(self, ns: u64) -> Self {
        Self(self.0.saturating_add_unsigned(ns))
    }

    /// The time `ns` earlier.
    #[must_use]
    pub const fn saturating_sub_ns(self, ns: u64) -> Self {
        Self(self.0.saturating_sub_unsigned(ns))
    }
}

impl From<SystemTime> for UnixTime {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Self(i64::try_from(after.as_nanos()).unwrap_or(i64::MAX)),
            Err(before) => {
                Self(i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |ns| -ns))
            }
        }
    }
}

impl fmt::Display for UnixTime {
    /// RFC 3339, UTC, rounded down to milliseconds: `2026-11-24T16:07:00.123Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.div_euclid(NS_PER_MS);
        let (secs, millis) = (millis.div_euclid(MS_PER_S), millis.rem_euclid(MS_PER_S));
        let (days, secs) = (secs.div_euclid(S_PER_DAY), secs.rem_euclid(S_PER_DAY));
        let (year, month, day) = civil_from_days(days);
        let (hour, minute, second) = (secs / 3600, secs / 60 % 60, secs % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z"
        )
    }
}

/// A text that is not a time as [`UnixTime`] writes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnixTimeError;

impl fmt::Display for UnixTimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a UTC time with milliseconds, such as 2026-11-24T16:07:00.123Z")
    }
}

impl std::error::Error for UnixTimeError {}

impl FromStr for UnixTime {
    type Err = UnixTimeError;

    /// Reads what [`Display`](fmt::Display) writes, and only that.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const SHAPE: &[u8] = b"dddd-dd-ddTdd:dd:dd.dddZ";
        let mut numbers = [0_i64; 7];
        let mut at = 0;
        if text.len() != SHAPE.len() {
            return Err(UnixTimeError);
        }
        for (&shape, &found) in SHAPE.iter().zip(text.as_bytes()) {
            match shape {
                b'd' if found.is_ascii_digit() => {
                    numbers[at] = numbers[at] * 10 + i64::from(found - b'0');
                }
                b'd' => return Err(UnixTimeError),
                _ if shape == found => at += 1,
                _ => return Err(UnixTimeError),
            }
        }
        let [year, month, day, hour, minute, second, millis] = numbers;
        let days = days_from_civil(year, month, day);
        // Only a day that exists comes back the same.
        if civil_from_days(days) != (year, month, day) || hour > 23 || minute > 59 || second > 59 {
            return Err(UnixTimeError);
        }
        let secs = days * S_PER_DAY + hour * 3600 + minute * 60 + second;
        let millis = secs * MS_PER_S + millis;
        millis.checked_mul(NS_PER_MS).map(Self).ok_or(UnixTimeError)
    }
}

impl Serialize for UnixTime {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for UnixTime {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

const DAYS_PER_ERA: i64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01 in the proleptic Gregorian calendar.
const DAYS_TO_EPOCH: i64 = 719_468;

/// Year, month and day of the day this many days after 1970-01-01.
///
/// Years are reckoned from March, so that the leap day is a year's last, in eras of 400 years, after
/// which the Gregorian calendar repeats.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + DAYS_TO_EPOCH;
    let era = days.div_euclid(DAYS_PER_ERA);
    let day_of_era = days.rem_euclid(DAYS_PER_ERA);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months from March on are 31, 30, 31, 30, 31 days long, over and over: 153 in five.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

/// The inverse of [`civil_from_days`]; a day that does not exist gives that of some other.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * DAYS_PER_ERA + day_of_era - DAYS_TO_EPOCH
}

/// One flow as JSON: what `replay`, `collect` and `flows` print, one object a line.
///
/// The first group of fields is always there, `null` where the value is not known (a collector knows
/// what it was sent; a layer-2 flow has no addresses); a field of the second group is left out.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct FlowJson<'a> {
    /// Source address.
    pub src: Option<IpAddr>,
    /// Destination address.
    pub dst: Option<IpAddr>,
    /// `protocolIdentifier`.
    pub proto: Option<u8>,
    /// Source port.
    pub sport: Option<u16>,
    /// Destination port; of ICMP type * 256 + code.
    pub dport: Option<u16>,
    /// Packets.
    pub packets: Option<u64>,
    /// IP octets.
    pub bytes: Option<u64>,
    /// Time of the first packet, RFC 3339 with milliseconds, UTC.
    pub start: Option<UnixTime>,
    /// Time of the last packet.
    pub end: Option<UnixTime>,
    /// `tcpControlBits` as a number.
    pub tcp_flags: Option<u16>,
    /// `flowEndReason` as a number, see [`FlowEndReason`].
    pub end_reason: Option<u8>,
    /// `flowDirection`: 0 ingress, 1 egress.
    pub direction: Option<u8>,
    /// Index of the interface.
    pub if_index: Option<u32>,
    /// Source MAC address.
    pub src_mac: Option<MacAddress>,
    /// Destination MAC address.
    pub dst_mac: Option<MacAddress>,

    /// Name of the interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<Cow<'a, str>>,
    /// Identifier of the outer VLAN; 0: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    /// Identifier of the next VLAN inside; 0: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_vlan: Option<u16>,
    /// `ethernetType`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eth_type: Option<u16>,
    /// `ipClassOfService` of the first packet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tos: Option<u8>,
    /// `minimumTTL`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_ttl: Option<u8>,
    /// `maximumTTL`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_ttl: Option<u8>,
    /// Packets were counted 1 in this many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampling: Option<u32>,
    /// Whether the same packets are counted in another record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicate: Option<bool>,
    /// Address of the exporter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<IpAddr>,
    /// Packets times the sampling interval: an estimate of what there was. Where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packets_scaled: Option<u64>,
    /// IP octets times the sampling interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_scaled: Option<u64>,
}

impl FlowJson<'_> {
    /// Writes the object and a line feed.
    ///
    /// Fails when `writer` does.
    pub fn write_line(&self, mut writer: impl Write) -> io::Result<()> {
        serde_json::to_writer(&mut writer, self)?;
        writer.write_all(b"\n")
    }
}

impl From<&FlowId> for FlowJson<'_> {
    /// What a Flow Key tells by itself.
    fn from(id: &FlowId) -> Self {
        let ip = (!id.is_layer_2()).then_some(id);
        Self {
            src: ip.map(|id| id.src_ip.ip()),
            dst: ip.map(|id| id.dst_ip.ip()),
            proto: Some(id.transport_protocol),
            sport: Some(id.src_port),
            dport: Some(id.dst_port),
            direction: Some(id.direction),
            if_index: Some(id.if_index),
            src_mac: Some(id.src_mac),
            dst_mac: Some(id.dst_mac),
            vlan: Some(id.vlan_id),
            customer_vlan: Some(id.customer_vlan_id),
            eth_type: Some(id.eth_protocol),
            sampling: Some(id.sampling),
            ..Self::default()
        }
    }
}

impl<'a> From<&'a Record> for FlowJson<'a> {
    fn from(record: &'a Record) -> Self {
        let Record { id, metrics, .. } = record;
        let interface = (!record.interface.is_empty()).then_some(&*record.interface);
        Self {
            packets: Some(metrics.packets),
            bytes: Some(metrics.bytes),
            start: Some(record.time_flow_start),
            end: Some(record.time_flow_end),
            tcp_flags: Some(metrics.flags),
            end_reason: Some(record.end_reason.value()),
            interface: interface.map(Cow::Borrowed),
            tos: Some(metrics.tos),
            min_ttl: Some(metrics.min_ttl),
            max_ttl: Some(metrics.max_ttl),
            duplicate: Some(record.duplicate),
            agent: (!record.agent_ip.is_unspecified()).then_some(record.agent_ip),
            ..Self::from(id)
        }
    }
}

impl Serialize for Record {
    /// As [`FlowJson`].
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        FlowJson::from(self).serialize(s)
    }
}

/// Reading records one after the other from a byte stream.
pub trait ReadRecord: Sized {
    /// Reads one record: its fields in their order, numbers little-endian.
    ///
    /// Fails with [`ReadRecordError::Short`] when the input ends first; at the end of a stream of
    /// whole records `found` is then 0. A call that was interrupted is repeated.
    fn read_from(reader: impl Read) -> Result<Self, ReadRecordError>;
}

impl ReadRecord for FlowRecord {
    fn read_from(mut reader: impl Read) -> Result<Self, ReadRecordError> {
        let mut octets = [0; FlowRecord::BYTES];
        let mut found = 0;
        while found < octets.len() {
            match reader.read(&mut octets[found..]) {
                Ok(0) => break,
                Ok(more) => found += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(ReadRecordError::Io(error)),
            }
        }
        FlowRecord::from_le_octets(&octets[..found]).map_err(ReadRecordError::Short)
    }
}

/// Why no record was read.
#[derive(Debug)]
pub enum ReadRecordError {
    /// The input ended within the record.
    Short(ShortRecord),
    /// The input could not be read.
    Io(io::Error),
}

impl fmt::Display for ReadRecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short(short) => short.fmt(f),
            Self::Io(error) => write!(f, "cannot read a flow record: {error}"),
        }
    }
}

impl std::error::Error for ReadRecordError {}

#[cfg(test)]
mod tests {
    use super::*;
    use ebpfix_probes::abi::{DIRECTION_EGRESS, ETH_P_IP, IpAddress};
    use proptest::prelude::*;
    use std::time::Duration;

    const NOW: UnixTime = UnixTime::from_nanos(1_795_536_420_123_456_789);

    fn times(start: u64, end: u64) -> FlowMetrics {
        FlowMetrics {
            start_mono_time_ns: start,
            end_mono_time_ns: end,
            ..FlowMetrics::default()
        }
    }

    fn record() -> Record {
        let id = FlowId {
            src_ip: IpAddress::from_v4_octets([192, 0, 2, 1]),
            dst_ip: IpAddress::from_v4_octets([198, 51, 100, 7]),
            src_mac: MacAddress([2, 0, 0, 0, 0, 1]),
            dst_mac: MacAddress([2, 0, 0, 0, 0, 2]),
            src_port: 40_000,
            dst_port: 443,
            if_index: 3,
            eth_protocol: ETH_P_IP,
            vlan_id: 7,
            customer_vlan_id: 0,
            transport_protocol: 6,
            direction: DIRECTION_EGRESS,
            sampling: 1,
        };
        let metrics = FlowMetrics {
            packets: 10,
            bytes: 5_000,
            flags: 0x1b,
            tos: 0x10,
            min_ttl: 63,
            max_ttl: 64,
            ..times(4_000_000_000, 5_000_000_000)
        };
        Record {
            interface: "eth0".into(),
            agent_ip: IpAddr::from([203, 0, 113, 9]),
            end_reason: FlowEndReason::EndOfFlow,
            ..Record::new(id, metrics, NOW, 6_000_000_000)
        }
    }

    #[test]
    fn times_of_day_are_reckoned_back_from_now() {
        let record = Record::new(FlowId::default(), times(4_000, 5_000), NOW, 10_000);
        assert_eq!(record.time_flow_start.nanos(), NOW.nanos() - 6_000);
        assert_eq!(record.time_flow_end.nanos(), NOW.nanos() - 5_000);
    }

    #[test]
    fn a_packet_newer_than_now_lies_after_it() {
        let record = Record::new(FlowId::default(), times(9_000, 12_000), NOW, 10_000);
        assert_eq!(record.time_flow_start.nanos(), NOW.nanos() - 1_000);
        assert_eq!(record.time_flow_end.nanos(), NOW.nanos() + 2_000);
    }

    #[test]
    fn unset_times_take_the_other_one_or_now() {
        for (metrics, start, end) in [
            (times(0, 0), 0, 0),
            (times(0, 400), -600, -600),
            (times(400, 0), -600, -600),
            (times(400, 300), -600, -600),
        ] {
            let record = Record::new(FlowId::default(), metrics, NOW, 1_000);
            assert_eq!(record.time_flow_start.nanos() - NOW.nanos(), start);
            assert_eq!(record.time_flow_end.nanos() - NOW.nanos(), end);
        }
    }

    proptest! {
        #[test]
        fn any_clocks_give_an_ordered_record(
            start: u64, end: u64, now: i64, mono_now: u64
        ) {
            let now = UnixTime::from_nanos(now);
            let record = Record::new(FlowId::default(), times(start, end), now, mono_now);
            prop_assert!(record.time_flow_start <= record.time_flow_end);
            let exact = i128::from(now.nanos()) - i128::from(mono_now) + i128::from(start);
            let clamped = exact.clamp(i64::MIN.into(), i64::MAX.into());
            if start != 0 {
                prop_assert_eq!(i128::from(record.time_flow_start.nanos()), clamped);
            }
        }

        #[test]
        fn a_time_is_read_back_to_the_millisecond(nanos: i64) {
            let time = UnixTime::from_nanos(nanos);
            let shown = time.to_string();
            // The very first millisecond begins before the first nanosecond.
            if let Some(floor) = nanos.div_euclid(NS_PER_MS).checked_mul(NS_PER_MS) {
                prop_assert_eq!(shown.parse(), Ok(UnixTime::from_nanos(floor)));
            }
        }

        #[test]
        fn no_text_panics(text in proptest::string::string_regex("[-0-9TZ:.]{0,26}").unwrap()) {
            if let Ok(time) = text.parse::<UnixTime>() {
                prop_assert_eq!(time.to_string(), text);
            }
        }
    }

    #[test]
    fn times_are_shown_as_rfc_3339_has_them() {
        for (nanos, shown) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000_000_000, "2000-02-29T00:00:00.000Z"),
            (4_107_542_399_999_999_999, "2100-02-28T23:59:59.999Z"),
            (4_107_542_400_000_000_000, "2100-03-01T00:00:00.000Z"),
            (1_795_536_420_123_456_789, "2026-11-24T16:07:00.123Z"),
            (i64::MAX, "2262-04-11T23:47:16.854Z"),
            (i64::MIN, "1677-09-21T00:12:43.145Z"),
        ] {
            assert_eq!(UnixTime::from_nanos(nanos).to_string(), shown);
        }
        for wrong in [
            "2026-02-29T00:00:00.000Z",
            "2026-11-24T24:00:00.000Z",
            "2026-11-24 16:07",
        ] {
            assert_eq!(wrong.parse::<UnixTime>(), Err(UnixTimeError), "{wrong}");
        }
    }

    #[test]
    fn millis_and_seconds_round_down_and_know_no_time_before_the_epoch() {
        assert_eq!(NOW.millis(), 1_795_536_420_123);
        assert_eq!(NOW.secs(), 1_795_536_420);
        assert_eq!(UnixTime::from_nanos(-1).millis(), 0);
        assert_eq!(UnixTime::from_millis(u64::MAX).nanos(), i64::MAX);
        assert_eq!(UnixTime::from_millis(12).nanos(), 12_000_000);
    }

    #[test]
    fn system_times_of_any_year_are_taken() {
        let after = UNIX_EPOCH + Duration::from_nanos(1_500);
        let before = UNIX_EPOCH - Duration::from_nanos(1_500);
        assert_eq!(UnixTime::from(after).nanos(), 1_500);
        assert_eq!(UnixTime::from(before).nanos(), -1_500);
        let far = Duration::from_secs(20_000_000_000);
        assert_eq!(UnixTime::from(UNIX_EPOCH + far).nanos(), i64::MAX);
        assert_eq!(UnixTime::from(UNIX_EPOCH - far).nanos(), i64::MIN);
    }

    #[test]
    fn a_record_is_one_line_of_json() {
        let mut line = Vec::new();
        FlowJson::from(&record()).write_line(&mut line).unwrap();
        let expected = concat!(
            r#"{"src":"192.0.2.1","dst":"198.51.100.7","proto":6,"sport":40000,"dport":443,"#,
            r#""packets":10,"bytes":5000,"start":"2026-11-24T16:06:58.123Z","#,
            r#""end":"2026-11-24T16:06:59.123Z","tcp_flags":27,"end_reason":3,"direction":1,"#,
            r#""if_index":3,"src_mac":"02:00:00:00:00:01","dst_mac":"02:00:00:00:00:02","#,
            r#""interface":"eth0","vlan":7,"customer_vlan":0,"eth_type":2048,"tos":16,"#,
            r#""min_ttl":63,"max_ttl":64,"sampling":1,"duplicate":false,"agent":"203.0.113.9"}"#,
            "\n"
        );
        assert_eq!(String::from_utf8(line).unwrap(), expected);
        assert_eq!(
            serde_json::to_string(&record()).unwrap(),
            expected.trim_end()
        );
    }

    #[test]
    fn json_is_read_back() {
        let line = serde_json::to_string(&record()).unwrap();
        let flow: FlowJson<'_> = serde_json::from_str(&line).unwrap();
        // JSON holds times to the millisecond.
        let floor = |time: UnixTime| Some(UnixTime::from_millis(time.millis()));
        let record = record();
        let expected = FlowJson {
            start: floor(record.time_flow_start),
            end: floor(record.time_flow_end),
            ..FlowJson::from(&record)
        };
        assert_eq!(flow, expected);
    }

    #[test]
    fn the_unknown_is_null_or_left_out() {
        let line = serde_json::to_string(&FlowJson::default()).unwrap();
        assert_eq!(line.matches("null").count(), 15);
        assert!(!line.contains("interface") && !line.contains("duplicate"));

        let layer_2 = Record::new(FlowId::default(), FlowMetrics::default(), NOW, 0);
        let json = FlowJson::from(&layer_2);
        assert_eq!(
            (json.src, json.dst, json.interface, json.agent),
            (None, None, None, None)
        );
    }

    #[test]
    fn end_reasons_have_the_values_of_the_registry() {
        for value in 0..=u8::MAX {
            let reason = FlowEndReason::from_value(value);
            assert_eq!(reason.is_some(), (1..=5).contains(&value));
            assert!(reason.is_none_or(|reason| reason.value() == value));
        }
        assert_eq!(FlowEndReason::EndOfFlow.value(), 3);
    }

    /// A reader that gives a few octets at a time, and is interrupted before each.
    struct Slow<'a>(&'a [u8], bool);

    impl Read for Slow<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(ErrorKind::Interrupted.into());
            }
            let some = self.0.len().min(buf.len()).min(7);
            self.0.read(&mut buf[..some])
        }
    }

    #[test]
    fn records_are_read_from_a_stream_until_it_ends() {
        let mut octets = [0_u8; 2 * FlowRecord::BYTES + 50];
        octets[44..46].copy_from_slice(&443_u16.to_le_bytes());
        octets[FlowRecord::BYTES + 64] = 9;
        let mut reader = Slow(&octets, false);
        let first = FlowRecord::read_from(&mut reader).unwrap();
        assert_eq!((first.id.src_port, first.metrics.packets), (443, 0));
        let second = FlowRecord::read_from(&mut reader).unwrap();
        assert_eq!((second.id.src_port, second.metrics.packets), (0, 9));
        let error = FlowRecord::read_from(&mut reader).unwrap_err();
        assert_eq!(
            error.to_string(),
            "flow record ends after 50 of 104 octets: if_index is missing"
        );
        assert!(matches!(
            FlowRecord::read_from(&mut reader),
            Err(ReadRecordError::Short(ShortRecord { found: 0, .. }))
        ));
    }
}
