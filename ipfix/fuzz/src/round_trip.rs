//! Records of layouts made up from the input, written and read again.

use arbitrary::{Arbitrary, Result, Unstructured};
use ipfix::{
    AbstractType, Decoder, DecoderLimits, Element, Field, Layout, Protocol, RegisterError,
    Registry, Semantics, Sequence, Session, SessionOptions, Template, TemplateSchedule, Transport,
    VARIABLE_LENGTH, Value, WriteError, Written, elements, v9_scope,
};

/// Builds layouts and records from the input, writes them in several messages, some of which are
/// lost before they are sent, and decodes the others. Between messages templates are withdrawn,
/// defined anew, retired or repeated. What is decoded must be what was written, the sequence in
/// order, nothing an error; and writing again what was decoded must give the same octets.
pub fn round_trip(input: &[u8]) {
    // An input that ends early has been used up to there: there is nothing to tell.
    let _ = try_round_trip(&mut Unstructured::new(input));
}

fn try_round_trip(input: &mut Unstructured<'_>) -> Result<()> {
    let protocol = *input.choose(&[Protocol::Ipfix, Protocol::NetflowV9])?;
    let options = session_options(input, protocol)?;
    let mut writing = Writing {
        session: Session::new(options),
        shapes: Vec::new(),
        alive: Vec::new(),
        actions: Vec::new(),
    };
    for template_id in 256..=256 + input.int_in_range(0..=3)? {
        writing.register(input, template_id)?;
    }
    let mut sent = Vec::new();
    let mut now_ms: u64 = input.arbitrary()?;
    for _ in 0..input.int_in_range(1..=8)? {
        now_ms = now_ms.wrapping_add(input.arbitrary::<u16>()?.into());
        if input.ratio(1, 4)? {
            writing.change_templates(input, now_ms)?;
        }
        if writing.alive.is_empty() {
            break;
        }
        sent.extend(write_message(input, &mut writing, now_ms)?);
    }

    let Writing {
        session, shapes, ..
    } = writing;
    let read = decode(&session, &shapes, &sent);
    write_again(options, &shapes, &sent, &read);
    Ok(())
}

/// A session and its layouts.
struct Writing {
    session: Session,
    /// All there ever were.
    shapes: Vec<(Shape, Layout<Row>)>,
    /// Those that are registered.
    alive: Vec<usize>,
    /// What was done since the last message that was sent.
    actions: Vec<Action>,
}

/// What is done to the templates of a session, besides writing messages.
#[derive(Clone, Copy)]
enum Action {
    Register { shape: usize },
    Withdraw { template_id: u16 },
    WithdrawAll,
    Retire { template_id: u16, now_ms: u64 },
    Resend,
}

