//! A frame, dissected twice.

use ebpfix_probes::abi::FlowId;
use ebpfix_probes::common::common;
use ebpfix_probes::dissect::{Facts, Link, Reason, SliceFrame, dissect as examined};
use ebpfix_probes::table::flow_id;

use crate::reference::{self, Packet, Verdict};

/// What a frame comes with: the input of [`dissect`] without the frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Input {
    /// The VLAN tag beside the frame.
    pub offloaded_tag: Option<u16>,
    /// Octets that the frame had on the wire beyond those that follow.
    pub not_captured: u32,
    /// Octets to take off its end, for a look at less of it.
    pub hidden: u8,
}

/// Has the frame dissected as what it may be (with and without a link header, as one packet and as
/// many) and wants what the [reference](crate::reference) says. Then:
///
/// - what most frames are is found in whole words, too, and the same;
/// - a frame of which less was captured gives the same, or is truncated;
/// - octets behind the IP packet change nothing;
/// - a tag beside the frame gives the same as that tag in it;
/// - no packet has more octets than its frame, and its segments no more headers than it has octets.
///
/// The input: see [`Input::octets`].
pub fn dissect(input: &[u8]) {
    let Some((input, frame)) = Input::read(input) else {
        return;
    };
    for link in [Link::Ethernet, Link::None] {
        for segmented in [false, true] {
            let packet = Packet {
                octets: frame,
                wire_length: length(frame).saturating_add(input.not_captured),
                segmented,
                link,
                offloaded_tag: input.offloaded_tag,
            };
            let verdict = verdict(&packet);
            assert_eq!(verdict, reference::dissect(&packet), "{packet:02x?}");
            check_less(&packet, verdict, input.hidden.into());
            check_octets(&packet, verdict);
            check_padding(&packet, verdict);
            check_tag(&packet, verdict);
        }
    }
}

impl Input {
    /// With so many octets that were not captured, or as many as can be written of them.
    #[must_use]
    pub fn not_captured(self, octets: u32) -> Self {
        let not_captured = if octets > u16::MAX.into() {
            (octets / FAR).min(u16::MAX.into()) * FAR
        } else {
            octets
        };
        Self {
            not_captured,
            ..self
        }
    }

    /// An octet of which the lowest bit says that there is a tag, the tag in two, the octets that were
    /// not captured in two (each counts 16 where the next bit is set), the octets to hide in one; then
    /// the frame.
    pub fn octets(&self, frame: &[u8]) -> Vec<u8> {
        let (missing, unit) = match u16::try_from(self.not_captured) {
            Ok(missing) => (missing, 0),
            Err(_) => (
                u16::try_from(self.not_captured / FAR).unwrap_or(u16::MAX),
                FAR_AWAY,
            ),
        };
        let flags = u8::from(self.offloaded_tag.is_some()) | unit;
        let [t0, t1] = self.offloaded_tag.unwrap_or(0).to_be_bytes();
        let [m0, m1] = missing.to_be_bytes();
        [&[flags, t0, t1, m0, m1, self.hidden], frame].concat()
    }

    /// Reads what [`octets`](Self::octets) wrote; `None` where it is too short.
    pub fn read(input: &[u8]) -> Option<(Self, &[u8])> {
        let ([flags, t0, t1, m0, m1, hidden], frame) = input.split_first_chunk()?;
        let missing = u32::from(u16::from_be_bytes([*m0, *m1]));
        let input = Self {
            offloaded_tag: (flags & TAGGED != 0).then(|| u16::from_be_bytes([*t0, *t1])),
            not_captured: match flags & FAR_AWAY {
                0 => missing,
                _ => missing * FAR,
            },
            hidden: *hidden,
        };
        Some((input, frame))
    }
}

const TAGGED: u8 = 1;
const FAR_AWAY: u8 = 2;
const FAR: u32 = 16;

