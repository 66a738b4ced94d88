//! The control socket: one JSON object a line asks, one answers.
//!
//! Only root, or whoever runs the daemon, is answered: the socket is its own, and who asks is looked
//! at. A request names the version of this protocol, so that an old command and a new daemon notice.

use serde::{Deserialize, Serialize};
use serde_json::Value;
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
/// Clients at once; others wait for their turn.
const CLIENTS: usize = 16;
/// Beside the socket: locked by the exporter that runs, with its process id in it.
const LOCK_FILE: &str = "lock";
/// How long either side waits for the other.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Request {
    /// [`VERSION`].
    pub version: u32,
    /// The question.
    pub command: Question,
}

/// The questions there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// Everything: see [`Status`](super::status::Status).
    Status,
    /// Export what is held and end, and leave programs and tables to the exporter that comes next.
    /// The answer is the ledger; the connection ends with the process.
    Handover,
}

impl Question {
    /// How long who asks waits for the answer.
    const fn patience(self) -> Duration {
        match self {
            Self::Status => PATIENCE,
            Self::Handover => Duration::from_mins(1),
        }
    }
}

/// What is answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// The answer.
    Ok(Value),
    /// Why there is none.
    Error(String),
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
    let request: Request =
        serde_json::from_slice(&line).map_err(|e| format!("not a request: {e}"))?;
    if request.version != VERSION {
        return Err(format!(
            "the request is of version {}, this ebpfix speaks version {VERSION}",
            request.version
        ));
    }
    Ok(request.command)
}

/// Writes the answer and closes.
pub async fn write_reply(mut client: Client, reply: &Reply) {
    let Ok(mut line) = serde_json::to_vec(reply) else {
        return;
    };
    line.push(b'\n');
    // Who does not read the answer does not get it.
    let _ = timeout(PATIENCE, client.stream.write_all(&line)).await;
}

/// Writes the answer and keeps the connection for as long as this process lives: who asked waits for
/// its end.
pub async fn write_last_reply(mut client: Client, reply: &Reply) {
    if let Ok(mut line) = serde_json::to_vec(reply) {
        line.push(b'\n');
        let _ = timeout(PATIENCE, client.stream.write_all(&line)).await;
    }
    std::mem::forget(client);
}

/// Asks the daemon that listens at `path`.
///
/// # Errors
/// In words, what to do included.
pub async fn ask(path: &Path, question: Question) -> Result<Value, String> {
    let mut stream = UnixStream::connect(path)
        .await
        .map_err(|e| match e.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => format!(
                "no ebpfix is running: nothing answers at {} (daemon.run-dir says where)",
                path.display()
            ),
            io::ErrorKind::PermissionDenied => {
                format!("{}: permission denied: only root may ask", path.display())
            }
            _ => format!("{}: {e}", path.display()),
        })?;
    let request = Request {
        version: VERSION,
        command: question,
    };
    let mut line = serde_json::to_vec(&request).map_err(|e| e.to_string())?;
    line.push(b'\n');
    let exchange = async {
        stream.write_all(&line).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        io::Result::Ok(answer)
    };
    let answer = timeout(question.patience(), exchange)
        .await
        .map_err(|_| format!("the ebpfix at {} does not answer", path.display()))?
        .map_err(|e| format!("{}: {e}", path.display()))?;
    match serde_json::from_slice(&answer) {
        Ok(Reply::Ok(value)) => Ok(value),
        Ok(Reply::Error(error)) => Err(error),
        Err(error) => Err(format!(
            "the answer at {} makes no sense: {error}",
            path.display()
        )),
    }
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
                    Ok(Question::Status) => Reply::Ok(serde_json::json!({"fine": true})),
                    Ok(Question::Handover) => Reply::Error("not now".to_owned()),
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
            (&huge, "not a request: longer than 4096 octets"),
        ] {
            let answer = answer(&path, octets).await;
            let start = format!("{{\"error\":\"{answered}");
            assert!(answer.starts_with(&start), "{answer}");
            assert_eq!(answer.lines().count(), 1);
            assert_eq!(ask(&path, Question::Status).await.unwrap()["fine"], true);
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
        assert_eq!(ask(&path, Question::Status).await.unwrap()["fine"], true);
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
        let error = ask(&path, Question::Status).await.unwrap_err();
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
        let error = ask(&path, Question::Status).await.unwrap_err();
        assert!(error.contains("makes no sense: expected"), "{error}");
        assert_eq!(ask(&path, Question::Status).await.unwrap_err(), "not today");
        strange.join().unwrap();
        // Nobody listens any more.
        assert_eq!(ask(&path, Question::Status).await.unwrap_err(), expected);
    }
}
