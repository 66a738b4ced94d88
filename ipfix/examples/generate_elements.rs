//! Writes `src/elements.rs` from `iana/ipfix.csv`, the committed snapshot of the IANA registry
//! "IPFIX Information Elements". Run it after the snapshot changes:
//!
//! ```text
//! cargo run -p ipfix --example generate_elements
//! ```
//!
//! The test `elements_current` fails while the committed file is not what this writes.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

/// Regenerates the file in place.
#[allow(
    dead_code,
    reason = "the test that includes this file calls `generate` alone"
)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let crate_root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let csv = std::fs::read_to_string(crate_root.join("iana/ipfix.csv"))?;
    let source = generate(&csv)?;
    std::fs::write(crate_root.join("src/elements.rs"), source)?;
    Ok(())
}

/// The source text of `src/elements.rs` for this snapshot.
///
/// Rows without an abstract data type (reserved numbers) are left out.
pub fn generate(csv: &str) -> Result<String, String> {
    let rows = parse(csv)?;
    let mut out = String::from(HEADER);
    for row in &rows {
        let shown_units = if row.units.is_empty() {
            String::new()
        } else {
            format!(", {}", row.units)
        };
        let deprecated = if row.status == "deprecated" {
            "; deprecated"
        } else {
            ""
        };
        writeln!(
            out,
            "/// `{}` ({}): {}, {}{shown_units}{deprecated}.",
            row.name,
            row.id,
            row.data_type,
            if row.semantics.is_empty() {
                "default"
            } else {
                row.semantics
            },
        )
        .and_then(|()| {
            writeln!(
                out,
                "pub const {}: Element = Element::iana({}, \"{}\", T::{}, S::{}, \"{}\", Status::{});",
                constant(row.name),
                row.id,
                row.name,
                type_variant(row.data_type),
                semantics_variant(row.semantics),
                row.units,
                capitalised(row.status),
            )
        })
        .map_err(|error| error.to_string())?;
    }

    out.push_str("\n/// Every element of the snapshot, by ascending id.\n");
    writeln!(out, "pub static ALL: [Element; {}] = [", rows.len()).map_err(|e| e.to_string())?;
    for row in &rows {
        writeln!(out, "    {},", constant(row.name)).map_err(|e| e.to_string())?;
    }
    out.push_str("];\n\n/// Positions in [`ALL`], by ascending name.\n");
    let mut by_name: Vec<usize> = (0..rows.len()).collect();
    by_name.sort_by_key(|&at| rows[at].name);
    writeln!(out, "static BY_NAME: [u16; {}] = [", rows.len()).map_err(|e| e.to_string())?;
    for line in by_name.chunks(16) {
        let numbers: Vec<String> = line.iter().map(ToString::to_string).collect();
        writeln!(out, "    {},", numbers.join(", ")).map_err(|e| e.to_string())?;
    }
    out.push_str(
        "];\n\n/// Ids, least and greatest values of those that have a range, by ascending id.\n",
    );
    let ranges: Vec<(u16, u64, u64)> = rows
        .iter()
        .filter_map(|row| row.range.map(|(least, most)| (row.id, least, most)))
        .collect();
    writeln!(
        out,
        "static RANGES: [(u16, u64, u64); {}] = [",
        ranges.len()
    )
    .map_err(|e| e.to_string())?;
    for (id, least, most) in ranges {
        let (high, low) = (most >> 16, most & 0xffff);
        writeln!(out, "    ({id}, {least}, 0x{high:04x}_{low:04x}),").map_err(|e| e.to_string())?;
    }
    out.push_str("];\n");
    Ok(out)
}

const HEADER: &str = "\
//! The Information Elements of the IANA registry, generated from `iana/ipfix.csv` by the example
//! `generate_elements`. Do not edit: change the snapshot and run the example.

use core::ops::RangeInclusive;

use crate::element::{
    AbstractType as T, Element, REVERSE_PEN, Registry, Semantics as S, Status,
};

