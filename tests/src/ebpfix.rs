//! The binary under test.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::lab::{Lab, Namespace};
use crate::process::{Finished, Process, Program};
use crate::{patience, wait_for};

/// The binary: target/release/ebpfix of the build that this test belongs to, or what `EBPFIX_BIN`
/// names.
pub fn binary() -> PathBuf {
    let path = std::env::var_os("EBPFIX_BIN").map_or_else(
        || {
            let test = std::env::current_exe().expect("the path of this test");
            // target/debug/deps/captures-0123456789abcdef
            let target = test.ancestors().nth(3).expect("the folder of the build");
            target.join("release/ebpfix")
        },
        PathBuf::from,
    );
    assert!(
        path.exists(),
        "{} does not exist: run `make test`, or `cargo build --release` first",
        path.display()
    );
    path
}

/// What a test wants in the configuration. Everything has the test's own value or ebpfix's default.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    observation: String,
    metering: String,
    collectors: String,
    rest: String,
    etc: Option<PathBuf>,
}

impl Settings {
    /// Observe this interface, in these directions (`ingress`, `egress`).
    pub fn new(interface: &str, directions: &[&str]) -> Self {
        let mut settings = Self::default();
        let quoted: Vec<String> = directions
            .iter()
            .map(|name| format!("\"{name}\""))
            .collect();
        settings = settings
            .observation("interfaces", &format!("[\"{interface}\"]"))
            .observation("directions", &format!("[{}]", quoted.join(", ")));
        settings
    }

    /// Whether this interface is the one of [`Settings::new`].
    pub fn observes(&self, interface: &str) -> bool {
        self.observation.contains(&format!("[\"{interface}\"]"))
    }

    /// A key of `[observation]` and its value in TOML.
    #[must_use]
    pub fn observation(mut self, key: &str, value: &str) -> Self {
        let _ = writeln!(self.observation, "{key} = {value}");
        self
    }

    /// A key of `[metering]` and its value in TOML.
    #[must_use]
    pub fn metering(mut self, key: &str, value: &str) -> Self {
        let _ = writeln!(self.metering, "{key} = {value}");
        self
    }

    /// A collector on 127.0.0.1 with this port and protocol (`ipfix`, `netflow-v9`).
    #[must_use]
    pub fn collector(self, port: u16, protocol: &str) -> Self {
        self.collector_with(port, protocol, "")
    }

    /// The same, with more keys.
    #[must_use]
    pub fn collector_with(mut self, port: u16, protocol: &str, more: &str) -> Self {
        let _ = writeln!(
            self.collectors,
            "[[collector]]\nname = \"c{port}\"\naddress = \"127.0.0.1:{port}\"\nprotocol = \"{protocol}\"\n{more}"
        );
        self
    }

    /// With the files of this folder in /etc, the first time that it is started.
    #[must_use]
    pub fn etc(mut self, folder: impl AsRef<Path>) -> Self {
        self.etc = Some(folder.as_ref().to_owned());
        self
    }

    /// Further tables.
    #[must_use]
    pub fn table(mut self, text: &str) -> Self {
        self.rest.push_str(text);
        self.rest.push('\n');
        self
    }

    /// The file.
    pub fn text(&self, run_dir: &Path, pin_dir: &Path) -> String {
        format!(
            "[observation]\n{}\n[metering]\n{}\n{}\n{}\n[daemon]\nrun-dir = \"{}\"\npin-dir = \"{}\"\n",
            self.observation,
            self.metering,
            self.collectors,
            self.rest,
            run_dir.display(),
            pin_dir.display()
        )
    }
}

/// Packets and octets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Count {
    /// Packets as on the wire.
    pub packets: u64,
    /// IP octets.
    pub octets: u64,
}

/// The ledger of one reading of `status --json`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// All that was seen.
    pub observed: Count,
    /// What records carried to the collectors.
    pub exported: Count,
    /// What is between the two.
    pub held: Count,
    /// What was lost, by reason; reasons with nothing are left out.
    pub lost: Vec<(String, Count)>,
}

impl Ledger {
    /// From the `ledger` of `status --json`.
    pub fn from_json(value: &Value) -> Self {
        let count = |value: &Value| Count {
            packets: number(value, "packets"),
            octets: number(value, "octets"),
        };
        let lost = value["lost"].as_object();
        let lost = lost.unwrap_or_else(|| panic!("no `lost` in the ledger {value}"));
        Self {
            observed: count(&value["observed"]),
            exported: count(&value["exported"]),
            held: count(&value["held"]),
            lost: lost
                .iter()
                .map(|(reason, value)| (reason.clone(), count(value)))
                .filter(|(_, count)| *count != Count::default())
                .collect(),
        }
    }

    /// What was lost for this reason.
    pub fn lost_by(&self, reason: &str) -> Count {
        let found = self.lost.iter().find(|(name, _)| name == reason);
        found.map(|(_, count)| *count).unwrap_or_default()
    }

    /// All that was lost.
    pub fn lost_in_all(&self) -> Count {
        let mut sum = Count::default();
        for (_, count) in &self.lost {
            sum.packets += count.packets;
            sum.octets += count.octets;
        }
        sum
    }

