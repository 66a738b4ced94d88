//! What `top` shows, and what keys change of it. No terminal and no clock here.

use std::collections::VecDeque;
use std::str::FromStr as _;
use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use serde_json::Value;

use super::source::{Look, Wish};
use crate::filter::Filter;
use crate::flows::show::per_second;
use crate::flows::{Field, Query};

/// Looks of which rates are kept: as many as a wide screen has columns.
const HISTORY: usize = 400;
/// Rows of a look.
const ROWS: usize = 200;

/// What the rows are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum View {
    /// Single flows.
    Flows,
    /// Who sends.
    Talkers,
    /// Who receives.
    Listeners,
    /// Protocols and the lower port.
    Services,
    /// Interfaces and directions.
    Interfaces,
}

impl View {
    /// Each with its key and title.
    pub const ALL: [(Self, char, &str); 5] = [
        (Self::Flows, '1', "Flows"),
        (Self::Talkers, '2', "Talkers"),
        (Self::Listeners, '3', "Listeners"),
        (Self::Services, '4', "Services"),
        (Self::Interfaces, '5', "Interfaces"),
    ];

    /// The fields by which its rows are added up.
    pub const fn by(self) -> &'static [Field] {
        match self {
            Self::Flows => &[],
            Self::Talkers => &[Field::Src],
            Self::Listeners => &[Field::Dst],
            Self::Services => &[Field::Proto, Field::Service],
            Self::Interfaces => &[Field::Interface, Field::Direction],
        }
    }
}

/// What rates are told in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// Bits a second.
    Bits,
    /// Bytes a second.
    Bytes,
    /// Packets a second.
    Packets,
}

impl Unit {
    /// The title of its column.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Bits => "BIT/S",
            Self::Bytes => "BYTE/S",
            Self::Packets => "PACKETS/S",
        }
    }

    /// What is counted, and how much of the unit one of it is.
    pub const fn of(self) -> (Field, f64) {
        match self {
            Self::Bits => (Field::Bytes, 8.0),
            Self::Bytes => (Field::Bytes, 1.0),
            Self::Packets => (Field::Packets, 1.0),
        }
    }
}

/// What lies over the rows, or takes the keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Mode {
    /// The rows.
    Rows,
    /// The keys.
    Help,
    /// A filter is being written.
    Edit {
        /// As it is by now.
        text: String,
        /// What is wrong with it.
        error: Option<String>,
    },
    /// A flow.
    Detail {
        /// The flow, as it was when it was chosen.
        row: Box<Value>,
        /// Takes it and no other.
        filter: Filter,
        /// Bits a second, the last at the end.
        rates: VecDeque<u64>,
    },
}

/// What a key asks of the loop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asked {
    /// Nothing.
    Nothing,
    /// Other looks.
    Look,
    /// The end.
    Quit,
}

/// What this command costs itself.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Cost {
    /// Of one processor, 1 being all of it.
    pub cpu: f64,
    /// Octets a second to the terminal.
    pub octets: f64,
}

/// The whole state.
#[derive(Clone, Debug)]
pub struct App {
    /// Where looks come from, in words.
    pub source: String,
    /// How long a look is.
    pub interval: Duration,
    /// What the rows are.
    pub view: View,
    /// What rates are told in.
    pub unit: Unit,
    /// The field that says the order, if it is not what the unit counts.
    pub sort: Option<Field>,
    /// The other way round.
    pub reverse: bool,
    /// The filter.
    pub filter: Filter,
    /// Where one came from: views and filters, to go back to.
    pub trail: Vec<(View, Filter)>,
    /// New looks are not shown.
    pub paused: bool,
    /// What lies over the rows.
    pub mode: Mode,
    /// What is shown.
    pub look: Option<Look>,
    /// Why there is nothing new.
    pub error: Option<String>,
    /// Bits and packets a second, the last at the end.
    pub history: VecDeque<(u64, u64)>,
    /// The row that is chosen.
    pub selected: usize,
    /// The first row on the screen; the screen sets it.
    pub first: usize,
    /// Rows that the screen has; the screen sets it.
    pub page: usize,
    /// What it costs.
    pub cost: Cost,
}

