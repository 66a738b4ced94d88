//! A place in a message.

use super::error::DecodeError;

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

    pub(super) fn u16(&mut self, what: &'static str) -> Result<u16, DecodeError> {
        self.array(what).map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        self.array(what).map(u32::from_be_bytes)
    }

    pub(super) fn array<const N: usize>(
        &mut self,
        what: &'static str,
    ) -> Result<[u8; N], DecodeError> {
        let rest = self.rest();
        let octets =
            rest.first_chunk()
                .ok_or(DecodeError::truncated(self.at, what, N, rest.len()))?;
        self.at += N;
        Ok(*octets)
    }

    /// A reader of the same message elsewhere.
    pub(super) fn seek(&self, at: usize) -> Self {
        Self { at, ..*self }
    }
}
