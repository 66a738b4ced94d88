//! From octets to messages.

use core::fmt;
use std::io::{self, ErrorKind, Read};

use crate::wire::{Protocol, ipfix_header};

/// Cuts a stream of octets, a TCP connection or a file, into IPFIX Messages (RFC 7011 section 3.1,
/// RFC 5655 section 7). It does no I/O.
///
/// It holds no more than two messages of the largest size.
#[derive(Debug, Default)]
pub struct Framer {
    buffer: Vec<u8>,
    /// Where in the buffer the next message begins.
    at: usize,
    /// Where that is in the stream.
    offset: u64,
    /// Between two calls of `resynchronize`.
    searching: bool,
}

impl Framer {
    /// A framer at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes octets of the stream, as many as it has room for, and says how many.
    ///
    /// It has room for one octet at least whenever [`next_message`](Self::next_message) found no
    /// message.
    pub fn push(&mut self, octets: &[u8]) -> usize {
        let taken = octets.get(..self.room()).unwrap_or(octets);
        self.buffer.drain(..self.at);
        self.at = 0;
        self.buffer.extend_from_slice(taken);
        taken.len()
    }

    /// The next message; `None` where more octets are needed for it.
    ///
    /// # Errors
    /// What comes next is no message. The error stays until
    /// [`resynchronize`](Self::resynchronize) passes over it.
    pub fn next_message(&mut self) -> Result<Option<FileMessage<'_>>, FrameError> {
        Ok(self.next_length()?.map(|length| self.take(length)))
    }

    /// Says that the stream has ended.
    ///
    /// # Errors
    /// It ended in the middle of a message.
    pub fn finish(&self) -> Result<(), FrameError> {
        let rest = self.rest();
        if rest.is_empty() {
            return Ok(());
        }
        let needed = match self.next_length()? {
            // A whole message was not fetched.
            Some(_) => return Ok(()),
            None => length_field(rest).map_or(ipfix_header::LENGTH, usize::from),
        };
        Err(self.error(FrameErrorKind::Truncated {
            needed,
            available: rest.len(),
        }))
    }

    /// After an error, looks for the next message by the rule of RFC 5655 section 10.3: a version
    /// number whose message is followed by another version number, or by the end of the stream.
    /// Random octets look like that once in 2^32 times.
    ///
    /// `ended` says that nothing more comes. False means that more octets are needed or, if the
    /// stream has ended, that there is no further message.
    pub fn resynchronize(&mut self, ended: bool) -> bool {
        if !self.searching {
            self.searching = true;
            self.skip(1);
        }
        loop {
            let rest = self.rest();
            let Some(candidate) = rest.windows(2).position(|pair| pair == VERSION) else {
                // Half a version number may end what there is.
                let half = !ended && rest.last() == VERSION.first();
                self.skip(rest.len() - usize::from(half));
                return false;
            };
            self.skip(candidate);
            let rest = self.rest();
            let length = match length_field(rest).map(usize::from) {
                Some(length) if length >= ipfix_header::LENGTH => length,
                None if !ended => return false,
                _ => {
                    self.skip(VERSION.len());
                    continue;
                }
            };
            match rest.get(length..) {
                Some([]) if ended => break,
                Some(after) if after.starts_with(&VERSION) => break,
                None | Some([] | [_]) if !ended => return false,
                _ => self.skip(VERSION.len()),
            }
        }
        self.searching = false;
        true
    }

    /// Where in the stream the next message, or what is none, begins.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The length of the next message if it is there as a whole.
    fn next_length(&self) -> Result<Option<usize>, FrameError> {
        let rest = self.rest();
        let Some(version) = rest.first_chunk() else {
            return Ok(None);
        };
        if *version != VERSION {
            return Err(self.error(FrameErrorKind::Version(u16::from_be_bytes(*version))));
        }
        let Some(length) = length_field(rest) else {
            return Ok(None);
        };
        if usize::from(length) < ipfix_header::LENGTH {
            return Err(self.error(FrameErrorKind::Length(length)));
        }
        let length = usize::from(length);
        Ok((rest.len() >= length).then_some(length))
    }

    fn take(&mut self, length: usize) -> FileMessage<'_> {
        let (offset, at) = (self.offset, self.at);
        self.skip(length);
        FileMessage {
            offset,
            octets: self.buffer.get(at..self.at).unwrap_or_default(),
        }
    }

    fn skip(&mut self, octets: usize) {
        let octets = octets.min(self.rest().len());
        self.at += octets;
        self.offset += octets as u64;
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.at..).unwrap_or_default()
    }

    fn room(&self) -> usize {
        MAX_BUFFERED.saturating_sub(self.rest().len())
    }

    fn error(&self, kind: FrameErrorKind) -> FrameError {
        FrameError {
            offset: self.offset,
            kind,
        }
    }
}

/// A message and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileMessage<'a> {
    /// Where it begins, in octets from the start of the file or stream.
    pub offset: u64,
    /// The message: a header of 16 octets at least, whose length is right.
    pub octets: &'a [u8],
}

