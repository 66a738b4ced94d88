//! BPF instructions (RFC 9669) with labels to jump to, all of them forward.

/// Octets of an instruction; a 64-bit constant takes two instructions.
pub(super) const INSTRUCTION_OCTETS: usize = 8;

// Opcodes: class, and in it the operation with its operand, an immediate or (`_X`) a register.
const LOAD: u8 = 0x61; // LDX | MEM | W; the size is in the bits 0x18
const LOAD_IMMEDIATE_64: u8 = 0x18;
const MOVE: u8 = 0xb7;
const OR_X: u8 = 0x4f;
const SHIFT_LEFT: u8 = 0x67;
const TO_BIG_ENDIAN: u8 = 0xdc;
const EXIT: u8 = 0x95;
const GOTO: u8 = 0x05;
const JUMP_32: u8 = 0x06;
const JUMP_64_X: u8 = 0x0d;
const JUMP_NOT_EQUAL_64: u8 = 0x55;

/// A register: 0 is the answer, 1 the argument.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Register(pub u8);

/// Octets that a load takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Size {
    One,
    Two,
    Four,
    Eight,
}

/// When a jump is taken: how the register compares, unsigned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum When {
    Greater = 0x20,
    GreaterOrEqual = 0x30,
    NotEqual = 0x50,
    Less = 0xa0,
}

/// A place to jump to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Label(usize);

/// Instructions that are being put together.
#[derive(Default)]
pub(super) struct Code {
    steps: Vec<Step>,
    /// Step of each label; `None` until it is [put](Self::put).
    labels: Vec<Option<usize>>,
}

#[derive(Clone, Copy)]
struct Step {
    opcode: u8,
    destination: u8,
    source: u8,
    offset: i16,
    immediate: i32,
    /// Of a 64-bit constant.
    upper: Option<i32>,
    jump: Option<Label>,
}

/// More instructions than a jump can lead over, 32,767 or less: how many there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TooLong(pub usize);

impl Step {
    fn new(opcode: u8, destination: Register) -> Self {
        Self {
            opcode,
            destination: destination.0,
            source: 0,
            offset: 0,
            immediate: 0,
            upper: None,
            jump: None,
        }
    }

    /// Instructions that it takes.
    fn length(&self) -> usize {
        1 + usize::from(self.upper.is_some())
    }

    /// Whether what stands behind it is reached from it.
    fn goes_on(&self) -> bool {
        self.opcode != EXIT && self.opcode != GOTO
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.opcode);
        out.push(if cfg!(target_endian = "little") {
            self.source << 4 | self.destination
        } else {
            self.destination << 4 | self.source
        });
        out.extend(self.offset.to_ne_bytes());
        out.extend(self.immediate.to_ne_bytes());
        if let Some(upper) = self.upper {
            out.extend([0; 4]);
            out.extend(upper.to_ne_bytes());
        }
    }
}

impl Code {
    /// A place that is not yet known.
    pub fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// The label is here.
    pub fn put(&mut self, label: Label) {
        self.labels[label.0] = Some(self.steps.len());
    }

    /// Loads what is `offset` octets behind the address in register 1.
    pub fn load(&mut self, to: Register, size: Size, offset: usize) {
        let size = match size {
            Size::Four => 0x00,
            Size::Two => 0x08,
            Size::One => 0x10,
            Size::Eight => 0x18,
        };
        self.steps.push(Step {
            source: 1,
            offset: i16::try_from(offset).unwrap_or(i16::MAX),
            ..Step::new(LOAD | size, to)
        });
    }

    /// Takes the lower `bits` (16, 32 or 64) as octets in network order for the number that they are.
    pub fn network_order(&mut self, register: Register, bits: i32) {
        self.steps.push(Step {
            immediate: bits,
            ..Step::new(TO_BIG_ENDIAN, register)
        });
    }

    pub fn or(&mut self, register: Register, other: Register) {
        self.steps.push(Step {
            source: other.0,
            ..Step::new(OR_X, register)
        });
    }

    pub fn shift_left(&mut self, register: Register, bits: i32) {
        self.steps.push(Step {
            immediate: bits,
            ..Step::new(SHIFT_LEFT, register)
        });
    }

