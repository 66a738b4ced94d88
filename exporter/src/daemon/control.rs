//! The control socket: one JSON object a line asks, one answers.
//!
//! Only root, or whoever runs the daemon, is answered: the socket is its own, and who asks is looked
//! at. A request names the version of this protocol, so that an old command and a new daemon notice.
//! Requests and answers are bounded in size and time, and so is how many are answered at once.

use crate::config::LogLevel;
use crate::flows::Query;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Version of the protocol.
pub const VERSION: u32 = 1;
/// A longer request is none of ours.
const REQUEST_OCTETS: u64 = 4096;
/// A longer answer is not read.
const REPLY_OCTETS: u64 = 64 << 20;
/// Clients at once; others wait for their turn.
const CLIENTS: usize = 16;
/// Beside the socket: locked by the exporter that runs, with its process id in it.
const LOCK_FILE: &str = "lock";
/// How long either side waits for the other.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is asked: `{"version":1,"command":"status"}`, and beside these what the command takes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Request {
    /// [`VERSION`].
    pub version: u32,
    /// The question.
    #[serde(flatten)]
    pub question: Question,
}

/// The questions there are.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Question {
    /// Everything: see [`Status`](super::status::Status).
    Status,
    /// The interfaces that are observed.
    Interfaces,
    /// The collectors, and what they were sent.
    Collectors,
    /// The templates that are announced to each collector.
    Templates {
        /// To this one only, by its name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        collector: Option<String>,
    },
    /// The flows that are held: see [`Answer`](crate::flows::Answer).
    Flows {
        /// Which, and how.
        query: Query,
    },
    /// What flows count from now on: a line after each interval, see
    /// [`Report`](crate::flows::rates::Report), until who asks goes away.
    Watch {
        /// Which, and how.
        query: Query,
        /// Milliseconds of an interval, 100 to 3,600,000. It ends when the kernel was read
        /// (`drain-interval`) for the first time after that.
        interval_ms: u64,
    },
    /// The least severity that is logged.
    LogLevel {
        /// What it is to be from now on, until the exporter ends or reads another one in its
        /// configuration.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        level: Option<LogLevel>,
    },
    /// Read the configuration again: see [`Reloaded`](super::status::Reloaded).
    Reload,
    /// Export every flow that is held. The answer says how many.
    Flush,
    /// Export what is held and end, and leave programs and tables to the exporter that comes next.
    /// The answer is the ledger; the connection ends with the process.
    Handover,
}

impl Question {
    /// How long who asks waits for the answer, or for each of them.
    fn patience(&self) -> Duration {
        match self {
            Self::Handover | Self::Flush => Duration::from_mins(1),
            Self::Flows { .. } => Duration::from_secs(30),
            // The kernel may be read less often than asked for: once a minute at least.
            Self::Watch { interval_ms, .. } => {
                Duration::from_millis(*interval_ms) + Duration::from_secs(75)
            }
            _ => PATIENCE,
        }
    }
}

/// What is answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// The answer.
    Ok(Box<RawValue>),
    /// Why there is none.
    Error(String),
}

impl Reply {
    /// The answer.
    pub fn ok(answer: &impl Serialize) -> Self {
        match to_raw_value(answer) {
            Ok(json) => Self::Ok(json),
            Err(error) => Self::Error(error.to_string()),
        }
    }

    fn of<T: DeserializeOwned>(line: &[u8], path: &Path) -> Result<T, String> {
        let senseless = |error: serde_json::Error| {
            format!("the answer at {} makes no sense: {error}", path.display())
        };
        match serde_json::from_slice(line).map_err(senseless)? {
            Self::Ok(json) => serde_json::from_str(json.get()).map_err(senseless),
            Self::Error(error) => Err(error),
        }
    }
}

/// The socket, removed when dropped.
#[derive(Debug)]
pub struct Control {
    listener: UnixListener,
    path: PathBuf,
    /// Who may ask beside root.
    owner: u32,
    clients: Arc<Semaphore>,
    /// Unlocked by the system however the process ends.
    _lock: File,
}