impl App {
    /// Nothing seen yet.
    pub fn new(source: String, interval: Duration, filter: Filter) -> Self {
        Self {
            source,
            interval,
            view: View::Flows,
            unit: Unit::Bits,
            sort: None,
            reverse: false,
            filter,
            trail: Vec::new(),
            paused: false,
            mode: Mode::Rows,
            look: None,
            error: None,
            history: VecDeque::new(),
            selected: 0,
            first: 0,
            page: 1,
            cost: Cost::default(),
        }
    }

    /// What is wanted of the next look.
    pub fn wish(&self) -> Wish {
        Wish {
            query: Query {
                filter: self.filter.clone(),
                by: self.view.by().to_vec(),
                sort: self.sort_field(),
                reverse: self.reverse,
                limit: ROWS,
            },
            detail: match &self.mode {
                Mode::Detail { filter, .. } => Some(filter.clone()),
                _ => None,
            },
        }
    }

    /// The field that says the order.
    pub fn sort_field(&self) -> Field {
        self.sort.unwrap_or(self.unit.of().0)
    }

    /// A look has come, or why there is none.
    pub fn see(&mut self, look: Result<Look, String>) {
        let look = match look {
            Ok(look) => look,
            Err(error) => {
                self.error = Some(error);
                return;
            }
        };
        self.error = None;
        let report = &look.report;
        let rate = |count: u64, factor: f64| rounded(count, factor, report.seconds);
        // One that answers what was asked before belongs to another curve.
        let same = look.query.filter == self.filter;
        if same && !self.paused {
            let matched = report.answer.matched;
            let rates = (rate(matched.bytes, 8.0), rate(matched.packets, 1.0));
            push(&mut self.history, rates);
            if let Mode::Detail { row, rates, .. } = &mut self.mode
                && self.view == View::Flows
            {
                let now = report
                    .answer
                    .rows
                    .iter()
                    .find(|seen| is_same_flow(seen, row));
                let bits = now.and_then(|row| row["bytes"].as_u64()).unwrap_or(0);
                push(rates, rate(bits, 8.0));
            }
        }
        let wanted = self.wish().query;
        if !self.paused && (self.look.is_none() || look.query == wanted) {
            self.look = Some(look);
            self.selected = self.selected.min(self.rows().len().saturating_sub(1));
        }
    }

    /// The rows; none until a look of this view has come.
    pub fn rows(&self) -> &[Value] {
        self.look
            .as_ref()
            .filter(|look| look.query.by == self.view.by())
            .map_or(&[], |look| &look.report.answer.rows)
    }

    /// What a row counted a second, in the unit.
    pub fn rate(&self, row: &Value) -> f64 {
        let seconds = self.look.as_ref().map_or(0.0, |look| look.report.seconds);
        let (field, factor) = self.unit.of();
        per_second(row, field, factor, seconds).unwrap_or(0.0)
    }

