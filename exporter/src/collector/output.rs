//! Where flows are printed, by a thread of its own: a reader that is slow, or does not read at all,
//! must not keep the collector from its signals.

use std::io::{self, IsTerminal as _, Write};
use std::thread;

use terminal_size::terminal_size_of;
use tokio::sync::{mpsc, oneshot};

use super::csv::Csv;
use super::table::Table;
use crate::cli::OutputFormat;
use crate::record::FlowJson;

/// Where flows are printed, and how.
pub struct Output {
    form: Form,
    writer: Box<dyn Write + Send>,
}

impl Output {
    /// To stdout; a table is made for the terminal's width if it is one.
    pub fn stdout(format: OutputFormat) -> Self {
        let stdout = io::stdout();
        let terminal = stdout.is_terminal().then(|| terminal_size_of(&stdout));
        let columns = terminal.flatten().map(|(width, _)| width.0);
        Self {
            form: Form::new(format, columns),
            writer: Box::new(stdout),
        }
    }

    /// To anything else.
    pub fn new(format: OutputFormat, writer: impl Write + Send + 'static) -> Self {
        Self {
            form: Form::new(format, None),
            writer: Box::new(writer),
        }
    }

    /// Nothing is printed.
    pub fn none() -> Self {
        Self {
            form: Form::Nothing,
            writer: Box::new(io::sink()),
        }
    }

    /// Lines that are written without a thread of their own.
    pub(crate) fn lines(self) -> Lines {
        Lines {
            form: self.form,
            formed: Vec::new(),
            writer: self.writer,
        }
    }

    /// Starts the thread that writes. Lines are formed by the one, written by the other.
    pub(super) fn start(self) -> io::Result<(Form, Writer)> {
        /// Chunks that wait for the thread.
        const WAITING: usize = 4;
        let (chunks, mut received) = mpsc::channel::<Vec<u8>>(WAITING);
        let (done, result) = oneshot::channel();
        let mut writer = self.writer;
        thread::Builder::new()
            .name("output".to_owned())
            .spawn(move || {
                let mut write = || -> io::Result<()> {
                    while let Some(chunk) = received.blocking_recv() {
                        writer.write_all(&chunk)?;
                        writer.flush()?;
                    }
                    Ok(())
                };
                let result = write();
                // Nobody may wait for it any more.
                let _ = done.send(result);
            })?;
        Ok((self.form, Writer { chunks, result }))
    }
}

/// Flows as `collect` prints them into a file.
pub fn table<'a>(flows: impl Iterator<Item = FlowJson<'a>>) -> String {
    let mut table = Table::new(None);
    let mut text = String::new();
    for flow in flows {
        table.line(&flow, &mut text);
    }
    text
}

/// Lines on their way out.
pub(crate) struct Lines {
    form: Form,
    formed: Vec<u8>,
    writer: Box<dyn Write + Send>,
}

impl Lines {
    /// Adds the line of a flow.
    pub(crate) fn add(&mut self, flow: &FlowJson<'_>) {
        self.form.line(flow, &mut self.formed);
    }

    /// Writes what there is, if it is much.
    pub(crate) fn flush_if_much(&mut self) -> io::Result<()> {
        const MUCH: usize = 1 << 16;
        if self.formed.len() < MUCH {
            return Ok(());
        }
        self.flush()
    }

    /// Writes what there is.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.writer.write_all(&self.formed)?;
        self.formed.clear();
        self.writer.flush()
    }
}

/// How a flow becomes a line.
pub(super) enum Form {
    Nothing,
    Table(Table),
    Json,
    Csv(Csv),
}

impl Form {
    fn new(format: OutputFormat, terminal: Option<u16>) -> Self {
        match format {
            OutputFormat::Table => Self::Table(Table::new(terminal)),
            OutputFormat::Json => Self::Json,
            OutputFormat::Csv => Self::Csv(Csv::default()),
        }
    }

    /// Adds the line of a flow.
    pub(super) fn line(&mut self, flow: &FlowJson<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Nothing => {}
            Self::Table(table) => {
                let mut line = String::new();
                table.line(flow, &mut line);
                out.extend_from_slice(line.as_bytes());
            }
            // Writing to a Vec cannot fail, nor can the conversion of these types to JSON.
            Self::Json => drop(flow.write_line(out)),
            Self::Csv(csv) => csv.line(flow, out),
        }
    }
}

/// The near end of the thread that writes.
pub(super) struct Writer {
    pub(super) chunks: mpsc::Sender<Vec<u8>>,
    /// What became of it: comes when `chunks` is dropped, or at the first error.
    pub(super) result: oneshot::Receiver<io::Result<()>>,
}
