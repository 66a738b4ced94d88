//! The kinds of value a key can have: how each is read, described and written.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU16, NonZeroU32};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use rustls::pki_types::ServerName;
use toml::de::DeValue;

use super::types::{Directions, InterfacePattern, Interfaces, InvalidPattern, Target};
use crate::export::columns::{COLUMNS, Column, Elements, Listed};
use crate::filter::{FilterError, KernelFilter};
use crate::observe::KindName;

/// A value as it stands in the file.
pub type Spanned<'i> = toml::Spanned<DeValue<'i>>;

/// One kind of value.
pub trait Kind: Sync {
    /// What it is in the program.
    type Value;

    /// What may stand in the file, after the word "expected".
    fn expected(&self) -> String;

    /// The value, or what is wrong with it.
    fn read(&self, value: &Spanned<'_>) -> Result<Self::Value, Mismatch>;

    /// As [`read`](Self::read), with all that is wrong of a value that can have several mistakes.
    fn read_all(&self, value: &Spanned<'_>) -> Result<Self::Value, Vec<Mismatch>> {
        self.read(value).map_err(|mismatch| vec![mismatch])
    }

    /// The value as TOML text that [`read`](Self::read) takes.
    fn write(&self, value: &Self::Value) -> String;
}

/// A value that is not of the kind its key wants.
#[derive(Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Where in the file, if not the whole value.
    pub span: Option<Range<usize>>,
    /// What was expected there, if not what [`Kind::expected`] says.
    pub expected: Option<String>,
    /// What stands there.
    pub found: String,
}

impl Mismatch {
    fn of(value: &Spanned<'_>) -> Self {
        Self {
            span: Some(value.span()),
            expected: None,
            found: found(value.get_ref()),
        }
    }
}

/// A whole number in a range, both ends included.
pub struct Integer<T> {
    /// The least.
    pub min: T,
    /// The greatest.
    pub max: T,
}

impl<T: Whole> Kind for Integer<T> {
    type Value = T;

    fn expected(&self) -> String {
        let (min, max) = (self.min.to_u64(), self.max.to_u64());
        format!("an integer from {min} to {max}")
    }

    fn read(&self, value: &Spanned<'_>) -> Result<T, Mismatch> {
        integer(value.get_ref())
            .filter(|number| (self.min.to_u64()..=self.max.to_u64()).contains(number))
            .and_then(T::from_u64)
            .ok_or_else(|| Mismatch::of(value))
    }

    fn write(&self, value: &T) -> String {
        value.to_u64().to_string()
    }
}

/// A power of two in a range, both ends included.
pub struct PowerOfTwo {
    /// The least.
    pub min: u32,
    /// The greatest.
    pub max: u32,
}

impl Kind for PowerOfTwo {
    type Value = u32;

    fn expected(&self) -> String {
        format!("a power of two from {} to {}", self.min, self.max)
    }

    fn read(&self, value: &Spanned<'_>) -> Result<u32, Mismatch> {
        integer(value.get_ref())
            .and_then(|number| u32::try_from(number).ok())
            .filter(|number| (self.min..=self.max).contains(number) && number.is_power_of_two())
            .ok_or_else(|| Mismatch::of(value))
    }

    fn write(&self, value: &u32) -> String {
        value.to_string()
    }
}

/// A span of time in a range, both ends included: numbers with the units `ms`, `s`, `m`, `h`.
pub struct Time {
    /// The least.
    pub min: Duration,
    /// The greatest.
    pub max: Duration,
}

impl Kind for Time {
    type Value = Duration;

    fn expected(&self) -> String {
        let (min, max) = (time_text(self.min), time_text(self.max));
        format!("a time from \"{min}\" to \"{max}\"")
    }

    fn read(&self, value: &Spanned<'_>) -> Result<Duration, Mismatch> {
        let text = value.get_ref().as_str();
        text.and_then(time)
            .filter(|time| (self.min..=self.max).contains(time))
            .ok_or_else(|| Mismatch::of(value))
    }

    fn write(&self, value: &Duration) -> String {
        quote(&time_text(*value))
    }
}

/// One of some words.
pub struct OneOf<T: 'static>(
    /// Each word and what it stands for.
    pub &'static [(&'static str, T)],
);

impl<T: Copy + PartialEq + Sync> Kind for OneOf<T> {
    type Value = T;

