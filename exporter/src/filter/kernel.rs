//! A filter that the kernel programs evaluate: an expression over the Flow Key as BPF instructions.
//!
//! The instructions become a function at the end of each program. Tests of one kind that stand side by
//! side (a list of networks, of ports) become one set, in which the place of a packet is searched by
//! halves: a thousand networks take ten comparisons.

use std::mem::offset_of;
use std::net::IpAddr;
use std::str::FromStr;

use ebpfix_probes::abi::{FlowId, IpAddress, MacAddress};

use super::code::{Code, INSTRUCTION_OCTETS, Label, Register, Size, TooLong, When};
use super::parse::{self, Scope};
use super::{Comparison, End, Expr, FilterError, Network, Quantity, Test, WITH_PORTS, bits};
use crate::record::FlowJson;

/// BPF instructions that a filter may take.
pub const MAX_INSTRUCTIONS: usize = 30_000;

/// A filter over the Flow Key, as the kernel programs evaluate it. The default takes every flow.
///
/// It is written in the [language](super) of [`Filter`](super::Filter), with those tests alone that a
/// Flow Key answers: addresses, ports, protocol, ethertype, VLAN, MAC addresses, direction (`in`,
/// `out`), `if_index`, `sampling`. For each Flow Key the kernel says what
/// [`takes`](Self::takes) says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelFilter {
    texts: Vec<String>,
    expr: Option<Expr>,
    code: Vec<u8>,
}

impl KernelFilter {
    /// The filter that takes what one of these takes. Where one is empty, that is every flow.
    ///
    /// # Errors
    /// The place in `texts` of the one that is wrong, and what is wrong with it. What is too long as a
    /// whole is so in the last one.
    pub fn any<T: AsRef<str>>(texts: &[T]) -> Result<Self, (usize, FilterError)> {
        let mut any = Some(Vec::new());
        for (place, text) in texts.iter().enumerate() {
            let expr = parse::expression(text.as_ref(), Scope::Key).map_err(|e| (place, e))?;
            any = any.zip(expr).map(|(mut any, expr)| {
                any.push(expr);
                any
            });
        }
        let Some(expr) = any
            .filter(|any| !any.is_empty())
            .map(|any| parse::one_or(any, Expr::Or))
        else {
            return Ok(Self::default());
        };
        let code = compile(&expr).map_err(|expected_and_found| {
            let last = texts.len().saturating_sub(1);
            let text = texts.last().map_or("", AsRef::as_ref);
            (last, FilterError::whole(text, expected_and_found))
        })?;
        Ok(Self {
            texts: texts
                .iter()
                .map(|text| text.as_ref().trim().to_owned())
                .collect(),
            expr: Some(expr),
            code,
        })
    }

    /// Whether it takes every flow because nothing is tested.
    pub fn is_all(&self) -> bool {
        self.expr.is_none()
    }

    /// The texts it was read from, of which one has to be met; none where [`is_all`](Self::is_all).
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// All of it as one text, which [`Filter`](super::Filter) reads as well; empty where
    /// [`is_all`](Self::is_all).
    pub fn text(&self) -> String {
        match self.texts.as_slice() {
            [one] => one.clone(),
            several => {
                let several: Vec<_> = several.iter().map(|text| format!("({text})")).collect();
                several.join(" or ")
            }
        }
    }

    /// Whether it takes a flow with this Flow Key.
    pub fn takes(&self, id: &FlowId) -> bool {
        self.expr
            .as_ref()
            .is_none_or(|expr| expr.takes(&FlowJson::from(id)))
    }

    /// BPF instructions of a function whose argument is the address of a Flow Key, in the machine's
    /// order: 1, or 0 where it does not take the flow. Empty where [`is_all`](Self::is_all).
    pub fn code(&self) -> &[u8] {
        &self.code
    }

    /// How many instructions that is, of [`MAX_INSTRUCTIONS`].
    pub fn instructions(&self) -> usize {
        self.code.len() / INSTRUCTION_OCTETS
    }
}

impl FromStr for KernelFilter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        Self::any(&[text]).map_err(|(_, error)| error)
    }
}

