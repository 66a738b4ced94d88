//! No event floods the log: of each kind so many lines at once and so many a second, and then a line that
//! says how many there were not.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata};
use tracing_subscriber::layer::{Context, Filter};

/// Lines of one kind at once: an exporter that starts says of each interface that it is observed.
const BURST: u32 = 200;
/// Lines of one kind a second, after those.
const RATE: u32 = 10;

type Limiter<C> = RateLimiter<
    Identifier,
    HashMapStateStore<Identifier>,
    C,
    NoOpMiddleware<<C as Clock>::Instant>,
>;

/// Lets through what is within the rate. A kind of event is a place in the source; there is a fixed
/// number of them. What is logged to find out why (debug and trace) is not limited.
pub struct Limit<C: Clock = DefaultClock> {
    limiter: Limiter<C>,
}

impl Limit {
    /// With the time of day's own passing.
    pub fn new() -> Self {
        Self::by(DefaultClock::default())
    }
}

impl<C: Clock> Limit<C> {
    /// By this clock.
    pub fn by(clock: C) -> Self {
        let burst = NonZeroU32::new(BURST).unwrap_or(NonZeroU32::MIN);
        let rate = NonZeroU32::new(RATE).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(rate).allow_burst(burst);
        Self {
            limiter: RateLimiter::new(quota, HashMapStateStore::default(), clock),
        }
    }
}

impl<S, C> Filter<S> for Limit<C>
where
    C: Clock + Send + Sync + 'static,
    C::Instant: Send + Sync,
{
    fn enabled(&self, _metadata: &Metadata<'_>, _context: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _context: &Context<'_, S>) -> bool {
        if *event.metadata().level() > Level::INFO {
            return true;
        }
        let kind = event.metadata().callsite();
        let allowed = self.limiter.check_key(&kind).is_ok();
        if !allowed {
            omit(kind, event);
        }
        allowed
    }
}

/// Lines of a kind that were not written.
struct Omitted {
    level: Level,
    like: String,
    lines: u64,
}

static OMITTED: Mutex<Option<HashMap<Identifier, Omitted>>> = Mutex::new(None);

fn omit(kind: Identifier, event: &Event<'_>) {
    let mut omitted = OMITTED.lock().unwrap_or_else(PoisonError::into_inner);
    omitted
        .get_or_insert_default()
        .entry(kind)
        .or_insert_with(|| Omitted {
            level: *event.metadata().level(),
            like: Message::of(event),
            lines: 0,
        })
        .lines += 1;
}

/// Logs what was not logged since the last call: a line for each kind.
pub fn tell_omitted() {
    let omitted = OMITTED
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    for (_, Omitted { level, like, lines }) in omitted.into_iter().flatten() {
        let told = "too many of a kind: these lines were not logged";
        match level {
            Level::ERROR => tracing::error!(lines, like, "{told}"),
            Level::WARN => tracing::warn!(lines, like, "{told}"),
            _ => tracing::info!(lines, like, "{told}"),
        }
    }
}

/// The words of an event, without its fields.
#[derive(Default)]
struct Message(String);

impl Message {
    fn of(event: &Event<'_>) -> String {
        let mut message = Self::default();
        event.record(&mut message);
        message.0
    }
}

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use governor::clock::FakeRelativeClock;
    use tracing_subscriber::Layer;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<String>>>);

    impl<S: tracing::Subscriber> Layer<S> for Lines {
        fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
            let mut lines = self.0.lock().unwrap();
            lines.push(format!(
                "{} {}",
                event.metadata().level(),
                Message::of(event)
            ));
        }
    }

    #[test]
    fn a_flood_of_one_kind_is_cut_told_of_and_hides_no_other() {
        let clock = FakeRelativeClock::default();
        let lines = Lines::default();
        let layer = lines.clone().with_filter(Limit::by(clock.clone()));
        let flood = |lines: u32| {
            for index in 0..lines {
                tracing::warn!(index, "flapping");
            }
        };
        let count = |word: &str| {
            let lines = lines.0.lock().unwrap();
            lines.iter().filter(|line| line.contains(word)).count()
        };
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            flood(1000);
            tracing::error!("something else");
            assert_eq!((count("flapping"), count("something else")), (200, 1));
            tell_omitted();
            assert_eq!(count("WARN too many of a kind"), 1);
            tell_omitted();
            assert_eq!(count("too many"), 1, "told once");

            clock.advance(Duration::from_secs(2));
            flood(1000);
            assert_eq!(count("flapping"), 200 + 20);

            // Who wants to know it all does.
            for _ in 0..1000 {
                tracing::debug!("detail");
            }
            assert_eq!(count("detail"), 1000);
        });
    }
}