    pub fn set_64(&mut self, register: Register, value: u64) {
        self.steps.push(Step {
            immediate: u32::try_from(value & 0xffff_ffff)
                .unwrap_or(0)
                .cast_signed(),
            upper: Some(u32::try_from(value >> 32).unwrap_or(0).cast_signed()),
            ..Step::new(LOAD_IMMEDIATE_64, register)
        });
    }

    /// Jumps where the lower half of the register compares so.
    pub fn jump_32(&mut self, when: When, register: Register, value: u32, to: Label) {
        self.steps.push(Step {
            immediate: value.cast_signed(),
            jump: Some(to),
            ..Step::new(JUMP_32 | when as u8, register)
        });
    }

    /// Jumps where two registers compare so.
    pub fn jump_64(&mut self, when: When, register: Register, other: Register, to: Label) {
        self.steps.push(Step {
            source: other.0,
            jump: Some(to),
            ..Step::new(JUMP_64_X | when as u8, register)
        });
    }

    /// Jumps where the register is not zero.
    pub fn jump_not_zero(&mut self, register: Register, to: Label) {
        self.steps.push(Step {
            jump: Some(to),
            ..Step::new(JUMP_NOT_EQUAL_64, register)
        });
    }

    pub fn goto(&mut self, to: Label) {
        self.steps.push(Step {
            jump: Some(to),
            ..Step::new(GOTO, Register(0))
        });
    }

    /// Ends with this answer.
    pub fn answer(&mut self, answer: bool) {
        self.steps.push(Step {
            immediate: i32::from(answer),
            ..Step::new(MOVE, Register(0))
        });
        self.steps.push(Step::new(EXIT, Register(0)));
    }

    /// The instructions, without those that are never reached (the verifier refuses them) and jumps
    /// that lead nowhere else.
    pub fn assemble(mut self) -> Result<Vec<u8>, TooLong> {
        self.lead_on();
        let mut kept = self.reached();
        // From the end, for what stands behind decides what is next.
        let mut next = self.steps.len();
        for at in (0..self.steps.len())
            .rev()
            .filter(|&at| kept[at])
            .collect::<Vec<_>>()
        {
            let step = &self.steps[at];
            if step.opcode == GOTO && self.target(step) == Some(next) {
                kept[at] = false;
            } else {
                next = at;
            }
        }
        let mut places = Vec::with_capacity(self.steps.len());
        let mut place = 0;
        for (step, kept) in self.steps.iter().zip(&kept) {
            places.push(place);
            place += if *kept { step.length() } else { 0 };
        }
        let mut out = Vec::with_capacity(place * INSTRUCTION_OCTETS);
        for (at, step) in self.steps.iter().enumerate().filter(|(at, _)| kept[*at]) {
            let mut step = *step;
            if let Some(target) = self.target(&step) {
                let distance = places[target] - places[at] - 1;
                step.offset = i16::try_from(distance).map_err(|_| TooLong(place))?;
            }
            step.write(&mut out);
        }
        Ok(out)
    }

    /// Has jumps to a `goto` lead to where that does.
    fn lead_on(&mut self) {
        for label in 0..self.labels.len() {
            while let Some(step) = self.labels[label].and_then(|at| self.steps.get(at))
                && step.opcode == GOTO
            {
                self.labels[label] = self.target(step);
            }
        }
    }

    fn target(&self, step: &Step) -> Option<usize> {
        step.jump.and_then(|label| self.labels[label.0])
    }

    /// Which steps can be reached from the first. Jumps lead forward alone: one pass finds them.
    fn reached(&self) -> Vec<bool> {
        let mut reached = vec![false; self.steps.len()];
        if let Some(first) = reached.first_mut() {
            *first = true;
        }
        for (at, step) in self.steps.iter().enumerate() {
            if !reached[at] {
                continue;
            }
            let next = step.goes_on().then_some(at + 1);
            for to in next.into_iter().chain(self.target(step)) {
                if let Some(to) = reached.get_mut(to) {
                    *to = true;
                }
            }
        }
        reached
    }
}
