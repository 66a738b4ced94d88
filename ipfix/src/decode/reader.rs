//! A place in a message.

use super::error::{DecodeError, Subject};

/// A place in a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    /// The message up to where may be read.
    pub(super) octets: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn rest(&self) -> &'a [u8] {
        self.octets.get(self.at..).unwrap_or_default()
    }

    pub(super) fn u8(&mut self, subject: Subject) -> Result<u8, DecodeError> {
        self.array(subject).map(|[octet]| octet)
    }

    pub(super) fn u16(&mut self, subject: Subject) -> Result<u16, DecodeError> {
        self.array(subject).map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self, subject: Subject) -> Result<u32, DecodeError> {
        self.array(subject).map(u32::from_be_bytes)
    }

    fn array<const N: usize>(&mut self, subject: Subject) -> Result<[u8; N], DecodeError> {
        let rest = self.rest();
        let octets =
            rest.first_chunk()
                .ok_or(DecodeError::truncated(subject, self.at, N, rest.len()))?;
        self.at += N;
        Ok(*octets)
    }

    /// A reader of the same message elsewhere.
    pub(super) fn seek(&self, at: usize) -> Self {
        Self { at, ..*self }
    }
}
