//! The dissector over arbitrary and mutilated frames.

mod frames;

use ebpfix_probes::abi::FlowId;
use ebpfix_probes::dissect::{Facts, Link, Reason, SliceFrame};
use frames::corpus::corpus;
use frames::seen;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// What holds of every verdict on whatever frame.
fn assert_sound(
    octets: &[u8],
    snapped: u32,
    segmented: bool,
    link: Link,
    offloaded_tag: Option<u16>,
) -> Result<(), TestCaseError> {
    let length = u32::try_from(octets.len()).unwrap().saturating_add(snapped);
    let frame = SliceFrame::new(octets)
        .with_wire_length(length)
        .segmented(segmented);
    let found = seen(&frame, link, offloaded_tag);
    prop_assert_eq!(found, seen(&frame, link, offloaded_tag));
    let (id, facts, outcome) = found;
    if outcome.is_ok() {
        prop_assert!(facts.octets <= length);
        prop_assert!(facts.octets >= 20);
        prop_assert!(id.eth_protocol == 0x0800 || id.eth_protocol == 0x86dd);
        prop_assert_eq!(
            id.eth_protocol == 0x0800,
            id.src_ip.is_ipv4() && id.dst_ip.is_ipv4()
        );
        prop_assert!(facts.flags <= 0x0fff);
        prop_assert!(facts.flags == 0 || id.transport_protocol == 6);
    } else if outcome == Err(Reason::NotIp) {
        prop_assert!(id.is_layer_2());
        prop_assert_eq!(facts, Facts::default());
    }
    // The caller's fields are the caller's.
    prop_assert_eq!((id.if_index, id.direction, id.sampling), (0, 0, 0));
    if outcome.is_ok() && snapped == 0 && !segmented && link == Link::None {
        assert_same_within_its_length(octets, &id, &facts)?;
    }
    for (segments, size) in [(0, 0), (0, 1), (0, 1448), (1, 9000), (u32::MAX, u32::MAX)] {
        let (packets, on_the_wire) = facts.on_the_wire(segments, size);
        prop_assert!(packets >= 1);
        prop_assert!(on_the_wire >= u64::from(facts.octets));
    }
    Ok(())
}

/// The IP packet alone, without what followed it in the frame, gives the same.
fn assert_same_within_its_length(
    octets: &[u8],
    id: &FlowId,
    facts: &Facts,
) -> Result<(), TestCaseError> {
    let packet = &octets[..usize::try_from(facts.octets).unwrap()];
    let alone = seen(&SliceFrame::new(packet), Link::None, None);
    prop_assert_eq!(alone, (*id, *facts, Ok(())));
    Ok(())
}

fn link() -> impl Strategy<Value = Link> {
    prop_oneof![Just(Link::Ethernet), Just(Link::None)]
}

/// A frame of the corpus with octets overwritten, inserted, cut off and added.
#[derive(Clone, Debug)]
struct Mutation {
    case: Index,
    overwrite: Vec<(Index, u8)>,
    keep: Option<Index>,
    add: Vec<u8>,
}

fn mutation() -> impl Strategy<Value = Mutation> {
    (
        any::<Index>(),
        vec((any::<Index>(), any::<u8>()), 0..6),
        proptest::option::of(any::<Index>()),
        vec(any::<u8>(), 0..40),
    )
        .prop_map(|(case, overwrite, keep, add)| Mutation {
            case,
            overwrite,
            keep,
            add,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_octets(
        octets in vec(any::<u8>(), 0..200),
        snapped in prop_oneof![Just(0), 0..3000_u32, Just(u32::MAX)],
        segmented: bool,
        link in link(),
        offloaded_tag: Option<u16>,
    ) {
        assert_sound(&octets, snapped, segmented, link, offloaded_tag)?;
    }

    /// Arbitrary octets behind the first ones of a header that is looked into.
    #[test]
    fn arbitrary_packets(
        version in prop_oneof![Just(0x45_u8), Just(0x60), Just(0x4f), any::<u8>()],
        protocol in prop_oneof![
            Just(0_u8), Just(6), Just(17), Just(43), Just(44), Just(51), Just(58), Just(60), any::<u8>()
        ],
        mut octets in vec(any::<u8>(), 40..400),
        length in 0..400_u16,
        segmented: bool,
    ) {
        octets[0] = version;
        let length = length.to_be_bytes();
        if version >> 4 == 6 {
            octets[4..6].copy_from_slice(&length);
            octets[6] = protocol;
        } else {
            octets[2..4].copy_from_slice(&length);
            octets[9] = protocol;
        }
        assert_sound(&octets, 0, segmented, Link::None, None)?;
    }

    #[test]
    fn mutated_frames(
        mutation in mutation(),
        snapped in prop_oneof![Just(0), 0..3000_u32],
        link in proptest::option::of(link()),
        segmented: Option<bool>,
    ) {
        // Built once for each of the cases, which costs less than the case.
        let cases = corpus();
        let case = mutation.case.get(&cases);
        let mut octets = case.octets.clone();
        for (at, octet) in &mutation.overwrite {
            let at = at.index(octets.len());
            octets[at] = *octet;
        }
        if let Some(keep) = mutation.keep {
            octets.truncate(keep.index(octets.len()));
        }
        octets.extend(&mutation.add);
        let link = link.unwrap_or(case.link);
        let segmented = segmented.unwrap_or(case.segmented);
        assert_sound(&octets, snapped, segmented, link, case.offloaded_tag)?;
    }
}