/// What was expected, and what was found, where it is too long.
fn compile(expr: &Expr) -> Result<Vec<u8>, (String, String)> {
    let mut compiler = Compiler::default();
    let (yes, no) = (compiler.code.label(), compiler.code.label());
    compiler.node(&lower(expr, true), yes, no);
    compiler.code.put(yes);
    compiler.code.answer(true);
    compiler.code.put(no);
    compiler.code.answer(false);
    let assembled = compiler.code.assemble();
    let instructions = match &assembled {
        Ok(code) => code.len() / INSTRUCTION_OCTETS,
        Err(TooLong(instructions)) => *instructions,
    };
    assembled
        .ok()
        .filter(|_| instructions <= MAX_INSTRUCTIONS)
        .ok_or_else(|| {
            let expected = format!("a filter of at most {MAX_INSTRUCTIONS} BPF instructions");
            (expected, format!("one of {instructions}"))
        })
}

// ---- Sets side by side become one ---------------------------------------------------------------

/// An expression whose "not" stands at its tests alone.
enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    /// Whether the number in question is in the set, or with `false`, is not.
    In(Subject, Set, bool),
}

/// What a set is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Subject {
    /// Addresses in IPv6's form, of IPv4 the mapped ones.
    Address(End),
    Port(End),
    Protocol,
    EtherType,
    Direction,
    Mac(End),
    Vlan,
    IfIndex,
    Sampling,
}

/// Numbers: ranges in order, both ends included, with something between any two.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Set(Vec<(u128, u128)>);

fn lower(expr: &Expr, wanted: bool) -> Node {
    match expr {
        Expr::Not(expr) => lower(expr, !wanted),
        Expr::And(several) => join(several, wanted, wanted),
        Expr::Or(several) => join(several, wanted, !wanted),
        Expr::Test(test) => {
            let (subject, set) = set_of(test);
            Node::In(subject, set, wanted)
        }
    }
}

/// All of `several` or one of them, each as `wanted`. In one set or the other is in both together; in
/// neither the one nor the other is not in both together.
fn join(several: &[Expr], wanted: bool, all: bool) -> Node {
    let mut flat: Vec<Node> = Vec::new();
    for expr in several {
        match (lower(expr, wanted), all) {
            (Node::All(inner), true) | (Node::Any(inner), false) => flat.extend(inner),
            (node, _) => flat.push(node),
        }
    }
    let mut nodes: Vec<Node> = Vec::new();
    // Where the set of a subject is that others join.
    let mut open: Vec<(Subject, usize)> = Vec::new();
    for node in flat {
        let Node::In(subject, set, within) = node else {
            nodes.push(node);
            continue;
        };
        let known = open.iter().find(|(known, _)| *known == subject);
        match known.and_then(|(_, at)| nodes.get_mut(*at)) {
            Some(Node::In(_, so_far, _)) if within != all => so_far.0.extend(set.0),
            _ => {
                if within != all {
                    open.push((subject, nodes.len()));
                }
                nodes.push(Node::In(subject, set, within));
            }
        }
    }
    for node in &mut nodes {
        if let Node::In(_, set, _) = node {
            *set = Set::of(std::mem::take(&mut set.0));
        }
    }
    if all {
        Node::All(nodes)
    } else {
        Node::Any(nodes)
    }
}

/// What a test asks of a Flow Key. What no Flow Key answers is in no set; the parser lets none through.
fn set_of(test: &Test) -> (Subject, Set) {
    let one = |number: u128| Set(vec![(number, number)]);
    match test {
        Test::Network(end, network) => (Subject::Address(*end), Set::of_network(network)),
        Test::Port(end, ranges) => {
            let ranges = ranges
                .iter()
                .map(|&(first, last)| (first.into(), last.into()));
            (Subject::Port(*end), Set::of(ranges.collect()))
        }
        Test::Protocol(protocol) => (Subject::Protocol, one((*protocol).into())),
        Test::EtherType(ether_type) => (Subject::EtherType, one((*ether_type).into())),
        Test::Direction(direction) => (Subject::Direction, one((*direction).into())),
        Test::Mac(end, MacAddress(octets)) => {
            let number = octets
                .iter()
                .fold(0, |number, octet| number << 8 | u128::from(*octet));
            (Subject::Mac(*end), one(number))
        }
        Test::Vlan(Some(vlan)) => (Subject::Vlan, one((*vlan).into())),
        Test::Vlan(None) => (Subject::Vlan, Set(vec![(1, u16::MAX.into())])),
        Test::Number(Quantity::IfIndex, comparison, number) => {
            (Subject::IfIndex, Set::that_compare(*comparison, *number))
        }
        Test::Number(Quantity::Sampling, comparison, number) => {
            (Subject::Sampling, Set::that_compare(*comparison, *number))
        }
        Test::Interface(_) | Test::Flags(_) | Test::Duplicate | Test::Number(..) => {
            (Subject::Protocol, Set::default())
        }
    }
}

