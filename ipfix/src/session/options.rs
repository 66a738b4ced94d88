//! What a session is made with.

use crate::wire::Protocol;

/// What a Transport Session is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionOptions {
    /// The protocol of all its messages.
    pub protocol: Protocol,
    /// The Observation Domain ID; in `NetFlow` v9 the Source ID; in `NetFlow` v5 the low 16 bits are
    /// the engine type (the higher octet) and the engine id.
    pub observation_domain: u32,
    /// The largest message in octets, without the headers of UDP and IP.
    pub max_message: u16,
    /// When sysUptime was zero, in milliseconds since 1970-01-01 UTC; used by `NetFlow`.
    ///
    /// The session rounds it down to a whole second. `NetFlow` v9 headers tell the time in whole
    /// seconds, from which collectors compute this instant again; only whole seconds survive that.
    pub system_init_ms: u64,
    /// The sequence number of the first message; 0 in a new session.
    pub first_sequence: u32,
    /// What carries the messages.
    pub transport: Transport,
    /// When templates are sent again.
    pub templates: TemplateSchedule,
}

impl SessionOptions {
    /// A session over UDP with messages of at most 1400 octets, which pass any usual path.
    pub const fn udp(protocol: Protocol, observation_domain: u32, system_init_ms: u64) -> Self {
        Self {
            protocol,
            observation_domain,
            max_message: 1400,
            system_init_ms,
            first_sequence: 0,
            transport: Transport::Unreliable,
            templates: TemplateSchedule::udp(),
        }
    }

    /// A session over a transport that delivers all octets in order, such as TCP, also under TLS
    /// (RFC 7011 sections 10.2 and 10.4): messages of any length, each template once.
    ///
    /// A connection that breaks ends the Transport Session: the next one needs a new
    /// [`Session`](crate::Session).
    pub const fn reliable(
        protocol: Protocol,
        observation_domain: u32,
        system_init_ms: u64,
    ) -> Self {
        Self {
            protocol,
            observation_domain,
            max_message: u16::MAX,
            system_init_ms,
            first_sequence: 0,
            transport: Transport::Reliable,
            templates: TemplateSchedule::once(),
        }
    }

    /// The session of a file (RFC 5655), which loses nothing either: the same as
    /// [`reliable`](Self::reliable).
    pub const fn file(protocol: Protocol, observation_domain: u32, system_init_ms: u64) -> Self {
        Self::reliable(protocol, observation_domain, system_init_ms)
    }
}

/// What carries the messages of a session: it decides how templates end (RFC 7011 section 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// Datagrams, which may be lost and overtake each other: UDP (RFC 7011 section 10.3). Templates
    /// are [retired](crate::Session::retire).
    Unreliable,
    /// A stream or a file, in which nothing is lost and all is in order: TCP, one stream of SCTP, or
    /// an IPFIX File (RFC 7011 sections 10.1 and 10.2, RFC 5655). Templates of IPFIX are
    /// [withdrawn](crate::Session::withdraw).
    Reliable,
}

/// When templates are sent (RFC 7011 section 8.4, RFC 3954 section 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TemplateSchedule {
    /// Copies sent at the start, the first of them in the first message. At least one goes always.
    pub copies: u8,
    /// A further copy at the start follows after this time, in milliseconds, ...
    pub copy_after_ms: u64,
    /// ... or after this many messages, whichever comes first.
    pub copy_after_messages: u64,
    /// From then on a copy follows after this time, in milliseconds, ...
    pub every_ms: Option<u64>,
    /// ... or after this many messages, whichever comes first.
    pub every_messages: Option<u64>,
}

impl TemplateSchedule {
    /// For transports that lose: twice at the start, half a second or 8 messages apart, so that one
    /// burst of loss does not take both; then every 60 seconds and every 4096 messages.
    pub const fn udp() -> Self {
        Self {
            copies: 2,
            copy_after_ms: 500,
            copy_after_messages: 8,
            every_ms: Some(60_000),
            every_messages: Some(4096),
        }
    }

    /// For reliable transports and files: once.
    pub const fn once() -> Self {
        Self {
            copies: 1,
            copy_after_ms: 0,
            copy_after_messages: 0,
            every_ms: None,
            every_messages: None,
        }
    }
}
