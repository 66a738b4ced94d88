//! `ebpfix top`: what counts most, second by second.
//!
//! `source` gives looks: an interval's flows and the exporter's state. `state` has what is shown and
//! what keys do, `draw` the screen, `screen` the terminal. Here is the loop between them.

mod draw;
mod picture;
mod screen;
pub mod source;
pub mod state;

use std::env;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use crossterm::event::{Event, EventStream};
use futures_util::StreamExt as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use super::Failure;
use crate::cli::{self, TopArgs};
use crate::flows::show;
use screen::Screen;
use source::{Look, Looks, Wish};
use state::{App, Asked, Cost};

pub use picture::{picture, text};

/// Between two drawings at least: a held key does not draw faster.
const FRAME: Duration = Duration::from_millis(50);

/// Presents flows until it is told to end.
pub fn run(args: &TopArgs) -> Result<(), Failure> {
    let filter = cli::filter(&args.filter).map_err(Failure::Failed)?;
    let dumb = env::var("TERM").is_ok_and(|term| term == "dumb");
    let batch = args.batch || dumb || !io::stdout().is_terminal() || !io::stdin().is_terminal();
    let daemon = if args.interface.is_empty() {
        Some(super::daemon_of(&args.config)?)
    } else {
        None
    };
    let source = match &daemon {
        Some(daemon) => daemon.run_dir.display().to_string(),
        None => args.interface.join(" "),
    };
    let mut app = App::new(source, args.interval, filter);
    let outcome = super::runtime()?.block_on(async {
        let (wishes, wished) = watch::channel(app.wish());
        let (seen, looks) = mpsc::channel(1);
        // Its programs come off when this is dropped, at the end of this block.
        let _probes = if let Some(daemon) = daemon {
            let socket = daemon.control_socket();
            tokio::spawn(source::exporter(socket, args.interval, wished, seen));
            None
        } else {
            Some(source::probes(&args.interface, args.interval, wished, seen).await?)
        };
        if batch {
            lines(&mut app, looks, args.iterations).await
        } else {
            let look = draw::Look {
                colours: !args.no_color && env::var_os("NO_COLOR").is_none_or(|set| set.is_empty()),
                unicode: speaks_unicode(),
            };
            watch(&mut app, &wishes, looks, look, args.iterations).await
        }
    });
    outcome.map_err(Failure::Failed)
}

/// Whether the locale has characters beyond ASCII.
fn speaks_unicode() -> bool {
    let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
    locale.is_some_and(|locale| {
        let locale = locale.to_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

/// The screen, until the end.
async fn watch(
    app: &mut App,
    wishes: &watch::Sender<Wish>,
    mut looks: Looks,
    look: draw::Look,
    mut left: Option<u32>,
) -> Result<(), String> {
    let failed = |error: io::Error| format!("cannot use the terminal: {error}");
    let mut signals = Signals::new()?;
    let mut screen = Screen::open().map_err(failed)?;
    let mut events = EventStream::new();
    let mut meter = CostMeter::new();
    let mut drawn: Option<Instant> = None;
    let mut stale = true;
    loop {
        let wait = drawn.map_or(Duration::ZERO, |at| FRAME.saturating_sub(at.elapsed()));
        tokio::select! {
            () = signals.any() => return Ok(()),
            () = tokio::time::sleep(wait), if stale => {
                screen.draw(|frame| draw::draw(frame, app, look)).map_err(failed)?;
                drawn = Some(Instant::now());
                stale = false;
                if left == Some(0) {
                    return Ok(());
                }
            }
            seen = looks.recv() => {
                let Some(seen) = seen else {
                    return Err("the flows are no longer looked at".to_owned());
                };
                if seen.is_ok() {
                    left = left.map(|left| left.saturating_sub(1));
                    app.cost = meter.read(screen.octets());
                }
                app.see(seen);
                stale = true;
            }
            event = events.next() => {
                match event {
                    Some(Ok(Event::Key(key))) => match app.key(key) {
                        Asked::Quit => return Ok(()),
                        Asked::Look => { wishes.send_replace(app.wish()); }
                        Asked::Nothing => {}
                    },
                    Some(Ok(Event::Paste(text))) => app.paste(&text),
                    Some(Ok(_)) => {}
                    // The terminal is gone.
                    Some(Err(error)) => return Err(failed(error)),
                    None => return Ok(()),
                }
                stale = true;
            }
        }
    }
}

/// Lines instead of a screen.
async fn lines(app: &mut App, mut looks: Looks, mut left: Option<u32>) -> Result<(), String> {
    let mut signals = Signals::new()?;
    while left != Some(0) {
        let seen = tokio::select! {
            seen = looks.recv() => seen,
            () = signals.any() => return Ok(()),
        };
        let text = match seen.ok_or("the flows are no longer looked at")? {
            Ok(look) => {
                left = left.map(|left| left.saturating_sub(1));
                look_as_lines(app, look)
            }
            Err(error) if app.look.is_none() => return Err(error),
            Err(error) => format!("{error}\n"),
        };
        let mut out = io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written.map_err(|error| format!("cannot write to stdout: {error}"))?,
        }
    }
    Ok(())
}

fn look_as_lines(app: &mut App, look: Look) -> String {
    /// As many as a screen has.
    const ROWS: usize = 20;
    app.see(Ok(look));
    let Some(look) = &app.look else {
        return String::new();
    };
    let (ledger, _) = draw::ledger(app);
    let rows = app.rows();
    let shown = &rows[..rows.len().min(ROWS)];
    format!(
        "{} {}\n{ledger}\n{}\n",
        look.report.time,
        draw::totals(app),
        show::table(app.view.by(), shown, Some(look.report.seconds), None)
    )
}

/// Signals that end it.
struct Signals([tokio::signal::unix::Signal; 3]);

impl Signals {
    fn new() -> Result<Self, String> {
        let catch = |kind| signal(kind).map_err(|e| format!("cannot wait for signals: {e}"));
        Ok(Self([
            catch(SignalKind::interrupt())?,
            catch(SignalKind::terminate())?,
            catch(SignalKind::hangup())?,
        ]))
    }

    async fn any(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// What this process has cost since the last reading.
struct CostMeter {
    at: Instant,
    ticks: u64,
    octets: u64,
}

impl CostMeter {
    fn new() -> Self {
        Self {
            at: Instant::now(),
            ticks: ticks(),
            octets: 0,
        }
    }

    fn read(&mut self, octets: u64) -> Cost {
        /// `USER_HZ`, which Linux shows to programs everywhere.
        const TICKS_PER_SECOND: f64 = 100.0;
        let seconds = self.at.elapsed().as_secs_f64();
        let now = ticks();
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let per_second = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
        let cost = Cost {
            cpu: per_second(now, self.ticks) / TICKS_PER_SECOND,
            octets: per_second(octets, self.octets),
        };
        *self = Self {
            at: Instant::now(),
            ticks: now,
            octets,
        };
        cost
    }
}

/// Processor time of this process in ticks; 0 where it cannot be told (proc(5), fields 14 and 15).
fn ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name may hold anything, up to the last parenthesis.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let times = fields.split_whitespace().skip(11).take(2);
    times.filter_map(|time| time.parse::<u64>().ok()).sum()
}