/// The IANA element with this id.
pub fn by_id(id: u16) -> Option<&'static Element> {
    ALL.binary_search_by_key(&id, Element::id).ok().and_then(|at| ALL.get(at))
}

/// The IANA element with this name, which is case-sensitive as in the registry.
pub fn by_name(name: &str) -> Option<&'static Element> {
    let element = |at: u16| ALL.get(usize::from(at));
    BY_NAME
        .binary_search_by(|&at| element(at).map_or(\"\", Element::name).cmp(name))
        .ok()
        .and_then(|found| BY_NAME.get(found))
        .and_then(|&at| element(at))
}

/// The values that the registry allows, where it names a range; of an IANA element or its reverse.
pub fn range(element: &Element) -> Option<RangeInclusive<u64>> {
    if !matches!(element.registry(), Registry::Iana | Registry::Enterprise(REVERSE_PEN)) {
        return None;
    }
    let at = RANGES.binary_search_by_key(&element.id(), |&(id, ..)| id).ok()?;
    RANGES.get(at).map(|&(_, least, most)| least..=most)
}

";

struct Row<'a> {
    id: u16,
    name: &'a str,
    data_type: &'a str,
    semantics: &'a str,
    units: &'a str,
    /// The least and the greatest value, where the registry has a range.
    range: Option<(u64, u64)>,
    status: &'a str,
}

fn parse(csv: &str) -> Result<Vec<Row<'_>>, String> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    let mut constants = BTreeSet::new();
    for (number, line) in csv.lines().enumerate().skip(1) {
        let fields: Vec<&str> = line.trim_end_matches('\r').split(',').collect();
        let [id, name, data_type, semantics, units, range, status] = fields[..] else {
            return Err(format!(
                "line {}: {} fields instead of 7",
                number + 1,
                fields.len()
            ));
        };
        if data_type.is_empty() {
            continue;
        }
        let id: u16 = id
            .parse()
            .map_err(|error| format!("line {}: id {id:?}: {error}", number + 1))?;
        if rows.last().is_some_and(|last| last.id >= id) {
            return Err(format!("line {}: id {id} is out of order", number + 1));
        }
        if !constants.insert(constant(name)) {
            return Err(format!(
                "line {}: {name} has the constant of another",
                number + 1
            ));
        }
        let range = parse_range(range)
            .ok_or_else(|| format!("line {}: range {range:?} is none", number + 1))?;
        rows.push(Row {
            id,
            name,
            data_type,
            semantics,
            units,
            range,
            status,
        });
    }
    Ok(rows)
}

/// `0-0xFFFFF`, or nothing.
#[expect(clippy::option_option, reason = "a range, no range, a broken one")]
fn parse_range(range: &str) -> Option<Option<(u64, u64)>> {
    if range.is_empty() {
        return Some(None);
    }
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(hexadecimal) => u64::from_str_radix(hexadecimal, 16).ok(),
        None => text.parse().ok(),
    };
    let (least, most) = range.split_once('-')?;
    let (least, most) = (number(least)?, number(most)?);
    (least <= most).then_some(Some((least, most)))
}

/// `sourceIPv4Address` -> `SOURCE_IPV4_ADDRESS`.
fn constant(name: &str) -> String {
    let name = name.replace("IPv", "Ipv").replace("IPSec", "Ipsec");
    let letters: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (at, &letter) in letters.iter().enumerate() {
        let starts_word = letter.is_ascii_uppercase()
            && at > 0
            && (!letters[at - 1].is_ascii_uppercase()
                || letters.get(at + 1).is_some_and(char::is_ascii_lowercase));
        if starts_word && !out.ends_with('_') {
            out.push('_');
        }
        out.push(if letter.is_ascii_alphanumeric() {
            letter.to_ascii_uppercase()
        } else {
            '_'
        });
    }
    out
}

fn type_variant(name: &str) -> String {
    capitalised(name)
}

fn semantics_variant(name: &str) -> String {
    if name.is_empty() {
        "Default".to_owned()
    } else {
        capitalised(name)
    }
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_ascii_uppercase().to_string() + letters.as_str()
    })
}
