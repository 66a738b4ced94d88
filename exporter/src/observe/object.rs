//! The embedded kernel object: its programs and maps, sized, created and loaded.
//!
//! redbpf creates the maps. The programs are for a kind of section that it passes over
//! (`tc_action`), so they are put together here: each instruction that names a map gets the map's
//! descriptor, as the ELF relocations say. A filter becomes a function behind the program, and a
//! program without one has nothing of it.

use super::bpf::{self, Direction};
use super::error::Error;
use crate::filter::KernelFilter;
use ebpfix_probes::abi::{
    self, CALL_FILTER, CALL_HAS_FILTER, Control, CpuState, HashedRecord, MAP_AGGREGATED_FLOWS,
    MAP_CONTROL, MAP_CPU_STATE, MAP_DIRECT_FLOWS, Set,
};
use object::{Object, ObjectSection, ObjectSymbol, RelocationTarget};
use std::collections::HashMap;
use std::ffi::CString;
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

/// The object that the build script linked.
static OBJECT: &[u8] = include_bytes!(env!("EBPFIX_PROBE"));

const PROGRAM_SECTION: &str = "tc_action/";
const MAP_SECTION: &str = "maps/";
/// Octets of a BPF instruction; a 64-bit constant takes two.
const INSTRUCTION_OCTETS: usize = 8;
/// `BPF_LD | BPF_DW | BPF_IMM`: load a 64-bit constant.
const LOAD_64: u8 = 0x18;
/// Source register that says: the constant is a map's descriptor.
const PSEUDO_MAP_FD: u8 = 1;
/// `BPF_JMP | BPF_CALL`.
const CALL: u8 = 0x85;
/// Source register that says: what is called is a function of the same program.
const PSEUDO_CALL: u8 = 1;
/// `BPF_ALU64 | BPF_MOV | BPF_K`.
const SET: u8 = 0xb7;
/// Offsets into `struct bpf_map_def`: type, key, value, entries, flags, a u32 each.
const MAP_DEF_MAX_ENTRIES: usize = 12;
const MAP_DEF_FLAGS: usize = 16;

/// The maps of the object.
pub(super) const MAP_NAMES: [&str; 4] = [
    MAP_CONTROL,
    MAP_CPU_STATE,
    MAP_AGGREGATED_FLOWS,
    MAP_DIRECT_FLOWS,
];

/// A program of the object, not yet loaded.
#[derive(Clone, Debug)]
pub struct ProgramSpec {
    /// Name, such as `ingress_flow_parse`.
    pub name: String,
    /// Its instructions, 8 octets each.
    pub instructions: Vec<u8>,
    /// Octet offset of each instruction that loads a map, and the map's name.
    pub map_references: Vec<(usize, String)>,
}

/// What the embedded object holds: its programs and maps, as built.
#[derive(Clone, Debug)]
pub struct NetSpec {
    /// The ELF object.
    image: Vec<u8>,
    /// The programs.
    pub programs: Vec<ProgramSpec>,
    /// Name of each map and the place of its definition in the image.
    maps: Vec<(String, usize)>,
    license: CString,
}

/// How large the tables are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sizes {
    /// CPUs that get a cache and a log.
    pub cpus: u32,
    /// Sets of each cache, a power of two.
    pub sets: u32,
    /// Records of each log, a power of two.
    pub log_records: u32,
}

/// The programs, loaded.
#[derive(Debug)]
pub struct NetPrograms {
    /// Counts what enters by a device with Ethernet headers.
    pub ingress_flow_parse: OwnedFd,
    /// Counts what leaves by a device with Ethernet headers.
    pub egress_flow_parse: OwnedFd,
    /// Counts what enters by a device without link headers.
    pub ingress_flow_parse_l3: OwnedFd,
    /// Counts what leaves by a device without link headers.
    pub egress_flow_parse_l3: OwnedFd,
}

/// The maps, created.
#[derive(Debug)]
pub struct NetMaps {
    /// What the exporter tells the programs.
    pub control: OwnedFd,
    /// Positions and counters of each CPU.
    pub cpu_state: OwnedFd,
    /// The caches, in two generations.
    pub aggregated_flows: OwnedFd,
    /// The eviction logs.
    pub direct_flows: OwnedFd,
}

