//! When a flow ends, apart from how flows are stored.

use std::num::NonZeroU32;
use std::time::Duration;

use ebpfix_probes::abi::{FlowId, FlowMetrics};
use serde::{Deserialize, Serialize};

use crate::record::FlowEndReason;

/// What the flow cache does when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policy {
    /// A record ends when its first packet is this old, and the flow goes on in a new one.
    pub active_timeout: Duration,
    /// A flow ends when its last packet is this old.
    pub idle_timeout: Duration,
    /// A TCP flow in which a FIN or RST was seen ends when its last packet is this old, so that the
    /// closing acknowledgements do not become a flow of their own. At most the idle timeout.
    pub end_of_flow_linger: Duration,
    /// Flows held at most. A new flow that finds the cache full ends the one whose last packet is
    /// the oldest.
    pub max_flows: NonZeroU32,
    /// What becomes of a flow that is seen more than once.
    pub duplicates: DuplicatesMode,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            active_timeout: Duration::from_mins(1),
            idle_timeout: Duration::from_secs(15),
            end_of_flow_linger: Duration::from_secs(1),
            max_flows: NonZeroU32::MIN.saturating_add(131_071),
            duplicates: DuplicatesMode::Mark,
        }
    }
}

/// What becomes of a flow that is seen on several interfaces, directions or VLANs of this host, such
/// as a packet that enters a router here and leaves it there.
///
/// The same addresses, ports, protocol and `ethernetType` are the same flow. The first (interface,
/// direction, VLANs) to see it owns it while it lives there; all others see duplicates. When the
/// owner's flow ends, a view that lives on takes over within the idle timeout: its record is cut
/// there. Layer-2 flows are never duplicates.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DuplicatesMode {
    /// Duplicates are exported and say that they are.
    #[default]
    Mark,
    /// Duplicates are lost, as [`LossReason::Duplicate`](crate::ledger::LossReason::Duplicate).
    Drop,
    /// Nobody looks for duplicates.
    Keep,
}

/// TCP FIN in `tcpControlBits`.
const FIN: u16 = 0x001;
/// TCP RST in `tcpControlBits`.
const RST: u16 = 0x004;
/// `protocolIdentifier` of TCP.
const TCP: u8 = 6;

/// The policy's timeouts in nanoseconds of the boot clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    active: u64,
    idle: u64,
    closing: u64,
}

impl From<&Policy> for Timeouts {
    fn from(policy: &Policy) -> Self {
        let nanos = |timeout: Duration| u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        let idle = nanos(policy.idle_timeout);
        Self {
            active: nanos(policy.active_timeout),
            idle,
            closing: nanos(policy.end_of_flow_linger).min(idle),
        }
    }
}

impl Timeouts {
    /// The first moment at which the flow has ended if no further packet comes, and why it then has.
    ///
    /// A flow without a record in progress (its counts are empty) only waits for its idle timeout.
    #[inline]
    pub(super) fn deadline(&self, id: &FlowId, metrics: &FlowMetrics) -> (u64, FlowEndReason) {
        let last = metrics.end_mono_time_ns;
        if metrics.is_empty() {
            return (last.saturating_add(self.idle), FlowEndReason::IdleTimeout);
        }
        let quiet = if id.transport_protocol == TCP && metrics.flags & (FIN | RST) != 0 {
            (last.saturating_add(self.closing), FlowEndReason::EndOfFlow)
        } else {
            (last.saturating_add(self.idle), FlowEndReason::IdleTimeout)
        };
        let active = metrics.start_mono_time_ns.saturating_add(self.active);
        if active < quiet.0 {
            (active, FlowEndReason::ActiveTimeout)
        } else {
            quiet
        }
    }
}
