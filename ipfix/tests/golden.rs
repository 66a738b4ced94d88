//! Messages written down octet by octet, each with the field, the value and the clause it follows.
//!
//! A file of `tests/golden` is one message. Its lines have octets and say what they mean, so one
//! text is the expectation of both directions: the writer, given the templates and values that the
//! text names, must produce exactly those octets, and the decoder must find those values in them.
//! Octets and text of headers, sets and templates are also compared here, without either.
//!
//! ```text
//! @now 1795536000250                   given: the time of export, milliseconds since 1970
//! @booted 1795535900250                given: when sysUptime was zero (NetFlow v9)
//! @sets in any order                   the writer puts the same sets in another order
//! 00 0a        version = 10            # 7011/3.1/version
//! 01 00 00 01  template 256, 1 field   # 7011/3.4.1/format
//! 00 08 00 04  field sourceIPv4Address, 4 octets
//! 61 x254      interfaceName = "a" x254
//! ```

mod judge;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

use ipfix::{
    AbstractType, Decoder, DecoderLimits, Element, Layout, LayoutBuilder, Protocol, Semantics,
    Session, SessionOptions, VARIABLE_LENGTH, Value, Written, elements, v9_scope,
};
use judge::Capture;

/// Every file is written and read as it says.
#[test]
fn every_file_is_written_and_read() {
    let files = files();
    for (name, text) in &files {
        check(text).unwrap_or_else(|mistake| panic!("tests/golden/{name}: {mistake}"));
    }
    assert!(files.len() >= 9, "{} files", files.len());
}

/// The check itself: an octet that is wrong, or a line that is missing, is found in every line of
/// every file.
#[test]
fn every_wrong_octet_is_found() {
    for (name, text) in files() {
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let octets = Line::read(at + 1, line).map_or(0, |line| line.octets.len());
            if octets == 0 {
                continue;
            }
            let replaced = |with: &str| {
                let mut lines = lines.clone();
                lines[at] = with;
                lines.join("\n")
            };
            let digit = if &line[1..2] == "7" { "6" } else { "7" };
            let wrong = format!("{}{digit}{}", &line[..1], &line[2..]);
            assert!(check(&replaced(&wrong)).is_err(), "{name}: {wrong}");
            assert!(check(&replaced("")).is_err(), "{name}: without {line}");
        }
    }
}

/// An independent judge of the text: Wireshark's dissector finds the same values in the octets.
#[test]
fn tshark_reads_every_file_like_this() {
    const FIELDS: [(&str, &str); 14] = [
        ("sourceIPv4Address", "cflow.srcaddr"),
        ("destinationIPv4Address", "cflow.dstaddr"),
        ("ipNextHopIPv4Address", "cflow.nexthop"),
        ("sourceIPv6Address", "cflow.srcaddrv6"),
        ("sourceMacAddress", "cflow.srcmac"),
        ("sourceTransportPort", "cflow.srcport"),
        ("protocolIdentifier", "cflow.protocol"),
        ("octetDeltaCount", "cflow.octets"),
        ("packetDeltaCount", "cflow.packets"),
        ("interfaceName", "cflow.if_name"),
        ("samplingInterval", "cflow.sampling_interval"),
        ("exportedMessageTotalCount", "cflow.packetsexp"),
        ("ignoredOctetTotalCount", "cflow.ignore_octets"),
        ("notSentPacketTotalCount", "cflow.notsent_packets"),
    ];
    const PROBLEMS: [&str; 2] = ["_ws.expert.message", "_ws.malformed"];
    let names: Vec<&str> = FIELDS
        .iter()
        .map(|(_, name)| *name)
        .chain(PROBLEMS)
        .collect();
    let mut compared = BTreeSet::new();
    for (name, text) in files() {
        let golden = Golden::read(&text).unwrap();
        let read = Capture::new(golden.protocol, &[golden.octets()])
            .dissect(&names)
            .swap_remove(0);
        for ((element, field), read) in FIELDS.iter().zip(&read) {
            let known = elements::by_name(element).unwrap();
            let values = golden.lines.iter().filter_map(|line| {
                let value = line.text.strip_prefix(element)?.strip_prefix(" = ")?;
                Some(match parse(known, value)? {
                    Cell::Unsigned(number) => number.to_string(),
                    Cell::Text(text) => text,
                    _ => value.to_owned(),
                })
            });
            let wanted: Vec<String> = values.collect();
            let read: Vec<&str> = read.split(',').filter(|value| !value.is_empty()).collect();
            assert_eq!(read, wanted, "{name}: {field}");
            if !wanted.is_empty() {
                compared.insert(field);
            }
        }
        assert_eq!(read[FIELDS.len()..], ["", ""], "{name}");
    }
    assert_eq!(compared.len(), FIELDS.len(), "{compared:?}");
}

