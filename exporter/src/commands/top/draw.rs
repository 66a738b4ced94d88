//! The screen.

use std::fmt::Write as _;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::bar;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph, Sparkline};
use serde_json::Value;

use super::state::{App, Mode, Unit, View};
use crate::flows::Field;
use crate::flows::show::{Column, printable, short};

/// What the terminal can show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Look {
    /// Colours, beside bold and reverse, which every terminal has.
    pub colours: bool,
    /// Characters beyond ASCII.
    pub unicode: bool,
}

const ASCII_BARS: bar::Set<'static> = bar::Set {
    full: "#",
    seven_eighths: "#",
    three_quarters: "*",
    five_eighths: "+",
    half: "=",
    three_eighths: "-",
    one_quarter: ":",
    one_eighth: ".",
    empty: " ",
};

impl Look {
    fn colour(self, colour: Color) -> Style {
        if self.colours {
            Style::new().fg(colour)
        } else {
            Style::new()
        }
    }

    fn bars(self) -> bar::Set<'static> {
        if self.unicode {
            bar::NINE_LEVELS
        } else {
            ASCII_BARS
        }
    }

    fn cut(self) -> &'static str {
        if self.unicode { "…" } else { "~" }
    }
}

/// Draws all of it. However small the screen is, what matters most is on it: first the rows, then the
/// totals, then what is above and below.
pub fn draw(frame: &mut Frame<'_>, app: &mut App, look: Look) {
    let area = frame.area();
    if area.width == 0 || area.height == 0 {
        return;
    }
    let height = area.height;
    let edits = matches!(app.mode, Mode::Edit { .. });
    let mut top = area.y;
    let mut line =
        |frame: &mut Frame<'_>, least: u16, draw: &mut dyn FnMut(&mut Frame<'_>, Rect)| {
            if height >= least && top < area.bottom() {
                draw(frame, Rect::new(area.x, top, area.width, 1));
                top += 1;
            }
        };
    let app_ref = &*app;
    line(frame, 8, &mut |f, at| {
        put(
            f,
            at,
            &title(app_ref, at.width),
            look,
            Style::new().add_modifier(Modifier::BOLD),
        );
    });
    line(frame, 4, &mut |f, at| {
        put(f, at, &totals(app_ref), look, Style::new());
    });
    line(frame, 16, &mut |f, at| {
        curve(f, at, app_ref, look, Unit::Bits);
    });
    line(frame, 18, &mut |f, at| {
        curve(f, at, app_ref, look, Unit::Packets);
    });
    line(frame, 9, &mut |f, at| {
        let (text, alarm) = ledger(app_ref);
        let style = if alarm {
            look.colour(Color::Yellow)
        } else {
            Style::new()
        };
        put(f, at, &text, look, style);
    });
    line(frame, 12, &mut |f, at| collectors(f, at, app_ref, look));
    line(frame, 6, &mut |f, at| tabs(f, at, app_ref, look));
    let bottom = u16::from(height >= 5 || edits);
    let rows = Rect::new(
        area.x,
        top,
        area.width,
        area.bottom().saturating_sub(top).saturating_sub(bottom),
    );
    match &app.mode {
        Mode::Help => help(frame, rows, look),
        Mode::Detail { .. } => detail(frame, rows, app, look),
        _ => table(frame, rows, app, look),
    }
    if bottom == 1 {
        let at = Rect::new(area.x, area.bottom() - 1, area.width, 1);
        footer(frame, at, app, look);
    }
}

/// One line of text, cut where the screen ends.
fn put(frame: &mut Frame<'_>, at: Rect, text: &str, look: Look, style: Style) {
    let text = fit(text, usize::from(at.width), look);
    frame.render_widget(Line::styled(text, style), at);
}

fn fit(text: &str, width: usize, look: Look) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let keep = width.saturating_sub(1);
    text.chars()
        .take(keep)
        .chain(look.cut().chars())
        .take(width)
        .collect()
}

fn title(app: &App, width: u16) -> String {
    let mut left = format!("ebpfix top  {}", app.source);
    let mut right = String::new();
    if app.paused {
        right.push_str("PAUSED  ");
    }
    if let Some(look) = &app.look {
        let time = look.report.time.to_string();
        // 2026-11-24T16:07:00.123Z
        let _ = write!(right, "{} UTC", time.get(11..19).unwrap_or_default());
    }
    let room = usize::from(width).saturating_sub(right.chars().count() + 2);
    left = left.chars().take(room).collect();
    format!("{left:<room$}  {right}")
}