impl Writing {
    fn register(&mut self, input: &mut Unstructured<'_>, template_id: u16) -> Result<()> {
        let protocol = self.session.options().protocol;
        let shape = Shape::arbitrary(input, protocol, template_id)?;
        let layout = shape.layout();
        match self.session.register(&layout) {
            Ok(()) => {
                let shape_number = self.shapes.len();
                self.alive.push(shape_number);
                self.actions.push(Action::Register {
                    shape: shape_number,
                });
                self.shapes.push((shape, layout));
            }
            Err(RegisterError::TooLong { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        Ok(())
    }

    fn change_templates(&mut self, input: &mut Unstructured<'_>, now_ms: u64) -> Result<()> {
        if self.alive.is_empty() {
            return Ok(());
        }
        let options = *self.session.options();
        let withdrawals =
            options.protocol == Protocol::Ipfix && options.transport == Transport::Reliable;
        let at = input.choose_index(self.alive.len())?;
        let template_id = self.shapes[self.alive[at]].0.template_id;
        let action = match input.int_in_range(0..=3)? {
            0 => Action::Resend,
            1 => Action::Retire {
                template_id,
                now_ms,
            },
            2 if withdrawals => Action::WithdrawAll,
            _ if withdrawals => Action::Withdraw { template_id },
            _ => return Ok(()),
        };
        act(&mut self.session, action);
        self.actions.push(action);
        match action {
            Action::Register { .. } | Action::Resend => {}
            // Collectors may remember it: the id stays unused.
            Action::Retire { .. } => {
                self.alive.swap_remove(at);
            }
            Action::Withdraw { .. } => {
                self.alive.swap_remove(at);
                if input.arbitrary()? {
                    self.register(input, template_id)?;
                }
            }
            Action::WithdrawAll => {
                self.alive.clear();
                self.register(input, template_id)?;
            }
        }
        Ok(())
    }
}

/// Does everything but to register.
fn act(session: &mut Session, action: Action) {
    match action {
        Action::Register { .. } => Ok(()),
        Action::Withdraw { template_id } => session.withdraw(template_id),
        Action::WithdrawAll => session.withdraw_all(),
        Action::Retire {
            template_id,
            now_ms,
        } => session.retire(template_id, now_ms),
        Action::Resend => {
            session.resend_templates();
            Ok(())
        }
    }
    .expect("the template is registered");
}

fn session_options(input: &mut Unstructured<'_>, protocol: Protocol) -> Result<SessionOptions> {
    let max_message = if input.ratio(1, 8)? {
        input.arbitrary()?
    } else {
        input.int_in_range(40..=1500)?
    };
    Ok(SessionOptions {
        protocol,
        observation_domain: input.arbitrary()?,
        max_message,
        system_init_ms: input.arbitrary()?,
        first_sequence: input.arbitrary()?,
        templates: TemplateSchedule {
            copies: input.arbitrary()?,
            copy_after_ms: u64::from(input.arbitrary::<u16>()?),
            copy_after_messages: u64::from(input.arbitrary::<u8>()?),
            every_ms: input.arbitrary::<Option<u32>>()?.map(u64::from),
            every_messages: input.arbitrary::<Option<u8>>()?.map(u64::from),
        },
        transport: if input.arbitrary()? {
            Transport::Unreliable
        } else {
            Transport::Reliable
        },
    })
}

/// What a layout is made of.
#[derive(Debug)]
struct Shape {
    protocol: Protocol,
    template_id: u16,
    /// 0 if it is no options layout.
    scope: usize,
    columns: Vec<Column>,
}

#[derive(Clone, Copy, Debug)]
struct Column {
    element: Element,
    kind: Kind,
    length: u16,
}

/// The column methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Unsigned,
    Signed,
    Uptime,
    Timestamp,
    Boolean,
    Float64,
    Octets,
    Text,
    Raw,
    Variable,
}

impl Shape {
    fn arbitrary(
        input: &mut Unstructured<'_>,
        protocol: Protocol,
        template_id: u16,
    ) -> Result<Self> {
        let scope = if input.ratio(1, 3)? {
            input.int_in_range(1..=3)?
        } else {
            0
        };
        let others: usize = input.int_in_range(1..=12)?;
        let columns = (0..scope + others)
            .map(|at| Column::arbitrary(input, protocol, at < scope))
            .collect::<Result<_>>()?;
        Ok(Self {
            protocol,
            template_id,
            scope,
            columns,
        })
    }

    fn layout(&self) -> Layout<Row> {
        let mut builder = if self.scope > 0 {
            Layout::options_builder(self.protocol, self.template_id)
        } else {
            Layout::builder(self.protocol, self.template_id)
        };
        for (at, column) in self.columns.iter().enumerate() {
            if self.scope > 0 && at == self.scope {
                builder = builder.end_of_scope();
            }
            let &Column {
                element, length, ..
            } = column;
            builder = match column.kind {
                Kind::Unsigned => {
                    builder.unsigned(element, length, move |row: &Row, _| row.number(at))
                }
                Kind::Signed => {
                    builder.signed(element, length, move |row, _| row.number(at).cast_signed())
                }
                Kind::Uptime => builder.uptime(element, move |row| row.number(at)),
                Kind::Timestamp => builder.timestamp(element, move |row| row.number(at)),
                Kind::Boolean => builder.boolean(element, move |row| row.number(at) % 2 == 1),
                Kind::Float64 => {
                    builder.float64(element, move |row, _| f64::from_bits(row.number(at)))
                }
                Kind::Octets => match length {
                    4 => builder.octets(element, move |row, _| row.array::<4>(at)),
                    6 => builder.octets(element, move |row, _| row.array::<6>(at)),
                    _ => builder.octets(element, move |row, _| row.array::<16>(at)),
                },
                Kind::Text => builder.text(element, length, move |row| row.text(at)),
                Kind::Raw => builder.raw(element, length, move |row, _, field| {
                    field.copy_from_slice(row.octets(at));
                }),
                Kind::Variable => builder.variable(element, move |row| row.octets(at)),
            };
        }
        builder.build().expect("the columns suit their elements")
    }

    fn row(&self, input: &mut Unstructured<'_>) -> Result<Row> {
        let cells = self.columns.iter().map(|column| column.cell(input));
        Ok(Row(cells.collect::<Result<_>>()?))
    }

    /// The fields of the row as they must arrive, as far as they are determined.
    fn octets(&self, row: &Row, system_init_ms: u64) -> Octets {
        let cells = self.columns.iter().zip(&row.0);
        Octets(
            cells
                .map(|(column, cell)| column.octets(cell, system_init_ms))
                .collect(),
        )
    }
}

impl Column {
    fn arbitrary(input: &mut Unstructured<'_>, protocol: Protocol, scope: bool) -> Result<Self> {
        let element = match protocol {
            Protocol::NetflowV9 if scope => {
                v9_scope::by_id(input.int_in_range(1..=5)?).expect("there are five")
            }
            Protocol::Ipfix if input.ratio(1, 4)? => enterprise_element(input)?,
            _ => *input.choose(&elements::ALL)?,
        };
        let data_type = element.data_type();
        let natural = data_type.natural_length();
        let length = match natural {
            Some(natural) if data_type.is_integer() => input.int_in_range(1..=natural)?,
            Some(natural) => natural,
            None if input.ratio(1, 16)? => input.int_in_range(1..=2000)?,
            None => input.int_in_range(1..=40)?,
        };
        let uptime = [
            elements::FLOW_START_SYS_UP_TIME,
            elements::FLOW_END_SYS_UP_TIME,
        ];
        let mut kinds = vec![Kind::Raw];
        kinds.extend(match data_type {
            AbstractType::DateTimeSeconds | AbstractType::DateTimeMilliseconds => {
                Some(Kind::Unsigned)
            }
            AbstractType::DateTimeMicroseconds | AbstractType::DateTimeNanoseconds => {
                Some(Kind::Timestamp)
            }
            AbstractType::Boolean => Some(Kind::Boolean),
            AbstractType::Float64 => Some(Kind::Float64),
            AbstractType::MacAddress | AbstractType::Ipv4Address | AbstractType::Ipv6Address => {
                Some(Kind::Octets)
            }
            AbstractType::String => Some(Kind::Text),
            _ if uptime.contains(&element) && length == 4 => Some(Kind::Uptime),
            _ if data_type.is_unsigned() && length <= 8 => Some(Kind::Unsigned),
            _ if data_type.is_signed() => Some(Kind::Signed),
            _ => None,
        });
        if natural.is_none() && protocol == Protocol::Ipfix {
            kinds.push(Kind::Variable);
        }
        let kind = *input.choose(&kinds)?;
        Ok(Self {
            element,
            kind,
            length: if kind == Kind::Variable {
                VARIABLE_LENGTH
            } else {
                length
            },
        })
    }

    fn cell(&self, input: &mut Unstructured<'_>) -> Result<Cell> {
        Ok(match self.kind {
            Kind::Octets | Kind::Raw => {
                let mut octets = vec![0; self.length.into()];
                input.fill_buffer(&mut octets)?;
                Cell::Octets(octets)
            }
            Kind::Variable => {
                let length = if input.ratio(1, 8)? {
                    input.int_in_range(200..=600)?
                } else {
                    input.int_in_range(0..=20)?
                };
                let mut octets = vec![0; length];
                input.fill_buffer(&mut octets)?;
                Cell::Octets(octets)
            }
            Kind::Text => Cell::Text(input.arbitrary()?),
            _ => Cell::Number(u64::arbitrary(input)?),
        })
    }

    /// How the cell must arrive. A timestamp is zeros here: see [`Self::check`].
    fn octets(&self, cell: &Cell, system_init_ms: u64) -> Vec<u8> {
        let length = usize::from(self.length);
        match (self.kind, cell) {
            (Kind::Unsigned, &Cell::Number(number)) => {
                let max = u64::MAX >> (64 - 8 * length);
                let wraps = self.element.semantics() == Semantics::Flags
                    || self.element.data_type() == AbstractType::DateTimeSeconds;
                let number = if wraps { number & max } else { number.min(max) };
                number.to_be_bytes()[8 - length..].to_vec()
            }
            (Kind::Signed, Cell::Number(number)) => {
                let max = i64::MAX >> (64 - 8 * length);
                let number = number.cast_signed().clamp(-max - 1, max);
                number.to_be_bytes()[8 - length..].to_vec()
            }
            (Kind::Uptime, number) => {
                let Cell::Number(number) = number else {
                    unreachable!()
                };
                number.wrapping_sub(system_init_ms).to_be_bytes()[4..].to_vec()
            }
            (Kind::Boolean, Cell::Number(number)) => vec![if number % 2 == 1 { 1 } else { 2 }],
            (Kind::Timestamp, _) => vec![0; 8],
            (Kind::Text, Cell::Text(text)) => {
                let mut octets = Vec::new();
                for character in text.chars() {
                    if octets.len() + character.len_utf8() > length {
                        break;
                    }
                    octets.extend(character.encode_utf8(&mut [0; 4]).bytes());
                }
                octets.resize(length, 0);
                octets
            }
            (_, Cell::Octets(octets)) => octets.clone(),
            (_, Cell::Number(number)) => number.to_be_bytes().to_vec(),
            (_, Cell::Text(_)) => unreachable!("only text columns have text"),
        }
    }

    fn check(&self, cell: &Cell, octets: &[u8], value: &Value<'_>) {
        assert!(value.field().is(&self.element), "{self:?}");
        assert_eq!(value.field().length(), self.length, "{self:?}");
        if let (Kind::Timestamp, Cell::Number(number)) = (self.kind, cell) {
            if value.field().element().is_none() {
                // Of an enterprise: that it is a time is not known here.
                assert_eq!(value.octets().len(), 8);
                return;
            }
            let read = value.unix_ns().expect("a timestamp");
            let wanted = number % NTP_ERA_NANOS;
            match self.element.data_type() {
                AbstractType::DateTimeMicroseconds => assert_eq!(read / 1000, wanted / 1000),
                _ => assert_eq!(read, wanted),
            }
        } else {
            assert_eq!(value.octets(), octets, "{self:?} {cell:?}");
        }
    }
}

/// 2^32 seconds.
const NTP_ERA_NANOS: u64 = 1_000_000_000 << 32;

fn enterprise_element(input: &mut Unstructured<'_>) -> Result<Element> {
    if input.ratio(1, 4)? {
        return Ok(input.choose(&elements::ALL)?.reverse());
    }
    // Below the number that stands for reverse elements.
    let pen = input.int_in_range(0..=ipfix::REVERSE_PEN - 1)?;
    let like = input.choose(&elements::ALL)?;
    Ok(Element::enterprise(
        pen,
        input.arbitrary()?,
        "",
        like.data_type(),
        like.semantics(),
    ))
}

#[derive(Clone, Debug)]
struct Row(Vec<Cell>);

#[derive(Clone, Debug)]
enum Cell {
    Number(u64),
    Octets(Vec<u8>),
    Text(String),
}

impl Row {
    fn number(&self, at: usize) -> u64 {
        match &self.0[at] {
            Cell::Number(number) => *number,
            other => panic!("{other:?} is no number"),
        }
    }

    fn octets(&self, at: usize) -> &[u8] {
        match &self.0[at] {
            Cell::Octets(octets) => octets,
            other => panic!("{other:?} is no octets"),
        }
    }

    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        self.octets(at).try_into().expect("as long as the column")
    }

    fn text(&self, at: usize) -> &str {
        match &self.0[at] {
            Cell::Text(text) => text,
            other => panic!("{other:?} is no text"),
        }
    }
}

/// A message that was committed, and how it was written.
struct Sent {
    octets: Vec<u8>,
    now_ms: u64,
    templates: u32,
    withdrawals: u32,
    /// What was done before it.
    actions: Vec<Action>,
    attempts: Vec<Attempt>,
}

/// Rows given to the writer one after the other: the first ones went into the message.
struct Attempt {
    shape: usize,
    rows: Vec<Row>,
    written: usize,
    too_long: bool,
}

/// Writes a message; `None` if it was not sent.
fn write_message(
    input: &mut Unstructured<'_>,
    writing: &mut Writing,
    now_ms: u64,
) -> Result<Option<Sent>> {
    const BEFORE: [u8; 3] = [0xa5; 3];
    let Writing {
        session,
        shapes,
        alive,
        actions,
    } = writing;
    let sequence = session.sequence();
    let due = session.templates_due(now_ms);
    let mut attempts = Vec::new();
    let mut buffer = BEFORE.to_vec();
    let mut records = 0;
    let mut writer = session.begin(&mut buffer, now_ms);
    for _ in 0..input.int_in_range(0..=6)? {
        let at = *input.choose(alive)?;
        let (shape, layout) = &shapes[at];
        let rows = (0..input.int_in_range(0..=10)?)
            .map(|_| shape.row(input))
            .collect::<Result<Vec<_>>>()?;
        let result = if input.arbitrary()? {
            writer.write_all(layout, &rows)
        } else {
            let mut written = 0;
            loop {
                match rows.get(written).map(|row| writer.write(layout, row)) {
                    Some(Ok(Written::Done)) => written += 1,
                    Some(Err(error)) if written == 0 => break Err(error),
                    // What an earlier row left no room for is not too long.
                    Some(Err(error)) => panic!("{error}"),
                    Some(Ok(Written::Full)) | None => break Ok(written),
                }
            }
        };
        let (written, too_long) = match result {
            Ok(written) => (written, false),
            Err(WriteError::TooLong { .. }) => (0, true),
            Err(error) => panic!("{error}"),
        };
        assert!(written <= rows.len());
        records += u32::try_from(written).expect("few");
        attempts.push(Attempt {
            shape: at,
            rows,
            written,
            too_long,
        });
    }
    let Some(message) = writer.finish() else {
        assert_eq!((records, buffer.as_slice()), (0, BEFORE.as_slice()));
        return Ok(None);
    };
    assert_eq!(message.data_records(), records);
    assert_eq!(message.sequence(), sequence);
    assert!(message.length() <= usize::from(session.options().max_message));
    assert_eq!(message.length(), buffer.len() - BEFORE.len());
    assert!(due || message.templates() == 0 || records > 0);
    if input.ratio(1, 6)? {
        return Ok(None);
    }
    let (templates, withdrawals) = (message.templates(), message.withdrawals());
    session.commit(message).expect("it is the last one");
    Ok(Some(Sent {
        templates,
        withdrawals,
        octets: buffer.split_off(BEFORE.len()),
        now_ms,
        actions: std::mem::take(actions),
        attempts,
    }))
}

/// What the decoder made of the messages.
struct Read {
    /// By shape.
    templates: Vec<Option<Template>>,
    /// By message.
    records: Vec<Vec<Octets>>,
}

/// A record in the octets of its fields.
struct Octets(Vec<Vec<u8>>);

fn decode(session: &Session, shapes: &[(Shape, Layout<Row>)], sent: &[Sent]) -> Read {
    let system_init_ms = session.options().system_init_ms;
    let mut decoder = Decoder::new(DecoderLimits::default()).over(session.options().transport);
    let mut read = Read {
        templates: vec![None; shapes.len()],
        records: Vec::new(),
    };
    for (position, message) in sent.iter().enumerate() {
        let decoded = decoder.decode(&(), &message.octets).expect("a message");
        assert_eq!(decoded.length(), message.octets.len());
        assert_eq!(decoded.errors(), []);
        assert_eq!(decoded.unknown(), []);
        let in_order = if position == 0 {
            Sequence::First
        } else {
            Sequence::InOrder
        };
        assert_eq!(decoded.sequence(), in_order);
        let counted = [decoded.templates(), decoded.withdrawals()];
        let wanted = [message.templates, message.withdrawals];
        assert_eq!(counted.map(u32::try_from), wanted.map(Ok));
        let header = decoded.header();
        assert_eq!(
            header.observation_domain,
            session.options().observation_domain
        );
        if let Some(count) = header.count {
            assert_eq!(
                usize::from(count),
                decoded.records().count() + decoded.templates()
            );
        }

        let mut records = decoded.records();
        let mut of_message = Vec::new();
        for attempt in &message.attempts {
            let (shape, layout) = &shapes[attempt.shape];
            for row in &attempt.rows[..attempt.written] {
                let record = records.next().expect("every record is read");
                let template = record.template();
                assert_eq!(template.id(), shape.template_id);
                assert_eq!(template.is_options(), shape.scope > 0);
                assert_eq!(template.scope_fields(), shape.scope);
                assert_eq!(record.octets().len(), layout.length_of(row));
                assert_eq!(record.values().count(), shape.columns.len());
                let octets = shape.octets(row, system_init_ms);
                for (at, value) in record.values().enumerate() {
                    shape.columns[at].check(&row.0[at], &octets.0[at], &value);
                }
                read.templates[attempt.shape].get_or_insert_with(|| template.clone());
                let values = record.values().map(|value| value.octets().to_vec());
                of_message.push(Octets(values.collect()));
            }
        }
        assert!(records.next().is_none(), "a record that nobody wrote");
        drop(records);
        read.records.push(of_message);
    }
    assert!(
        decoder.fields()
            <= shapes
                .iter()
                .map(|(shape, _)| shape.columns.len())
                .sum::<usize>()
    );
    read
}

/// Writes what was read, by the templates that were read, one record after the other.
fn write_again(
    options: SessionOptions,
    shapes: &[(Shape, Layout<Row>)],
    sent: &[Sent],
    read: &Read,
) {
    let mut session = Session::new(options);
    let system_init_ms = session.options().system_init_ms;
    let layouts: Vec<Layout<Octets>> = shapes
        .iter()
        .zip(&read.templates)
        .map(|((shape, _), template)| {
            let fields = match template {
                Some(template) => template.fields().iter().map(field).collect(),
                None => shape
                    .columns
                    .iter()
                    .map(|column| (column.element, column.length))
                    .collect(),
            };
            layout_of(shape, fields)
        })
        .collect();
    for (message, records) in sent.iter().zip(&read.records) {
        for &action in &message.actions {
            if let Action::Register { shape } = action {
                session.register(&layouts[shape]).expect("the first could");
            }
            act(&mut session, action);
        }
        let mut records = records.iter();
        let mut buffer = Vec::new();
        let mut writer = session.begin(&mut buffer, message.now_ms);
        for attempt in &message.attempts {
            let layout = &layouts[attempt.shape];
            for _ in 0..attempt.written {
                let record = records.next().expect("as many as before");
                assert_eq!(writer.write(layout, record), Ok(Written::Done));
            }
            // The one that did not fit does not fit again, whatever its times are.
            if let Some(row) = attempt.rows.get(attempt.written) {
                let octets = shapes[attempt.shape].0.octets(row, system_init_ms);
                let result = writer.write(layout, &octets);
                assert_eq!(result.is_err(), attempt.too_long);
                assert_ne!(result, Ok(Written::Done));
            }
        }
        let message_again = writer.finish().expect("there was a message");
        assert!(
            buffer == message.octets,
            "{buffer:02x?} instead of {:02x?}",
            message.octets
        );
        session
            .commit(message_again)
            .expect("it is the last one begun");
    }
}

fn field(field: &Field) -> (Element, u16) {
    let element = match (field.element(), field.registry()) {
        (Some(element), _) => *element,
        (None, Registry::Enterprise(pen)) => Element::enterprise(
            pen,
            field.id(),
            "",
            AbstractType::OctetArray,
            Semantics::Default,
        ),
        (None, registry) => panic!("{} of {registry:?} was written", field.id()),
    };
    (element, field.length())
}

fn layout_of(shape: &Shape, fields: Vec<(Element, u16)>) -> Layout<Octets> {
    let mut builder = if shape.scope > 0 {
        Layout::options_builder(shape.protocol, shape.template_id)
    } else {
        Layout::builder(shape.protocol, shape.template_id)
    };
    for (at, (element, length)) in fields.into_iter().enumerate() {
        if shape.scope > 0 && at == shape.scope {
            builder = builder.end_of_scope();
        }
        builder = if length == VARIABLE_LENGTH {
            builder.variable(element, move |row: &Octets| &row.0[at])
        } else {
            builder.raw(element, length, move |row, _, field| {
                field.copy_from_slice(&row.0[at]);
            })
        };
    }
    builder.build().expect("it was a template")
}
