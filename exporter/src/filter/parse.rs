//! From text to an [`Expr`]: a recursive descent, of bounded depth.

use std::fmt;
use std::net::IpAddr;

use ebpfix_probes::abi::MacAddress;

use super::{Comparison, End, Expr, Network, Quantity, Test};

/// A longer text is refused.
pub const MAX_OCTETS: usize = 2048;
/// The same of one that is for the kernel: lists of networks may be long.
const MAX_KERNEL_OCTETS: usize = 65_536;
/// Parentheses and `not` inside each other at most.
pub const MAX_DEPTH: usize = 64;

/// Why a text is no filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    /// The text.
    text: String,
    /// Characters before the mistake.
    position: usize,
    /// Characters of the mistake, at least 1.
    length: usize,
    expected: String,
    found: String,
}

impl FilterError {
    /// The column of the mistake in the text, in characters, the first being 1.
    pub fn column(&self) -> usize {
        self.position + 1
    }

    /// What was expected in that place.
    pub fn expected(&self) -> &str {
        &self.expected
    }

    /// What was found there.
    pub fn found(&self) -> &str {
        &self.found
    }

    /// What is wrong with a text as a whole.
    pub(super) fn whole(text: &str, (expected, found): (String, String)) -> Self {
        Self {
            text: text.to_owned(),
            position: 0,
            length: text.chars().count().max(1),
            expected,
            found,
        }
    }

    /// The text, and below it a mark under the mistake: two lines.
    pub fn pointer(&self) -> String {
        let text: String = self
            .text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        format!(
            "{text}\n{}{}",
            " ".repeat(self.position),
            "^".repeat(self.length)
        )
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let column = self.column();
        let Self {
            expected, found, ..
        } = self;
        write!(
            f,
            "filter, column {column}: expected {expected}, found {found}"
        )
    }
}

impl std::error::Error for FilterError {}

/// What there is to test.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Scope {
    /// A flow and what was counted of it.
    Flow,
    /// The Flow Key alone.
    Key,
}

/// Reads a whole text; `None` where there is nothing in it.
pub(super) fn expression(text: &str, scope: Scope) -> Result<Option<Expr>, FilterError> {
    let mut parser = Parser {
        text,
        scope,
        at: 0,
        depth: 0,
    };
    let most = match scope {
        Scope::Flow => MAX_OCTETS,
        Scope::Key => MAX_KERNEL_OCTETS,
    };
    if text.len() > most {
        return Err(parser.error_at(
            0,
            0,
            &format!("at most {most} octets"),
            format!("{}", text.len()),
        ));
    }
    if parser.peek() == Token::End {
        return Ok(None);
    }
    let expr = parser.or()?;
    match parser.peek() {
        Token::End => Ok(Some(expr)),
        _ => Err(parser.expected("\"and\", \"or\" or the end")),
    }
}

