//! Flows out of IPFIX Files (RFC 5655).

use std::fmt::Display;
use std::io::{self, Read};

use ipfix::{
    DecodeError, Decoded, DetailsScope, FileError, FileReader, FrameError, FrameErrorKind,
    MessageDetails, Record, Registry, Transport, elements as ie,
};

use super::exporters::{Exporters, Sender};
use super::output::Lines;
use super::show::Shown;
use super::{Output, Summary, View};

/// Prints the flows of IPFIX Files, as they would be printed when they are received.
pub struct Printer {
    lines: Lines,
    summary: Summary,
    mistakes: Vec<String>,
    view: View,
}

impl Printer {
    /// A printer that has printed nothing.
    pub fn new(output: Output) -> Self {
        Self {
            lines: output.lines(),
            summary: Summary::default(),
            mistakes: Vec::new(),
            view: View::default(),
        }
    }

    /// With more to see.
    #[must_use]
    pub fn viewed(self, view: View) -> Self {
        Self { view, ..self }
    }

    /// Prints the flows of a file, which is called `name` in what is said of it.
    ///
    /// What cannot be read is passed over and told by [`mistakes`](Self::mistakes). Fails when the
    /// output does.
    pub fn print(&mut self, name: &str, file: impl Read) -> io::Result<()> {
        let mut reader = FileReader::new(file);
        // A file is a Transport Session: nothing is known from others.
        let mut reading = Reading {
            name,
            exporters: Exporters::over(Transport::Reliable, self.view.apply_sampling),
            shown: self.view.templates.then(Shown::default),
            session: MessageDetails::default(),
            mistakes: Vec::new(),
            more_mistakes: 0,
        };
        let result = loop {
            match reader.next_message() {
                Ok(Some(message)) => {
                    let result = reading.message(message.offset, message.octets, &mut self.lines);
                    if result.is_err() {
                        break result;
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => {
                    if !reading.pass_over(&error, &mut reader) {
                        break Ok(());
                    }
                }
            }
        };
        self.summary += reading.exporters.summary();
        self.mistakes.append(&mut reading.mistakes);
        if reading.more_mistakes > 0 {
            let more = reading.more_mistakes;
            self.mistakes.push(format!("{name}: {more} more mistakes"));
        }
        result.and_then(|()| self.lines.flush())
    }

    /// Notes a file that cannot be opened.
    pub fn unreadable(&mut self, name: &str, error: &io::Error) {
        self.mistakes.push(format!("{name}: {error}"));
    }

    /// What was read so far.
    pub fn summary(&self) -> Summary {
        self.summary.clone()
    }

    /// What was wrong, a line each: the file, the place, the mistake.
    pub fn mistakes(&self) -> &[String] {
        &self.mistakes
    }
}

/// Mistakes of a file that are told one by one.
const MAX_MISTAKES: usize = 10;

struct Reading<'a> {
    name: &'a str,
    exporters: Exporters,
    shown: Option<Shown>,
    /// What the file says of all its messages.
    session: MessageDetails,
    mistakes: Vec<String>,
    more_mistakes: u64,
}

impl Reading<'_> {
    fn message(&mut self, offset: u64, octets: &[u8], lines: &mut Lines) -> io::Result<()> {
        let decoded = match self.exporters.decode(None, octets) {
            Ok(decoded) => decoded,
            Err(error) => {
                self.mistake(in_file(offset, error));
                return Ok(());
            }
        };
        for error in decoded.errors() {
            self.mistake(in_file(offset, *error));
        }
        for set in decoded.unknown() {
            let (place, id) = (offset + set.offset as u64, set.template_id);
            self.mistake(format!(
                "octet {place}: data set: there is no template {id}"
            ));
        }
        let details = self.details(&decoded);
        if decoded.records().all(|record| is_time_window(&record)) {
            return Ok(());
        }
        let sender = Sender::stored(&details, decoded.header());
        if let Some(shown) = &mut self.shown {
            crate::logging::tell(&shown.lines(sender, &decoded));
        }
        self.exporters
            .flows(None, sender, &decoded, |flow| lines.add(flow));
        lines.flush_if_much()
    }

    /// Whence the message came.
    fn details(&mut self, decoded: &Decoded<'_>) -> MessageDetails {
        let mut own = None;
        let options = decoded
            .records()
            .filter(|record| record.template().is_options());
        for record in options {
            match MessageDetails::of(&record) {
                Some((DetailsScope::Message, details)) => own = own.or(Some(details)),
                Some((DetailsScope::Session, details)) => self.session = details,
                None => {}
            }
        }
        // A file has the one or the other (RFC 5655 section 8.1.4), but for the collection time.
        own.filter(|details| details.exporter.is_some())
            .unwrap_or(self.session)
    }

    /// Notes what is no message and goes to the next one, if there is one.
    fn pass_over<R: Read>(&mut self, error: &FileError, reader: &mut FileReader<R>) -> bool {
        if let Some(what) = other_kind(error) {
            self.mistake(format!("{error}; {what}"));
            return false;
        }
        let passed = match error {
            // Nothing follows what is cut off, or cannot be read.
            FileError::Frame(error) if !matches!(error.kind, FrameErrorKind::Truncated { .. }) => {
                reader.resynchronize()
            }
            _ => Ok(None),
        };
        let (text, found) = match passed {
            Ok(Some(octets)) => (format!("{error}; {octets} octets passed over"), true),
            Ok(None) => (error.to_string(), false),
            Err(further) => (format!("{error}; {further}"), false),
        };
        self.mistake(text);
        found
    }

    fn mistake(&mut self, text: impl Display) {
        if self.mistakes.len() < MAX_MISTAKES {
            self.mistakes.push(format!("{}: {text}", self.name));
        } else {
            self.more_mistakes += 1;
        }
    }
}

/// What a file is that begins with something else.
fn other_kind(error: &FileError) -> Option<&'static str> {
    let FileError::Frame(FrameError {
        offset: 0,
        kind: FrameErrorKind::Version(start),
    }) = error
    else {
        return None;
    };
    match start {
        0x1f8b => Some("it is compressed: gzip -dc FILE | ebpfix collect -"),
        0x425a => Some("it is compressed: bzip2 -dc FILE | ebpfix collect -"),
        0xfd37 => Some("it is compressed: xz -dc FILE | ebpfix collect -"),
        0x28b5 => Some("it is compressed: zstd -dc FILE | ebpfix collect -"),
        0xd4c3 | 0xa1b2 | 0x4d3c | 0x0a0d => Some("it is a capture of packets"),
        _ => None,
    }
}

/// The mistake with its place in the file instead of that in its message.
fn in_file(message: u64, mut error: DecodeError) -> String {
    let message = usize::try_from(message).unwrap_or(usize::MAX);
    error.offset = message.saturating_add(error.offset);
    error.to_string()
}

/// A record of the File Time Window (RFC 5655 section 8.1.2): about the file and no exporter.
fn is_time_window(record: &Record<'_>) -> bool {
    const STARTS: [u16; 4] = [
        ie::MIN_FLOW_START_SECONDS.id(),
        ie::MIN_FLOW_START_MILLISECONDS.id(),
        ie::MIN_FLOW_START_MICROSECONDS.id(),
        ie::MIN_FLOW_START_NANOSECONDS.id(),
    ];
    let template = record.template();
    let fields = template.fields();
    let about_the_file = fields
        .first()
        .is_some_and(|scope| scope.is(&ie::SESSION_SCOPE));
    template.is_options()
        && about_the_file
        && fields
            .iter()
            .any(|field| field.registry() == Registry::Iana && STARTS.contains(&field.id()))
}
