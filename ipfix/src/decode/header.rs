//! The header of a message.

use super::error::{DecodeError, DecodeErrorKind};
use super::reader::Reader;
use crate::wire::{Protocol, ipfix_header, v9_header};

/// The header of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The protocol, by the version number.
    pub protocol: Protocol,
    /// The length of the message in octets.
    pub length: usize,
    /// When it was exported, in seconds since 1970-01-01 UTC.
    pub export_time: u32,
    /// sysUptime in milliseconds; `NetFlow` v9 only.
    pub sys_uptime_ms: Option<u32>,
    /// The sequence number.
    pub sequence: u32,
    /// The Observation Domain ID or Source ID.
    pub observation_domain: u32,
    /// How many records the header announces; `NetFlow` v9 only, and often wrong.
    pub count: Option<u16>,
}

impl Header {
    /// When sysUptime was zero, in milliseconds since 1970-01-01 UTC, by a `NetFlow` v9 header. It
    /// is negative in headers that make no sense.
    pub fn system_init_ms(&self) -> Option<i64> {
        self.sys_uptime_ms
            .map(|uptime| i64::from(self.export_time) * 1000 - i64::from(uptime))
    }
}

pub(super) fn read_header(octets: &[u8]) -> Result<Header, DecodeError> {
    const WHAT: &str = "message header";
    let start = Reader { octets, at: 0 };
    let version = start.seek(0).u16(WHAT)?;
    let protocol = match version {
        version if version == Protocol::Ipfix.version() => Protocol::Ipfix,
        version if version == Protocol::NetflowV9.version() => Protocol::NetflowV9,
        version => {
            return Err(DecodeError {
                offset: 0,
                what: WHAT,
                kind: DecodeErrorKind::Version(version),
            });
        }
    };
    let header_length = protocol.header_length();
    if octets.len() < header_length {
        return Err(DecodeError::truncated(0, WHAT, header_length, octets.len()));
    }
    match protocol {
        Protocol::Ipfix => {
            let field = start.seek(ipfix_header::LENGTH_FIELD).u16(WHAT)?;
            let length = usize::from(field);
            if length < header_length {
                return Err(DecodeError {
                    offset: ipfix_header::LENGTH_FIELD,
                    what: WHAT,
                    kind: DecodeErrorKind::Length(field),
                });
            }
            if length > octets.len() {
                return Err(DecodeError::truncated(0, "message", length, octets.len()));
            }
            Ok(Header {
                protocol,
                length,
                export_time: start.seek(ipfix_header::EXPORT_TIME).u32(WHAT)?,
                sys_uptime_ms: None,
                sequence: start.seek(ipfix_header::SEQUENCE).u32(WHAT)?,
                observation_domain: start.seek(ipfix_header::DOMAIN).u32(WHAT)?,
                count: None,
            })
        }
        Protocol::NetflowV9 => Ok(Header {
            protocol,
            length: octets.len(),
            export_time: start.seek(v9_header::UNIX_SECS).u32(WHAT)?,
            sys_uptime_ms: Some(start.seek(v9_header::SYS_UPTIME).u32(WHAT)?),
            sequence: start.seek(v9_header::SEQUENCE).u32(WHAT)?,
            observation_domain: start.seek(v9_header::SOURCE_ID).u32(WHAT)?,
            count: Some(start.seek(v9_header::COUNT).u16(WHAT)?),
        }),
        Protocol::NetflowV5 => Err(DecodeError {
            offset: 0,
            what: WHAT,
            kind: DecodeErrorKind::Version(version),
        }),
    }
}