    fn expected(&self) -> String {
        let mut text = String::new();
        for (index, (word, _)) in self.0.iter().enumerate() {
            text.push_str(match index {
                0 => "",
                last if last + 1 == self.0.len() => " or ",
                _ => ", ",
            });
            text.push_str(&quote(word));
        }
        text
    }

    fn read(&self, value: &Spanned<'_>) -> Result<T, Mismatch> {
        let text = value.get_ref().as_str();
        self.0
            .iter()
            .find(|(word, _)| text == Some(word))
            .map(|(_, meaning)| *meaning)
            .ok_or_else(|| Mismatch::of(value))
    }

    fn write(&self, value: &T) -> String {
        let word = self.0.iter().find(|(_, meaning)| meaning == value);
        quote(word.map_or("", |(word, _)| word))
    }
}

/// The patterns of interfaces.
pub struct Patterns;

impl Patterns {
    /// An item of the list, or what is wrong with it.
    fn item(value: &Spanned<'_>) -> Result<InterfacePattern, Mismatch> {
        let a_pattern = || "an interface name, a glob such as \"eth*\", \"kind:\" and a kind, or \"alias:\" and a glob";
        let Some(text) = value.get_ref().as_str() else {
            return Err(Mismatch {
                expected: Some(a_pattern().to_owned()),
                ..Mismatch::of(value)
            });
        };
        text.parse().map_err(|error| {
            let mismatch = Mismatch::of(value);
            match error {
                InvalidPattern::Glob => Mismatch {
                    expected: Some(a_pattern().to_owned()),
                    ..mismatch
                },
                InvalidPattern::Kind => {
                    let (before, kind) = text.split_at(text.find(':').map_or(0, |colon| colon + 1));
                    let known: Vec<_> = KindName::all().map(KindName::name).collect();
                    let hint = likeliest(kind, known.iter().copied(), NEAR)
                        .map_or_else(String::new, |known| {
                            format!("; did you mean \"{before}{known}\"?")
                        });
                    Mismatch {
                        expected: Some(format!("\"kind:\" and one of {}", known.join(", "))),
                        found: mismatch.found.clone() + &hint,
                        ..mismatch
                    }
                }
            }
        })
    }
}

impl Kind for Patterns {
    type Value = Interfaces;

    fn expected(&self) -> String {
        "a list of interface names, globs or kinds, such as [\"eth*\", \"kind:vlan\", \"!eth7\"]"
            .to_owned()
    }

    fn read(&self, value: &Spanned<'_>) -> Result<Interfaces, Mismatch> {
        let list = value.get_ref().as_array();
        let list = list.ok_or_else(|| Mismatch::of(value))?;
        let mut patterns = Vec::new();
        for item in list {
            patterns.push(Self::item(item)?);
        }
        Interfaces::new(patterns).ok_or_else(|| Mismatch {
            expected: Some("at least one pattern without \"!\"".to_owned()),
            found: if list.is_empty() {
                "none"
            } else {
                "only exclusions"
            }
            .to_owned(),
            ..Mismatch::of(value)
        })
    }

    fn write(&self, value: &Interfaces) -> String {
        let texts: Vec<_> = value
            .patterns()
            .iter()
            .map(|pattern| quote(&pattern.to_string()))
            .collect();
        format!("[{}]", texts.join(", "))
    }
}

/// The elements of records, with or without their length.
pub struct ElementList;

impl ElementList {
    /// An item of the list, or what is wrong with it.
    fn item(value: &Spanned<'_>) -> Result<Listed, Mismatch> {
        let expected = |expected: String, hint: String| Mismatch {
            span: Some(value.span()),
            expected: Some(expected),
            found: found(value.get_ref()) + &hint,
        };
        let an_element = || "the name of an element, such as \"octetDeltaCount\"".to_owned();
        let Some(text) = value.get_ref().as_str() else {
            return Err(expected(an_element(), String::new()));
        };
        let (name, octets) = match text.split_once('/') {
            Some((name, octets)) => (name, Some(octets)),
            None => (text, None),
        };
        let Some(column) = Column::named(name) else {
            return Err(match ipfix::elements::by_name(name) {
                Some(_) => expected(
                    "an element that the meter can fill".to_owned(),
                    nearest(name, NEARLY_THE_SAME),
                ),
                None => expected(an_element(), nearest(name, NEAR)),
            });
        };
        let of_length = || {
            let lengths = column.lengths();
            let (least, most) = (lengths.start(), lengths.end());
            let lengths = match most - least {
                0 => least.to_string(),
                1 => format!("{least} or {most}"),
                _ => format!("{least} to {most}"),
            };
            let plural = if *most == 1 { "octet" } else { "octets" };
            expected(format!("{name} of {lengths} {plural}"), String::new())
        };
        let octets = match octets {
            // No sign, no zero before.
            Some(text) => match text.parse::<u16>() {
                Ok(octets) if octets.to_string() == text => Some(octets),
                _ => return Err(of_length()),
            },
            None => None,
        };
        Listed::new(column, octets).ok_or_else(of_length)
    }
}