/// A part of the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Token<'a> {
    Open,
    Close,
    Not,
    And,
    Or,
    Compare(Comparison),
    Word(&'a str),
    /// A character that begins nothing.
    Stray(&'a str),
    End,
}

struct Parser<'a> {
    text: &'a str,
    scope: Scope,
    /// Octets read.
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn or(&mut self) -> Result<Expr, FilterError> {
        let mut any = vec![self.and()?];
        while self.peek() == Token::Or {
            self.next();
            any.push(self.and()?);
        }
        Ok(one_or(any, Expr::Or))
    }

    fn and(&mut self) -> Result<Expr, FilterError> {
        let mut all = vec![self.term()?];
        while self.peek() == Token::And {
            self.next();
            all.push(self.term()?);
        }
        Ok(one_or(all, Expr::And))
    }

    fn term(&mut self) -> Result<Expr, FilterError> {
        if self.depth >= MAX_DEPTH {
            return Err(self.expected(&format!(
                "no more than {MAX_DEPTH} parentheses and \"not\" inside each other"
            )));
        }
        self.depth += 1;
        let term = match self.peek() {
            Token::Not => {
                self.next();
                Expr::Not(Box::new(self.term()?))
            }
            Token::Open => {
                self.next();
                let inside = self.or()?;
                if self.peek() != Token::Close {
                    return Err(self.expected("\"and\", \"or\" or \")\""));
                }
                self.next();
                inside
            }
            Token::Word(_) => self.test()?,
            _ => return Err(self.expected("a test, such as \"port 53\" or \"src 10.0.0.0/8\"")),
        };
        self.depth -= 1;
        Ok(term)
    }

    fn test(&mut self) -> Result<Expr, FilterError> {
        let before = self.at;
        let Token::Word(word) = self.next() else {
            return Err(self.expected("a test"));
        };
        if self.scope == Scope::Key && is_of_counts(word) {
            self.at = before;
            return Err(self.expected(OF_A_KEY));
        }
        let test = match word {
            "src" => return self.end(End::Source),
            "dst" => return self.end(End::Destination),
            "host" | "net" | "port" | "mac" => {
                self.at = before;
                return self.end(End::Either);
            }
            "proto" => Test::Protocol(self.protocol()?),
            "ether" => Test::EtherType(self.ether_type()?),
            "ip" => Test::EtherType(0x0800),
            "ip6" => Test::EtherType(0x86dd),
            "arp" => Test::EtherType(0x0806),
            "in" => return self.seen(Some(0)),
            "out" => return self.seen(Some(1)),
            "on" => return self.seen(None),
            "vlan" => Test::Vlan(self.vlan()?),
            "flags" => Test::Flags(self.flags()?),
            "duplicate" => Test::Duplicate,
            _ => match (quantity(word), protocol_number(word), networks(word)) {
                (Some(quantity), ..) => self.comparison(quantity)?,
                (_, Some(proto), _) => Test::Protocol(proto),
                (.., Some(networks)) => return Ok(at_end(End::Either, networks)),
                _ => {
                    self.at = before;
                    if self.scope == Scope::Key {
                        return Err(self.expected(OF_A_KEY));
                    }
                    return Err(self.expected(
                        "a test: an address, host, net, port, mac, src, dst, proto, tcp, udp, icmp, in, out, on, vlan, flags, duplicate, packets, bytes, …",
                    ));
                }
            },
        };
        Ok(Expr::Test(test))
    }

    /// What follows `src`, `dst` or neither.
    fn end(&mut self, end: End) -> Result<Expr, FilterError> {
        let before = self.at;
        match self.next() {
            Token::Word("port") => Ok(Expr::Test(Test::Port(end, self.ports()?))),
            Token::Word("mac") => {
                const WHAT: &str = "a MAC address, such as 02:00:00:00:00:01";
                let mac = self.word(WHAT, mac)?;
                Ok(Expr::Test(Test::Mac(end, mac)))
            }
            Token::Word("host") => {
                let host = |word: &str| word.parse().ok().map(Network::host);
                let hosts = |word: &str| word.split(',').map(host).collect();
                Ok(at_end(end, self.word("an IP address", hosts)?))
            }
            Token::Word("net") => Ok(at_end(end, self.networks()?)),
            _ => {
                self.at = before;
                Ok(at_end(end, self.networks()?))
            }
        }
    }

    fn networks(&mut self) -> Result<Vec<Network>, FilterError> {
        self.word(
            "an IP address, or a network such as 10.0.0.0/8 without bits behind its prefix",
            networks,
        )
    }

    fn ports(&mut self) -> Result<Vec<(u16, u16)>, FilterError> {
        self.word(
            "ports from 0 to 65535, such as 53, 80,443 or 8000-8100",
            |word| {
                word.split(',')
                    .map(|part| {
                        let (first, last) = part.split_once('-').unwrap_or((part, part));
                        let (first, last) = (digits(first)?, digits(last)?);
                        (first <= last).then_some((first, last))
                    })
                    .collect()
            },
        )
    }

    fn protocol(&mut self) -> Result<u8, FilterError> {
        self.word("a protocol, by name or number", |word| {
            protocol_number(word).or_else(|| digits(word))
        })
    }

    fn ether_type(&mut self) -> Result<u16, FilterError> {
        self.word("an ethertype, such as 0x88cc", |word| {
            match word.strip_prefix("0x") {
                Some(hex) if hex.bytes().all(|octet| octet.is_ascii_hexdigit()) => {
                    u16::from_str_radix(hex, 16).ok()
                }
                Some(_) => None,
                None => digits(word),
            }
        })
    }

    /// `in`, `out`, `on`, and perhaps an interface.
    fn seen(&mut self, direction: Option<u8>) -> Result<Expr, FilterError> {
        let direction = direction.map(|direction| Expr::Test(Test::Direction(direction)));
        let interface = match (self.peek(), &direction) {
            (Token::Word(_), _) if self.scope == Scope::Key => {
                return Err(self.expected(
                    "no interface, for observation.interfaces names those that are observed",
                ));
            }
            (Token::Word(_), _) | (_, None) => {
                let glob = self.word("the name of an interface, or a glob", |word| {
                    glob::Pattern::new(word).ok()
                })?;
                Some(Expr::Test(Test::Interface(glob)))
            }
            _ => None,
        };
        let all = direction.into_iter().chain(interface).collect();
        Ok(one_or(all, Expr::And))
    }

    fn vlan(&mut self) -> Result<Option<u16>, FilterError> {
        let numbered = matches!(self.peek(), Token::Word(word) if word.starts_with(|c: char| c.is_ascii_digit()));
        if !numbered {
            return Ok(None);
        }
        self.word("a VLAN from 0 to 4095", |word| {
            digits(word).filter(|vlan| *vlan < 4096)
        })
        .map(Some)
    }

    fn flags(&mut self) -> Result<u16, FilterError> {
        const LETTERS: &str = "FSRPAUEC";
        self.word("TCP flags, of the letters CEUAPRSF", |word| {
            word.chars()
                .map(|letter| {
                    let bit = LETTERS.chars().position(|l| l == letter)?;
                    Some(1_u16 << bit)
                })
                .try_fold(0, |all, flag| Some(all | flag?))
        })
    }

    fn comparison(&mut self, quantity: Quantity) -> Result<Test, FilterError> {
        let Token::Compare(comparison) = self.peek() else {
            return Err(self.expected("one of = != < <= > >="));
        };
        self.next();
        let number = self.word("a number, such as 1500, 10k, 5M or 2G", number)?;
        Ok(Test::Number(quantity, comparison, number))
    }

    /// The next word as `read` has it.
    fn word<T>(
        &mut self,
        what: &str,
        read: impl FnOnce(&'a str) -> Option<T>,
    ) -> Result<T, FilterError> {
        let before = self.at;
        let found = match self.next() {
            Token::Word(word) => read(word),
            _ => None,
        };
        found.ok_or_else(|| {
            self.at = before;
            self.expected(what)
        })
    }

    fn peek(&self) -> Token<'a> {
        self.scan().2
    }

    fn next(&mut self) -> Token<'a> {
        let (_, end, token) = self.scan();
        self.at = end;
        token
    }

    /// The next token: where it begins and ends, and what it is.
    fn scan(&self) -> (usize, usize, Token<'a>) {
        let rest = &self.text[self.at..];
        let trimmed = rest.trim_start();
        let start = self.at + (rest.len() - trimmed.len());
        let fixed = [
            ("&&", Token::And),
            ("||", Token::Or),
            ("!=", Token::Compare(Comparison::NotEqual)),
            ("<=", Token::Compare(Comparison::LessOrEqual)),
            (">=", Token::Compare(Comparison::GreaterOrEqual)),
            ("==", Token::Compare(Comparison::Equal)),
            ("<", Token::Compare(Comparison::Less)),
            (">", Token::Compare(Comparison::Greater)),
            ("=", Token::Compare(Comparison::Equal)),
            ("!", Token::Not),
            ("(", Token::Open),
            (")", Token::Close),
        ];
        for (text, token) in fixed {
            if trimmed.starts_with(text) {
                return (start, start + text.len(), token);
            }
        }
        // A `!` ends no word: it may stand in a glob.
        let of_word = |c: char| !c.is_whitespace() && !"()<>=&|".contains(c);
        let length = trimmed.find(|c| !of_word(c)).unwrap_or(trimmed.len());
        let word = &trimmed[..length];
        let token = match word {
            "" => match trimmed.chars().next() {
                None => return (start, start, Token::End),
                Some(stray) => {
                    let length = stray.len_utf8();
                    return (start, start + length, Token::Stray(&trimmed[..length]));
                }
            },
            "and" => Token::And,
            "or" => Token::Or,
            "not" => Token::Not,
            word => Token::Word(word),
        };
        (start, start + length, token)
    }

    /// An error at the next token.
    fn expected(&self, expected: &str) -> FilterError {
        let (start, end, token) = self.scan();
        let found = match token {
            Token::End => "the end".to_owned(),
            _ => format!("{:?}", &self.text[start..end]),
        };
        self.error_at(start, end, expected, found)
    }

    fn error_at(&self, start: usize, end: usize, expected: &str, found: String) -> FilterError {
        FilterError {
            text: self.text.to_owned(),
            position: self.text[..start].chars().count(),
            length: self.text[start..end].chars().count().max(1),
            expected: expected.to_owned(),
            found,
        }
    }
}

