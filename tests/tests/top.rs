//! `ebpfix top` on a real terminal, by tmux: against an exporter, and with probes of its own.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ebpfix_tests::frame::{IPV4, Ipv4, ethernet, protocol, tcp, udp};
use ebpfix_tests::kernel::{assert_freed, held_by_id};
use ebpfix_tests::process::Program;
use ebpfix_tests::{Ebpfix, Injector, Lab, Namespace, Settings};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A terminal with a shell in it; gone when dropped.
struct Terminal {
    server: String,
}

impl Terminal {
    /// Runs a command line in the namespace, in a terminal of this size, and a shell after it.
    fn run(namespace: &Namespace, size: (u16, u16), command: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let server = format!("ebpfix-test-{}-{number}", std::process::id());
        let terminal = Self { server };
        let (columns, lines) = (size.0.to_string(), size.1.to_string());
        // Of the namespaces only that of the network: the pins' file system stays in sight.
        let shell = format!(
            "nsenter --net=/run/netns/{} env LC_ALL=C.UTF-8 sh -c '{command}; echo ended with $?; stty -a; exec sh'",
            namespace.name()
        );
        terminal.tmux(&[
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            &columns,
            "-y",
            &lines,
            &shell,
        ]);
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> Output {
        let output = Command::new("tmux")
            .args(["-u", "-L", &self.server])
            .args(arguments)
            .env_remove("TMUX")
            .output()
            .unwrap_or_else(|error| panic!("tmux does not run ({error}): run `make setup`"));
        assert!(
            output.status.success(),
            "tmux {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        output
    }

    fn keys(&self, keys: &[&str]) {
        let mut arguments = vec!["send-keys"];
        arguments.extend(keys);
        self.tmux(&arguments);
    }

    fn screen(&self) -> String {
        let output = self.tmux(&["capture-pane", "-p"]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Whether anything on the screen has a colour (ECMA-48, SGR 30 to 37 and the like; 39 is none).
    fn has_colours(&self) -> bool {
        let output = self.tmux(&["capture-pane", "-p", "-e"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let sequences = text.split("\u{1b}[").skip(1);
        let codes = sequences
            .filter_map(|rest| rest.split_once('m'))
            .map(|(codes, _)| codes);
        codes
            .flat_map(|codes| codes.split(';'))
            .filter_map(|code| code.parse::<u8>().ok())
            .any(|code| matches!(code, 30..=38 | 40..=48 | 90..=107))
    }

    /// Waits for a screen that has all of this.
    #[track_caller]
    fn wait(&self, parts: &[&str]) -> String {
        let mut last = String::new();
        let began = std::time::Instant::now();
        while began.elapsed() < ebpfix_tests::patience(Duration::from_secs(15)) {
            last = self.screen();
            if parts.iter().all(|part| last.contains(part)) {
                return last;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("not on the screen: {parts:?}\n{last}");
    }

    /// The process on the terminal whose command line has this.
    fn pid_of(&self, part: &str) -> Pid {
        let tty = self.tmux(&["display-message", "-p", "#{pane_tty}"]);
        let tty = String::from_utf8_lossy(&tty.stdout)
            .trim()
            .replace("/dev/", "");
        let output = Command::new("ps")
            .args(["-t", &tty, "-o", "pid=,args="])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text
            .lines()
            .find(|line| line.contains(part) && !line.contains("sh -c"))
            .unwrap_or_else(|| panic!("no {part} in\n{text}"));
        Pid::from_raw(line.split_whitespace().next().unwrap().parse().unwrap())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = Command::new("tmux")
            .args(["-L", &self.server, "kill-server"])
            .output();
    }
}

fn top(arguments: &str) -> String {
    format!(
        "{} top {arguments}",
        ebpfix_tests::ebpfix::binary().display()
    )
}

/// Datagrams and segments, again and again, until it is dropped.
struct Traffic(
    std::sync::Arc<std::sync::atomic::AtomicBool>,
    Option<std::thread::JoinHandle<()>>,
);

impl Traffic {
    fn start(a: &Namespace) -> Self {
        let end = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (ended, injector) = (end.clone(), Injector::new(a, "a0"));
        let thread = std::thread::spawn(move || {
            let udp = Ipv4::new([192, 0, 2, 1], [192, 0, 2, 2], protocol::UDP)
                .packet(&udp(4000, 53, &[0; 500]));
            let tcp = Ipv4::new([192, 0, 2, 9], [192, 0, 2, 2], protocol::TCP)
                .packet(&tcp(40_000, 443, 0x10, b""));
            while !ended.load(Ordering::Relaxed) {
                for _ in 0..10 {
                    injector.send(&ethernet(IPV4, &udp));
                }
                injector.send(&ethernet(IPV4, &tcp));
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        Self(end, Some(thread))
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        if let Some(thread) = self.1.take() {
            let _ = thread.join();
        }
    }
}

const UDP: &str = "192.0.2.1:4000";
const TCP: &str = "192.0.2.9:40000";

#[test]
fn on_a_terminal_against_an_exporter() {
    let (lab, a, b) = Lab::pair("top");
    let settings = Settings::new("b0", &["ingress"]).observation("drain-interval", "\"200ms\"");
    let ebpfix = Ebpfix::start(&lab, &b, &settings);
    let traffic = Traffic::start(&a);
    let command = top(&format!(
        "--interval 500ms --config {}",
        ebpfix.config().display()
    ));
    let terminal = Terminal::run(&b, (80, 24), &command);
    let screen = terminal.wait(&[UDP, TCP, "bit/s", "observed", "collectors  none", "1 Flows"]);
    // The heavier one is above.
    assert!(screen.find(UDP) < screen.find(TCP), "{screen}");
    assert_eq!(
        screen.trim_end_matches('\n').lines().count(),
        24,
        "{screen}"
    );
    assert!(terminal.has_colours());

    terminal.tmux(&["resize-window", "-x", "132", "-y", "43"]);
    let wide = terminal.wait(&[" DUP", "...A....", UDP]);
    assert!(
        wide.lines().any(|line| line.chars().count() > 100),
        "{wide}"
    );
    terminal.tmux(&["resize-window", "-x", "40", "-y", "10"]);
    let small = terminal.wait(&["SOURCE", UDP, "BIT/S", "? help"]);
    assert!(!small.contains("INTERFACE"), "{small}");
    terminal.tmux(&["resize-window", "-x", "80", "-y", "24"]);

    terminal.keys(&["4"]);
    let _ = terminal.wait(&["SERVICE", "TCP       443", "UDP        53", "3 Listeners"]);
    terminal.keys(&["Enter"]);
    let drilled = terminal.wait(&["filter: proto 17 and port 53", UDP]);
    assert!(!drilled.contains(TCP), "{drilled}");
    terminal.keys(&["Enter"]);
    let _ = terminal.wait(&[
        "what its record has counted so far",
        "UDP  192.0.2.1:4000 -> 192.0.2.2:53",
    ]);
    terminal.keys(&["Escape"]);
    let _ = terminal.wait(&["PROTO"]);

    terminal.keys(&["/", "C-u", "tcp prot"]);
    terminal.keys(&["Enter"]);
    let _ = terminal.wait(&["filter: tcp prot  filter, column 5: expected"]);
    terminal.keys(&["C-u", "tcp", "Enter"]);
    let _ = terminal.wait(&["filter: tcp", TCP]);
    terminal.keys(&["p"]);
    let _ = terminal.wait(&["PAUSED"]);
    drop(traffic);
    std::thread::sleep(Duration::from_millis(1200));
    assert!(terminal.screen().contains(TCP), "what was shown stays");
    terminal.keys(&["p"]);
    let _ = terminal.wait(&["no packets of such flows in this interval"]);

    // The exporter goes, and another one comes.
    let ebpfix = ebpfix.kill_and_start_again(&lab);
    let _traffic = Traffic::start(&a);
    let _ = terminal.wait(&[TCP]);
    terminal.keys(&["?"]);
    let _ = terminal.wait(&["Ctrl-C", "any key leaves this help"]);
    terminal.keys(&["x", "q"]);
    let after = terminal.wait(&["ended with 0", " icanon", " echo "]);
    assert!(
        !after.contains("PROTO"),
        "the screen before is back:\n{after}"
    );
    let _ = ebpfix.stop();
}

#[test]
fn however_it_ends_the_terminal_is_given_back() {
    let (lab, a, b) = Lab::pair("top-ends");
    let ebpfix = Ebpfix::start(&lab, &b, &Settings::new("b0", &["ingress"]));
    let _traffic = Traffic::start(&a);
    let command = top(&format!(
        "--interval 200ms --config {}",
        ebpfix.config().display()
    ));
    for (signal, plain) in [
        (None, format!("{command} --no-color")),
        (Some(Signal::SIGTERM), format!("NO_COLOR=1 {command}")),
        (Some(Signal::SIGHUP), format!("NO_COLOR=yes {command}")),
    ] {
        let terminal = Terminal::run(&b, (80, 24), &plain);
        let _ = terminal.wait(&[UDP]);
        assert!(!terminal.has_colours(), "none are wanted");
        match signal {
            Some(signal) => kill(terminal.pid_of("ebpfix top"), signal).unwrap(),
            None => terminal.keys(&["C-c"]),
        }
        let after = terminal.wait(&["ended with 0", " icanon", " echo "]);
        assert!(!after.contains("SOURCE"), "{after}");
        let cursor = terminal.tmux(&["display-message", "-p", "#{cursor_flag}#{alternate_on}"]);
        assert_eq!(String::from_utf8_lossy(&cursor.stdout), "10\n");
    }
    // A terminal that cannot place its cursor gets lines.
    let dumb = Terminal::run(&b, (80, 24), &format!("TERM=dumb {command} -n 2"));
    let _ = dumb.wait(&[UDP, "packets  observed", "ended with 0"]);
    let _ = ebpfix.stop();
}

#[test]
fn with_probes_of_its_own_it_leaves_nothing_behind() {
    let (lab, a, b) = Lab::pair("top-alone");
    let _traffic = Traffic::start(&a);
    let pins = || -> Vec<PathBuf> {
        let entries = fs::read_dir("/sys/fs/bpf").unwrap().flatten();
        let paths = entries.map(|entry| entry.path());
        paths
            .filter(|path| path.to_string_lossy().contains("ebpfix-top-"))
            .collect()
    };
    let terminal = Terminal::run(&b, (80, 24), &top("--interval 300ms -i b0"));
    let _ = terminal.wait(&[UDP, TCP, "ebpfix top  b0", "observed"]);
    let pid = terminal.pid_of("ebpfix top");
    let held = held_by_id(pid.as_raw().try_into().unwrap());
    assert!(held.iter().any(|(kind, _)| *kind == "link"), "{held:?}");
    terminal.keys(&["Enter"]);
    let _ = terminal.wait(&["what its record has counted so far"]);
    let _ = kill(pid, Signal::SIGTERM);
    let _ = terminal.wait(&["ended with 0", " icanon"]);
    assert_freed(&held, "top");
    assert_eq!(pins(), Vec::<PathBuf>::new());

    let program = Program::new(ebpfix_tests::ebpfix::binary()).args([
        "top",
        "-i",
        "b0",
        "-n",
        "3",
        "--interval",
        "300ms",
        "udp",
    ]);
    let done = lab.run(&b, &program, Duration::from_secs(20)).success();
    assert_eq!(
        done.stdout.matches("packets  observed").count(),
        3,
        "{}",
        done.stdout
    );
    assert!(
        done.stdout.contains(UDP) && !done.stdout.contains(TCP),
        "{}",
        done.stdout
    );
    let program = Program::new(ebpfix_tests::ebpfix::binary()).args(["top", "-i", "b7"]);
    let done = lab.run(&b, &program, Duration::from_secs(20));
    assert_eq!(done.status.code(), Some(1));
    assert!(done.stderr.contains("b7"), "{}", done.stderr);
}