impl Kind for ElementList {
    type Value = Elements;

    fn expected(&self) -> String {
        "a list of elements, such as [\"sourceIPv4Address\", \"octetDeltaCount/4\"]".to_owned()
    }

    fn read(&self, value: &Spanned<'_>) -> Result<Elements, Mismatch> {
        self.read_all(value).map_err(|mut mismatches| {
            if mismatches.is_empty() {
                Mismatch::of(value)
            } else {
                mismatches.swap_remove(0)
            }
        })
    }

    fn read_all(&self, value: &Spanned<'_>) -> Result<Elements, Vec<Mismatch>> {
        let list = value.get_ref().as_array();
        let items = list.ok_or_else(|| vec![Mismatch::of(value)])?;
        let mut list: Vec<Listed> = Vec::new();
        let mut mismatches = Vec::new();
        for item in items {
            match Self::item(item) {
                Ok(listed) => {
                    let column = listed.column;
                    if !column.may_repeat() && list.iter().any(|before| before.column == column) {
                        mismatches.push(Mismatch {
                            expected: Some("each element once".to_owned()),
                            found: format!("{} again", quote(column.element.name())),
                            ..Mismatch::of(item)
                        });
                    } else {
                        list.push(listed);
                    }
                }
                Err(mismatch) => mismatches.push(mismatch),
            }
        }
        if !mismatches.is_empty() {
            return Err(mismatches);
        }
        Elements::new(list).ok_or_else(|| {
            vec![Mismatch {
                expected: Some("at least one element".to_owned()),
                found: "an empty list".to_owned(),
                ..Mismatch::of(value)
            }]
        })
    }

    fn write(&self, value: &Elements) -> String {
        let texts: Vec<_> = value
            .list()
            .iter()
            .map(|listed| quote(&listed.to_string()))
            .collect();
        format!("[{}]", texts.join(", "))
    }
}

/// Below this two names have too little in common (Jaro-Winkler).
const NEAR: f64 = 0.8;
/// The same where both are right and mean something.
const NEARLY_THE_SAME: f64 = 0.9;

/// A hint at the element of the nearest name that the meter can fill, if it is as near as `near`.
fn nearest(name: &str, near: f64) -> String {
    let known = COLUMNS.iter().map(|column| column.element.name());
    likeliest(name, known, near)
        .map_or_else(String::new, |known| format!("; did you mean \"{known}\"?"))
}

/// The one of `known` that `name` is nearest to, if it is as near as `near`.
fn likeliest<'a>(name: &str, known: impl Iterator<Item = &'a str>, near: f64) -> Option<&'a str> {
    let name = name.to_lowercase();
    known
        .map(|known| (strsim::jaro_winkler(&name, &known.to_lowercase()), known))
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .filter(|(likeness, _)| *likeness >= near)
        .map(|(_, known)| known)
}

/// A filter that the kernel evaluates: one text, or several, of which one is enough.
pub struct FilterText;

impl FilterText {
    /// What is wrong in the text of `value`, with its place.
    fn mismatch(value: &Spanned<'_>, error: &FilterError) -> Mismatch {
        let text = value.get_ref().as_str().unwrap_or_default();
        let octets = |characters: usize| text.chars().take(characters).map(char::len_utf8).sum();
        let start: usize = octets(error.column() - 1);
        // Quotes, none (in an argument), one or three, and a line feed that is not part of the text,
        // stand before it. Where there are more octets than that and those of the text, some stand for others.
        let span = value.span();
        let before = match span.len().saturating_sub(text.len()) {
            0 => Some(0),
            2 => Some(1),
            6 => Some(3),
            7 => Some(4),
            _ => None,
        };
        let at = before.map(|before| span.start + before + start);
        let place = match at {
            Some(_) => String::new(),
            None => format!(" in column {} of the text", error.column()),
        };
        Mismatch {
            span: Some(at.map_or(span, |at| at..at + 1)),
            expected: Some(error.expected().to_owned()),
            found: error.found().to_owned() + &place,
        }
    }
}