    /// A key was pressed.
    pub fn key(&mut self, key: KeyEvent) -> Asked {
        if key.kind == KeyEventKind::Release {
            return Asked::Nothing;
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if control && matches!(key.code, KeyCode::Char('c')) {
            return Asked::Quit;
        }
        match &self.mode {
            Mode::Rows => self.key_of_rows(key.code),
            Mode::Edit { .. } => self.key_of_edit(key.code, control),
            Mode::Help => {
                self.mode = Mode::Rows;
                Asked::Nothing
            }
            Mode::Detail { .. } => match key.code {
                KeyCode::Char('q') => Asked::Quit,
                KeyCode::Char('p' | ' ') => {
                    self.paused = !self.paused;
                    Asked::Nothing
                }
                KeyCode::Esc | KeyCode::Enter | KeyCode::Backspace | KeyCode::Left => {
                    self.mode = Mode::Rows;
                    Asked::Look
                }
                _ => Asked::Nothing,
            },
        }
    }

    fn key_of_rows(&mut self, code: KeyCode) -> Asked {
        match code {
            KeyCode::Char('q') => return Asked::Quit,
            KeyCode::Char('?' | 'h') | KeyCode::F(1) => self.mode = Mode::Help,
            KeyCode::Char('p' | ' ') => self.paused = !self.paused,
            KeyCode::Char('u') => {
                self.unit = match self.unit {
                    Unit::Bits => Unit::Bytes,
                    Unit::Bytes => Unit::Packets,
                    Unit::Packets => Unit::Bits,
                };
                return Asked::Look;
            }
            KeyCode::Char('s') => {
                self.sort = self.next_sort();
                return Asked::Look;
            }
            KeyCode::Char('r') => {
                self.reverse = !self.reverse;
                return Asked::Look;
            }
            KeyCode::Char('/' | 'f') => {
                self.mode = Mode::Edit {
                    text: self.filter.text().to_owned(),
                    error: None,
                };
            }
            KeyCode::Char('c') => return self.go(self.view, Filter::all()),
            KeyCode::Char(digit) if digit.is_ascii_digit() => {
                let view = View::ALL.into_iter().find(|(_, key, _)| *key == digit);
                if let Some((view, ..)) = view {
                    return self.set_view(view);
                }
            }
            KeyCode::Tab => return self.turn(1),
            KeyCode::BackTab => return self.turn(View::ALL.len() - 1),
            KeyCode::Up | KeyCode::Char('k') => self.selected = self.selected.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => self.select(self.selected + 1),
            KeyCode::PageUp => self.selected = self.selected.saturating_sub(self.page),
            KeyCode::PageDown => self.select(self.selected + self.page),
            KeyCode::Home | KeyCode::Char('g') => self.selected = 0,
            KeyCode::End | KeyCode::Char('G') => self.select(usize::MAX),
            KeyCode::Enter | KeyCode::Right => return self.drill(),
            KeyCode::Esc | KeyCode::Backspace | KeyCode::Left => {
                if let Some((view, filter)) = self.trail.pop() {
                    let asked = self.go(view, filter);
                    self.trail.pop();
                    return asked;
                }
            }
            _ => {}
        }
        Asked::Nothing
    }

    fn key_of_edit(&mut self, code: KeyCode, control: bool) -> Asked {
        let Mode::Edit { text, error } = &mut self.mode else {
            return Asked::Nothing;
        };
        match code {
            KeyCode::Esc => self.mode = Mode::Rows,
            KeyCode::Enter => match Filter::from_str(text) {
                Ok(filter) => {
                    self.mode = Mode::Rows;
                    return self.go(self.view, filter);
                }
                Err(wrong) => *error = Some(wrong.to_string()),
            },
            KeyCode::Backspace => {
                text.pop();
                *error = None;
            }
            KeyCode::Char('u') if control => {
                text.clear();
                *error = None;
            }
            KeyCode::Char(c) if !control && text.len() < crate::filter::MAX_OCTETS => {
                text.push(c);
                *error = None;
            }
            _ => {}
        }
        Asked::Nothing
    }

    /// Text was pasted.
    pub fn paste(&mut self, pasted: &str) {
        if let Mode::Edit { text, error } = &mut self.mode {
            let room = crate::filter::MAX_OCTETS.saturating_sub(text.len());
            let fit = |c: &char| !c.is_control();
            // Of one octet each at least.
            text.extend(pasted.chars().filter(fit).take(room));
            *error = None;
        }
    }

    /// Bits or packets as the unit has it, then what else rows can be ordered by.
    fn next_sort(&self) -> Option<Field> {
        let own = self.unit.of().0;
        let mut orders = vec![None];
        orders.extend(
            [Field::Packets, Field::Bytes]
                .into_iter()
                .filter(|f| *f != own)
                .map(Some),
        );
        if self.view == View::Flows {
            orders.extend([Field::Src, Field::Dst, Field::Dport].map(Some));
        } else {
            orders.push(Some(Field::Flows));
            orders.extend(self.view.by().iter().copied().map(Some));
        }
        let at = orders.iter().position(|order| *order == self.sort);
        orders[at.map_or(0, |at| (at + 1) % orders.len())]
    }

    fn turn(&mut self, by: usize) -> Asked {
        let views = View::ALL;
        let at = views.iter().position(|(view, ..)| *view == self.view);
        self.set_view(views[(at.unwrap_or(0) + by) % views.len()].0)
    }

    fn set_view(&mut self, view: View) -> Asked {
        self.view = view;
        self.sort = None;
        self.reverse = false;
        self.selected = 0;
        self.first = 0;
        Asked::Look
    }

    /// Goes to a view of other flows, and remembers the way back.
    fn go(&mut self, view: View, filter: Filter) -> Asked {
        self.trail.push((self.view, self.filter.clone()));
        if filter != self.filter {
            self.history.clear();
        }
        self.filter = filter;
        if view == self.view {
            self.selected = 0;
            Asked::Look
        } else {
            self.set_view(view)
        }
    }

    fn select(&mut self, row: usize) {
        self.selected = row.min(self.rows().len().saturating_sub(1));
    }

    /// Goes into the row that is chosen: a flow alone, or the flows of a sum.
    fn drill(&mut self) -> Asked {
        let Some(row) = self.rows().get(self.selected).cloned() else {
            return Asked::Nothing;
        };
        let fields: &[Field] = match self.view {
            View::Flows => &FLOW,
            view => view.by(),
        };
        let tests: Vec<String> = fields
            .iter()
            .filter_map(|field| test(*field, &row))
            .collect();
        let Ok(only) = Filter::from_str(&tests.join(" and ")) else {
            return Asked::Nothing;
        };
        if self.view == View::Flows {
            self.mode = Mode::Detail {
                row: Box::new(row),
                filter: only,
                rates: VecDeque::new(),
            };
            return Asked::Look;
        }
        let text = match self.filter.text() {
            "" => only.text().to_owned(),
            filter => format!("({filter}) and {only}"),
        };
        match Filter::from_str(&text) {
            Ok(filter) => self.go(View::Flows, filter),
            // Too many of them, one inside the other.
            Err(_) => Asked::Nothing,
        }
    }
}

/// What tells a flow from others.
const FLOW: [Field; 12] = [
    Field::Src,
    Field::Dst,
    Field::Proto,
    Field::Sport,
    Field::Dport,
    Field::EthType,
    Field::Interface,
    Field::Direction,
    Field::Vlan,
    Field::SrcMac,
    Field::DstMac,
    Field::Sampling,
];

fn is_same_flow(a: &Value, b: &Value) -> bool {
    FLOW.iter().all(|field| a[field.name()] == b[field.name()])
}

/// The test that a row's value passes.
fn test(field: Field, row: &Value) -> Option<String> {
    const WITH_PORTS: [u64; 5] = [6, 17, 33, 132, 136];
    let value = &row[field.name()];
    let ports = row["proto"]
        .as_u64()
        .is_some_and(|proto| WITH_PORTS.contains(&proto));
    let is_ip = !row["src"].is_null() || field == Field::Proto && row.get("src").is_none();
    let number = value.as_u64();
    Some(match field {
        Field::Src => format!("src {}", value.as_str()?),
        Field::Dst => format!("dst {}", value.as_str()?),
        Field::Proto if is_ip => format!("proto {}", number?),
        Field::Sport if ports => format!("src port {}", number?),
        Field::Dport if ports => format!("dst port {}", number?),
        Field::Service if ports => format!("port {}", number?),
        Field::EthType => format!("ether {}", number?),
        Field::Interface => format!("on {}", glob::Pattern::escape(value.as_str()?)),
        Field::Direction => (if number? == 0 { "in" } else { "out" }).to_owned(),
        Field::Vlan => format!("vlan {}", number?),
        Field::SrcMac => format!("src mac {}", value.as_str()?),
        Field::DstMac => format!("dst mac {}", value.as_str()?),
        Field::Sampling => format!("sampling = {}", number?),
        _ => return None,
    })
}

fn push<T>(history: &mut VecDeque<T>, value: T) {
    if history.len() == HISTORY {
        history.pop_front();
    }
    history.push_back(value);
}

/// A rate without a fraction, for a curve.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float becomes the nearest number there is, and a curve has eight steps"
)]
fn rounded(count: u64, factor: f64, seconds: f64) -> u64 {
    if seconds > 0.0 {
        (count as f64 * factor / seconds) as u64
    } else {
        0
    }
}