/// Name and text of the files.
fn files() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let text = std::fs::read_to_string(entry.path()).unwrap();
            (entry.file_name().into_string().unwrap(), text)
        })
        .collect()
}

fn check(text: &str) -> Result<(), String> {
    let golden = Golden::read(text)?;
    golden.is_written()?;
    golden.is_read()
}

/// A message as its text describes it.
struct Golden {
    protocol: Protocol,
    now_ms: u64,
    booted_ms: u64,
    any_order: bool,
    numbers: BTreeMap<&'static str, u32>,
    sets: Vec<Set>,
    lines: Vec<Line>,
}

struct Set {
    octets: Vec<u8>,
    content: Content,
}

enum Content {
    Templates(Vec<Template>),
    Data { template: Template, rows: Vec<Row> },
}

#[derive(Clone)]
struct Template {
    id: u16,
    /// Scope Fields of an Options Template.
    scope: Option<usize>,
    fields: Vec<(Element, u16)>,
}

/// The values of a Data Record.
type Row = Vec<Cell>;

#[derive(Clone, Debug, PartialEq)]
enum Cell {
    /// Also times: seconds, milliseconds, or for the NTP types nanoseconds.
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Boolean(bool),
    Text(String),
    Octets(Vec<u8>),
}

/// A line with octets.
struct Line {
    number: usize,
    octets: Vec<u8>,
    text: String,
}

impl Line {
    fn read(number: usize, line: &str) -> Option<Self> {
        let body = line.split('#').next().unwrap_or_default();
        let mut octets = Vec::new();
        let mut rest = body.trim();
        loop {
            let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
            if word.len() == 2 && word.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                octets.push(u8::from_str_radix(word, 16).ok()?);
            } else if let (Some(times), Some(&last)) = (
                word.strip_prefix('x').and_then(|times| times.parse().ok()),
                octets.last(),
            ) {
                octets.extend(std::iter::repeat_n(last, times).skip(1));
            } else {
                break;
            }
            rest = after.trim_start();
        }
        (!octets.is_empty()).then(|| Self {
            number,
            octets,
            text: rest.to_owned(),
        })
    }

    fn wrong(&self, what: &str) -> String {
        format!("line {}: {}: {what}", self.number, self.text)
    }

    /// The number of a line `NAME = NUMBER`, which its octets have to be.
    fn number(&self, name: &str) -> Result<u32, String> {
        let number = self
            .text
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix(" = "))
            .and_then(|number| number.parse::<u32>().ok())
            .ok_or_else(|| self.wrong(&format!("expected \"{name} = \" and a number")))?;
        let shown = self
            .octets
            .iter()
            .fold(0_u32, |value, &octet| value << 8 | u32::from(octet));
        if shown == number {
            Ok(number)
        } else {
            Err(self.wrong(&format!("the octets are {shown}")))
        }
    }

    /// Numbers and words of a text between the given words.
    fn parts<'a, const N: usize>(&'a self, words: [&str; N]) -> Option<[&'a str; N]> {
        let mut rest = self.text.as_str();
        let mut parts = [""; N];
        for (at, word) in words.iter().enumerate() {
            rest = rest.strip_prefix(word)?;
            let end = words
                .get(at + 1)
                .map_or(Some(rest.len()), |next| rest.find(next))?;
            parts[at] = &rest[..end];
            rest = &rest[end..];
        }
        Some(parts)
    }

    fn must_be(&self, octets: &[u8]) -> Result<(), String> {
        if self.octets == octets {
            Ok(())
        } else {
            Err(self.wrong(&format!("the text means {octets:02x?}")))
        }
    }
}