/// The IPv4-mapped addresses (RFC 4291 section 2.5.5.2).
const MAPPED: (u128, u128) = (0xffff_0000_0000, 0xffff_ffff_ffff);

impl Set {
    fn of(mut ranges: Vec<(u128, u128)>) -> Self {
        ranges.sort_unstable();
        let mut joined: Vec<(u128, u128)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match joined.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
                _ => joined.push((first, last)),
            }
        }
        Self(joined)
    }

    /// No IPv4 address is in an IPv6 network.
    fn of_network(network: &Network) -> Self {
        let (address, whole) = bits(network.address);
        let behind = u32::from(whole.saturating_sub(network.length));
        let last = address | !u128::MAX.checked_shl(behind).unwrap_or(0);
        match network.address {
            IpAddr::V4(_) => Self(vec![(MAPPED.0 + address, MAPPED.0 + last)]),
            IpAddr::V6(_) => {
                let parts = [
                    (address, last.min(MAPPED.0 - 1)),
                    (address.max(MAPPED.1 + 1), last),
                ];
                Self(parts.into_iter().filter(|(a, b)| a <= b).collect())
            }
        }
    }

    fn that_compare(comparison: Comparison, number: u64) -> Self {
        let number = u128::from(number);
        let below = number.checked_sub(1).map(|last| (0, last));
        let above = (number + 1, u128::MAX);
        let ranges = match comparison {
            Comparison::Less => below.into_iter().collect(),
            Comparison::LessOrEqual => vec![(0, number)],
            Comparison::Equal => vec![(number, number)],
            Comparison::NotEqual => below.into_iter().chain([above]).collect(),
            Comparison::GreaterOrEqual => vec![(number, u128::MAX)],
            Comparison::Greater => vec![above],
        };
        Self::of(ranges)
    }

    fn contains(&self, number: u128) -> bool {
        let ranges = self.0.iter();
        ranges
            .clone()
            .any(|&(first, last)| (first..=last).contains(&number))
    }

    /// What of it is from `first` to `last`, `first` being 0 then.
    fn part(&self, first: u128, last: u128) -> Self {
        let within = |&(a, b): &(u128, u128)| {
            let (a, b) = (a.max(first), b.min(last));
            (a <= b).then(|| (a - first, b - first))
        };
        Self(self.0.iter().filter_map(within).collect())
    }
}

// ---- Sets become instructions -------------------------------------------------------------------

/// Where in a Flow Key the addresses are, the ports, the MAC addresses: source, destination.
const ADDRESSES: [usize; 2] = [offset_of!(FlowId, src_ip), offset_of!(FlowId, dst_ip)];
const PORTS: [usize; 2] = [offset_of!(FlowId, src_port), offset_of!(FlowId, dst_port)];
const MACS: [usize; 2] = [offset_of!(FlowId, src_mac), offset_of!(FlowId, dst_mac)];
const VLANS: [usize; 2] = [
    offset_of!(FlowId, vlan_id),
    offset_of!(FlowId, customer_vlan_id),
];

const FIRST: Register = Register(2);
const SECOND: Register = Register(3);
const CONSTANT: Register = Register(4);

/// What is searched for in a set.
#[derive(Clone, Copy)]
enum Value {
    /// The lower half of [`FIRST`].
    Of32,
    /// [`FIRST`].
    Of64,
    /// [`FIRST`], and behind it [`SECOND`].
    Of128,
}

#[derive(Default)]
struct Compiler {
    code: Code,
}

impl Compiler {
    /// Goes to `yes` or `no`.
    fn node(&mut self, node: &Node, yes: Label, no: Label) {
        match node {
            Node::All(all) => {
                let (last, others) = split_last(all);
                for node in others {
                    let next = self.code.label();
                    self.node(node, next, no);
                    self.code.put(next);
                }
                match last {
                    Some(last) => self.node(last, yes, no),
                    None => self.code.goto(yes),
                }
            }
            Node::Any(any) => {
                let (last, others) = split_last(any);
                for node in others {
                    let next = self.code.label();
                    self.node(node, yes, next);
                    self.code.put(next);
                }
                match last {
                    Some(last) => self.node(last, yes, no),
                    None => self.code.goto(no),
                }
            }
            Node::In(subject, set, true) => self.subject(*subject, set, yes, no),
            Node::In(subject, set, false) => self.subject(*subject, set, no, yes),
        }
    }

