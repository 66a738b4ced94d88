//! The octets of a capture, in a buffer that moves along the file.

use std::io::{self, ErrorKind, Read};

/// Octets that are read at once: few system calls, and they stay in the processor's cache until
/// they are looked at.
const CHUNK: usize = 1 << 18;

/// A stream of octets of which the next ones can be looked at.
pub(super) struct Source {
    input: Box<dyn Read>,
    buffer: Vec<u8>,
    begin: usize,
    end: usize,
    /// Where in the stream `begin` is.
    offset: u64,
    ended: bool,
}

impl Source {
    pub(super) fn new(input: Box<dyn Read>) -> Self {
        Self {
            input,
            buffer: vec![0; CHUNK],
            begin: 0,
            end: 0,
            offset: 0,
            ended: false,
        }
    }

    /// Where the next octet is, counted from the beginning.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Sees to it that `octets` can be looked at, or as many as there are before the end; says how
    /// many can.
    #[inline]
    pub(super) fn fill(&mut self, octets: usize) -> io::Result<usize> {
        let there = self.end - self.begin;
        if there >= octets {
            return Ok(there);
        }
        self.read(octets)
    }

    #[cold]
    fn read(&mut self, octets: usize) -> io::Result<usize> {
        self.buffer.copy_within(self.begin..self.end, 0);
        self.end -= self.begin;
        self.begin = 0;
        if self.buffer.len() < octets {
            self.buffer.resize(octets, 0);
        }
        while self.end < octets && !self.ended {
            match self.input.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.ended = true,
                Ok(more) => self.end += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.end)
    }

    /// The next octets, as far as they were filled.
    #[inline]
    pub(super) fn octets(&self) -> &[u8] {
        &self.buffer[self.begin..self.end]
    }

    /// Goes on behind octets that were filled.
    #[inline]
    pub(super) fn consume(&mut self, octets: usize) {
        let octets = octets.min(self.end - self.begin);
        self.begin += octets;
        self.offset += octets as u64;
    }

    /// Takes octets that were filled: goes on behind them, and gives them.
    #[inline]
    pub(super) fn take(&mut self, octets: usize) -> &[u8] {
        let from = self.begin;
        self.consume(octets);
        &self.buffer[from..self.begin]
    }

    /// Goes on behind `octets` that were not filled; says how many of them there were.
    pub(super) fn skip(&mut self, octets: u64) -> io::Result<u64> {
        let mut left = octets;
        while left > 0 {
            let there = self.fill(1)?;
            if there == 0 {
                break;
            }
            let step = usize::try_from(left).map_or(there, |left| left.min(there));
            self.consume(step);
            left -= step as u64;
        }
        Ok(octets - left)
    }
}