/// The header's fields in order, with their octets.
const IPFIX_HEADER: [(&str, usize); 5] = [
    ("version", 2),
    ("length", 2),
    ("export time", 4),
    ("sequence", 4),
    ("observation domain", 4),
];
const V9_HEADER: [(&str, usize); 6] = [
    ("version", 2),
    ("count", 2),
    ("sysUptime", 4),
    ("UNIX secs", 4),
    ("sequence", 4),
    ("source id", 4),
];

impl Golden {
    fn read(text: &str) -> Result<Self, String> {
        let directive = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name))
                .map(|rest| rest.split('#').next().unwrap_or_default().trim())
        };
        let milliseconds = |name: &str| -> Result<u64, String> {
            directive(name).map_or(Ok(0), |value| {
                value.parse().map_err(|_| format!("{name}: {value}"))
            })
        };
        let lines: Vec<Line> = text
            .lines()
            .enumerate()
            .filter_map(|(at, line)| Line::read(at + 1, line))
            .collect();
        let mut rest = lines.as_slice();
        let ipfix = rest.first().is_some_and(|line| line.octets == [0, 10]);
        let header = if ipfix {
            &IPFIX_HEADER[..]
        } else {
            &V9_HEADER[..]
        };
        let mut numbers = BTreeMap::new();
        for &(name, octets) in header {
            let line = take(&mut rest)?;
            if line.octets.len() != octets {
                return Err(line.wrong("octets"));
            }
            numbers.insert(name, line.number(name)?);
        }
        let protocol = match numbers["version"] {
            10 => Protocol::Ipfix,
            9 => Protocol::NetflowV9,
            version => return Err(format!("version {version}")),
        };
        let mut golden = Self {
            protocol,
            now_ms: milliseconds("@now ")?,
            booted_ms: milliseconds("@booted ")?,
            any_order: directive("@sets in any order").is_some(),
            numbers,
            sets: Vec::new(),
            lines: Vec::new(),
        };
        let mut templates: BTreeMap<u16, Template> = BTreeMap::new();
        while !rest.is_empty() {
            let set = read_set(&mut rest, protocol, &templates)?;
            if let Content::Templates(new) = &set.content {
                templates.extend(new.iter().map(|template| (template.id, template.clone())));
            }
            golden.sets.push(set);
        }
        golden.lines = lines;
        let (announced, there) = if ipfix {
            (golden.numbers["length"], golden.octets().len())
        } else {
            (golden.numbers["count"], golden.count())
        };
        if usize::try_from(announced) != Ok(there) {
            return Err(format!(
                "the header announces {announced}, {there} are there"
            ));
        }
        Ok(golden)
    }

    fn octets(&self) -> Vec<u8> {
        self.lines
            .iter()
            .flat_map(|line| line.octets.clone())
            .collect()
    }

    /// Records of all kinds, as version 9 counts them.
    fn count(&self) -> usize {
        self.sets
            .iter()
            .map(|set| match &set.content {
                Content::Templates(templates) => templates.len(),
                Content::Data { rows, .. } => rows.len(),
            })
            .sum()
    }

    fn templates(&self) -> impl Iterator<Item = &Template> {
        self.sets.iter().flat_map(|set| match &set.content {
            Content::Templates(templates) => templates.as_slice(),
            Content::Data { .. } => &[],
        })
    }

    fn data_sets(&self) -> impl Iterator<Item = (&Template, &[Row])> {
        self.sets.iter().filter_map(|set| match &set.content {
            Content::Templates(_) => None,
            Content::Data { template, rows } => Some((template, rows.as_slice())),
        })
    }

    fn domain(&self) -> u32 {
        let name = if self.protocol == Protocol::Ipfix {
            "observation domain"
        } else {
            "source id"
        };
        self.numbers[name]
    }

    /// The writer makes these octets of these values.
    fn is_written(&self) -> Result<(), String> {
        let mut session = Session::new(SessionOptions {
            first_sequence: self.numbers["sequence"],
            ..SessionOptions::udp(self.protocol, self.domain(), self.booted_ms)
        });
        let mut layouts = BTreeMap::new();
        for template in self.templates() {
            let layout = layout(self.protocol, template)?;
            session.register(&layout).map_err(|e| e.to_string())?;
            layouts.insert(template.id, layout);
        }
        let mut buffer = Vec::new();
        let mut writer = session.begin(&mut buffer, self.now_ms);
        for (template, rows) in self.data_sets() {
            for row in rows {
                let written = writer
                    .write(&layouts[&template.id], row)
                    .map_err(|e| e.to_string())?;
                if written == Written::Full {
                    return Err("the writer has no room".to_owned());
                }
            }
        }
        let message = writer.finish().ok_or("the writer has nothing to say")?;
        session.commit(message).map_err(|e| e.to_string())?;
        let wanted = self.octets();
        if self.any_order {
            return self.has_the_sets_of(&buffer);
        }
        let differing = wanted.iter().zip(&buffer).position(|(a, b)| a != b);
        match differing {
            Some(at) => Err(format!(
                "{}\nthe writer wrote {:02x?} from octet {at} on",
                self.line_at(at),
                &buffer[at..buffer.len().min(at + 16)]
            )),
            None if wanted.len() != buffer.len() => Err(format!(
                "{} octets, the writer wrote {}",
                wanted.len(),
                buffer.len()
            )),
            None => Ok(()),
        }
    }

    fn has_the_sets_of(&self, written: &[u8]) -> Result<(), String> {
        let header = self.protocol.header_length();
        if self.octets()[..header] != written[..header] {
            return Err(format!(
                "the writer's header is {:02x?}",
                &written[..header]
            ));
        }
        let mut wanted: Vec<&[u8]> = self.sets.iter().map(|set| &*set.octets).collect();
        let mut rest = &written[header..];
        while let [_, _, high, low, ..] = *rest {
            let (set, after) = rest.split_at(u16::from_be_bytes([high, low]).into());
            let place = wanted.iter().position(|wanted| *wanted == set);
            wanted.remove(place.ok_or(format!("the writer wrote the set {set:02x?}"))?);
            rest = after;
        }
        if wanted.is_empty() {
            Ok(())
        } else {
            Err(format!("the writer did not write {wanted:02x?}"))
        }
    }

    fn line_at(&self, octet: usize) -> String {
        let mut end = 0;
        let line = self.lines.iter().find(|line| {
            end += line.octets.len();
            octet < end
        });
        line.map_or_else(String::new, |line| {
            format!("line {}: {:02x?} {}", line.number, line.octets, line.text)
        })
    }

    /// The decoder finds these values in these octets.
    fn is_read(&self) -> Result<(), String> {
        let octets = self.octets();
        let mut decoder = Decoder::new(DecoderLimits::default());
        let decoded = decoder.decode(&(), &octets).map_err(|e| e.to_string())?;
        if let Some(mistake) = decoded.errors().first() {
            return Err(format!("the decoder: {mistake}"));
        }
        let header = decoded.header();
        let mut wrong = String::new();
        let mut equal = |what: &str, read: Option<u32>| {
            if let Some(wanted) = self
                .numbers
                .get(what)
                .filter(|&&wanted| read != Some(wanted))
            {
                let _ = write!(wrong, "{what}: {wanted} became {read:?}; ");
            }
        };
        equal("version", Some(header.protocol.version().into()));
        equal("length", u32::try_from(header.length).ok());
        equal("count", header.count.map(u32::from));
        equal("export time", Some(header.export_time));
        equal("UNIX secs", Some(header.export_time));
        equal("sysUptime", header.sys_uptime_ms);
        equal("sequence", Some(header.sequence));
        equal("observation domain", Some(header.observation_domain));
        equal("source id", Some(header.observation_domain));
        if !wrong.is_empty() {
            return Err(format!("the decoder's header: {wrong}"));
        }
        if decoded.templates() != self.templates().count() {
            return Err(format!(
                "the decoder found {} templates",
                decoded.templates()
            ));
        }
        let mut sets = decoded.data_sets().iter();
        for (template, rows) in self.data_sets() {
            let set = sets.next().ok_or("the decoder found fewer Data Sets")?;
            template.is(set.template())?;
            let mut records = set.records();
            for row in rows {
                let record = records
                    .next()
                    .ok_or("the decoder found fewer Data Records")?
                    .map_err(|e| e.to_string())?;
                let read: Row = template
                    .fields
                    .iter()
                    .zip(record.values())
                    .map(|((element, _), value)| cell_of(element, &value))
                    .collect::<Result<_, _>>()?;
                if read != *row {
                    return Err(format!("the decoder read {read:?} for {row:?}"));
                }
            }
            if records.next().is_some() {
                return Err("the decoder found more Data Records".to_owned());
            }
        }
        Ok(())
    }
}