impl Kind for FilterText {
    type Value = KernelFilter;

    fn expected(&self) -> String {
        "a filter, such as \"not port 53\", or a list of filters, of which one has to be met"
            .to_owned()
    }

    fn read(&self, value: &Spanned<'_>) -> Result<KernelFilter, Mismatch> {
        let items = match value.get_ref() {
            DeValue::Array(items) if !items.is_empty() => items.iter().collect(),
            _ => vec![value],
        };
        let texts = items.iter().map(|item| item.get_ref().as_str());
        let mut known = Vec::new();
        for (item, text) in items.iter().zip(texts) {
            known.push(text.ok_or_else(|| Mismatch::of(item))?);
        }
        KernelFilter::any(&known).map_err(|(place, error)| {
            let item = items.get(place).copied().unwrap_or(value);
            Self::mismatch(item, &error)
        })
    }

    fn write(&self, value: &KernelFilter) -> String {
        match value.texts() {
            [] => quote(""),
            [one] => quote(one),
            several => {
                let several: Vec<_> = several.iter().map(|text| quote(text)).collect();
                format!("[{}]", several.join(", "))
            }
        }
    }
}

/// A list of directions.
pub struct DirectionList;

impl DirectionList {
    const WORDS: OneOf<Directions> = OneOf(&[
        ("ingress", Directions::Ingress),
        ("egress", Directions::Egress),
    ]);
}

impl Kind for DirectionList {
    type Value = Directions;

    fn expected(&self) -> String {
        "a list of \"ingress\", \"egress\" or both".to_owned()
    }

    fn read(&self, value: &Spanned<'_>) -> Result<Directions, Mismatch> {
        let list = value.get_ref().as_array();
        let list = list.ok_or_else(|| Mismatch::of(value))?;
        let mut directions = None;
        for item in list {
            let direction = Self::WORDS.read(item).map_err(|mismatch| Mismatch {
                expected: Some(Self::WORDS.expected()),
                ..mismatch
            })?;
            directions = match directions {
                None => Some(direction),
                Some(before) if before == direction => Some(before),
                Some(_) => Some(Directions::Both),
            };
        }
        directions.ok_or_else(|| Mismatch {
            found: "an empty list".to_owned(),
            ..Mismatch::of(value)
        })
    }

    fn write(&self, value: &Directions) -> String {
        match value {
            Directions::Ingress => "[\"ingress\"]",
            Directions::Egress => "[\"egress\"]",
            Directions::Both => "[\"ingress\", \"egress\"]",
        }
        .to_owned()
    }
}

/// A collector: host and, where it is not the protocol's own, port.
pub struct CollectorAddress;

impl Kind for CollectorAddress {
    type Value = Target;

    fn expected(&self) -> String {
        "\"HOST:PORT\", \"IPV4:PORT\" or \"[IPV6]:PORT\"".to_owned()
    }

    fn read(&self, value: &Spanned<'_>) -> Result<Target, Mismatch> {
        let text = value.get_ref().as_str();
        text.and_then(|text| text.parse().ok())
            .ok_or_else(|| Mismatch::of(value))
    }

    fn write(&self, value: &Target) -> String {
        let Target { host, port } = value;
        let text = match (host, port) {
            (host, Some(port)) => super::Endpoint {
                host: host.clone(),
                port: *port,
            }
            .to_string(),
            (super::Host::Address(address), None) => address.to_string(),
            (super::Host::Name(name), None) => name.clone(),
        };
        quote(&text)
    }
}

/// An IP address of this host.
pub struct Address;

impl Kind for Address {
    type Value = IpAddr;

    fn expected(&self) -> String {
        "an IPv4 or IPv6 address, such as \"192.0.2.1\"".to_owned()
    }

    fn read(&self, value: &Spanned<'_>) -> Result<IpAddr, Mismatch> {
        let text = value.get_ref().as_str();
        text.and_then(|text| text.parse::<IpAddr>().ok())
            .filter(|address| !address.is_unspecified() && !address.is_multicast())
            .ok_or_else(|| Mismatch::of(value))
    }

    fn write(&self, value: &IpAddr) -> String {
        quote(&value.to_string())
    }
}

/// An address and a port to listen at.
pub struct Listen;

impl Kind for Listen {
    type Value = SocketAddr;

    fn expected(&self) -> String {
        "\"IPV4:PORT\" or \"[IPV6]:PORT\"".to_owned()
    }