    /// observed = exported + held + lost, in packets and in octets.
    #[track_caller]
    pub fn assert_balanced(&self) {
        let lost = self.lost_in_all();
        let packets = self.exported.packets + self.held.packets + lost.packets;
        let octets = self.exported.octets + self.held.octets + lost.octets;
        assert_eq!(
            (self.observed.packets, self.observed.octets),
            (packets, octets),
            "the ledger is out of balance: {self:?}"
        );
    }
}

/// A running `ebpfix run`.
#[derive(Debug)]
pub struct Ebpfix {
    process: Process,
    namespace: Namespace,
    folder: PathBuf,
    config: PathBuf,
    run_dir: PathBuf,
    pin_dir: PathBuf,
}

/// What an exporter left that has ended and was not stopped.
#[derive(Debug)]
pub struct Left {
    namespace: Namespace,
    folder: PathBuf,
    config: PathBuf,
    run_dir: PathBuf,
    pin_dir: PathBuf,
}

impl Left {
    /// Starts another in its place, with the same configuration.
    pub fn start(self, lab: &Lab) -> Ebpfix {
        self.launch(lab).ready()
    }

    /// The same, with another configuration.
    pub fn start_with(self, lab: &Lab, settings: &Settings) -> Ebpfix {
        self.configure(settings);
        self.start(lab)
    }

    /// The same, without waiting for anything.
    pub fn launch_with(self, lab: &Lab, settings: &Settings) -> Ebpfix {
        self.configure(settings);
        self.launch(lab)
    }

    /// Starts another that is to fail, and gives what came of it.
    pub fn try_start_with(&self, lab: &Lab, settings: &Settings) -> Finished {
        self.configure(settings);
        lab.run(&self.namespace, &run(&self.config), Duration::from_secs(20))
    }

    /// Runs `ebpfix detach`.
    pub fn detach(&self, lab: &Lab) -> Finished {
        let program = Program::new(binary())
            .args(["detach", "--config"])
            .arg(&self.config);
        lab.run(&self.namespace, &program, Duration::from_secs(20))
    }

    /// Where its pins are.
    pub fn pin_dir(&self) -> &Path {
        &self.pin_dir
    }

    fn configure(&self, settings: &Settings) {
        let text = settings.text(&self.run_dir, &self.pin_dir);
        fs::write(&self.config, text).expect("to write a configuration");
    }

    fn launch(self, lab: &Lab) -> Ebpfix {
        Ebpfix {
            process: lab.start(&self.namespace, &run(&self.config)),
            namespace: self.namespace,
            folder: self.folder,
            config: self.config,
            run_dir: self.run_dir,
            pin_dir: self.pin_dir,
        }
    }
}

impl Ebpfix {
    /// Starts it in the namespace and waits until it answers `status`.
    pub fn start(lab: &Lab, namespace: &Namespace, settings: &Settings) -> Self {
        Self::launch(lab, namespace, settings).ready()
    }

    /// Kills it and starts it again with the same configuration.
    #[must_use]
    pub fn kill_and_start_again(self, lab: &Lab) -> Self {
        self.kill().start(lab)
    }

    /// Kills it.
    pub fn kill(self) -> Left {
        self.process.signal(Signal::SIGKILL);
        let (process, left) = self.leave();
        let done = process.wait(Duration::from_secs(10));
        assert_eq!(done.signal(), Some(Signal::SIGKILL as i32), "{done:?}");
        left
    }

    /// Waits for its end by itself; and what it left.
    pub fn ended(self, timeout: Duration) -> (Left, Finished) {
        let (process, left) = self.leave();
        (left, process.wait(timeout))
    }

    /// Has it hand over to another, by `ebpfix handover`; its end, and what it left.
    pub fn hand_over(self, lab: &Lab) -> (Left, Finished) {
        let program = Program::new(binary())
            .args(["handover", "--config"])
            .arg(&self.config);
        let _ = lab
            .run(&self.namespace, &program, Duration::from_mins(1))
            .success();
        let (mut process, left) = self.leave();
        wait_for("the exporter has ended", Duration::from_secs(1), || {
            (!process.is_running()).then_some(())
        });
        (left, process.wait(Duration::from_secs(1)).success())
    }

    fn leave(self) -> (Process, Left) {
        let Self {
            process,
            namespace,
            folder,
            config,
            run_dir,
            pin_dir,
        } = self;
        let left = Left {
            namespace,
            folder,
            config,
            run_dir,
            pin_dir,
        };
        (process, left)
    }

    /// Waits until it knows what an exporter before had read of the tables that it adopted.
    pub fn wait_taken_over(&self) -> Value {
        wait_for("the tables are taken over", Duration::from_secs(20), || {
            let kernel = self.status()["kernel"].take();
            (kernel["taking_over"] == false).then_some(kernel)
        })
    }

    /// Where it keeps its pins.
    pub fn pin_dir(&self) -> &Path {
        &self.pin_dir
    }