impl Template {
    /// Whether the decoder understood it like this.
    fn is(&self, read: &ipfix::Template) -> Result<(), String> {
        let fields = read.fields().iter().zip(&self.fields);
        let same = read.id() == self.id
            && read.is_options() == self.scope.is_some()
            && read.scope_fields() == self.scope.unwrap_or(0)
            && read.fields().len() == self.fields.len()
            && fields
                .clone()
                .all(|(field, (element, length))| field.is(element) && field.length() == *length);
        if same {
            Ok(())
        } else {
            Err(format!("the decoder read the template as {read:?}"))
        }
    }
}

fn take<'a>(rest: &mut &'a [Line]) -> Result<&'a Line, String> {
    let (line, after) = rest.split_first().ok_or("the file ends too early")?;
    *rest = after;
    Ok(line)
}

fn read_set(
    rest: &mut &[Line],
    protocol: Protocol,
    templates: &BTreeMap<u16, Template>,
) -> Result<Set, String> {
    let header = take(rest)?;
    let [id, length] = header
        .parts(["set ", ", length "])
        .and_then(|[id, length]| Some([id.parse::<u16>().ok()?, length.parse().ok()?]))
        .ok_or_else(|| header.wrong("expected \"set ID, length N\""))?;
    header.must_be(&[id.to_be_bytes(), length.to_be_bytes()].concat())?;

    let mut octets = header.octets.clone();
    let mut lines: &[Line] = rest;
    while octets.len() < length.into() {
        octets.extend(&take(&mut lines)?.octets);
    }
    if octets.len() != usize::from(length) {
        return Err(header.wrong("its lines do not end where it ends"));
    }
    let mut inside = &rest[..rest.len() - lines.len()];
    *rest = lines;
    if let [before @ .., last] = inside
        && last.text == "padding"
    {
        last.must_be(&vec![0; last.octets.len()])?;
        inside = before;
    }
    let [flow_templates, options_templates] = if protocol == Protocol::Ipfix {
        [2, 3]
    } else {
        [0, 1]
    };
    let content = if id == flow_templates || id == options_templates {
        let options = id == options_templates;
        let mut templates = Vec::new();
        while !inside.is_empty() {
            templates.push(read_template(&mut inside, protocol, options)?);
        }
        Content::Templates(templates)
    } else {
        let template = templates
            .get(&id)
            .ok_or_else(|| header.wrong("there is no such template before"))?
            .clone();
        let mut rows = Vec::new();
        while !inside.is_empty() {
            let row: Result<Row, String> = template
                .fields
                .iter()
                .map(|field| read_value(&mut inside, field))
                .collect();
            rows.push(row?);
        }
        Content::Data { template, rows }
    };
    Ok(Set { octets, content })
}