/// One who asks.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Control {
    /// Binds the socket at `path` in `run_dir`, which is created where it is missing.
    ///
    /// # Errors
    /// In words: another instance runs there, or the directory cannot be had.
    #[expect(
        clippy::unused_async,
        reason = "says that it needs the runtime, whose socket it makes"
    )]
    pub async fn bind(run_dir: &Path, path: &Path) -> Result<Self, String> {
        if !run_dir.exists() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(run_dir)
                .map_err(|e| format!("daemon.run-dir: cannot create {}: {e}", run_dir.display()))?;
        }
        let lock = lock(run_dir, path)?;
        // Under the lock: whatever is there was left by one that was killed.
        match fs::symlink_metadata(path) {
            Ok(found) if found.file_type().is_socket() => fs::remove_file(path)
                .map_err(|e| format!("cannot remove the stale {}: {e}", path.display()))?,
            Ok(_) => {
                return Err(format!(
                    "{} is in the way: it is no socket. Remove it, or give another daemon.run-dir",
                    path.display()
                ));
            }
            // If there is more to it, listening tells.
            Err(_) => {}
        }
        let listener = UnixListener::bind(path)
            .map_err(|e| format!("daemon.run-dir: cannot listen at {}: {e}", path.display()))?;
        let protect = |e: io::Error| format!("cannot protect {}: {e}", path.display());
        let control = Self {
            listener,
            path: path.to_owned(),
            owner: lock.metadata().map_err(protect)?.uid(),
            clients: Arc::new(Semaphore::new(CLIENTS)),
            _lock: lock,
        };
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(protect)?;
        Ok(control)
    }

    /// The next one who asks.
    pub async fn accept(&self) -> io::Result<Client> {
        // It is never closed.
        let permit = self.clients.clone().acquire_owned().await.ok();
        loop {
            let (stream, _) = self.listener.accept().await?;
            // One may have come before the socket was protected.
            let user = stream.peer_cred()?.uid();
            if user == 0 || user == self.owner {
                return Ok(Client {
                    stream,
                    _permit: permit,
                });
            }
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Makes sure to be the only one at `run_dir`.
fn lock(run_dir: &Path, socket: &Path) -> Result<File, String> {
    let path = run_dir.join(LOCK_FILE);
    let failed = |e: &dyn std::fmt::Display| format!("daemon.run-dir: {}: {e}", path.display());
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|e| failed(&e))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut id = String::new();
            // Only to say more; it is right while the lock is held.
            let _ = file.read_to_string(&mut id);
            return Err(format!(
                "another ebpfix (process {}) answers at {}: stop it, or give this one a daemon.run-dir and a daemon.pin-dir of its own",
                id.trim(),
                socket.display()
            ));
        }
        Err(TryLockError::Error(e)) => return Err(failed(&e)),
    }
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(|e| failed(&e))?;
    Ok(file)
}

/// Reads a request; an error is one to answer with.
pub async fn read_request(client: &mut Client) -> Result<Question, String> {
    let mut line = Vec::new();
    let mut reader = BufReader::new((&mut client.stream).take(REQUEST_OCTETS));
    timeout(PATIENCE, reader.read_until(b'\n', &mut line))
        .await
        .map_err(|_| format!("no request came within {} s", PATIENCE.as_secs()))?
        .map_err(|e| format!("cannot read the request: {e}"))?;
    if line.len() as u64 == REQUEST_OCTETS && line.last() != Some(&b'\n') {
        return Err(format!(
            "not a request: longer than {REQUEST_OCTETS} octets"
        ));
    }
    question(&line)
}

fn question(line: &[u8]) -> Result<Question, String> {
    let wrong = |error: serde_json::Error| format!("not a request: {error}");
    let mut request: serde_json::Map<String, Value> =
        serde_json::from_slice(line).map_err(wrong)?;
    // The version first: another one may have other questions.
    match request.remove("version").as_ref().map(Value::as_u64) {
        Some(Some(version)) if version == u64::from(VERSION) => {}
        Some(Some(version)) => {
            return Err(format!(
                "the request is of version {version}, this ebpfix speaks version {VERSION}"
            ));
        }
        _ => return Err("not a request: it has no version".to_owned()),
    }
    serde_json::from_value(Value::Object(request)).map_err(wrong)
}