    fn subject(&mut self, subject: Subject, set: &Set, yes: Label, no: Label) {
        match subject {
            Subject::Address(end) => self.ends(end, ADDRESSES, no, |this, place, no| {
                this.address(place, set, yes, no);
            }),
            Subject::Port(end) => {
                let next = self.code.label();
                let with_ports = WITH_PORTS.map(|protocol| (protocol.into(), protocol.into()));
                self.protocol(&Set::of(with_ports.into()), next, no);
                self.code.put(next);
                self.ends(end, PORTS, no, |this, place, no| {
                    this.field(place, Size::Two, set, yes, no);
                });
            }
            Subject::Protocol => {
                let next = self.code.label();
                self.protocol(set, next, no);
                self.code.put(next);
                self.has_address(yes, no);
            }
            Subject::EtherType => {
                self.field(offset_of!(FlowId, eth_protocol), Size::Two, set, yes, no);
            }
            Subject::Direction => {
                self.field(offset_of!(FlowId, direction), Size::One, set, yes, no);
            }
            Subject::Mac(end) => self.ends(end, MACS, no, |this, place, no| {
                this.mac(place, set, yes, no);
            }),
            Subject::Vlan => self.ends(End::Either, VLANS, no, |this, place, no| {
                this.field(place, Size::Two, set, yes, no);
            }),
            Subject::IfIndex => {
                self.field(offset_of!(FlowId, if_index), Size::Four, set, yes, no);
            }
            Subject::Sampling => {
                self.field(offset_of!(FlowId, sampling), Size::Four, set, yes, no);
            }
        }
    }

    /// A test of the place of one end, or of both, of which one is enough. It goes to the label that it
    /// gets where it fails.
    fn ends(
        &mut self,
        end: End,
        [source, destination]: [usize; 2],
        no: Label,
        test: impl Fn(&mut Self, usize, Label),
    ) {
        match end {
            End::Source => test(self, source, no),
            End::Destination => test(self, destination, no),
            End::Either => {
                let next = self.code.label();
                test(self, source, next);
                self.code.put(next);
                test(self, destination, no);
            }
        }
    }

    fn protocol(&mut self, set: &Set, yes: Label, no: Label) {
        let place = offset_of!(FlowId, transport_protocol);
        self.field(place, Size::One, set, yes, no);
    }

    /// A number of up to 32 bits, in the machine's order.
    fn field(&mut self, place: usize, size: Size, set: &Set, yes: Label, no: Label) {
        self.code.load(FIRST, size, place);
        let set = set.part(0, u32::MAX.into());
        self.search(Value::Of32, &set.0, false, yes, no);
    }

    fn mac(&mut self, place: usize, set: &Set, yes: Label, no: Label) {
        // Of two places one is a multiple of four, of the other what is behind two octets.
        let parts = if place.is_multiple_of(4) {
            [(Size::Four, 0, 32), (Size::Two, 4, 16)]
        } else {
            [(Size::Two, 0, 16), (Size::Four, 2, 32)]
        };
        for ((size, offset, bits), register) in parts.into_iter().zip([FIRST, SECOND]) {
            self.code.load(register, size, place + offset);
            self.code.network_order(register, bits);
        }
        self.code.shift_left(FIRST, parts[1].2);
        self.code.or(FIRST, SECOND);
        self.search(Value::Of64, &set.0, false, yes, no);
    }

    /// An address: IPv4 by its 32 bits, IPv6 by all.
    fn address(&mut self, place: usize, set: &Set, yes: Label, no: Label) {
        let of_ipv4 = set.part(MAPPED.0, MAPPED.1);
        let below = set.0.iter().any(|&(first, _)| first < MAPPED.0);
        let above = set.0.iter().any(|&(_, last)| last > MAPPED.1);
        let not_ipv4 = if below || above {
            self.code.label()
        } else {
            no
        };
        if !of_ipv4.0.is_empty() {
            let [.., a, b, c, d, _, _, _, _] = IpAddress::from_v4_octets([0; 4]).0;
            self.code.load(FIRST, Size::Eight, place);
            self.code.jump_not_zero(FIRST, not_ipv4);
            self.code.load(FIRST, Size::Four, place + 8);
            let prefix = u32::from_ne_bytes([a, b, c, d]);
            self.code.jump_32(When::NotEqual, FIRST, prefix, not_ipv4);
            self.code.load(FIRST, Size::Four, place + 12);
            self.code.network_order(FIRST, 32);
            self.search(Value::Of32, &of_ipv4.0, false, yes, no);
        }
        if not_ipv4 == no {
            if of_ipv4.0.is_empty() {
                self.code.goto(no);
            }
            return;
        }
        self.code.put(not_ipv4);
        if set.contains(0) {
            // `::` is no address where the other one is none.
            let next = self.code.label();
            self.has_address(next, no);
            self.code.put(next);
        }
        for (register, place) in [(FIRST, place), (SECOND, place + 8)] {
            self.code.load(register, Size::Eight, place);
            self.code.network_order(register, 64);
        }
        self.search(Value::Of128, &set.0, false, yes, no);
    }