fn verdict(packet: &Packet<'_>) -> Verdict {
    let frame = SliceFrame::new(packet.octets)
        .with_wire_length(packet.wire_length)
        .segmented(packet.segmented);
    let mut id = FlowId::default();
    let mut facts = Facts::default();
    let outcome = examined(
        &frame,
        packet.link,
        packet.offloaded_tag,
        &mut id,
        &mut facts,
    );
    assert_eq!((id.if_index, id.direction, id.sampling), (0, 0, 0));
    let found = common(&frame, packet.offloaded_tag.unwrap_or(0));
    if let Some(found) = found.filter(|_| packet.link == Link::Ethernet) {
        assert_eq!(
            (flow_id(&found.words), found.facts, Ok(())),
            (id, facts, outcome),
            "{packet:02x?} in whole words"
        );
    }
    match outcome {
        Ok(()) => Verdict::Flow(id, facts),
        Err(Reason::NotIp) => {
            assert!(id.is_layer_2());
            assert_eq!(facts, Facts::default());
            Verdict::LayerTwo(id)
        }
        Err(reason) => Verdict::Nothing(reason),
    }
}

fn check_less(packet: &Packet<'_>, whole: Verdict, hidden: usize) {
    let kept = packet.octets.len().saturating_sub(hidden);
    let less = verdict(&Packet {
        octets: &packet.octets[..kept],
        ..*packet
    });
    assert!(
        less == whole || less == Verdict::Nothing(Reason::Truncated),
        "{kept} octets of {packet:02x?}: {less:?}"
    );
}

fn check_octets(packet: &Packet<'_>, verdict: Verdict) {
    let Verdict::Flow(_, facts) = verdict else {
        return;
    };
    let link = match packet.link {
        Link::Ethernet => 14,
        Link::None => 0,
    };
    assert!(facts.octets >= 20 && facts.octets <= packet.wire_length - link);
    assert!(facts.flags <= 0x0fff);
    let octets = u64::from(facts.octets);
    assert_eq!(facts.on_the_wire(9, 0), (1, octets), "one packet");
    for (segments, size) in [
        (0, 1),
        (0, 1448),
        (1, 9000),
        (44, 1448),
        (u32::MAX, u32::MAX),
    ] {
        let (packets, sum) = facts.on_the_wire(segments, size);
        match segments {
            0 => assert!((1..=octets).contains(&packets)),
            told => assert_eq!(packets, u64::from(told)),
        }
        let most = u128::from(octets) * u128::from(packets);
        assert!(
            sum >= octets && u128::from(sum) <= most,
            "{packets} packets of {octets} octets have {sum}"
        );
    }
}

/// Also where the padding was not captured: it is on the wire alone.
fn check_padding(packet: &Packet<'_>, verdict: Verdict) {
    // Where no length is said the padding is part of the packet.
    let bounded = |facts: Facts| facts.octets <= 0xffff;
    match verdict {
        Verdict::Flow(_, facts) if !packet.segmented && bounded(facts) => {}
        Verdict::LayerTwo(_) => {}
        _ => return,
    }
    let longer = Packet {
        wire_length: packet.wire_length.saturating_add(46),
        ..*packet
    };
    let padded = self::verdict(&longer);
    if padded == verdict {
        return;
    }
    // The one packet without a length that is no super-packet: IPv4 with a total length of 0. More
    // octets may be those of a transport header that had begun.
    let grown = match (verdict, padded) {
        (Verdict::Flow(id, before), Verdict::Flow(_, after)) if id.src_ip.is_ipv4() => {
            after.octets == before.octets + (longer.wire_length - packet.wire_length)
        }
        (Verdict::Flow(id, _), Verdict::Nothing(Reason::Truncated)) => id.src_ip.is_ipv4(),
        _ => false,
    };
    assert!(grown, "padding changes {packet:02x?}: {padded:?}");
}

/// The outermost tag, taken out of the frame as hardware does.
fn check_tag(packet: &Packet<'_>, verdict: Verdict) {
    let Some((head, rest)) = packet.octets.split_at_checked(12) else {
        return;
    };
    let ([0x81, 0x00, c0, c1, rest @ ..] | [0x88, 0xa8, c0, c1, rest @ ..]) = rest else {
        return;
    };
    if packet.link == Link::None || packet.offloaded_tag.is_some() || rest.len() < 2 {
        return;
    }
    let without = [head, rest].concat();
    let beside = self::verdict(&Packet {
        octets: &without,
        wire_length: packet.wire_length - 4,
        offloaded_tag: Some(u16::from_be_bytes([*c0, *c1])),
        ..*packet
    });
    // One less to look through may be just the one that was too much.
    if verdict != Verdict::Nothing(Reason::TooDeep) {
        assert_eq!(beside, verdict, "{packet:02x?}");
    }
}

fn length(frame: &[u8]) -> u32 {
    u32::try_from(frame.len()).unwrap_or(u32::MAX)
}