/// Programs and maps in the kernel. Dropping it frees what nothing else holds.
#[derive(Debug)]
pub struct NetObjects {
    /// The programs.
    pub programs: NetPrograms,
    /// The maps.
    pub maps: NetMaps,
    /// How large they are.
    pub sizes: Sizes,
    /// What they were made from.
    net: NetSpec,
}

/// The embedded object and its specifications.
///
/// # Errors
/// [`Error::Object`] where the build put in something else than this version expects.
pub fn load_net() -> Result<NetSpec, Error> {
    NetSpec::parse(embedded_object())
}

/// The embedded object itself, an ELF file.
pub fn embedded_object() -> &'static [u8] {
    OBJECT
}

impl NetSpec {
    /// Reads an object, such as another build's. Its tables must be of this build's layout
    /// ([`ABI`](ebpfix_probes::abi::ABI)), which nobody can look up in it.
    ///
    /// # Errors
    /// [`Error::Object`] where it is no such object.
    pub fn parse(image: &[u8]) -> Result<Self, Error> {
        let damaged = |e: object::Error| Error::Object(e.to_string());
        // The parser wants the image aligned; a copy is.
        let image = image.to_vec();
        let file = object::File::parse(image.as_slice()).map_err(damaged)?;
        let mut spec = Self {
            image: Vec::new(),
            programs: Vec::new(),
            maps: Vec::new(),
            license: CString::default(),
        };
        for section in file.sections() {
            let name = section.name().map_err(damaged)?;
            if let Some(program) = name.strip_prefix(PROGRAM_SECTION) {
                let mut map_references = Vec::new();
                for (offset, relocation) in section.relocations() {
                    let RelocationTarget::Symbol(index) = relocation.target() else {
                        return Err(Error::Object(format!(
                            "{name}: a relocation without symbol"
                        )));
                    };
                    let symbol = file.symbol_by_index(index).map_err(damaged)?;
                    let offset = usize::try_from(offset).unwrap_or(usize::MAX);
                    let map = symbol.name().map_err(damaged)?.to_owned();
                    map_references.push((offset, map));
                }
                spec.programs.push(ProgramSpec {
                    name: program.to_owned(),
                    instructions: section.data().map_err(damaged)?.to_vec(),
                    map_references,
                });
            } else if let Some(map) = name.strip_prefix(MAP_SECTION) {
                let (offset, _) = section
                    .file_range()
                    .ok_or_else(|| Error::Object(format!("{name}: no contents")))?;
                let offset = usize::try_from(offset).unwrap_or(usize::MAX);
                spec.maps.push((map.to_owned(), offset));
            } else if name == "license" {
                let text = section.data().map_err(damaged)?;
                let end = text.iter().position(|&c| c == 0).unwrap_or(text.len());
                spec.license = CString::new(&text[..end]).unwrap_or_default();
            }
        }
        spec.image = image;
        Ok(spec)
    }

    /// Creates the maps and loads the programs.
    ///
    /// `pin_dir` must be on a BPF file system; the maps are pinned there for a moment, for that is
    /// how their descriptors are had.
    pub fn load(
        mut self,
        sizes: Sizes,
        pin_dir: &Path,
        filter: &KernelFilter,
    ) -> Result<NetObjects, Error> {
        let made = !pin_dir.exists();
        let maps = self.create_maps(sizes, pin_dir);
        if made {
            // Nothing stays pinned. What is in use by now by somebody else is not empty.
            let _ = fs::remove_dir(pin_dir);
        }
        self.load_over(maps?, sizes, filter)
    }

    /// Loads the programs over maps that are there already.
    pub fn load_over(
        &self,
        maps: NetMaps,
        sizes: Sizes,
        filter: &KernelFilter,
    ) -> Result<NetObjects, Error> {
        Ok(NetObjects {
            programs: self.load_programs(&maps, filter)?,
            maps,
            sizes,
            net: self.clone(),
        })
    }

    /// Creates the maps alone; see [`load`](Self::load).
    pub fn create_maps(&mut self, sizes: Sizes, pin_dir: &Path) -> Result<NetMaps, Error> {
        if !bpf::on_bpf_file_system(pin_dir) {
            return Err(Error::NoBpfFileSystem {
                path: pin_dir.to_owned(),
            });
        }
        for (name, entries) in MAP_NAMES.into_iter().zip(sizes.entries()) {
            self.set_definition(name, MAP_DEF_MAX_ENTRIES, entries)?;
            self.set_definition(name, MAP_DEF_FLAGS, bpf::BPF_F_MMAPABLE)?;
        }
        let mut maps = create_maps(&self.image, pin_dir)?;
        NetMaps::collect(|name| {
            maps.remove(name)
                .ok_or_else(|| Error::Object(format!("no map {name}")))
        })
    }