    /// Whether it is no layer-2 flow.
    fn has_address(&mut self, yes: Label, no: Label) {
        // That of an IPv4 packet is the first to be found.
        for place in [8, 0, 24, 16] {
            self.code.load(FIRST, Size::Eight, ADDRESSES[0] + place);
            self.code.jump_not_zero(FIRST, yes);
        }
        self.code.goto(no);
    }

    /// Whether the value is in one of `ranges`, by halves. `not_below`: it is known not to be below the
    /// first.
    fn search(
        &mut self,
        value: Value,
        ranges: &[(u128, u128)],
        not_below: bool,
        yes: Label,
        no: Label,
    ) {
        match *ranges {
            [] => self.code.goto(no),
            [(first, last)] if first == last => {
                self.differs(value, first, no);
                self.code.goto(yes);
            }
            [(first, last)] => {
                if let Some(behind) = value.behind(last) {
                    self.at_least(value, behind, no);
                }
                if not_below || first == 0 {
                    self.code.goto(yes);
                } else {
                    self.at_least(value, first, yes);
                    self.code.goto(no);
                }
            }
            _ => {
                let (left, right) = ranges.split_at(ranges.len() / 2);
                let to_the_right = self.code.label();
                self.at_least(value, right[0].0, to_the_right);
                self.search(value, left, not_below, yes, no);
                self.code.put(to_the_right);
                self.search(value, right, true, yes, no);
            }
        }
    }

    /// Jumps where the value is `number` or more.
    fn at_least(&mut self, value: Value, number: u128, to: Label) {
        let (upper, lower) = halves(number);
        match value {
            Value::Of32 => {
                let number = u32::try_from(number).unwrap_or(u32::MAX);
                self.code.jump_32(When::GreaterOrEqual, FIRST, number, to);
            }
            Value::Of64 => {
                self.code.set_64(CONSTANT, lower);
                self.code.jump_64(When::GreaterOrEqual, FIRST, CONSTANT, to);
            }
            Value::Of128 if lower == 0 => {
                self.code.set_64(CONSTANT, upper);
                self.code.jump_64(When::GreaterOrEqual, FIRST, CONSTANT, to);
            }
            Value::Of128 => {
                let next = self.code.label();
                self.code.set_64(CONSTANT, upper);
                self.code.jump_64(When::Greater, FIRST, CONSTANT, to);
                self.code.jump_64(When::Less, FIRST, CONSTANT, next);
                self.code.set_64(CONSTANT, lower);
                self.code
                    .jump_64(When::GreaterOrEqual, SECOND, CONSTANT, to);
                self.code.put(next);
            }
        }
    }

    /// Jumps where the value is not `number`.
    fn differs(&mut self, value: Value, number: u128, to: Label) {
        let (upper, lower) = halves(number);
        let compared = match value {
            Value::Of32 => {
                let number = u32::try_from(number).unwrap_or(u32::MAX);
                return self.code.jump_32(When::NotEqual, FIRST, number, to);
            }
            Value::Of64 => vec![(FIRST, lower)],
            Value::Of128 => vec![(FIRST, upper), (SECOND, lower)],
        };
        for (register, number) in compared {
            self.code.set_64(CONSTANT, number);
            self.code.jump_64(When::NotEqual, register, CONSTANT, to);
        }
    }
}

impl Value {
    /// The number behind `last`; `None`: there is none.
    fn behind(self, last: u128) -> Option<u128> {
        let most = match self {
            Self::Of32 => u32::MAX.into(),
            Self::Of64 => u64::MAX.into(),
            Self::Of128 => u128::MAX,
        };
        (last < most).then(|| last + 1)
    }
}

/// The upper and the lower 64 bits.
fn halves(number: u128) -> (u64, u64) {
    let lower = number & u128::from(u64::MAX);
    let half = |half| u64::try_from(half).unwrap_or(0);
    (half(number >> 64), half(lower))
}

fn split_last(nodes: &[Node]) -> (Option<&Node>, &[Node]) {
    match nodes.split_last() {
        Some((last, others)) => (Some(last), others),
        None => (None, nodes),
    }
}

#[cfg(test)]
mod tests;
