//! One end of a connection by TLS.

use super::words;
use rustls::pki_types::ServerName;
use rustls::{
    ClientConfig, ClientConnection, Connection, Error, HandshakeKind, ProtocolVersion,
    ServerConfig, ServerConnection,
};
use std::io::{self, Read as _, Write as _};
use std::sync::Arc;

/// Turns octets into those that go over the connection, and back. All of it is in memory: who has the
/// socket carries them.
pub(crate) struct Layer {
    connection: Box<Connection>,
}

/// What was agreed on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Facts {
    /// `TLSv1.3` or `TLSv1.2`.
    pub(crate) version: String,
    /// By its name in IANA's registry.
    pub(crate) cipher: String,
}

/// Whether more may come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Heard {
    /// Perhaps.
    More,
    /// The other side has said that nothing will.
    End,
}

impl Layer {
    pub(super) fn client(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Self, Error> {
        Ok(Self::of(ClientConnection::new(config, name)?.into()))
    }

    /// The collector's end.
    pub(crate) fn server(config: Arc<ServerConfig>) -> io::Result<Self> {
        let connection = ServerConnection::new(config).map_err(|e| in_words(&e))?;
        Ok(Self::of(connection.into()))
    }

    fn of(mut connection: Connection) -> Self {
        // Who gives it octets takes them out at once.
        connection.set_buffer_limit(None);
        Self {
            connection: Box::new(connection),
        }
    }

    /// Whether nothing may be sent yet, for it is not known to whom.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Whether the other side is known to have taken what this one has shown. By TLS 1.3 a collector
    /// says so only in what it sends after the handshake.
    pub(crate) fn is_accepted(&self) -> bool {
        match &*self.connection {
            Connection::Client(client)
                if client.protocol_version() == Some(ProtocolVersion::TLSv1_3)
                    && client.handshake_kind() != Some(HandshakeKind::Resumed) =>
            {
                client.tls13_tickets_received() > 0
            }
            connection => !connection.is_handshaking(),
        }
    }

    /// What was agreed on, once it was.
    pub(crate) fn facts(&self) -> Option<Facts> {
        let version = self.connection.protocol_version()?;
        let suite = self.connection.negotiated_cipher_suite()?;
        let name = |name: Option<&str>, from, to| name.unwrap_or("unknown").replace(from, to);
        Some(Facts {
            version: name(version.as_str(), "TLSv1_", "TLSv1."),
            // The library tells those of TLS 1.3 apart by a name of its own.
            cipher: name(suite.suite().as_str(), "TLS13_", "TLS_"),
        })
    }

    /// Seals octets; what is to be sent goes to the end of `out`.
    pub(crate) fn seal(&mut self, octets: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        self.connection.writer().write_all(octets)?;
        self.take(out)
    }

    /// What the protocol itself has to say, to the end of `out`.
    pub(crate) fn take(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        while self.connection.wants_write() {
            self.connection.write_tls(out)?;
        }
        Ok(())
    }

    /// Takes octets that came over the connection; what was sealed in them goes to `plain`, and what the
    /// protocol answers to the end of `out`, also where this fails.
    pub(crate) fn open(
        &mut self,
        mut octets: &[u8],
        mut plain: impl FnMut(&[u8]),
        out: &mut Vec<u8>,
    ) -> io::Result<Heard> {
        while !octets.is_empty() {
            self.connection.read_tls(&mut octets)?;
            let processed = self.connection.process_new_packets();
            self.take(out)?;
            let state = processed.map_err(|e| in_words(&e))?;
            let mut buffer = [0; 4096];
            let mut left = state.plaintext_bytes_to_read();
            while left > 0 {
                let length = left.min(buffer.len());
                let read = self.connection.reader().read(&mut buffer[..length])?;
                plain(&buffer[..read]);
                left = if read == 0 { 0 } else { left - read };
            }
            if state.peer_has_closed() {
                return Ok(Heard::End);
            }
        }
        Ok(Heard::More)
    }

    /// Says that nothing more will come, to the end of `out`.
    pub(crate) fn close(&mut self, out: &mut Vec<u8>) {
        self.connection.send_close_notify();
        // Into memory: it cannot fail.
        let _ = self.take(out);
    }
}

fn in_words(error: &Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, words::of(error))
}