/// What a Flow Key answers.
const OF_A_KEY: &str = "a test of what a packet's flow key has: an address, host, net, port, mac, src, \
     dst, proto, tcp, udp, icmp, …, ip, ip6, arp, ether, vlan, in, out, if_index, sampling";

/// Whether a test asks for what is counted of a flow, or for what is known of an interface.
fn is_of_counts(word: &str) -> bool {
    let of_key = [Quantity::IfIndex, Quantity::Sampling];
    matches!(word, "on" | "flags" | "duplicate")
        || quantity(word).is_some_and(|quantity| !of_key.contains(&quantity))
}

/// A flow with an address in one of these networks.
fn at_end(end: End, networks: Vec<Network>) -> Expr {
    let tests = networks.into_iter();
    one_or(
        tests
            .map(|network| Expr::Test(Test::Network(end, network)))
            .collect(),
        Expr::Or,
    )
}

/// Several expressions as one.
pub(super) fn one_or(mut many: Vec<Expr>, join: fn(Vec<Expr>) -> Expr) -> Expr {
    match (many.len(), many.pop()) {
        (1, Some(one)) => one,
        (_, last) => {
            many.extend(last);
            join(many)
        }
    }
}

fn quantity(word: &str) -> Option<Quantity> {
    Quantity::ALL
        .into_iter()
        .find(|(_, name)| *name == word)
        .map(|(quantity, _)| quantity)
}