fn read_template(
    rest: &mut &[Line],
    protocol: Protocol,
    options: bool,
) -> Result<Template, String> {
    let line = take(rest)?;
    let number = |text: &str| {
        text.parse::<u16>()
            .map_err(|_| line.wrong("expected numbers"))
    };
    let unexpected = || line.wrong("expected a template");
    let (id, numbers, fields, scope) = if !options {
        let [id, fields, _] = line
            .parts(["template ", ", ", " field"])
            .ok_or_else(unexpected)?;
        let fields = number(fields)?;
        (number(id)?, vec![fields], fields, None)
    } else if protocol == Protocol::Ipfix {
        let [id, fields, scope, _] = line
            .parts(["options template ", ", ", " fields, ", " of scope"])
            .ok_or_else(unexpected)?;
        let (fields, scope) = (number(fields)?, number(scope)?);
        (number(id)?, vec![fields, scope], fields, Some(scope))
    } else {
        let [id, scope, option, _] = line
            .parts([
                "options template ",
                ", ",
                " octets of scopes, ",
                " octets of options",
            ])
            .ok_or_else(unexpected)?;
        let (scope, option) = (number(scope)?, number(option)?);
        let fields = (scope + option) / 4;
        (number(id)?, vec![scope, option], fields, Some(scope / 4))
    };
    let octets: Vec<u8> = [id]
        .into_iter()
        .chain(numbers)
        .flat_map(u16::to_be_bytes)
        .collect();
    line.must_be(&octets)?;
    let fields = (0..fields)
        .map(|_| read_field(take(rest)?))
        .collect::<Result<_, _>>()?;
    Ok(Template {
        id,
        scope: scope.map(usize::from),
        fields,
    })
}