pub(super) fn totals(app: &App) -> String {
    let Some(look) = &app.look else {
        return match &app.error {
            Some(error) => printable_line(error),
            None => "waiting for the first look".to_owned(),
        };
    };
    let answer = &look.report.answer;
    let rate = |unit: Unit| {
        let total = serde_json::json!({
            "bytes": answer.matched.bytes, "packets": answer.matched.packets,
        });
        let (field, factor) = unit.of();
        let rate = crate::flows::show::per_second(&total, field, factor, look.report.seconds);
        short(rate.unwrap_or(0.0))
    };
    let mut text = format!(
        "{} {}  {} packets/s  {} flows of {} active",
        rate(if app.unit == Unit::Bytes {
            Unit::Bytes
        } else {
            Unit::Bits
        }),
        if app.unit == Unit::Bytes {
            "byte/s"
        } else {
            "bit/s"
        },
        rate(Unit::Packets),
        answer.matched.flows,
        answer.seen.flows,
    );
    let held = look.status["meter"]["flows"].as_u64();
    if let Some(held) = held {
        let _ = write!(text, ", {held} held");
    }
    if !look.report.missed.is_zero() {
        let _ = write!(
            text,
            "  NOT TOLD APART: {} packets",
            look.report.missed.packets
        );
    }
    if let Some(error) = &app.error {
        text = format!("{}  {text}", printable_line(error));
    }
    text
}

fn printable_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// A curve of the last looks, and its greatest value.
fn curve(frame: &mut Frame<'_>, at: Rect, app: &App, look: Look, unit: Unit) {
    const LABEL: u16 = 11;
    const SCALE: u16 = 13;
    let of = |rates: &(u64, u64)| {
        if unit == Unit::Packets {
            rates.1
        } else {
            rates.0
        }
    };
    let label = if unit == Unit::Packets {
        "packets/s"
    } else {
        "bit/s"
    };
    let width = at.width.saturating_sub(LABEL + SCALE);
    let values: Vec<u64> = app.history.iter().map(of).collect();
    frame.render_widget(Line::raw(label), at);
    sparkline(
        frame,
        Rect::new(at.x + LABEL.min(at.width), at.y, width, 1),
        &values,
        look,
    );
    let most = values
        .iter()
        .rev()
        .take(width.into())
        .max()
        .copied()
        .unwrap_or(0);
    if width > 0 {
        let scale = Rect::new(at.right() - SCALE, at.y, SCALE, 1);
        #[expect(clippy::cast_precision_loss, reason = "it is shown with three digits")]
        let most = most as f64;
        frame.render_widget(Line::raw(format!("  max {}", short(most))), scale);
    }
}

fn sparkline(frame: &mut Frame<'_>, at: Rect, values: &[u64], look: Look) {
    let width = usize::from(at.width);
    // The last value at the right end.
    let missing = width.saturating_sub(values.len());
    let last = &values[values.len().saturating_sub(width)..];
    let data: Vec<u64> = std::iter::repeat_n(0, missing)
        .chain(last.iter().copied())
        .collect();
    let line = Sparkline::default()
        .data(&data)
        .bar_set(look.bars())
        .style(look.colour(Color::Cyan));
    frame.render_widget(line, at);
}

/// What became of every packet, and whether something was lost.
pub(super) fn ledger(app: &App) -> (String, bool) {
    let Some(look) = &app.look else {
        return (String::new(), false);
    };
    let ledger = &look.status["ledger"];
    let packets = |value: &Value| value["packets"].as_f64();
    let mut text = "packets".to_owned();
    for place in ["observed", "exported", "held"] {
        if let Some(packets) = packets(&ledger[place]) {
            let _ = write!(text, "  {place} {}", short(packets));
        }
    }
    let mut lost: Vec<(&String, f64)> = ledger["lost"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(reason, count)| Some((reason, packets(count)?)))
        .filter(|(_, packets)| *packets > 0.0)
        .collect();
    lost.sort_by(|a, b| b.1.total_cmp(&a.1));
    let all: f64 = lost.iter().map(|(_, packets)| packets).sum();
    let _ = write!(text, "  lost {}", short(all));
    for (at, (reason, packets)) in lost.iter().enumerate() {
        let _ = write!(
            text,
            "{} {} {}",
            if at == 0 { ":" } else { "," },
            printable(reason),
            short(*packets)
        );
    }
    (text, all > 0.0)
}

