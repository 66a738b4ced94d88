//! Writes seeds into `DIRECTORY/dissect`: the frames of `probes/tests/frames`, and some of every
//! capture in `pcaps` of the folder that `EBPFIX_SHARED` names (else `../shared` beside the project).
//!
//! Usage: `seeds DIRECTORY`
#![forbid(unsafe_code)]

use std::error::Error;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ebpfix_probes_fuzz::Input;
use pcap_parser::{PcapBlockOwned, PcapError};

#[path = "../../tests/frames/mod.rs"]
mod frames;

/// Frames taken of a capture, evenly spread.
const OF_A_CAPTURE: usize = 48;
/// Octets taken of a frame of a capture: the dissector looks at little more.
const SNAP: usize = 192;

fn main() -> ExitCode {
    let Some(directory) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: seeds DIRECTORY");
        return ExitCode::FAILURE;
    };
    match write_all(&directory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn write_all(directory: &Path) -> Result<(), Box<dyn Error>> {
    let directory = directory.join("dissect");
    fs::create_dir_all(&directory)?;
    let seeds = built().into_iter().chain(captured()?);
    for (number, seed) in seeds.enumerate() {
        fs::write(directory.join(number.to_string()), seed)?;
    }
    Ok(())
}

fn built() -> Vec<Vec<u8>> {
    let cases = frames::corpus::corpus().into_iter();
    cases
        .map(|case| {
            let input = Input {
                offloaded_tag: case.offloaded_tag,
                hidden: 4,
                ..Input::default()
            };
            seed(input, &case.octets)
        })
        .collect()
}

/// The input of the target for a frame, which it must read as it was meant.
fn seed(input: Input, frame: &[u8]) -> Vec<u8> {
    let seed = input.octets(frame);
    assert_eq!(Input::read(&seed), Some((input, frame)));
    seed
}

fn captured() -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let folder = std::env::var_os("EBPFIX_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let folder = folder.join("pcaps");
    let entries = fs::read_dir(&folder).map_err(|error| {
        format!(
            "{}: {error}: set EBPFIX_SHARED to the folder that holds pcaps",
            folder.display()
        )
    })?;
    let mut seeds = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let frames = read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let step = frames.len().div_ceil(OF_A_CAPTURE).max(1);
        for (octets, wire_length) in frames.iter().step_by(step) {
            let octets = &octets[..octets.len().min(SNAP)];
            let missing = wire_length.saturating_sub(u32::try_from(octets.len())?);
            let input = Input::default().not_captured(missing);
            seeds.push(seed(input, octets));
        }
    }
    Ok(seeds)
}

/// The frames of a capture, each with its length on the wire.
fn read(path: &Path) -> Result<Vec<(Vec<u8>, u32)>, Box<dyn Error>> {
    let mut frames = Vec::new();
    let mut reader = pcap_parser::create_reader(1 << 20, File::open(path)?)?;
    loop {
        match reader.next() {
            Ok((octets, block)) => {
                match block {
                    PcapBlockOwned::Legacy(packet) => {
                        frames.push((packet.data.to_vec(), packet.origlen));
                    }
                    PcapBlockOwned::NG(pcap_parser::Block::EnhancedPacket(packet)) => {
                        let here = packet.data.get(..packet.caplen.try_into()?);
                        frames.push((here.unwrap_or(packet.data).to_vec(), packet.origlen));
                    }
                    _ => {}
                }
                reader.consume(octets);
            }
            // The last frame may have been cut short.
            Err(PcapError::Eof | PcapError::UnexpectedEof) => return Ok(frames),
            Err(PcapError::Incomplete(_)) => {
                if let Err(error) = reader.refill() {
                    return Err(error.to_string().into());
                }
            }
            Err(error) => return Err(error.to_string().into()),
        }
    }
}