/// `field NAME, N octets`, where NAME is an element of IANA, `reverse NAME`, `scope NAME`, or
/// `PEN/ID TYPE` of an enterprise.
fn read_field(line: &Line) -> Result<(Element, u16), String> {
    let [name, length] = line
        .parts(["field ", ", "])
        .ok_or_else(|| line.wrong("expected a field"))?;
    let element = element(name).ok_or_else(|| line.wrong("there is no such element"))?;
    let length = match length {
        "variable" => Some(VARIABLE_LENGTH),
        fixed => fixed
            .split(' ')
            .next()
            .and_then(|number| number.parse().ok()),
    }
    .ok_or_else(|| line.wrong("expected a length"))?;
    let octets = match element.registry() {
        ipfix::Registry::Enterprise(pen) => [
            &(element.id() | 0x8000).to_be_bytes()[..],
            &length.to_be_bytes(),
            &pen.to_be_bytes(),
        ]
        .concat(),
        _ => [element.id().to_be_bytes(), length.to_be_bytes()].concat(),
    };
    line.must_be(&octets)?;
    Ok((element, length))
}

fn element(name: &str) -> Option<Element> {
    if let Some(name) = name.strip_prefix("reverse ") {
        return elements::by_name(name).map(|element| element.reverse());
    }
    if let Some(name) = name.strip_prefix("scope ") {
        return (1..=5)
            .filter_map(v9_scope::by_id)
            .find(|scope| scope.name() == name);
    }
    if let Some((number, data_type)) = name.split_once(' ') {
        let (pen, id) = number.split_once('/')?;
        let data_type = [
            AbstractType::Unsigned32,
            AbstractType::Signed8,
            AbstractType::Signed16,
            AbstractType::Signed64,
            AbstractType::Float32,
        ]
        .into_iter()
        .find(|known| known.name() == data_type)?;
        return Some(Element::enterprise(
            pen.parse().ok()?,
            id.parse().ok()?,
            "private",
            data_type,
            Semantics::Default,
        ));
    }
    elements::by_name(name).copied()
}