fn collectors(frame: &mut Frame<'_>, at: Rect, app: &App, look: Look) {
    let collectors = app.look.as_ref().map(|look| &look.status["collectors"]);
    let collectors = collectors
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    let mut spans = vec![Span::raw("collectors")];
    if collectors.is_empty() {
        spans.push(Span::raw("  none"));
    }
    for collector in collectors {
        let number = |key: &str| collector[key].as_f64().unwrap_or(0.0);
        let name = printable(collector["name"].as_str().unwrap_or("?"));
        let (lost, refused) = (number("lost_records"), number("refused"));
        let error = collector["last_error"].as_str();
        let ill = lost > 0.0 || refused > 0.0 || error.is_some();
        let mut text = format!("  {name} {} sent", short(number("records")));
        for (count, what) in [
            (number("held_records"), "waiting"),
            (lost, "LOST"),
            (refused, "REFUSED"),
        ] {
            if count > 0.0 {
                let _ = write!(text, ", {} {what}", short(count));
            }
        }
        if let Some(error) = error {
            let _ = write!(text, " ({})", printable_line(error));
        }
        let style = if ill {
            look.colour(Color::Red).add_modifier(Modifier::BOLD)
        } else {
            look.colour(Color::Green)
        };
        spans.push(Span::styled(text, style));
    }
    frame.render_widget(Line::from(spans), at);
}

fn tabs(frame: &mut Frame<'_>, at: Rect, app: &App, look: Look) {
    /// With less room than for all of them only that view is named which is on.
    const ROOM: usize = 59;
    let mut spans = Vec::new();
    let filter = match app.filter.text() {
        "" => String::new(),
        filter => format!("  filter: {}", printable_line(filter)),
    };
    let narrow = ROOM + filter.chars().count() > usize::from(at.width);
    for (view, key, title) in View::ALL {
        if narrow && view != app.view {
            continue;
        }
        let text = format!(" {key} {title} ");
        spans.push(if view == app.view {
            Span::styled(text, Style::new().add_modifier(Modifier::REVERSED))
        } else {
            Span::raw(text)
        });
    }
    spans.push(Span::styled(filter, look.colour(Color::Yellow)));
    frame.render_widget(Line::from(spans), at);
}

/// A column of the table.
struct Shown {
    title: String,
    right: bool,
    /// The highest goes first where there is no room; 0 stays.
    rank: u8,
    cells: Vec<String>,
}

impl Shown {
    fn width(&self) -> usize {
        let cells = self.cells.iter().map(|cell| cell.chars().count());
        cells.chain([self.title.chars().count()]).max().unwrap_or(0)
    }
}

fn table(frame: &mut Frame<'_>, area: Rect, app: &mut App, look: Look) {
    if area.height == 0 {
        return;
    }
    let page = usize::from(area.height).saturating_sub(1).max(1);
    app.page = page;
    // The row that is chosen is on the screen.
    app.first = app.first.min(app.selected);
    if app.selected >= app.first + page {
        app.first = app.selected + 1 - page;
    }
    let shown: Vec<Value> = app
        .rows()
        .iter()
        .skip(app.first)
        .take(page)
        .cloned()
        .collect();
    let mut columns = columns(app, &shown);
    let room = usize::from(area.width);
    loop {
        let length: usize = columns.iter().map(|column| column.width() + 1).sum();
        let least = columns.iter().map(|column| column.rank).max().unwrap_or(0);
        if length <= room + 1 || least == 0 {
            break;
        }
        columns.retain(|column| column.rank != least);
    }
    shrink(&mut columns, room, look);
    let widths: Vec<usize> = columns.iter().map(Shown::width).collect();
    let text = |line: Option<usize>| {
        let mut text = String::new();
        for (column, width) in columns.iter().zip(&widths) {
            let cell = line.map_or(column.title.as_str(), |at| column.cells[at].as_str());
            // Writing to a String cannot fail.
            let _ = if column.right {
                write!(text, "{cell:>width$} ")
            } else {
                write!(text, "{cell:<width$} ")
            };
        }
        fit(text.trim_end(), room, look)
    };
    let head = Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED);
    let width = room;
    let header = Line::styled(format!("{:<width$}", text(None)), head);
    frame.render_widget(header, Rect::new(area.x, area.y, area.width, 1));
    let mut y = area.y + 1;
    for at in 0..shown.len() {
        if y >= area.bottom() {
            break;
        }
        let style = if app.first + at == app.selected {
            Style::new().add_modifier(Modifier::REVERSED)
        } else {
            Style::new()
        };
        let line = Line::styled(format!("{:<width$}", text(Some(at))), style);
        frame.render_widget(line, Rect::new(area.x, y, area.width, 1));
        y += 1;
    }
    let of_view = app
        .look
        .as_ref()
        .is_some_and(|look| look.query.by == app.view.by());
    if shown.is_empty() && of_view && y < area.bottom() {
        let nothing = "no packets of such flows in this interval";
        put(
            frame,
            Rect::new(area.x, y, area.width, 1),
            nothing,
            look,
            Style::new(),
        );
    }
}