    fn read(&self, value: &Spanned<'_>) -> Result<SocketAddr, Mismatch> {
        let text = value.get_ref().as_str();
        text.and_then(|text| text.parse().ok())
            .ok_or_else(|| Mismatch::of(value))
    }

    fn write(&self, value: &SocketAddr) -> String {
        quote(&value.to_string())
    }
}

/// The path of a directory.
pub struct Directory {
    /// The most octets the path may have.
    pub max_len: usize,
    /// Whether a dot is allowed: no name in a BPF file system may have one.
    pub dots: bool,
}

impl Kind for Directory {
    type Value = PathBuf;

    fn expected(&self) -> String {
        let dots = if self.dots { "" } else { " and no dot" };
        let Self { max_len, .. } = self;
        format!("an absolute path of at most {max_len} octets{dots}")
    }

    fn read(&self, value: &Spanned<'_>) -> Result<PathBuf, Mismatch> {
        let text = value.get_ref().as_str();
        text.filter(|text| text.starts_with('/') && text.len() <= self.max_len)
            .filter(|text| self.dots || !text.contains('.'))
            .filter(|text| !text.contains('\0'))
            .map(PathBuf::from)
            .ok_or_else(|| Mismatch::of(value))
    }

    fn write(&self, value: &PathBuf) -> String {
        quote(&value.to_string_lossy())
    }
}

/// The path of a file.
pub struct FilePath;

impl Kind for FilePath {
    type Value = PathBuf;

    fn expected(&self) -> String {
        "the absolute path of a file".to_owned()
    }

    fn read(&self, value: &Spanned<'_>) -> Result<PathBuf, Mismatch> {
        let text = value.get_ref().as_str();
        // PATH_MAX, with its zero.
        text.filter(|text| text.starts_with('/') && text.len() < 4096)
            .filter(|text| !text.contains('\0') && !text.ends_with('/'))
            .map(PathBuf::from)
            .ok_or_else(|| Mismatch::of(value))
    }

    fn write(&self, value: &PathBuf) -> String {
        quote(&value.to_string_lossy())
    }
}

/// Whom a certificate has to be for.
pub struct ServerIdentity;

impl Kind for ServerIdentity {
    type Value = String;

    fn expected(&self) -> String {
        "a host name or an IP address".to_owned()
    }

    fn read(&self, value: &Spanned<'_>) -> Result<String, Mismatch> {
        let text = value.get_ref().as_str();
        text.filter(|text| ServerName::try_from(*text).is_ok())
            .map(str::to_owned)
            .ok_or_else(|| Mismatch::of(value))
    }

    fn write(&self, value: &String) -> String {
        quote(value)
    }
}

/// What the operator calls a thing.
pub struct Name;

impl Kind for Name {
    type Value = String;

    fn expected(&self) -> String {
        "a name of 1 to 64 printable characters".to_owned()
    }

    fn read(&self, value: &Spanned<'_>) -> Result<String, Mismatch> {
        let text = value.get_ref().as_str();
        text.filter(|text| (1..=64).contains(&text.chars().count()))
            .filter(|text| !text.chars().any(char::is_control) && text.trim() == *text)
            .map(str::to_owned)
            .ok_or_else(|| Mismatch::of(value))
    }

    fn write(&self, value: &String) -> String {
        quote(value)
    }
}

/// The name of a network interface.
pub struct Device;

impl Kind for Device {
    type Value = String;

    fn expected(&self) -> String {
        "the name of an interface, of 1 to 15 octets".to_owned()
    }

    fn read(&self, value: &Spanned<'_>) -> Result<String, Mismatch> {
        let text = value.get_ref().as_str();
        // As the kernel takes it.
        text.filter(|text| (1..=15).contains(&text.len()) && !matches!(*text, "." | ".."))
            .filter(|text| {
                !text.contains(|c: char| c.is_whitespace() || c.is_control() || "/:".contains(c))
            })
            .map(str::to_owned)
            .ok_or_else(|| Mismatch::of(value))
    }

    fn write(&self, value: &String) -> String {
        quote(value)
    }
}

/// A network namespace, by name or by path.
pub struct NetworkNamespace;

impl Kind for NetworkNamespace {
    type Value = String;

    fn expected(&self) -> String {
        "the name of a network namespace (as of ip netns) or an absolute path".to_owned()
    }