    fn set_definition(&mut self, map: &str, field: usize, value: u32) -> Result<(), Error> {
        self.maps
            .iter()
            .find(|(name, _)| name == map)
            .and_then(|(_, offset)| self.image.get_mut(offset + field..offset + field + 4))
            .ok_or_else(|| Error::Object(format!("no map {map}")))?
            .copy_from_slice(&value.to_le_bytes());
        Ok(())
    }

    /// Loads the programs that count what `filter` takes.
    fn load_programs(&self, maps: &NetMaps, filter: &KernelFilter) -> Result<NetPrograms, Error> {
        let load = |name: &str| {
            let spec = self
                .programs
                .iter()
                .find(|program| program.name == name)
                .ok_or_else(|| Error::Object(format!("no program {name}")))?;
            let mut code = spec.with_maps(maps)?;
            if !put_filter(&mut code, filter.code()) && !filter.is_all() {
                return Err(Error::Object(format!("{name}: no place for a filter")));
            }
            bpf::load_sched_cls(name, &code, &self.license)
        };
        Ok(NetPrograms {
            ingress_flow_parse: load("ingress_flow_parse")?,
            egress_flow_parse: load("egress_flow_parse")?,
            ingress_flow_parse_l3: load("ingress_flow_parse_l3")?,
            egress_flow_parse_l3: load("egress_flow_parse_l3")?,
        })
    }
}

impl ProgramSpec {
    /// The instructions with the maps' descriptors in place.
    fn with_maps(&self, maps: &NetMaps) -> Result<Vec<u8>, Error> {
        let mut code = self.instructions.clone();
        for (offset, map) in &self.map_references {
            let fd = maps
                .by_name(map)
                .ok_or_else(|| Error::Object(format!("{}: unknown map {map}", self.name)))?;
            let instruction = code
                .get_mut(*offset..offset + INSTRUCTION_OCTETS)
                .filter(|instruction| instruction[0] == LOAD_64)
                .ok_or_else(|| {
                    Error::Object(format!("{}: no load of {map} at {offset}", self.name))
                })?;
            // The low nibble is the destination register, the high one the source.
            instruction[1] = instruction[1] & 0x0f | PSEUDO_MAP_FD << 4;
            instruction[4..8].copy_from_slice(&fd.as_raw_fd().to_le_bytes());
        }
        Ok(code)
    }
}

impl NetObjects {
    /// The programs once more, over the same maps, with another filter.
    pub(super) fn programs_with(&self, filter: &KernelFilter) -> Result<NetPrograms, Error> {
        self.net.load_programs(&self.maps, filter)
    }
}

/// Puts `filter` behind a program and has it called, or where it is empty takes its calls out; says
/// whether there was one.
fn put_filter(code: &mut Vec<u8>, filter: &[u8]) -> bool {
    let end = code.len() / INSTRUCTION_OCTETS;
    let mut called = false;
    let mut at = 0;
    while let Some(instruction) =
        code.get_mut(at * INSTRUCTION_OCTETS..(at + 1) * INSTRUCTION_OCTETS)
    {
        let (opcode, source) = (instruction[0], instruction[1] >> 4);
        let immediate = u32::from_le_bytes(instruction[4..8].try_into().unwrap_or_default());
        let (opcode, registers, immediate) = match (opcode, source, immediate) {
            (CALL, 0, CALL_HAS_FILTER) => (SET, 0, i32::from(!filter.is_empty())),
            (CALL, 0, CALL_FILTER) => {
                called = true;
                match filter {
                    [] => (SET, 0, 0),
                    // Counted from the next instruction.
                    _ => (
                        CALL,
                        PSEUDO_CALL << 4,
                        i32::try_from(end - at - 1).unwrap_or(i32::MAX),
                    ),
                }
            }
            (LOAD_64, ..) => {
                at += 2;
                continue;
            }
            _ => {
                at += 1;
                continue;
            }
        };
        instruction[0] = opcode;
        instruction[1] = registers;
        instruction[4..8].copy_from_slice(&immediate.to_le_bytes());
        at += 1;
    }
    code.extend_from_slice(filter);
    called
}

