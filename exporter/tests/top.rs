//! The screens of `ebpfix top`, without a terminal: golden files of what is on them, and keys.
//!
//! `EBPFIX_UPDATE=1 cargo test -p ebpfix --test top` writes them anew.

#[path = "top/sample.rs"]
mod sample;

use std::fs;
use std::path::Path;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ebpfix::commands::top::state::{App, Asked, Mode, Unit, View};
use ebpfix::commands::top::{picture, text};

use sample::{look, sample};

fn press(app: &mut App, code: KeyCode) -> Asked {
    app.key(KeyEvent::new(code, KeyModifiers::NONE))
}

fn write(app: &mut App, text: &str) {
    for c in text.chars() {
        let _ = press(app, KeyCode::Char(c));
    }
}

#[track_caller]
fn compare(name: &str, screen: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/top")
        .join(name);
    if std::env::var_os("EBPFIX_UPDATE").is_some() {
        fs::write(&path, screen).expect("to write a golden file");
    }
    let golden = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_eq!(screen, golden, "{name}");
}

#[test]
fn screens_are_those_of_the_golden_files() {
    for (name, columns, lines, unicode) in [
        ("80x24.txt", 80, 24, true),
        ("132x43.txt", 132, 43, true),
        ("40x10.txt", 40, 10, true),
        ("80x24-ascii.txt", 80, 24, false),
    ] {
        let screen = text(&mut sample(), columns, lines, unicode);
        assert!(unicode || screen.is_ascii(), "{screen}");
        compare(name, &screen);
    }
    for (name, key) in [
        ("help.txt", '?'),
        ("talkers.txt", '2'),
        ("services.txt", '4'),
    ] {
        let mut app = sample();
        let _ = press(&mut app, KeyCode::Char(key));
        let seen = look(&app, 90);
        app.see(Ok(seen));
        compare(name, &text(&mut app, 80, 24, true));
    }
}

#[test]
fn no_size_is_too_small() {
    let mut screens = vec![sample(), sample(), sample(), sample()];
    let _ = press(&mut screens[1], KeyCode::Char('?'));
    let _ = press(&mut screens[2], KeyCode::Enter);
    let _ = press(&mut screens[3], KeyCode::Char('/'));
    let source = String::new();
    screens.push(App::new(
        source,
        std::time::Duration::from_secs(1),
        "".parse().unwrap(),
    ));
    for app in &mut screens {
        for lines in (0..13).chain([16, 18, 24, 43]) {
            for columns in (0..14).chain([25, 39, 59, 60, 80, 200]) {
                let screen = text(app, columns, lines, true);
                assert_eq!(screen.lines().count(), usize::from(lines));
                assert!(
                    screen
                        .lines()
                        .all(|line| line.chars().count() <= usize::from(columns))
                );
            }
        }
    }
}

#[test]
fn a_screen_is_a_picture() {
    let svg = picture(&mut sample(), 100, 24);
    assert!(svg.starts_with("<svg xmlns=") && svg.ends_with("</svg>\n"));
    assert!(svg.contains("198.51.100.7:873") && svg.contains("fill=\"#ff6b68\""));
    assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
}

#[test]
fn keys_choose_views_units_and_orders() {
    let mut app = sample();
    assert_eq!(press(&mut app, KeyCode::Tab), Asked::Look);
    assert_eq!(app.view, View::Talkers);
    // Until a look of this view comes there are no rows.
    assert!(app.rows().is_empty());
    assert_eq!(press(&mut app, KeyCode::BackTab), Asked::Look);
    assert_eq!(app.view, View::Flows);
    assert_eq!(app.wish().query.sort.name(), "bytes");
    let _ = press(&mut app, KeyCode::Char('s'));
    assert_eq!(app.wish().query.sort.name(), "packets");
    let _ = press(&mut app, KeyCode::Char('s'));
    let _ = press(&mut app, KeyCode::Char('r'));
    let query = app.wish().query;
    assert_eq!((query.sort.name(), query.reverse), ("src", true));
    assert_eq!(query.check(), Ok(()));
    for _ in 0..5 {
        for _ in 0..7 {
            let _ = press(&mut app, KeyCode::Char('s'));
            assert_eq!(
                app.wish().query.check(),
                Ok(()),
                "{:?} {:?}",
                app.view,
                app.sort
            );
        }
        let _ = press(&mut app, KeyCode::Tab);
    }
    let _ = press(&mut app, KeyCode::Char('u'));
    assert_eq!(app.unit, Unit::Bytes);
    let _ = press(&mut app, KeyCode::Char('u'));
    assert_eq!(app.wish().query.sort.name(), "packets");

    let mut app = sample();
    let _ = text(&mut app, 80, 12, true);
    let _ = press(&mut app, KeyCode::End);
    assert_eq!(app.selected, 11);
    let screen = text(&mut app, 80, 12, true);
    assert!(screen.contains("198.51.100.200:23"), "{screen}");
    let _ = press(&mut app, KeyCode::PageUp);
    let _ = press(&mut app, KeyCode::Up);
    let _ = press(&mut app, KeyCode::Down);
    assert!(app.selected < 11);
    let _ = press(&mut app, KeyCode::Home);
    assert_eq!(app.selected, 0);
    assert_eq!(press(&mut app, KeyCode::Char('q')), Asked::Quit);
    let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    let _ = press(&mut app, KeyCode::Char('/'));
    assert_eq!(app.key(control_c), Asked::Quit);
}