/// Writes the answer and closes.
pub async fn write_reply(mut client: Client, reply: &Reply) {
    write(&mut client, reply).await;
}

/// Writes one of several answers; returns whether it was taken.
pub async fn write(client: &mut Client, reply: &Reply) -> bool {
    let Ok(mut line) = serde_json::to_vec(reply) else {
        return false;
    };
    line.push(b'\n');
    // Who does not read the answer does not get it.
    let written = timeout(PATIENCE, client.stream.write_all(&line)).await;
    matches!(written, Ok(Ok(())))
}

/// Writes the answer and keeps the connection for as long as this process lives: who asked waits for
/// its end.
pub async fn write_last_reply(mut client: Client, reply: &Reply) {
    write(&mut client, reply).await;
    std::mem::forget(client);
}

/// Asks the daemon that listens at `path`.
///
/// # Errors
/// In words, what to do included.
pub async fn ask<T: DeserializeOwned>(path: &Path, question: Question) -> Result<T, String> {
    let mut stream = connect(path).await?;
    let exchange = async {
        stream.write_all(&line(&question)?).await?;
        let mut answer = Vec::new();
        stream.take(REPLY_OCTETS).read_to_end(&mut answer).await?;
        io::Result::Ok(answer)
    };
    let answer = timeout(question.patience(), exchange)
        .await
        .map_err(|_| silent(path))?
        .map_err(|e| format!("{}: {e}", path.display()))?;
    Reply::of(&answer, path)
}

/// Answers that come one after the other.
#[derive(Debug)]
pub struct Answers {
    reader: BufReader<UnixStream>,
    path: PathBuf,
    patience: Duration,
    /// What has come of the next one.
    line: Vec<u8>,
}

impl Answers {
    /// Asks the daemon that listens at `path` a question that has many answers.
    ///
    /// # Errors
    /// In words, what to do included.
    pub async fn ask(path: &Path, question: Question) -> Result<Self, String> {
        let mut stream = connect(path).await?;
        let request = line(&question).map_err(|e| e.to_string())?;
        stream
            .write_all(&request)
            .await
            .map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Self {
            reader: BufReader::new(stream),
            path: path.to_owned(),
            patience: question.patience(),
            line: Vec::new(),
        })
    }

    /// The next answer. A call that is given up loses nothing.
    ///
    /// # Errors
    /// In words; that the daemon has ended is one.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<T, String> {
        let room = REPLY_OCTETS.saturating_sub(self.line.len() as u64);
        let mut reader = (&mut self.reader).take(room);
        let read = timeout(self.patience, reader.read_until(b'\n', &mut self.line));
        read.await
            .map_err(|_| silent(&self.path))?
            .map_err(|e| format!("{}: {e}", self.path.display()))?;
        if self.line.last() != Some(&b'\n') {
            return Err(format!("the ebpfix at {} has ended", self.path.display()));
        }
        let answer = Reply::of(&self.line, &self.path);
        self.line.clear();
        answer
    }
}

async fn connect(path: &Path) -> Result<UnixStream, String> {
    UnixStream::connect(path).await.map_err(|e| match e.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => format!(
            "no ebpfix is running: nothing answers at {} (daemon.run-dir says where)",
            path.display()
        ),
        io::ErrorKind::PermissionDenied => {
            format!("{}: permission denied: only root may ask", path.display())
        }
        _ => format!("{}: {e}", path.display()),
    })
}

fn line(question: &Question) -> io::Result<Vec<u8>> {
    let request = Request {
        version: VERSION,
        question: question.clone(),
    };
    let mut line = serde_json::to_vec(&request)?;
    line.push(b'\n');
    Ok(line)
}