/// `NAME = VALUE`, for a field of variable length after a line `prefix = LENGTH`.
fn read_value(rest: &mut &[Line], (element, length): &(Element, u16)) -> Result<Cell, String> {
    let mut line = take(rest)?;
    let mut octets = usize::from(*length);
    if *length == VARIABLE_LENGTH {
        let announced = line
            .text
            .strip_prefix("prefix = ")
            .and_then(|length| length.parse::<u16>().ok())
            .ok_or_else(|| line.wrong("expected \"prefix = LENGTH\""))?;
        match u8::try_from(announced) {
            Ok(short) if short < 255 => line.must_be(&[short])?,
            _ => line.must_be(&[&[255][..], &announced.to_be_bytes()].concat())?,
        }
        octets = announced.into();
        if octets > 0 {
            line = take(rest)?;
        }
    }
    let (name, value) = if octets == 0 {
        (element.name(), "\"\"")
    } else {
        line.text
            .split_once(" = ")
            .ok_or_else(|| line.wrong("expected \"NAME = VALUE\""))?
    };
    if octets > 0 && line.octets.len() != octets {
        return Err(line.wrong(&format!("{octets} octets wanted")));
    }
    if name.trim_start_matches("reverse ") != element.name() {
        return Err(line.wrong(&format!("expected {}", element.name())));
    }
    parse(element, value).ok_or_else(|| line.wrong("no value of this element"))
}

fn parse(element: &Element, value: &str) -> Option<Cell> {
    use AbstractType as T;
    let amount = |unit: &str| value.strip_suffix(unit)?.trim().parse::<u64>().ok();
    Some(match element.data_type() {
        _ if is_uptime(element) => Cell::Unsigned(amount("ms")?),
        T::DateTimeSeconds => Cell::Unsigned(amount("s")?),
        T::DateTimeMilliseconds => Cell::Unsigned(amount("ms")?),
        T::DateTimeMicroseconds => Cell::Unsigned(amount("us")?.checked_mul(1000)?),
        T::DateTimeNanoseconds => Cell::Unsigned(amount("ns")?),
        T::Boolean => Cell::Boolean(value.parse().ok()?),
        T::Float32 | T::Float64 => Cell::Float(value.parse().ok()?),
        T::String => {
            let (text, times) = value.rsplit_once(" x").unwrap_or((value, "1"));
            let text = text.strip_prefix('"')?.strip_suffix('"')?;
            Cell::Text(text.repeat(times.parse().ok()?))
        }
        T::Ipv4Address => Cell::Octets(value.parse::<Ipv4Addr>().ok()?.octets().into()),
        T::Ipv6Address => Cell::Octets(value.parse::<Ipv6Addr>().ok()?.octets().into()),
        T::MacAddress | T::OctetArray | T::Unsigned256 => Cell::Octets(
            value
                .split(':')
                .map(|octet| u8::from_str_radix(octet, 16).ok())
                .collect::<Option<_>>()?,
        ),
        data_type if data_type.is_signed() => Cell::Signed(value.parse().ok()?),
        _ => Cell::Unsigned(match value.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16).ok()?,
            None => value.parse().ok()?,
        }),
    })
}

fn is_uptime(element: &Element) -> bool {
    [
        elements::FLOW_START_SYS_UP_TIME,
        elements::FLOW_END_SYS_UP_TIME,
    ]
    .contains(element)
}