/// Addresses give way where nothing can be left out any more: a rate must be seen.
fn shrink(columns: &mut [Shown], room: usize, look: Look) {
    const LEAST: usize = 7;
    let length = |columns: &[Shown]| {
        columns
            .iter()
            .map(|column| column.width() + 1)
            .sum::<usize>()
    };
    while length(columns) > room + 1 {
        let Some(widest) = columns
            .iter_mut()
            .filter(|column| !column.right && column.width() > LEAST)
            .max_by_key(|column| column.width())
        else {
            return;
        };
        let width = widest.width() - 1;
        widest.title = fit(&widest.title, width, look);
        for cell in &mut widest.cells {
            *cell = fit(cell, width, look);
        }
    }
}

fn columns(app: &App, rows: &[Value]) -> Vec<Shown> {
    let seconds = app.look.as_ref().map(|look| look.report.seconds);
    let column = |column: Column, title: &str, rank: u8| Shown {
        title: title.to_owned(),
        right: column.is_number(),
        rank,
        cells: rows.iter().map(|row| column.cell(row, seconds)).collect(),
    };
    let rate = Shown {
        title: app.unit.title().to_owned(),
        right: true,
        rank: 0,
        cells: rows.iter().map(|row| short(app.rate(row))).collect(),
    };
    let share = Shown {
        title: "%".to_owned(),
        right: true,
        rank: 2,
        cells: rows.iter().map(|row| share(app, row)).collect(),
    };
    let packets = (app.unit != Unit::Packets).then(|| column(Column::PacketRate, "PACKETS/S", 1));
    let rates = [Some(rate), Some(share), packets].into_iter().flatten();
    if app.view == View::Flows {
        let keys = [
            column(Column::Field(Field::Proto), "PROTO", 3),
            column(Column::Source, "SOURCE", 0),
            column(Column::Destination, "DESTINATION", 0),
        ];
        let rest = [
            column(Column::Field(Field::Direction), "DIR", 4),
            column(Column::Field(Field::Interface), "INTERFACE", 5),
            column(Column::Field(Field::TcpFlags), "FLAGS", 6),
            column(Column::Field(Field::Duplicate), "DUP", 7),
        ];
        return keys.into_iter().chain(rates).chain(rest).collect();
    }
    let keys = app.view.by().iter().map(|field| {
        let title = match (app.view, field) {
            (_, Field::Direction) => "DIR".to_owned(),
            (View::Talkers, _) => "SOURCE".to_owned(),
            (View::Listeners, _) => "DESTINATION".to_owned(),
            _ => field.name().to_uppercase(),
        };
        column(Column::Field(*field), &title, 0)
    });
    let flows = column(Column::Field(Field::Flows), "FLOWS", 3);
    keys.chain(rates).chain([flows]).collect()
}

/// The row's part of all flows that match, in per cent.
fn share(app: &App, row: &Value) -> String {
    let (field, _) = app.unit.of();
    let Some(look) = &app.look else {
        return String::new();
    };
    let total = match field {
        Field::Packets => look.report.answer.matched.packets,
        _ => look.report.answer.matched.bytes,
    };
    #[expect(clippy::cast_precision_loss, reason = "it is shown in per cent")]
    let total = total as f64;
    match row[field.name()].as_f64() {
        Some(count) if total > 0.0 => format!("{:.0}", count * 100.0 / total),
        _ => "-".to_owned(),
    }
}

