//! What is received, stored in an IPFIX File (RFC 5655).

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use ipfix::{Decoded, FileLimits, FileWriter, Origin};

use crate::record::UnixTime;

/// An IPFIX File that is being written.
///
/// It can be read at any time: what is in it are whole messages, after a loss of power perhaps not
/// the last one. When the disk is full, or fails, that is told once; what cannot be stored is
/// counted, and it goes on as soon as it can.
#[derive(Debug)]
pub struct Storage<F = File> {
    file: F,
    path: PathBuf,
    writer: FileWriter,
    /// What is to be appended: whole messages.
    pending: Vec<u8>,
    pending_counts: StorageSummary,
    /// Octets of the file that are good.
    length: u64,
    /// The last attempt to write failed.
    failing: bool,
    counts: StorageSummary,
}

/// What became of what was to be stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StorageSummary {
    /// Messages in the file.
    pub messages: u64,
    /// Data Records in the file, those of options included.
    pub records: u64,
    /// Data Records that were lost: the disk was full, or failed, or the record was too long.
    pub lost_records: u64,
}

impl Storage {
    /// Creates the file. One that exists is not touched unless `replace` says so.
    ///
    /// Who may read it: the owner, and the group as far as the umask allows. Flows tell who spoke
    /// with whom.
    pub fn create(path: &Path, replace: bool) -> Result<Self, CreateError> {
        const MODE: u32 = 0o640;
        let fail = |error| CreateError {
            path: path.to_owned(),
            error,
        };
        let mut options = OpenOptions::new();
        // Nor does it wait for a reader where there is a pipe.
        options
            .write(true)
            .mode(MODE)
            .custom_flags(libc::O_NONBLOCK);
        if replace {
            options.create(true);
        } else {
            options.create_new(true);
        }
        let file = options.open(path).map_err(fail)?;
        if !file.metadata().map_err(fail)?.is_file() {
            return Err(fail(io::Error::other("it is no regular file")));
        }
        file.set_len(0).map_err(fail)?;
        Ok(Self::new(file, path))
    }
}

impl<F: Target> Storage<F> {
    fn new(file: F, path: &Path) -> Self {
        Self {
            file,
            path: path.to_owned(),
            writer: FileWriter::new(FileLimits::default()),
            pending: Vec::new(),
            pending_counts: StorageSummary::default(),
            length: 0,
            failing: false,
            counts: StorageSummary::default(),
        }
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes a message of this session. It gets into the file at the next
    /// [`flush`](Self::flush), or when there is much to write.
    pub(super) fn store(&mut self, origin: &Origin, now: UnixTime, decoded: &Decoded<'_>) {
        const MUCH: usize = 1 << 16;
        let stored = self
            .writer
            .store(origin, now.millis(), decoded, &mut self.pending);
        self.pending_counts.messages += stored.messages;
        self.pending_counts.records += stored.records;
        self.counts.lost_records += stored.too_long;
        if self.pending.len() >= MUCH {
            self.flush();
        }
    }

    /// Gives what is pending to the system.
    pub(super) fn flush(&mut self) {
        let octets = std::mem::take(&mut self.pending);
        let counts = std::mem::take(&mut self.pending_counts);
        if octets.is_empty() {
            return;
        }
        match self.file.write_at(&octets, self.length) {
            Ok(()) => {
                self.length += octets.len() as u64;
                self.counts.messages += counts.messages;
                self.counts.records += counts.records;
                if std::mem::take(&mut self.failing) {
                    let lost = self.counts.lost_records;
                    tracing::info!(file = %self.path.display(), lost, "flows are stored again");
                }
            }
            Err(error) => {
                // Where this fails as well, the next attempt writes over it.
                let _ = self.file.cut(self.length);
                self.writer.lost();
                self.counts.lost_records += counts.records;
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::error!(
                        file = %self.path.display(),
                        %error,
                        "cannot write: flows are not stored until this works again"
                    );
                }
            }
        }
        // The memory serves for what comes next.
        self.pending = octets;
        self.pending.clear();
    }

    /// Writes what is pending and completes the file.
    pub(super) fn finish(mut self, now: UnixTime) -> StorageSummary {
        self.flush();
        let writer = std::mem::replace(&mut self.writer, FileWriter::new(FileLimits::default()));
        writer.finish(now.millis(), &mut self.pending);
        self.flush();
        if let Err(error) = self.file.sync() {
            tracing::error!(file = %self.path.display(), %error, "the file may not be on the disk");
        }
        self.counts
    }
}

impl fmt::Display for StorageSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            messages,
            records,
            lost_records,
        } = self;
        write!(
            f,
            "stored: {records} records in {messages} messages, not stored: {lost_records}"
        )
    }
}