fn protocol_number(word: &str) -> Option<u8> {
    Some(match word {
        "icmp" => 1,
        "igmp" => 2,
        "tcp" => 6,
        "udp" => 17,
        "gre" => 47,
        "esp" => 50,
        "ah" => 51,
        "icmp6" => 58,
        "ospf" => 89,
        "pim" => 103,
        "vrrp" => 112,
        "sctp" => 132,
        _ => return None,
    })
}

fn network(word: &str) -> Option<Network> {
    match word.split_once('/') {
        Some((address, length)) => Network::new(address.parse::<IpAddr>().ok()?, digits(length)?),
        None => word.parse().ok().map(Network::host),
    }
}

fn networks(word: &str) -> Option<Vec<Network>> {
    word.split(',').map(network).collect()
}

fn mac(word: &str) -> Option<MacAddress> {
    let mut octets = [0; 6];
    let mut parts = word.split(':');
    for octet in &mut octets {
        let part = parts
            .next()
            .filter(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit()))?;
        *octet = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(MacAddress(octets))
}

/// A number of digits only: `parse` takes a sign too.
fn digits<T: std::str::FromStr>(word: &str) -> Option<T> {
    word.bytes()
        .all(|octet| octet.is_ascii_digit())
        .then(|| word.parse().ok())?
}

fn number(word: &str) -> Option<u64> {
    let (number, factor) = match word.as_bytes().last()? {
        b'k' => (&word[..word.len() - 1], 1_000),
        b'M' => (&word[..word.len() - 1], 1_000_000),
        b'G' => (&word[..word.len() - 1], 1_000_000_000),
        _ => (word, 1),
    };
    digits::<u64>(number)?.checked_mul(factor)
}