    fn read(&self, value: &Spanned<'_>) -> Result<String, Mismatch> {
        let text = value.get_ref().as_str();
        text.filter(|text| text.starts_with('/') || !text.contains('/'))
            .filter(|text| !matches!(*text, "" | "." | ".."))
            // What the system takes as a name, and as a path.
            .filter(|text| text.len() <= if text.starts_with('/') { 4095 } else { 255 })
            .filter(|text| !text.contains(char::is_control))
            .map(str::to_owned)
            .ok_or_else(|| Mismatch::of(value))
    }

    fn write(&self, value: &String) -> String {
        quote(value)
    }
}

/// The whole numbers a key can have.
pub trait Whole: Copy + Sync {
    /// `None` where the number does not fit.
    fn from_u64(number: u64) -> Option<Self>;
    /// The number.
    fn to_u64(self) -> u64;
}

macro_rules! whole {
    ($($type:ty: $inner:ty, $get:expr;)*) => {$(
        impl Whole for $type {
            fn from_u64(number: u64) -> Option<Self> {
                <$type>::try_from(<$inner>::try_from(number).ok()?).ok()
            }

            fn to_u64(self) -> u64 {
                u64::from($get(self))
            }
        }
    )*};
}

whole! {
    u8: u8, u8::from;
    u16: u16, u16::from;
    u32: u32, u32::from;
    NonZeroU16: u16, NonZeroU16::get;
    NonZeroU32: u32, NonZeroU32::get;
}

/// Text as a TOML basic string.
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                // Writing to a String cannot fail.
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// What stands in the file, as the end of the sentence "expected X, found ...".
pub fn found(value: &DeValue<'_>) -> String {
    const SHOWN: usize = 60;
    let short = |text: &str| -> String {
        match text.char_indices().nth(SHOWN) {
            Some((end, _)) => format!("{}...", &text[..end]),
            None => text.to_owned(),
        }
    };
    match value {
        DeValue::String(text) => quote(&short(text)),
        DeValue::Integer(number) => short(&number.to_string()),
        DeValue::Float(number) => short(&number.to_string()),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(_) => "a date or time without quotes".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

fn integer(value: &DeValue<'_>) -> Option<u64> {
    let number = value.as_integer()?;
    u64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// `90s`, `1m30s`, `500ms`: numbers with units, at least one, added up.
pub(crate) fn time(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let number: u64 = number.parse().ok()?;
        let end = after.find(|c: char| c.is_ascii_digit());
        let (unit, after) = after.split_at(end.unwrap_or(after.len()));
        let millis_each = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return None,
        };
        let part = Duration::from_millis(number.checked_mul(millis_each)?);
        total = total.checked_add(part)?;
        rest = after;
    }
    (!text.is_empty()).then_some(total)
}

fn time_text(time: Duration) -> String {
    match time.as_millis() {
        0 => "0s".to_owned(),
        hours if hours.is_multiple_of(3_600_000) => format!("{}h", hours / 3_600_000),
        seconds if seconds.is_multiple_of(1000) => format!("{}s", seconds / 1000),
        millis => format!("{millis}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_numbers_with_units() {
        for (text, millis) in [
            ("60s", 60_000),
            ("500ms", 500),
            ("1m30s", 90_000),
            ("2h", 7_200_000),
            ("1h1m1s1ms", 3_661_001),
            ("0s", 0),
        ] {
            assert_eq!(time(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            "s",
            "60",
            "60 s",
            "-1s",
            "1.5s",
            "1d",
            "1s ",
            "1S",
            "99999999999999999999s",
            "18446744073709551615h",
            "5s6",
            "５s",
        ] {
            assert_eq!(time(text), None, "{text}");
        }
    }

    #[test]
    fn written_times_read_as_the_same() {
        for millis in [1, 10, 999, 1000, 1500, 60_000, 86_400_000] {
            let duration = Duration::from_millis(millis);
            assert_eq!(time(&time_text(duration)), Some(duration));
        }
    }

    #[test]
    fn quoted_text_reads_as_the_same() {
        for text in ["", "plain", "\"\\\u{7f}\u{0}\t\n", "größe 流", "C:\\dir"] {
            let quoted = quote(text);
            let value = DeValue::parse(&quoted).unwrap();
            assert_eq!(value.get_ref().as_str(), Some(text));
        }
    }

    #[test]
    fn long_values_are_cut_in_messages() {
        let text = "ü".repeat(100);
        let value = DeValue::String(text.into());
        assert_eq!(found(&value), format!("\"{}...\"", "ü".repeat(60)));
    }
}