fn silent(path: &Path) -> String {
    format!("the ebpfix at {} does not answer", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead as _, BufReader as StdReader};
    use std::os::unix::net::UnixStream as StdStream;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A directory that goes with its owner.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Self {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let next = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("ebpfix-control-{}-{next}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn socket(&self) -> PathBuf {
            self.0.join("control.sock")
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// Answers as the daemon does: each client in a task of its own.
    async fn serve(control: Control) {
        loop {
            let mut client = control.accept().await.unwrap();
            tokio::spawn(async move {
                let reply = match read_request(&mut client).await {
                    Ok(Question::Status) => Reply::ok(&serde_json::json!({"fine": true})),
                    Ok(_) => Reply::Error("not now".to_owned()),
                    Err(error) => Reply::Error(error),
                };
                write_reply(client, &reply).await;
            });
        }
    }

    /// What comes back for these octets. The other side may close before it has taken all.
    async fn answer(path: &Path, octets: &[u8]) -> String {
        let mut stream = UnixStream::connect(path).await.unwrap();
        let _ = stream.write_all(octets).await;
        let _ = stream.shutdown().await;
        let mut octets = Vec::new();
        // After the answer there may be a reset: not all of the request was read.
        let _ = stream.read_to_end(&mut octets).await;
        String::from_utf8(octets).unwrap()
    }

    #[tokio::test]
    async fn garbage_is_answered_in_words_and_the_next_one_is_served() {
        let scratch = Scratch::new();
        let path = scratch.socket();
        let server = tokio::spawn(serve(Control::bind(&scratch.0, &path).await.unwrap()));
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        let huge = vec![b'x'; 100_000];
        for (octets, answered) in [
            (&b""[..], "not a request: EOF"),
            (b"\n", "not a request: EOF"),
            (b"\xff\xfe\x00\n", "not a request: "),
            (b"GET / HTTP/1.0\r\n\r\n", "not a request: "),
            (
                b"{\"version\":1,\"command\":\"format-disk\"}\n",
                "not a request: unknown variant",
            ),
            (
                b"{\"version\":2,\"command\":\"status\"}\n",
                "the request is of version 2, this",
            ),
            (
                b"{\"version\":2,\"command\":\"format-disk\"}\n",
                "the request is of version 2, this",
            ),
            (
                b"{\"command\":\"status\"}\n",
                "not a request: it has no version",
            ),
            (
                b"{\"version\":1,\"command\":\"flows\",\"query\":{\"filter\":\"tcp or\"}}\n",
                "not a request: filter, column 7: expected a test",
            ),
            (
                b"{\"version\":1,\"command\":\"log-level\",\"colour\":1}\n",
                "not a request: unknown field `colour`",
            ),
            (&huge, "not a request: longer than 4096 octets"),
        ] {
            let answer = answer(&path, octets).await;
            let start = format!("{{\"error\":\"{answered}");
            assert!(answer.starts_with(&start), "{answer}");
            assert_eq!(answer.lines().count(), 1);
            assert_eq!(
                ask::<Value>(&path, Question::Status).await.unwrap()["fine"],
                true
            );
        }
        server.abort();
    }

    #[tokio::test]
    async fn who_is_silent_or_does_not_read_keeps_nobody_out_for_long() {
        let scratch = Scratch::new();
        let path = scratch.socket();
        let server = tokio::spawn(serve(Control::bind(&scratch.0, &path).await.unwrap()));
        let mut silent = Vec::new();
        for _ in 0..2 * CLIENTS {
            silent.push(UnixStream::connect(&path).await.unwrap());
        }
        // Two rounds of patience, in which the daemon does other things.
        let began = std::time::Instant::now();
        let mut stream = UnixStream::connect(&path).await.unwrap();
        stream
            .write_all(b"{\"version\":1,\"command\":\"status\"}\n")
            .await
            .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "{\"ok\":{\"fine\":true}}\n");
        assert!(began.elapsed() < 3 * PATIENCE, "{:?}", began.elapsed());
        let mut told = String::new();
        silent[0].read_to_string(&mut told).await.unwrap();
        assert_eq!(told, "{\"error\":\"no request came within 5 s\"}\n");
        server.abort();
    }

    #[tokio::test]
    async fn a_second_instance_is_refused_and_a_stale_socket_replaced() {
        let scratch = Scratch::new();
        let path = scratch.socket();
        let first = Control::bind(&scratch.0, &path).await.unwrap();
        let error = Control::bind(&scratch.0, &path).await.unwrap_err();
        let id = std::process::id();
        assert_eq!(
            error,
            format!(
                "another ebpfix (process {id}) answers at {}: stop it, or give this one a daemon.run-dir and a daemon.pin-dir of its own",
                path.display()
            )
        );
        assert!(path.exists(), "the first one's socket stays");
        drop(first);
        assert!(!path.exists());

        // One that was killed leaves its socket, and no lock.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let server = tokio::spawn(serve(Control::bind(&scratch.0, &path).await.unwrap()));
        assert_eq!(
            ask::<Value>(&path, Question::Status).await.unwrap()["fine"],
            true
        );
        server.abort();
        let _ = server.await;

        fs::write(&path, "somebody's notes").unwrap();
        let error = Control::bind(&scratch.0, &path).await.unwrap_err();
        assert!(
            error.contains("control.sock is in the way: it is no socket"),
            "{error}"
        );
        assert_eq!(fs::read(&path).unwrap(), b"somebody's notes");
    }

    #[tokio::test]
    async fn a_directory_is_made_and_one_that_cannot_be_is_named() {
        let scratch = Scratch::new();
        let deep = scratch.0.join("a/b");
        let control = Control::bind(&deep, &deep.join("control.sock"))
            .await
            .unwrap();
        assert_eq!(
            fs::metadata(&deep).unwrap().permissions().mode() & 0o777,
            0o755
        );
        drop(control);

        let file = scratch.0.join("file");
        fs::write(&file, "").unwrap();
        let below = file.join("run");
        let error = Control::bind(&below, &below.join("control.sock"))
            .await
            .unwrap_err();
        let start = format!("daemon.run-dir: cannot create {}: ", below.display());
        assert!(error.starts_with(&start), "{error}");
        let error = Control::bind(&file, &file.join("control.sock"))
            .await
            .unwrap_err();
        let start = format!("daemon.run-dir: {}: ", file.join("lock").display());
        assert!(error.starts_with(&start), "{error}");
        // Root may write everywhere but here.
        let unwritable = Path::new("/proc/self");
        let error = Control::bind(unwritable, &unwritable.join("control.sock"))
            .await
            .unwrap_err();
        assert!(
            error.starts_with("daemon.run-dir: /proc/self/lock: "),
            "{error}"
        );
    }

    #[tokio::test]
    async fn who_asks_is_told_in_one_line_what_is_wrong() {
        let scratch = Scratch::new();
        let path = scratch.socket();
        let error = ask::<Value>(&path, Question::Status).await.unwrap_err();
        let expected = format!(
            "no ebpfix is running: nothing answers at {} (daemon.run-dir says where)",
            path.display()
        );
        assert_eq!(error, expected);

        // One who answers nonsense, or an error.
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let strange = std::thread::spawn(move || {
            for answer in ["nonsense\n", "{\"error\":\"not today\"}\n"] {
                let (mut stream, _) = listener.accept().unwrap();
                let mut line = String::new();
                StdReader::new(&stream).read_line(&mut line).unwrap();
                assert_eq!(line, "{\"version\":1,\"command\":\"status\"}\n");
                StdStream::write_all(&mut stream, answer.as_bytes()).unwrap();
            }
        });
        let error = ask::<Value>(&path, Question::Status).await.unwrap_err();
        assert!(error.contains("makes no sense: expected"), "{error}");
        assert_eq!(
            ask::<Value>(&path, Question::Status).await.unwrap_err(),
            "not today"
        );
        strange.join().unwrap();
        // Nobody listens any more.
        assert_eq!(
            ask::<Value>(&path, Question::Status).await.unwrap_err(),
            expected
        );
    }
}