/// What a file can do, so that tests can have one that fails.
pub trait Target {
    /// Writes all the octets at this place.
    fn write_at(&mut self, octets: &[u8], offset: u64) -> io::Result<()>;
    /// Cuts the file to this length.
    fn cut(&mut self, length: u64) -> io::Result<()>;
    /// Waits until the file is on the disk.
    fn sync(&mut self) -> io::Result<()>;
}

impl Target for File {
    fn write_at(&mut self, octets: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(octets, offset)
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// A file that could not be created.
#[derive(Debug)]
pub struct CreateError {
    /// The file.
    pub path: PathBuf,
    /// What the system says.
    pub error: io::Error,
}

impl fmt::Display for CreateError {
    /// What, where, and what to do, in one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, error } = self;
        match error.kind() {
            ErrorKind::AlreadyExists => write!(
                f,
                "{} exists; choose another name, or replace it with --force",
                path.display()
            ),
            _ => write!(f, "cannot create {}: {error}", path.display()),
        }
    }
}

impl std::error::Error for CreateError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use ipfix::{Decoder, DecoderLimits, FileReader, MessageDetails, Sequence};

    use super::*;

    /// A disk with room for so many octets.
    #[derive(Debug)]
    struct Disk {
        octets: Vec<u8>,
        room: usize,
    }

    impl Target for Disk {
        fn write_at(&mut self, octets: &[u8], offset: u64) -> io::Result<()> {
            let offset = usize::try_from(offset).unwrap();
            assert!(offset <= self.octets.len());
            self.octets.truncate(offset);
            let fits = octets.len().min(self.room - offset);
            self.octets.extend_from_slice(&octets[..fits]);
            if fits < octets.len() {
                return Err(io::Error::from(ErrorKind::StorageFull));
            }
            Ok(())
        }

        fn cut(&mut self, length: u64) -> io::Result<()> {
            self.octets.truncate(usize::try_from(length).unwrap());
            Ok(())
        }

        fn sync(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// An IPFIX message with a record of one octet, and its template if wanted.
    fn message(sequence: u8, template: bool, value: u8) -> Vec<u8> {
        let mut sets = Vec::new();
        if template {
            sets.extend([0, 2, 0, 12, 1, 0, 0, 1, 0, 4, 0, 1]);
        }
        sets.extend([1, 0, 0, 5, value]);
        let length = u8::try_from(16 + sets.len()).unwrap();
        let mut message = vec![0, 10, 0, length, 0x6b, 5, 0, 0, 0, 0, 0, sequence];
        message.extend([0, 0, 0, 1]);
        message.extend(sets);
        message
    }

    #[test]
    fn a_full_disk_costs_what_does_not_fit_and_nothing_else() {
        let exporter = SocketAddr::from(([192, 0, 2, 1], 1));
        let collector = SocketAddr::from(([192, 0, 2, 2], 2));
        let disk = Disk {
            octets: Vec::new(),
            room: usize::MAX,
        };
        let mut storage = Storage::new(disk, Path::new("flows.ipfix"));
        let mut decoder = Decoder::new(DecoderLimits::default());
        let mut receive = |storage: &mut Storage<Disk>, number: u8| {
            let message = message(number, number == 0, number);
            let decoded = decoder.decode(&(), &message).unwrap();
            storage.store(
                &Origin::udp(exporter, collector),
                UnixTime::from_millis(1000),
                &decoded,
            );
            storage.flush();
        };
        receive(&mut storage, 0);
        let good = storage.file.octets.len();
        // Room for half a message.
        storage.file.room = good + 20;
        for number in 1..5 {
            receive(&mut storage, number);
            assert_eq!(storage.file.octets.len(), good);
            assert!(storage.failing);
        }
        storage.file.room = usize::MAX;
        receive(&mut storage, 5);
        receive(&mut storage, 6);
        assert!(!storage.failing);
        let octets = storage.file.octets.clone();
        let expected = StorageSummary {
            messages: 3,
            records: 3,
            lost_records: 4,
        };
        assert_eq!(storage.finish(UnixTime::from_millis(2000)), expected);

        let mut reader = FileReader::new(&octets[..]);
        let mut decoder = Decoder::new(DecoderLimits::default());
        let (mut values, mut missing) = (Vec::<u8>::new(), Vec::new());
        while let Some(message) = reader.next_message().unwrap() {
            let decoded = decoder.decode(&(), message.octets).unwrap();
            assert!(decoded.unknown().is_empty());
            for record in decoded.records() {
                if MessageDetails::of(&record).is_none() {
                    values.extend(record.octets());
                }
            }
            missing.push(decoded.sequence());
        }
        assert_eq!(values, [0, 5, 6]);
        // Of each message lost, a flow and the details.
        assert_eq!(
            missing,
            [Sequence::First, Sequence::Gap(8), Sequence::InOrder]
        );
    }
}
