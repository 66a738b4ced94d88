//! The terminal: taken at the beginning, given back at the end, whatever the end is.

use std::io::{self, BufWriter, Stdout, Write};
use std::panic;
use std::sync::Arc;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crossterm::cursor::{Hide, Show};
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::execute;
use crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::backend::CrosstermBackend;
use ratatui::{Frame, Terminal};

/// A drawing is written in one piece, if it is not larger.
const BUFFER: usize = 64 * 1024;

/// Whether the terminal is taken.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal as a screen.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Counting>>>,
    octets: Arc<AtomicU64>,
}

/// Counts what is written.
struct Counting {
    out: Stdout,
    octets: Arc<AtomicU64>,
}

impl Write for Counting {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let written = self.out.write(octets)?;
        self.octets.fetch_add(written as u64, Ordering::Relaxed);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Screen {
    /// Takes the terminal.
    pub fn open() -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                // What it says is to be read.
                give_back();
                before(info);
            }));
        });
        enable_raw_mode()?;
        TAKEN.store(true, Ordering::SeqCst);
        let octets = Arc::new(AtomicU64::new(0));
        let counting = Counting {
            out: io::stdout(),
            octets: octets.clone(),
        };
        let opened = execute!(
            io::stdout(),
            EnterAlternateScreen,
            EnableBracketedPaste,
            Hide
        )
        .and_then(|()| {
            let backend = CrosstermBackend::new(BufWriter::with_capacity(BUFFER, counting));
            Terminal::new(backend)
        });
        match opened {
            Ok(terminal) => Ok(Self { terminal, octets }),
            Err(error) => {
                give_back();
                Err(error)
            }
        }
    }

    /// Draws; only cells that changed are written.
    pub fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(draw).map(drop)
    }

    /// Octets written so far.
    pub fn octets(&self) -> u64 {
        self.octets.load(Ordering::Relaxed)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Once, whoever is first.
fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        // A terminal that is gone needs nothing.
        let _ = execute!(
            io::stdout(),
            Show,
            DisableBracketedPaste,
            LeaveAlternateScreen
        );
        let _ = disable_raw_mode();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Output};
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    /// A terminal by tmux; gone when dropped.
    struct Tmux(String);

    impl Tmux {
        fn run(&self, arguments: &[&str]) -> Output {
            Command::new("tmux")
                .args(["-u", "-L", &self.0])
                .args(arguments)
                .env_remove("TMUX")
                .output()
                .unwrap_or_else(|error| panic!("tmux does not run ({error}): run `make setup`"))
        }

        /// Waits for a screen that has this.
        fn wait(&self, part: &str) -> String {
            let began = Instant::now();
            let mut last = String::new();
            while began.elapsed() < Duration::from_secs(20) {
                let output = self.run(&["capture-pane", "-p"]);
                last = String::from_utf8_lossy(&output.stdout).into_owned();
                if last.contains(part) {
                    return last;
                }
                sleep(Duration::from_millis(30));
            }
            panic!("{part:?} is not on the screen:\n{last}");
        }
    }

    impl Drop for Tmux {
        fn drop(&mut self) {
            let _ = self.run(&["kill-server"]);
        }
    }

    #[test]
    fn a_panic_gives_the_terminal_back_and_can_be_read() {
        let tmux = Tmux(format!("ebpfix-unit-{}", std::process::id()));
        let itself = std::env::current_exe().unwrap();
        let command = format!(
            "RUST_BACKTRACE=0 {} --exact commands::top::screen::tests::takes_the_terminal_and_panics --ignored --nocapture; stty -a; exec sh",
            itself.display()
        );
        let started = tmux.run(&[
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            "80",
            "-y",
            "40",
            &command,
        ]);
        assert!(started.status.success(), "{started:?}");
        let _ = tmux.wait("the screen that was taken");
        let after = tmux.wait(" icanon");
        assert!(after.contains("a defect, to be read"), "{after}");
        assert!(!after.contains("the screen that was taken"), "{after}");
        let state = tmux.run(&["display-message", "-p", "#{cursor_flag}#{alternate_on}"]);
        assert_eq!(String::from_utf8_lossy(&state.stdout), "10\n");
    }

    #[test]
    #[ignore = "it needs a terminal, and fails: the test above runs it"]
    fn takes_the_terminal_and_panics() {
        let mut screen = Screen::open().unwrap();
        let text = ratatui::text::Line::raw("the screen that was taken");
        screen
            .draw(|frame| frame.render_widget(text, frame.area()))
            .unwrap();
        sleep(Duration::from_secs(1));
        panic!("a defect, to be read");
    }
}
