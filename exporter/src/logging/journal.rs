//! The journal's own protocol, so that lines have a priority and fields that `journalctl` can search.

use std::fmt::{self, Write as _};

use libsystemd::logging::{Priority, connected_to_journal, journal_send};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::FormatFields as _;
use tracing_subscriber::fmt::format::{DefaultFields, Writer};
use tracing_subscriber::layer::Context;

/// Before the names of our own fields, which could be the journal's otherwise.
const PREFIX: &str = "EBPFIX_";

/// Whether stderr goes to the journal.
pub fn is_stderr() -> bool {
    connected_to_journal()
}

/// Writes each event as one entry: `MESSAGE` as in a line of text, with its fields, for who reads;
/// `PRIORITY`; and each field by itself, such as `EBPFIX_COLLECTOR`, for who searches.
pub struct Journal;

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let message = message(event);
        let mut fields = Fields(vec![("SYSLOG_IDENTIFIER".to_owned(), "ebpfix".to_owned())]);
        event.record(&mut fields);
        let sent = journal_send(
            priority(*event.metadata().level()),
            &message,
            fields.0.into_iter(),
        );
        if sent.is_err() {
            // The journal restarts, or is gone: it may still read the stream that stderr is.
            super::tell(&format_args!("{} {message}\n", event.metadata().level()));
        }
    }
}

/// What a line of text has behind its level.
fn message(event: &Event<'_>) -> String {
    let mut message = String::new();
    // A string takes everything.
    let _ = DefaultFields::new().format_fields(Writer::new(&mut message), event);
    message
}

fn priority(level: Level) -> Priority {
    match level {
        Level::ERROR => Priority::Error,
        Level::WARN => Priority::Warning,
        Level::INFO => Priority::Info,
        _ => Priority::Debug,
    }
}

/// An event's fields by their names in the journal, and their values as text.
struct Fields(Vec<(String, String)>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        let _ = write!(text, "{value:?}");
        self.add(field, text);
    }
}

impl Fields {
    fn add(&mut self, field: &Field, value: String) {
        if field.name() != "message" {
            self.0.push((name(field.name()), value));
        }
    }
}

/// Names in the journal are of capital letters, digits and underscores, and of 64 octets at most.
fn name(field: &str) -> String {
    let letters = field.chars().map(|letter| {
        if letter.is_ascii_alphanumeric() {
            letter.to_ascii_uppercase()
        } else {
            '_'
        }
    });
    PREFIX.chars().chain(letters).take(64).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// What an entry would hold.
    struct Entry {
        message: String,
        fields: Vec<(String, String)>,
    }

    #[derive(Clone, Default)]
    struct Entries(Arc<Mutex<Vec<Entry>>>);

    impl<S: Subscriber> Layer<S> for Entries {
        fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
            let mut fields = Fields(Vec::new());
            event.record(&mut fields);
            let message = message(event);
            let fields = fields.0;
            self.0.lock().unwrap().push(Entry { message, fields });
        }
    }

    #[test]
    fn an_entry_has_its_text_and_each_field() {
        let entries = Entries::default();
        let subscriber = tracing_subscriber::registry().with(entries.clone());
        tracing::subscriber::with_default(subscriber, || {
            let error = std::io::Error::other("no route\nat all");
            tracing::warn!(collector = "noc", peer.port = 4739, %error, "cannot send, trying on");
        });
        let entries = entries.0.lock().unwrap();
        let pairs = [
            ("EBPFIX_COLLECTOR", "noc"),
            ("EBPFIX_PEER_PORT", "4739"),
            ("EBPFIX_ERROR", "no route\nat all"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(entries[0].fields, pairs);
        assert_eq!(
            entries[0].message,
            "cannot send, trying on collector=\"noc\" peer.port=4739 error=no route\nat all"
        );
    }

    #[test]
    fn names_are_those_that_the_journal_takes() {
        assert_eq!(name("if_index"), "EBPFIX_IF_INDEX");
        assert_eq!(name("pin-dir"), "EBPFIX_PIN_DIR");
        assert_eq!(name(&"x".repeat(80)).len(), 64);
    }
}
