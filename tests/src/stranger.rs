//! A program that somebody else has at a traffic control hook: it does nothing but return a verdict,
//! and the kernel counts how often it ran.

use std::os::fd::OwnedFd;

use aya::Ebpf;
use aya::programs::tc::{NlOptions, TcAttachOptions, TcAttachType};
use aya::programs::{LinkOrder, SchedClassifier};
use aya::sys::{Stats, enable_stats};
use object::write::{Object, Symbol, SymbolSection};
use object::{
    Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope,
};

use crate::lab::Namespace;

/// Its name. The kernel keeps 15 characters.
const NAME: &str = "stranger";

/// What it returns: `TC_ACT_*`, of which those of TCX have the same numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The chain goes on (`TC_ACT_UNSPEC`, `TCX_NEXT`).
    GoOn = -1,
    /// The packet passes, and nobody else is asked (`TC_ACT_OK`, `TCX_PASS`).
    Pass = 0,
    /// The packet is dropped, and nobody else is asked (`TC_ACT_SHOT`, `TCX_DROP`).
    Drop = 2,
}

/// Where it is attached, among those that are there by then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// By TCX, before all others.
    TcxFirst,
    /// By TCX, after all others.
    TcxLast,
    /// On a clsact qdisc, which has to be there, with this preference.
    Clsact(u16),
}

/// The program, attached. It is taken off when this is dropped.
#[derive(Debug)]
pub struct Stranger {
    namespace: Namespace,
    /// `None` while it is being dropped.
    program: Option<Ebpf>,
    /// The kernel counts as long as somebody wants it to.
    _counting: OwnedFd,
}

impl Stranger {
    /// Attaches it to what enters by the interface.
    ///
    /// # Panics
    /// Where the kernel refuses.
    pub fn attach(namespace: &Namespace, interface: &str, place: Place, verdict: Verdict) -> Self {
        let counting = enable_stats(Stats::RunTime).expect("the kernel to count runs");
        let program = namespace.enter(|| {
            let mut loaded = Ebpf::load(&object(verdict)).expect("to read the program");
            let program = program_of(&mut loaded);
            program.load().expect("to load the program");
            let options = match place {
                Place::TcxFirst => TcAttachOptions::TcxOrder(LinkOrder::first()),
                Place::TcxLast => TcAttachOptions::TcxOrder(LinkOrder::last()),
                Place::Clsact(priority) => TcAttachOptions::Netlink(NlOptions {
                    priority,
                    ..NlOptions::default()
                }),
            };
            let _ = program
                .attach_with_options(interface, TcAttachType::Ingress, options)
                .unwrap_or_else(|error| panic!("{place:?} at {interface}: {error}"));
            loaded
        });
        Self {
            namespace: namespace.clone(),
            program: Some(program),
            _counting: counting,
        }
    }

    /// How often it ran.
    pub fn runs(&mut self) -> u64 {
        let loaded = self.program.as_mut().expect("a program");
        let info = program_of(loaded).info().expect("what the kernel knows");
        info.run_count()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        // Filters are taken off by netlink, in the namespace of the thread.
        let program = self.program.take();
        self.namespace.enter(|| drop(program));
    }
}

fn program_of(loaded: &mut Ebpf) -> &mut SchedClassifier {
    let program = loaded.program_mut(NAME).expect("the program by its name");
    program.try_into().expect("a program for traffic control")
}

/// An ELF file with `r0 = verdict; exit`.
fn object(verdict: Verdict) -> Vec<u8> {
    const MOVE_IMMEDIATE: u8 = 0xb7;
    const EXIT: u8 = 0x95;
    let instruction = |code: u8, immediate: i32| {
        let [a, b, c, d] = immediate.to_le_bytes();
        [code, 0, 0, 0, a, b, c, d]
    };
    let code = [
        instruction(MOVE_IMMEDIATE, verdict as i32),
        instruction(EXIT, 0),
    ]
    .concat();
    let mut object = Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
    let mut section = |name: &[u8], kind, octets: &[u8]| {
        let id = object.add_section(Vec::new(), name.to_vec(), kind);
        let _ = object.append_section_data(id, octets, 8);
        id
    };
    let _ = section(b"license", SectionKind::Data, b"GPL\0");
    let text = section(b"classifier", SectionKind::Text, &code);
    let _ = object.add_symbol(Symbol {
        name: NAME.as_bytes().to_vec(),
        value: 0,
        size: u64::try_from(code.len()).expect("a length"),
        kind: SymbolKind::Text,
        scope: SymbolScope::Dynamic,
        weak: false,
        section: SymbolSection::Section(text),
        flags: SymbolFlags::None,
    });
    object.write().expect("to write an ELF file")
}
