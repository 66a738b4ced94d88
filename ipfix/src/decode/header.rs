//! The header of a message.

use super::error::{DecodeError, DecodeErrorKind, Subject};
use super::reader::Reader;
use crate::netflow_v5::{NetflowV5Sampling, NetflowV5SamplingMode};
use crate::wire::{Protocol, ipfix_header, v5_header, v5_record, v9_header};

/// The header of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The protocol, by the version number.
    pub protocol: Protocol,
    /// The length of the message in octets.
    pub length: usize,
    /// When it was exported, in seconds since 1970-01-01 UTC.
    pub export_time: u32,
    /// What the export time has beyond the second, in nanoseconds; `NetFlow` v5 only.
    pub export_time_nanos: Option<u32>,
    /// sysUptime in milliseconds; `NetFlow` only.
    pub sys_uptime_ms: Option<u32>,
    /// The sequence number.
    pub sequence: u32,
    /// The Observation Domain ID or Source ID; in `NetFlow` v5 the engine type in bits 8 to 15 and
    /// the engine id in bits 0 to 7.
    pub observation_domain: u32,
    /// How many records the header announces; `NetFlow` only, and in version 9 often wrong.
    pub count: Option<u16>,
    /// What the header says of sampling; `NetFlow` v5 only. The mode 3, which means nothing, reads
    /// as none.
    pub sampling: Option<NetflowV5Sampling>,
}

impl Header {
    /// When sysUptime was zero, in milliseconds since 1970-01-01 UTC, by a `NetFlow` header. It is
    /// negative in headers that make no sense.
    pub fn system_init_ms(&self) -> Option<i64> {
        self.sys_uptime_ms
            .map(|uptime| self.export_time_ms().cast_signed() - i64::from(uptime))
    }

    /// When it was exported, in milliseconds since 1970-01-01 UTC; in `NetFlow` v5 exact, else the
    /// start of the second.
    pub fn export_time_ms(&self) -> u64 {
        let nanos = self.export_time_nanos.unwrap_or(0);
        u64::from(self.export_time) * 1000 + u64::from(nanos / 1_000_000)
    }
}

pub(super) fn read_header(octets: &[u8]) -> Result<Header, DecodeError> {
    let start = Reader { octets, at: 0 };
    let version = start.seek(0).u16(Subject::VERSION)?;
    let known = [Protocol::Ipfix, Protocol::NetflowV9, Protocol::NetflowV5];
    let Some(protocol) = known.into_iter().find(|known| known.version() == version) else {
        return Err(DecodeError::new(
            Subject::VERSION,
            0,
            DecodeErrorKind::Version(version),
        ));
    };
    let subject = Subject::header(protocol);
    let header_length = protocol.header_length();
    if octets.len() < header_length {
        return Err(DecodeError::truncated(
            subject,
            0,
            header_length,
            octets.len(),
        ));
    }
    let u16_at = |at| start.seek(at).u16(subject);
    let u32_at = |at| start.seek(at).u32(subject);
    match protocol {
        Protocol::Ipfix => {
            let field = u16_at(ipfix_header::LENGTH_FIELD)?;
            let length = usize::from(field);
            if length < header_length {
                return Err(DecodeError::new(
                    subject,
                    ipfix_header::LENGTH_FIELD,
                    DecodeErrorKind::Length(field),
                ));
            }
            if length > octets.len() {
                return Err(DecodeError::truncated(
                    Subject::message(protocol),
                    0,
                    length,
                    octets.len(),
                ));
            }
            Ok(Header {
                protocol,
                length,
                export_time: u32_at(ipfix_header::EXPORT_TIME)?,
                export_time_nanos: None,
                sys_uptime_ms: None,
                sequence: u32_at(ipfix_header::SEQUENCE)?,
                observation_domain: u32_at(ipfix_header::DOMAIN)?,
                count: None,
                sampling: None,
            })
        }
        Protocol::NetflowV9 => Ok(Header {
            protocol,
            length: octets.len(),
            export_time: u32_at(v9_header::UNIX_SECS)?,
            export_time_nanos: None,
            sys_uptime_ms: Some(u32_at(v9_header::SYS_UPTIME)?),
            sequence: u32_at(v9_header::SEQUENCE)?,
            observation_domain: u32_at(v9_header::SOURCE_ID)?,
            count: Some(u16_at(v9_header::COUNT)?),
            sampling: None,
        }),
        Protocol::NetflowV5 => {
            let count = u16_at(v5_header::COUNT)?;
            if count > v5_record::MAX_COUNT {
                return Err(DecodeError::new(
                    subject,
                    v5_header::COUNT,
                    DecodeErrorKind::RecordCount(count),
                ));
            }
            let announced = header_length + usize::from(count) * v5_record::LENGTH;
            Ok(Header {
                protocol,
                length: announced.min(octets.len()),
                export_time: u32_at(v5_header::UNIX_SECS)?,
                export_time_nanos: Some(u32_at(v5_header::UNIX_NSECS)?),
                sys_uptime_ms: Some(u32_at(v5_header::SYS_UPTIME)?),
                sequence: u32_at(v5_header::SEQUENCE)?,
                observation_domain: u16_at(v5_header::ENGINE)?.into(),
                count: Some(count),
                sampling: Some(sampling(u16_at(v5_header::SAMPLING)?)),
            })
        }
    }
}

fn sampling(wire: u16) -> NetflowV5Sampling {
    let mode = match wire >> 14 {
        1 => NetflowV5SamplingMode::Deterministic,
        2 => NetflowV5SamplingMode::Random,
        _ => NetflowV5SamplingMode::None,
    };
    let interval = wire & NetflowV5Sampling::MAX_INTERVAL;
    NetflowV5Sampling::new(mode, interval).unwrap_or_default()
}