impl NetPrograms {
    /// The program for a direction on a kind of device.
    pub fn for_device(&self, ethernet: bool, direction: Direction) -> &OwnedFd {
        match (ethernet, direction) {
            (true, Direction::Ingress) => &self.ingress_flow_parse,
            (true, Direction::Egress) => &self.egress_flow_parse,
            (false, Direction::Ingress) => &self.ingress_flow_parse_l3,
            (false, Direction::Egress) => &self.egress_flow_parse_l3,
        }
    }
}

impl NetMaps {
    /// Each map as `open` has it by its name.
    pub(super) fn collect(
        mut open: impl FnMut(&'static str) -> Result<OwnedFd, Error>,
    ) -> Result<Self, Error> {
        Ok(Self {
            control: open(MAP_CONTROL)?,
            cpu_state: open(MAP_CPU_STATE)?,
            aggregated_flows: open(MAP_AGGREGATED_FLOWS)?,
            direct_flows: open(MAP_DIRECT_FLOWS)?,
        })
    }

    /// The map of this name.
    pub fn by_name(&self, name: &str) -> Option<&OwnedFd> {
        match name {
            MAP_CONTROL => Some(&self.control),
            MAP_CPU_STATE => Some(&self.cpu_state),
            MAP_AGGREGATED_FLOWS => Some(&self.aggregated_flows),
            MAP_DIRECT_FLOWS => Some(&self.direct_flows),
            _ => None,
        }
    }
}

impl Sizes {
    /// Elements of each map, in the order of [`MAP_NAMES`].
    pub(super) fn entries(&self) -> [u32; MAP_NAMES.len()] {
        [
            1,
            self.cpus + 1,
            self.cpus * 2 * self.sets,
            self.cpus * self.log_records,
        ]
    }

    /// Octets of kernel memory that tables of these sizes take, all told.
    pub fn octets(&self) -> u64 {
        let cache = u64::from(self.sets) * size_of::<Set>() as u64 * abi::GENERATIONS as u64;
        let log = u64::from(self.log_records) * size_of::<HashedRecord>() as u64;
        u64::from(self.cpus) * (cache + log)
            + u64::from(self.cpus + 1) * size_of::<CpuState>() as u64
            + size_of::<Control>() as u64
    }
}

/// Has redbpf create the maps of the object and returns their descriptors.
fn create_maps(image: &[u8], pin_dir: &Path) -> Result<HashMap<String, OwnedFd>, Error> {
    let failed = |what: String| {
        // redbpf keeps the kernel's answer to itself but for the thread's errno.
        Error::os(what, std::io::Error::last_os_error())
    };
    let mut module =
        redbpf::Module::parse(image).map_err(|_| failed("creating the BPF maps".to_owned()))?;
    let mut descriptors = HashMap::new();
    for map in &mut module.maps {
        let name = map.name.clone();
        // A name of our own, so that two instances with one directory do not meet.
        let pin = pin_dir.join(format!("load-{}-{name}", std::process::id()));
        let _ = fs::remove_file(&pin);
        map.pin(&pin)
            .map_err(|_| failed(format!("pinning a BPF map to {}", pin.display())))?;
        let opened = bpf::open_pinned(&pin);
        map.unpin()
            .map_err(|_| failed(format!("removing {}", pin.display())))?;
        descriptors.insert(name, opened?);
    }
    Ok(descriptors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_object_holds_the_programs_and_maps_that_the_loader_asks_for() {
        let spec = load_net().unwrap();
        let mut programs: Vec<_> = spec.programs.iter().map(|p| p.name.as_str()).collect();
        programs.sort_unstable();
        assert_eq!(
            programs,
            [
                "egress_flow_parse",
                "egress_flow_parse_l3",
                "ingress_flow_parse",
                "ingress_flow_parse_l3"
            ]
        );
        let mut maps: Vec<_> = spec.maps.iter().map(|(name, _)| name.as_str()).collect();
        maps.sort_unstable();
        assert_eq!(
            maps,
            [
                MAP_AGGREGATED_FLOWS,
                MAP_CONTROL,
                MAP_CPU_STATE,
                MAP_DIRECT_FLOWS
            ]
        );
        assert_eq!(spec.license.to_bytes(), b"Dual MIT/GPL");
    }

    #[test]
    fn a_damaged_object_is_refused_in_words() {
        let error = NetSpec::parse(&OBJECT[..100]).unwrap_err();
        assert!(
            error.to_string().contains("embedded kernel object"),
            "{error}"
        );
    }
}