/// Gives the messages of an IPFIX File one after the other, and holds no more of it than a
/// [`Framer`] does.
#[derive(Debug)]
pub struct FileReader<R> {
    source: R,
    framer: Framer,
    chunk: Box<[u8]>,
    ended: bool,
    failed: bool,
}

impl<R: Read> FileReader<R> {
    /// A reader at the start of a file; buffering `source` gains nothing.
    pub fn new(source: R) -> Self {
        const CHUNK: usize = 1 << 14;
        Self {
            source,
            framer: Framer::new(),
            chunk: vec![0; CHUNK].into_boxed_slice(),
            ended: false,
            failed: false,
        }
    }

    /// The next message; `None` at the end of the file, and after an error.
    ///
    /// # Errors
    /// What comes next is no message, or is not all there, or cannot be read. All messages before
    /// were given.
    pub fn next_message(&mut self) -> Result<Option<FileMessage<'_>>, FileError> {
        if self.failed {
            return Ok(None);
        }
        match self.next_length() {
            Ok(length) => Ok(length.map(|length| self.framer.take(length))),
            Err(error) => {
                self.failed = true;
                Err(error)
            }
        }
    }

    /// After an error, goes to the next message by the rule of
    /// [`Framer::resynchronize`], and says how many octets were passed over; `None` if there is no
    /// further message.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn resynchronize(&mut self) -> Result<Option<u64>, FileError> {
        let from = self.framer.offset();
        while !self.framer.resynchronize(self.ended) {
            if self.ended {
                return Ok(None);
            }
            self.fill()?;
        }
        self.failed = false;
        Ok(Some(self.framer.offset() - from))
    }

    fn next_length(&mut self) -> Result<Option<usize>, FileError> {
        loop {
            if let Some(length) = self.framer.next_length()? {
                return Ok(Some(length));
            }
            if self.ended {
                self.framer.finish()?;
                return Ok(None);
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> Result<(), FileError> {
        let room = self.framer.room().min(self.chunk.len());
        let chunk = self.chunk.get_mut(..room).unwrap_or_default();
        let read = loop {
            match self.source.read(chunk) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        let read = read.map_err(|error| FileError::Io {
            offset: self.framer.offset() + self.framer.rest().len() as u64,
            error,
        })?;
        self.ended = read == 0;
        self.framer.push(chunk.get(..read).unwrap_or_default());
        Ok(())
    }
}

/// What in a stream is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameError {
    /// Where, in octets from the start of the stream.
    pub offset: u64,
    /// What is wrong there.
    pub kind: FrameErrorKind,
}

/// What is wrong at a place where a message should begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameErrorKind {
    /// Two octets that are not the version of IPFIX.
    Version(u16),
    /// A length shorter than a Message Header.
    Length(u16),
    /// The stream ends within a message.
    Truncated {
        /// Octets of the message, or of its header if that is cut off itself.
        needed: usize,
        /// Octets there.
        available: usize,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "octet {}: ", self.offset)?;
        match self.kind {
            FrameErrorKind::Version(version) => {
                write!(f, "no IPFIX message: version {version} instead of 10")
            }
            FrameErrorKind::Length(length) => {
                write!(
                    f,
                    "no IPFIX message: length {length} is shorter than a header"
                )
            }
            FrameErrorKind::Truncated { needed, available } => {
                write!(
                    f,
                    "the message is cut off: {needed} octets needed, {available} there"
                )
            }
        }
    }
}

impl core::error::Error for FrameError {}

/// Why a file cannot be read (on).
#[derive(Debug)]
#[non_exhaustive]
pub enum FileError {
    /// What comes next is no message.
    Frame(FrameError),
    /// The octets cannot be had.
    Io {
        /// Where, in octets from the start of the file.
        offset: u64,
        /// What the system says.
        error: io::Error,
    },
}

impl FileError {
    /// Where, in octets from the start of the file.
    pub fn offset(&self) -> u64 {
        match self {
            Self::Frame(error) => error.offset,
            Self::Io { offset, .. } => *offset,
        }
    }
}

impl From<FrameError> for FileError {
    fn from(error: FrameError) -> Self {
        Self::Frame(error)
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(error) => error.fmt(f),
            Self::Io { offset, error } => write!(f, "octet {offset}: cannot be read: {error}"),
        }
    }
}

impl core::error::Error for FileError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Frame(error) => Some(error),
            Self::Io { error, .. } => Some(error),
        }
    }
}

/// The length in a Message Header, if there is so much of it.
fn length_field(octets: &[u8]) -> Option<u16> {
    let field = octets.get(ipfix_header::LENGTH_FIELD..)?.first_chunk()?;
    Some(u16::from_be_bytes(*field))
}

/// What begins every message.
const VERSION: [u8; 2] = Protocol::Ipfix.version().to_be_bytes();
/// More than the largest message with the version number after it, which `resynchronize` looks at.
const MAX_BUFFERED: usize = 1 << 17;
