//! Programs of others (and ours), run in a namespace with their output kept and an end in sight.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::lab::Namespace;
use crate::patience;

/// A running program. It is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

/// A program that has ended.
#[derive(Debug)]
pub struct Finished {
    /// The program's name, for messages.
    pub name: String,
    /// How it ended.
    pub status: ExitStatus,
    /// All it wrote to its standard output; what is not UTF-8 is replaced.
    pub stdout: String,
    /// All it wrote to its standard error.
    pub stderr: String,
}

/// What to run: a program, its arguments, and as whom.
#[derive(Debug)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
    user: Option<u32>,
    folder: Option<PathBuf>,
    stderr: Option<PathBuf>,
    etc: Option<PathBuf>,
}

impl Program {
    /// The program at this path, or of this name in `PATH`.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self {
            path: path.as_ref().to_owned(),
            arguments: Vec::new(),
            user: None,
            folder: None,
            stderr: None,
            etc: None,
        }
    }

    /// With one more argument.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// With more arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// As the user (and the group) of this number.
    #[must_use]
    pub fn user(mut self, id: u32) -> Self {
        self.user = Some(id);
        self
    }

    /// With this as its working directory.
    #[must_use]
    pub fn folder(mut self, folder: impl AsRef<Path>) -> Self {
        self.folder = Some(folder.as_ref().to_owned());
        self
    }

    /// With its standard error in this file, which is there already: a disk that is full, for one.
    #[must_use]
    pub fn stderr(mut self, file: impl AsRef<Path>) -> Self {
        self.stderr = Some(file.as_ref().to_owned());
        self
    }

    /// With a limit on what it may have: an option of prlimit, such as `--nofile=64`. The process is
    /// the same.
    #[must_use]
    pub fn limited(mut self, limit: &str) -> Self {
        let program = std::mem::replace(&mut self.path, PathBuf::from("prlimit"));
        self.arguments.insert(0, program.into());
        self.arguments.insert(0, limit.into());
        self
    }

    /// With a variable in its environment. The process is the same.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        let program = std::mem::replace(&mut self.path, PathBuf::from("env"));
        self.arguments.insert(0, program.into());
        self.arguments.insert(0, format!("{name}={value}").into());
        self
    }

    /// With each file of this folder in the place of the one of that name in /etc, for this program
    /// alone. What is written into these files later, it sees too.
    #[must_use]
    pub fn etc(mut self, folder: impl AsRef<Path>) -> Self {
        self.etc = Some(folder.as_ref().to_owned());
        self
    }

    fn name(&self) -> String {
        self.path
            .file_name()
            .unwrap_or(self.path.as_os_str())
            .to_string_lossy()
            .into_owned()
    }
}

impl Process {
    /// Starts the program in the namespace. Its output goes to files in `folder`.
    pub fn start(program: &Program, namespace: &Namespace, folder: &Path) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = program.name();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let stdout = folder.join(format!("{name}.{number}.out"));
        let stderr = match &program.stderr {
            Some(file) => file.clone(),
            None => folder.join(format!("{name}.{number}.err")),
        };
        let output = |path: &Path| File::create(path).expect("a file for a program's output");
        let mut command = Command::new(&program.path);
        command
            .args(&program.arguments)
            .stdin(Stdio::null())
            // Its children end with it.
            .process_group(0)
            .stdout(output(&stdout))
            .stderr(output(&stderr));
        if let Some(id) = program.user {
            command.uid(id).gid(id);
        }
        if let Some(folder) = &program.folder {
            command.current_dir(folder);
        }
        // A new process is in the namespace of the thread that starts it, and nothing else of its
        // surroundings changes (`ip netns exec` would hide /sys/fs/bpf).
        let child = namespace.enter(move || {
            if let Some(etc) = &program.etc {
                cover_etc(etc);
            }
            command.spawn()
        });
        let child = child.unwrap_or_else(|error| match error.kind() {
            ErrorKind::NotFound => panic!("{name} is not installed: run `make setup`"),
            _ => panic!("{name} does not start: {error}"),
        });
        Self {
            name,
            child,
            stdout,
            stderr,
        }
    }

    /// The process's number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to its standard output so far.
    pub fn stdout(&self) -> String {
        read(&self.stdout)
    }

    /// What it has written to its standard error so far.
    pub fn stderr(&self) -> String {
        read(&self.stderr)
    }

    /// Sends the signal.
    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).expect("a process number");
        // It may have ended by itself; whoever waits for it finds out.
        let _ = kill(Pid::from_raw(id), signal);
    }

    /// Sets a limit on what it may have from now on: an option of prlimit, such as `--nofile=64`.
    #[track_caller]
    pub fn limit(&self, limit: &str) {
        let done = Command::new("prlimit")
            .args(["--pid", &self.id().to_string(), limit])
            .output()
            .unwrap_or_else(|error| panic!("prlimit does not run ({error})"));
        assert!(done.status.success(), "prlimit {limit}: {done:?}");
    }

    /// How many descriptors it has open.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.id())).map_or(0, Iterator::count)
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until it ends by itself.
    pub fn wait(mut self, timeout: Duration) -> Finished {
        let timeout = patience(timeout);
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child to wait for") {
                return Finished {
                    name: self.name.clone(),
                    status,
                    stdout: self.stdout(),
                    stderr: self.stderr(),
                };
            }
            assert!(
                start.elapsed() < timeout,
                "{} does not end within {timeout:?}\n{}\n{}",
                self.name,
                self.stdout(),
                self.stderr()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends the signal and waits for the end.
    pub fn stop(self, signal: Signal, timeout: Duration) -> Finished {
        self.signal(signal);
        self.wait(timeout)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let id = i32::try_from(self.child.id()).expect("a process number");
            let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
            let _ = self.child.wait();
        }
        if thread::panicking() {
            eprintln!(
                "--- {}, standard output:\n{}\n--- {}, standard error:\n{}",
                self.name,
                tail(&self.stdout()),
                self.name,
                tail(&self.stderr())
            );
        }
    }
}

impl Finished {
    /// This, if it ended with status 0.
    #[must_use]
    #[track_caller]
    pub fn success(self) -> Self {
        assert!(
            self.status.success(),
            "{} failed ({}):\n{}\n{}",
            self.name,
            self.status,
            tail(&self.stdout),
            tail(&self.stderr)
        );
        self
    }

    /// The exit status; `None` if a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The signal that ended it, if one did.
    pub fn signal(&self) -> Option<i32> {
        self.status.signal()
    }
}

/// Gives the present thread mounts of its own, and in these other files of /etc.
fn cover_etc(folder: &Path) {
    let none = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS).expect("mounts of its own");
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(none, "/", none, private, none).expect("mounts that nobody else sees");
    for file in fs::read_dir(folder).expect("a folder of files for /etc") {
        let file = file.expect("a file for /etc");
        let covered = Path::new("/etc").join(file.file_name());
        mount(Some(&file.path()), &covered, none, MsFlags::MS_BIND, none)
            .unwrap_or_else(|error| panic!("{}: {error}", covered.display()));
    }
}

fn read(path: &Path) -> String {
    // Of a device there is no end.
    if !fs::metadata(path).is_ok_and(|found| found.is_file()) {
        return String::new();
    }
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// The last 15 lines.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
