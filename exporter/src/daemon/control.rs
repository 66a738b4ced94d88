//! The control socket: one JSON object a line asks, one answers.
//!
//! Only root can reach it: the directory and the socket are its own. A request names the version
//! of this protocol, so that an old command and a new daemon notice.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

/// Version of the protocol.
pub const VERSION: u32 = 1;
/// A longer request is none of ours.
const REQUEST_OCTETS: u64 = 4096;
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
}

impl Control {
    /// Binds the socket in `run_dir`, which is created where it is missing.
    ///
    /// # Errors
    /// In words: another instance answers there, or the directory cannot be had.
    pub async fn bind(run_dir: &Path, path: &Path) -> Result<Self, String> {
        if !run_dir.exists() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(run_dir)
                .map_err(|e| format!("daemon.run-dir: cannot create {}: {e}", run_dir.display()))?;
        }
        if path.exists() {
            if UnixStream::connect(path).await.is_ok() {
                return Err(format!(
                    "another ebpfix answers at {}: stop it, or give this one a daemon.run-dir and a daemon.pin-dir of its own",
                    path.display()
                ));
            }
            // Left over from one that was killed.
            fs::remove_file(path)
                .map_err(|e| format!("cannot remove the stale {}: {e}", path.display()))?;
        }
        let listener = UnixListener::bind(path)
            .map_err(|e| format!("daemon.run-dir: cannot listen at {}: {e}", path.display()))?;
        let control = Self {
            listener,
            path: path.to_owned(),
        };
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))
            .map_err(|e| format!("cannot protect {}: {e}", path.display()))?;
        Ok(control)
    }

    /// The next one who asks.
    pub async fn accept(&self) -> io::Result<UnixStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Reads a request; an error is one to answer with.
pub async fn read_request(stream: &mut UnixStream) -> Result<Question, String> {
    let mut line = String::new();
    let mut reader = BufReader::new(stream.take(REQUEST_OCTETS));
    timeout(PATIENCE, reader.read_line(&mut line))
        .await
        .map_err(|_| "no request came".to_owned())?
        .map_err(|e| format!("cannot read the request: {e}"))?;
    let request: Request =
        serde_json::from_str(&line).map_err(|e| format!("not a request: {e}"))?;
    if request.version != VERSION {
        return Err(format!(
            "the request is of version {}, this ebpfix speaks version {VERSION}",
            request.version
        ));
    }
    Ok(request.command)
}

/// Writes the answer and closes.
pub async fn write_reply(mut stream: UnixStream, reply: &Reply) {
    let Ok(mut line) = serde_json::to_vec(reply) else {
        return;
    };
    line.push(b'\n');
    // Who does not read the answer does not get it.
    let _ = timeout(PATIENCE, stream.write_all(&line)).await;
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
    let answer = timeout(PATIENCE, exchange)
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