#[test]
fn a_filter_is_written_and_a_wrong_one_is_told() {
    let mut app = sample();
    let _ = press(&mut app, KeyCode::Char('/'));
    for _ in 0.."not port 22".len() {
        let _ = press(&mut app, KeyCode::Backspace);
    }
    // `q` is a letter here.
    write(&mut app, "tcp port q");
    assert_eq!(press(&mut app, KeyCode::Enter), Asked::Nothing);
    let screen = text(&mut app, 100, 24, true);
    assert!(
        screen.contains("filter: tcp port q  filter, column 5: expected \"and\""),
        "{screen}"
    );
    for _ in 0.."port q".len() {
        let _ = press(&mut app, KeyCode::Backspace);
    }
    app.paste("and port\n 443");
    assert_eq!(press(&mut app, KeyCode::Enter), Asked::Look);
    assert_eq!(app.filter.text(), "tcp and port 443");
    assert_eq!(app.wish().query.filter.text(), "tcp and port 443");
    assert!(app.history.is_empty(), "another filter has another curve");
    // And back.
    assert_eq!(press(&mut app, KeyCode::Esc), Asked::Look);
    assert_eq!(app.filter.text(), "not port 22");
    assert_eq!(press(&mut app, KeyCode::Esc), Asked::Nothing);
}

#[test]
fn a_pause_keeps_what_is_shown() {
    let mut app = sample();
    let _ = press(&mut app, KeyCode::Char('p'));
    let before = text(&mut app, 80, 24, true);
    assert!(before.contains("PAUSED"));
    let seen = look(&app, 95);
    app.see(Ok(seen));
    assert_eq!(text(&mut app, 80, 24, true), before);
    let _ = press(&mut app, KeyCode::Char(' '));
    let seen = look(&app, 96);
    app.see(Ok(seen));
    let after = text(&mut app, 80, 24, true);
    assert!(!after.contains("PAUSED") && after != before);
}

#[test]
fn one_goes_into_a_flow_and_into_a_sum() {
    let mut app = sample();
    assert_eq!(press(&mut app, KeyCode::Enter), Asked::Look);
    let filter = app.wish().detail.expect("a detail is wanted");
    assert_eq!(
        filter.text(),
        "src 203.0.113.80 and dst 10.1.4.23 and proto 6 and src port 443 and dst port 51514 and \
         ether 2048 and on wan0 and in and vlan 0 and src mac 02:00:00:00:00:01 and \
         dst mac 02:00:00:00:00:02 and sampling = 1"
    );
    let mut seen = look(&app, 90);
    seen.detail = Some(serde_json::json!({
        "src": "203.0.113.80", "dst": "10.1.4.23", "proto": 6, "sport": 443, "dport": 51_514,
        "packets": 98_765, "bytes": 123_456_789,
    }));
    app.see(Ok(seen));
    let screen = text(&mut app, 80, 24, true);
    assert!(
        screen.contains("TCP  203.0.113.80:443 -> 10.1.4.23:51514"),
        "{screen}"
    );
    assert!(
        screen.contains("packets 98765   bytes 123456789"),
        "{screen}"
    );
    assert!(matches!(&app.mode, Mode::Detail { rates, .. } if rates[0] > 0));
    assert_eq!(press(&mut app, KeyCode::Esc), Asked::Look);
    assert_eq!(app.wish().detail, None);

    for (key, expected) in [
        ('2', "(not port 22) and src 203.0.113.80"),
        ('3', "(not port 22) and dst 10.1.4.23"),
        ('4', "(not port 22) and proto 6 and port 443"),
        ('5', "(not port 22) and on wan0 and in"),
    ] {
        let mut app = sample();
        let _ = press(&mut app, KeyCode::Char(key));
        assert_eq!(
            press(&mut app, KeyCode::Enter),
            Asked::Nothing,
            "no row yet"
        );
        let seen = look(&app, 90);
        app.see(Ok(seen));
        let view = app.view;
        assert_eq!(press(&mut app, KeyCode::Enter), Asked::Look);
        assert_eq!((app.view, app.filter.text()), (View::Flows, expected));
        let _ = press(&mut app, KeyCode::Esc);
        assert_eq!((app.view, app.filter.text()), (view, "not port 22"));
    }
}

#[test]
fn what_is_wrong_is_said_and_goes_away() {
    let mut app = sample();
    app.see(Err(
        "the ebpfix at /run/ebpfix/control.sock has ended".to_owned()
    ));
    let screen = text(&mut app, 80, 24, true);
    assert!(screen.contains("has ended"), "{screen}");
    assert!(
        screen.contains("203.0.113.80:443"),
        "what was there stays:\n{screen}"
    );
    let seen = look(&app, 99);
    app.see(Ok(seen));
    assert!(!text(&mut app, 80, 24, true).contains("has ended"));

    let mut hostile = look(&app, 100);
    hostile.report.answer.rows[0]["interface"] = "\u{1b}]0;x\u{7}".into();
    hostile.status["collectors"][0]["last_error"] = "\u{1b}[2J".into();
    hostile.report.answer.rows[1] = serde_json::json!({"src": 7, "bytes": "many"});
    app.see(Ok(hostile));
    let screen = text(&mut app, 200, 24, true);
    assert!(
        !screen.contains('\u{1b}') && screen.contains("?]0;x?"),
        "{screen}"
    );
}
