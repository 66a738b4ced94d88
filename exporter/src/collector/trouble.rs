//! What went wrong with what came in: counted, and told of in one line now and then.

use std::fmt::Write as _;
use std::net::SocketAddr;

use ipfix::{DecodeError, Decoded};

/// What went wrong and was not told of yet.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    garbage: u64,
    last_garbage: Option<(SocketAddr, DecodeError)>,
    broken: u64,
    last_broken: Option<(SocketAddr, String)>,
    unknown: u64,
    /// From whom, the domain and the id of the template.
    last_unknown: Option<(SocketAddr, u32, u16)>,
}

impl Trouble {
    /// Notes a datagram that is no message.
    pub fn garbage(&mut self, source: SocketAddr, error: &DecodeError) {
        self.garbage += 1;
        self.last_garbage = Some((source, *error));
    }

    /// Notes a connection that ended otherwise than in order.
    pub fn broken(&mut self, source: SocketAddr, reason: String) {
        self.broken += 1;
        self.last_broken = Some((source, reason));
    }

    /// Notes what of a message cannot be read.
    pub fn note(&mut self, source: SocketAddr, decoded: &Decoded<'_>) {
        if let Some(error) = decoded.errors().first() {
            self.garbage(source, error);
        }
        if let Some(set) = decoded.unknown().first() {
            let domain = decoded.header().observation_domain;
            self.unknown += decoded.unknown().len() as u64;
            self.last_unknown = Some((source, domain, set.template_id));
        }
    }

    /// Tells of what went wrong since the last time, in one line, if anything did.
    pub fn report(&mut self) {
        let trouble = std::mem::take(self);
        if let Some(line) = trouble.line() {
            tracing::warn!("{line}");
        }
    }

    /// One line; `None` if nothing went wrong.
    fn line(&self) -> Option<String> {
        let mut line = String::new();
        // Writing to a String cannot fail.
        if let Some((source, error)) = &self.last_garbage {
            let count = self.garbage;
            let _ = write!(
                line,
                "messages that cannot be read: {count} (the last from {source}: {error})"
            );
        }
        if let Some((source, reason)) = &self.last_broken {
            let (gap, count) = (if line.is_empty() { "" } else { "; " }, self.broken);
            let _ = write!(
                line,
                "{gap}connections that broke: {count} (the last from {source}: {reason})"
            );
        }
        if let Some((source, domain, template_id)) = &self.last_unknown {
            let (gap, count) = (if line.is_empty() { "" } else { "; " }, self.unknown);
            let _ = write!(
                line,
                "{gap}data sets whose template has not come yet: {count} (the last from {source}, \
                 domain {domain}, template {template_id})"
            );
        }
        (!line.is_empty()).then_some(line)
    }
}

#[cfg(test)]
mod tests {
    use ipfix::{Decoder, DecoderLimits};

    use super::*;

    #[test]
    fn trouble_is_told_once_in_one_line() {
        let source = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let mut decoder = Decoder::new(DecoderLimits::default());
        let mut trouble = Trouble::default();
        assert_eq!(trouble.line(), None);
        for (port, octets) in [(1, &b"x"[..]), (2, b"GET /")] {
            let error = decoder.decode(&port, octets).unwrap_err();
            trouble.garbage(source(port), &error);
        }
        // Domain 5, and a Data Set of template 256.
        let message = [
            0, 10, 0, 24, 0x6b, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 1, 0, 0, 8, 1, 1, 1, 0,
        ];
        let decoded = decoder.decode(&3, &message).unwrap();
        trouble.note(source(3), &decoded);
        trouble.broken(source(4), "it ended within a message".to_owned());
        assert_eq!(
            trouble.line().unwrap(),
            "messages that cannot be read: 2 (the last from 127.0.0.1:2: octet 0: message header: \
             version 18245 is not 10 (IPFIX), 9 (NetFlow v9) or 5 (NetFlow v5) (RFC 7011 section \
             3.1)); connections that broke: 1 (the last from 127.0.0.1:4: it ended within a message); data sets whose template has not come yet: 1 (the last from 127.0.0.1:3, domain \
             5, template 256)"
        );
        trouble.report();
        assert_eq!(trouble.line(), None);
    }
}