fn detail(frame: &mut Frame<'_>, area: Rect, app: &App, look: Look) {
    let Mode::Detail { row, rates, .. } = &app.mode else {
        return;
    };
    let now = app.look.as_ref().and_then(|look| look.detail.as_ref());
    let shown = now.unwrap_or(row);
    let cell = |column: Column| column.cell(shown, None);
    let field = |field: Field| cell(Column::Field(field));
    let mut lines = vec![
        format!(
            "{}  {} -> {}",
            field(Field::Proto),
            cell(Column::Source),
            cell(Column::Destination)
        ),
        match now {
            Some(_) => "what its record has counted so far:".to_owned(),
            None => {
                "in the interval in which it was chosen (it is not held, or not yet):".to_owned()
            }
        },
        format!(
            "packets {}   bytes {}",
            field(Field::Packets),
            field(Field::Bytes)
        ),
        format!("from {} to {} UTC", field(Field::Start), field(Field::End)),
        format!(
            "interface {}   direction {}   vlan {}",
            field(Field::Interface),
            field(Field::Direction),
            field(Field::Vlan)
        ),
        format!(
            "tcp flags {}   tos {}   ttl {} to {}",
            field(Field::TcpFlags),
            field(Field::Tos),
            field(Field::MinTtl),
            field(Field::MaxTtl)
        ),
        format!(
            "mac {} -> {}   duplicate {}",
            field(Field::SrcMac),
            field(Field::DstMac),
            field(Field::Duplicate)
        ),
    ];
    // None before the first interval in which it was looked at.
    #[expect(clippy::cast_precision_loss, reason = "it is shown with three digits")]
    if let Some(rate) = rates.back() {
        lines.push(format!("now {} bit/s", short(*rate as f64)));
    }
    frame.render_widget(Clear, area);
    let mut y = area.y;
    for line in lines {
        if y < area.bottom() {
            put(
                frame,
                Rect::new(area.x, y, area.width, 1),
                &line,
                look,
                Style::new(),
            );
            y += 1;
        }
    }
    if y < area.bottom() {
        let values: Vec<u64> = rates.iter().copied().collect();
        let height = (area.bottom() - y).min(4);
        let at = Rect::new(area.x, y, area.width, height);
        sparkline(frame, at, &values, look);
    }
}

const HELP: &[(&str, &str)] = &[
    ("1-5 Tab", "flows, talkers, listeners, services, interfaces"),
    ("Up Down j k", "choose a row; PgUp PgDn Home End"),
    ("Enter", "into it: the flow, or the flows of a sum"),
    ("Esc", "back to where you came from"),
    ("/ or f", "filter, such as: src 10.0.0.0/8 and port 443"),
    ("c", "no filter"),
    ("s, r", "sort by something else; the other way round"),
    ("u", "bits, bytes, packets"),
    ("p or Space", "pause; the exporter counts on"),
    ("q, Ctrl-C", "quit"),
    ("", "DUP: the same packets are counted at another place"),
    ("", "any key leaves this help"),
];

fn help(frame: &mut Frame<'_>, area: Rect, look: Look) {
    frame.render_widget(Clear, area);
    let width = usize::from(area.width);
    let lines: Vec<Line<'_>> = HELP
        .iter()
        .map(|(key, text)| Line::raw(fit(&format!("{key:<12} {text}"), width, look)))
        .collect();
    frame.render_widget(Paragraph::new(lines), area);
}

fn footer(frame: &mut Frame<'_>, at: Rect, app: &App, look: Look) {
    if let Mode::Edit { text, error } = &app.mode {
        let shown = match error {
            Some(error) => format!("filter: {text}  {error}"),
            None => format!("filter: {text}_"),
        };
        // The end of a long one is what is being written.
        let width = usize::from(at.width);
        let skip = if error.is_some() {
            0
        } else {
            shown.chars().count().saturating_sub(width)
        };
        let shown: String = printable_line(&shown).chars().skip(skip).collect();
        put(
            frame,
            at,
            &shown,
            look,
            Style::new().add_modifier(Modifier::REVERSED),
        );
        return;
    }
    let order = format!(
        "sort {}{}",
        app.sort_field(),
        if app.reverse { " reversed" } else { "" }
    );
    let left = format!(
        "? help  q quit  / filter  s {order}  u {}",
        app.unit.title().to_lowercase()
    );
    let right = format!(
        "top {:.1}% cpu {}B/s",
        app.cost.cpu * 100.0,
        short(app.cost.octets)
    );
    let width = usize::from(at.width);
    let room = width.saturating_sub(right.chars().count() + 2);
    let text = if room >= 20 {
        let left = fit(&left, room, look);
        format!("{left:<room$}  {right}")
    } else {
        left
    };
    put(frame, at, &text, look, look.colour(Color::DarkGray));
}
