//! A screen as a text or a picture, without a terminal: for tests, and for who wants to show it.

use std::fmt::Write as _;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier};

use super::draw::{Look, draw};
use super::state::App;

/// The screen of so many columns and lines as text, without spaces at the ends of lines.
pub fn text(app: &mut App, columns: u16, lines: u16, unicode: bool) -> String {
    let look = Look {
        colours: false,
        unicode,
    };
    let buffer = render(app, columns, lines, look);
    let mut text = String::new();
    for y in 0..lines {
        let line: String = (0..columns).map(|x| buffer[(x, y)].symbol()).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The same as a picture in SVG.
pub fn picture(app: &mut App, columns: u16, lines: u16) -> String {
    const CELL: (u16, u16) = (8, 17);
    let look = Look {
        colours: true,
        unicode: true,
    };
    let buffer = render(app, columns, lines, look);
    let (width, height) = (columns * CELL.0 + 16, lines * CELL.1 + 16);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"monospace\" font-size=\"13\">\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"6\" fill=\"#14161b\"/>\n"
    );
    for y in 0..lines {
        let mut x = 0;
        while x < columns {
            let cell = &buffer[(x, y)];
            let style = (cell.fg, cell.modifier);
            let mut run = String::new();
            let first = x;
            while x < columns && (buffer[(x, y)].fg, buffer[(x, y)].modifier) == style {
                run.push_str(buffer[(x, y)].symbol());
                x += 1;
            }
            let reversed = style.1.contains(Modifier::REVERSED);
            if run.trim().is_empty() && !reversed {
                continue;
            }
            let (left, top) = (first * CELL.0 + 8, y * CELL.1 + 8);
            let length = (x - first) * CELL.0;
            let mut ink = colour(style.0);
            if reversed {
                let _ = writeln!(
                    svg,
                    "<rect x=\"{left}\" y=\"{top}\" width=\"{length}\" height=\"{}\" fill=\"{ink}\"/>",
                    CELL.1
                );
                ink = "#14161b";
            }
            let weight = if style.1.contains(Modifier::BOLD) {
                " font-weight=\"bold\""
            } else {
                ""
            };
            let _ = writeln!(
                svg,
                "<text x=\"{left}\" y=\"{}\" fill=\"{ink}\"{weight} xml:space=\"preserve\" textLength=\"{length}\">{}</text>",
                top + 13,
                escaped(&run)
            );
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn render(app: &mut App, columns: u16, lines: u16, look: Look) -> Buffer {
    // This terminal is memory: it cannot fail.
    let Ok(mut terminal) = Terminal::new(TestBackend::new(columns, lines));
    let Ok(_) = terminal.draw(|frame| draw(frame, app, look));
    terminal.backend().buffer().clone()
}

fn colour(colour: Color) -> &'static str {
    match colour {
        Color::Red => "#ff6b68",
        Color::Green => "#7ec699",
        Color::Yellow => "#e5c07b",
        Color::Cyan => "#56b6c2",
        Color::DarkGray => "#8a919c",
        _ => "#d7dae0",
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