/// What the decoder read, by the type in the text: it knows none of enterprises.
fn cell_of(element: &Element, value: &Value<'_>) -> Result<Cell, String> {
    use AbstractType as T;
    let cell = match element.data_type() {
        _ if is_uptime(element) => value.unix_ms().map(Cell::Unsigned),
        T::DateTimeSeconds => value.unix_ms().map(|ms| Cell::Unsigned(ms / 1000)),
        T::DateTimeMilliseconds => value.unix_ms().map(Cell::Unsigned),
        T::DateTimeMicroseconds => value.unix_ns().map(|ns| Cell::Unsigned(ns / 1000 * 1000)),
        T::DateTimeNanoseconds => value.unix_ns().map(Cell::Unsigned),
        T::Boolean => value.boolean().map(Cell::Boolean),
        T::Float32 | T::Float64 => value.float().map(Cell::Float),
        T::String => value.text().map(|text| Cell::Text(text.to_owned())),
        T::Ipv4Address | T::Ipv6Address => value.ip_address().map(|address| {
            Cell::Octets(match address {
                std::net::IpAddr::V4(address) => address.octets().into(),
                std::net::IpAddr::V6(address) => address.octets().into(),
            })
        }),
        T::MacAddress => value.mac_address().map(|mac| Cell::Octets(mac.into())),
        T::OctetArray | T::Unsigned256 => Some(Cell::Octets(value.octets().into())),
        data_type if data_type.is_signed() => value.signed().map(Cell::Signed),
        _ => value.unsigned().map(Cell::Unsigned),
    };
    cell.ok_or_else(|| format!("the decoder cannot read {element}: {:02x?}", value.octets()))
}

fn layout(protocol: Protocol, template: &Template) -> Result<Layout<Row>, String> {
    let mut builder = if template.scope.is_some() {
        Layout::options_builder(protocol, template.id)
    } else {
        Layout::builder(protocol, template.id)
    };
    for (at, &(element, length)) in template.fields.iter().enumerate() {
        if at > 0 && template.scope == Some(at) {
            builder = builder.end_of_scope();
        }
        builder = column(builder, element, length, at);
    }
    builder.build().map_err(|e| e.to_string())
}

fn column(
    builder: LayoutBuilder<Row>,
    element: Element,
    length: u16,
    at: usize,
) -> LayoutBuilder<Row> {
    use AbstractType as T;
    fn octets(cell: &Cell) -> &[u8] {
        match cell {
            Cell::Octets(octets) => octets,
            Cell::Text(text) => text.as_bytes(),
            _ => &[],
        }
    }
    fn fixed<const N: usize>(cell: &Cell) -> [u8; N] {
        octets(cell).try_into().unwrap()
    }
    let number = move |row: &Row| match row[at] {
        Cell::Unsigned(number) => number,
        _ => panic!("{element} is no number"),
    };
    let float = move |row: &Row| match row[at] {
        Cell::Float(number) => number,
        _ => panic!("{element} is no float"),
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the value is one of a float32"
    )]
    let short = move |row: &Row| (float(row) as f32).to_be_bytes();
    match element.data_type() {
        _ if length == VARIABLE_LENGTH => builder.variable(element, move |row| octets(&row[at])),
        _ if is_uptime(&element) => builder.uptime(element, number),
        T::DateTimeMicroseconds | T::DateTimeNanoseconds => builder.timestamp(element, number),
        T::Boolean => builder.boolean(element, move |row| row[at] == Cell::Boolean(true)),
        T::Float64 if length == 8 => builder.float64(element, move |row, _| float(row)),
        T::Float32 | T::Float64 => builder.octets(element, move |row, _| short(row)),
        T::String => builder.text(element, length, move |row| match &row[at] {
            Cell::Text(text) => text,
            _ => "",
        }),
        T::Ipv4Address => builder.octets(element, move |row, _| fixed::<4>(&row[at])),
        T::Ipv6Address => builder.octets(element, move |row, _| fixed::<16>(&row[at])),
        T::MacAddress => builder.octets(element, move |row, _| fixed::<6>(&row[at])),
        T::OctetArray | T::Unsigned256 => builder.raw(element, length, move |row, _, field| {
            field.copy_from_slice(octets(&row[at]));
        }),
        data_type if data_type.is_signed() => {
            builder.signed(element, length, move |row, _| match row[at] {
                Cell::Signed(number) => number,
                _ => panic!("{element} is no signed number"),
            })
        }
        _ => builder.unsigned(element, length, move |row, _| number(row)),
    }
}