    /// Writes another configuration, which is not read yet.
    pub fn configure(&self, settings: &Settings) {
        let text = settings.text(&self.run_dir, &self.pin_dir);
        fs::write(&self.config, text).expect("to write a configuration");
    }

    /// Has it read another configuration, and waits until it has.
    pub fn reload(&self, settings: &Settings) {
        let read = |text: &str| text.matches("was read again").count();
        let before = read(&self.process.stderr());
        self.configure(settings);
        self.process.signal(Signal::SIGHUP);
        wait_for(
            "the configuration is read again",
            Duration::from_secs(20),
            || (read(&self.process.stderr()) > before).then_some(()),
        );
    }

    /// Waits until it has observed this many packets and holds none.
    pub fn wait_settled(&self, packets: u64) -> Ledger {
        let start = std::time::Instant::now();
        loop {
            let last = self.ledger();
            if last.observed.packets >= packets && last.held == Count::default() {
                return last;
            }
            assert!(
                start.elapsed() < patience(Duration::from_secs(30)),
                "of {packets} packets: {last:?}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until it answers.
    #[must_use]
    pub fn ready(mut self) -> Self {
        wait_for(
            "ebpfix answers `status --json`",
            Duration::from_secs(20),
            || {
                assert!(
                    self.process.is_running(),
                    "ebpfix ended at once:\n{}{}",
                    self.process.stdout(),
                    self.process.stderr()
                );
                self.try_status()
            },
        );
        self
    }

    /// Starts it in the namespace without waiting for anything.
    pub fn launch(lab: &Lab, namespace: &Namespace, settings: &Settings) -> Self {
        Self::launch_as(lab, namespace, settings, |program| program)
    }

    /// The same, the program as `how` makes it.
    pub fn launch_as(
        lab: &Lab,
        namespace: &Namespace,
        settings: &Settings,
        how: impl FnOnce(Program) -> Program,
    ) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let run_dir = lab.folder().join(format!("run{number}"));
        let name = lab
            .folder()
            .file_name()
            .expect("a folder")
            .to_string_lossy();
        let pin_dir = PathBuf::from(format!("/sys/fs/bpf/{name}-{number}"));
        let config = lab.folder().join(format!("ebpfix.{number}.toml"));
        fs::write(&config, settings.text(&run_dir, &pin_dir)).expect("to write a configuration");
        let mut program = run(&config);
        if let Some(etc) = &settings.etc {
            program = program.etc(etc);
        }
        Self {
            process: lab.start(namespace, &how(program)),
            namespace: namespace.clone(),
            folder: lab.folder().to_owned(),
            config,
            run_dir,
            pin_dir,
        }
    }

    /// What `status --json` says.
    #[track_caller]
    pub fn status(&self) -> Value {
        self.try_status().unwrap_or_else(|| {
            panic!(
                "ebpfix does not answer `status --json`:\n{}",
                self.process.stderr()
            )
        })
    }

    /// The ledger, after checking that it balances.
    #[track_caller]
    pub fn ledger(&self) -> Ledger {
        let ledger = Ledger::from_json(&self.status()["ledger"]);
        ledger.assert_balanced();
        ledger
    }

    /// Waits until it has observed this many packets.
    pub fn wait_observed(&self, packets: u64) -> Ledger {
        let what = format!("ebpfix observes {packets} packets");
        let start = std::time::Instant::now();
        loop {
            let last = self.ledger();
            if last.observed.packets >= packets {
                return last;
            }
            assert!(
                start.elapsed() < patience(Duration::from_secs(20)),
                "{what}: {last:?}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The process, to look whether it runs.
    pub fn process_mut(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The file it was started with.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Ends it in good order: it exports all it holds.
    pub fn stop(self) -> Finished {
        let done = self
            .process
            .stop(Signal::SIGTERM, Duration::from_secs(30))
            .success();
        let pins: Vec<_> = fs::read_dir(&self.pin_dir).into_iter().flatten().collect();
        assert!(pins.is_empty(), "left behind: {pins:?}");
        done
    }

    /// Waits for its end by itself.
    pub fn wait(self, timeout: Duration) -> Finished {
        self.process.wait(timeout)
    }

    /// What `status --json` says, if it answers.
    pub fn try_status(&self) -> Option<Value> {
        let program = Program::new(binary())
            .args(["status", "--json", "--config"])
            .arg(&self.config);
        let done =
            Process::start(&program, &self.namespace, &self.folder).wait(Duration::from_secs(10));
        if !done.status.success() {
            // Seen where the test fails.
            eprintln!("ebpfix status: {}", done.stderr.trim_end());
            return None;
        }
        let status = serde_json::from_str(&done.stdout);
        Some(status.unwrap_or_else(|error| {
            panic!("`status --json` wrote no JSON: {error}\n{}", done.stdout)
        }))
    }
}

fn run(config: &Path) -> Program {
    Program::new(binary()).args(["run", "--config"]).arg(config)
}

fn number(value: &Value, name: &str) -> u64 {
    value[name]
        .as_u64()
        .unwrap_or_else(|| panic!("no `{name}` in {value}"))
}
