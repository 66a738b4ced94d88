//! The host's interfaces, told by the kernel over netlink.

use super::device_kind::DeviceKind;
use super::error::Error;
use super::namespace::Namespace;
use super::speeds::{LinkSpeed, Speeds};
use futures_util::{FutureExt, StreamExt, stream};
use rtnetlink::packet_core::{
    NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use rtnetlink::packet_route::link::{
    LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage,
};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::sys::AsyncSocket as _;
use rtnetlink::{Handle, MulticastGroup};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// How often a list of the interfaces is asked for, if they change while it is made.
const LISTINGS: usize = 5;
/// Octets that the kernel may have ready for us (the system's limit may be lower). What comes and
/// goes at once, as containers do, is then still told piece by piece.
const EVENT_OCTETS: u32 = 4 * 1024 * 1024;

/// A network interface as it is now.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Interface {
    /// The kernel's index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// `ifAlias`, the operator's description; empty where there is none.
    pub alias: String,
    /// The kernel's ARPHRD number.
    pub link_type: u16,
    /// What sort of device it is.
    pub kind: DeviceKind,
    /// Administratively up.
    pub up: bool,
    /// Index of the bridge, bond or VRF that it belongs to.
    pub master: Option<u32>,
    /// Index of the interface of this namespace that it is made upon, as a VLAN is.
    pub lower: Option<u32>,
}

/// Something happened to an interface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LinkEvent {
    /// It is new, or changed: name, state, alias.
    Changed(Interface),
    /// It is gone.
    Gone {
        /// The index that it had.
        index: u32,
    },
    /// How fast it is by now; said of each interface that has a speed, and whenever something happens
    /// to it.
    Speed {
        /// The interface's index.
        index: u32,
        /// The speed.
        speed: LinkSpeed,
    },
    /// A filter or a qdisc came to a device, or went from it.
    Filters {
        /// The device's index.
        index: u32,
    },
    /// Events were lost (the socket's buffer was full): [take stock](Links::take_stock) of the
    /// interfaces. Events that come first may be older.
    Missed,
}

/// Connections to the kernel's netlink.
pub struct Links {
    handle: Handle,
    speeds: Option<Speeds>,
    events: Events,
    connection: JoinHandle<()>,
}

type Events = Pin<Box<dyn futures_util::Stream<Item = LinkEvent> + Send>>;

impl Interface {
    /// The interface named `name`, or numbered, in this network namespace.
    pub async fn find(name_or_index: &str) -> Result<Self, Error> {
        let links = Links::connect(&Namespace::Own)?;
        let found = links.list().await?;
        let index = name_or_index.parse::<u32>().ok();
        found
            .iter()
            .find(|interface| interface.name == name_or_index)
            .or_else(|| {
                found
                    .iter()
                    .find(|interface| Some(interface.index) == index)
            })
            .cloned()
            .ok_or_else(|| Error::NoInterface {
                interface: name_or_index.to_owned(),
            })
    }

    /// `None` for a message that tells of something else than the device itself: that it became a
    /// port of a bridge or is one no longer (`AF_BRIDGE`), or what its radio does. Those lack most of
    /// what is asked for here.
    fn from_message(message: &LinkMessage) -> Option<Self> {
        let whole = message
            .attributes
            .iter()
            .any(|attribute| matches!(attribute, LinkAttribute::Mtu(_)));
        if !is_of_the_device(message) || !whole {
            return None;
        }
        let mut interface = Self {
            index: message.header.index,
            link_type: message.header.link_layer_type.into(),
            up: message.header.flags.contains(LinkFlags::Up),
            ..Self::default()
        };
        let (mut word, mut has_parent, mut lower_is_elsewhere) = (None, false, false);
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => interface.name.clone_from(name),
                LinkAttribute::IfAlias(alias) => interface.alias.clone_from(alias),
                LinkAttribute::ParentDevName(_) => has_parent = true,
                LinkAttribute::Controller(index) => interface.master = Some(*index),
                LinkAttribute::Link(index) => interface.lower = Some(*index),
                LinkAttribute::LinkNetNsId(_) => lower_is_elsewhere = true,
                LinkAttribute::LinkInfo(info) => {
                    word = info.iter().find_map(|info| match info {
                        LinkInfo::Kind(kind) => Some(kind.to_string()),
                        _ => None,
                    });
                }
                _ => {}
            }
        }
        if lower_is_elsewhere {
            interface.lower = None;
        }
        let loopback = message.header.link_layer_type == LinkLayerType::Loopback;
        interface.kind = DeviceKind::new(word, has_parent, loopback);
        Some(interface)
    }
}

/// Whether a message is of a device, and not of what it is to a bridge.
fn is_of_the_device(message: &LinkMessage) -> bool {
    message.header.interface_family == AddressFamily::Unspec
}

impl Links {
    /// Connects to a namespace, subscribed to changes from here on. Needs a tokio runtime.
    pub fn connect(namespace: &Namespace) -> Result<Self, Error> {
        let (mut connection, handle, messages) = namespace
            .within(|| {
                rtnetlink::new_multicast_connection(&[MulticastGroup::Link, MulticastGroup::Tc])
            })
            .map_err(|e| Error::os("connecting to netlink", e))?;
        // Without it events get lost the sooner, and are made up for.
        let socket = connection.socket_mut().socket_mut();
        let _ = socket.set_rx_buf_sz(EVENT_OCTETS);
        let connection = tokio::spawn(connection);
        let (speeds, speed_events) = Speeds::follow(namespace)
            .inspect_err(|error| tracing::debug!(%error, "cannot ask for speeds"))
            .ok()
            .unzip();
        let asks = speeds.as_ref().map(|speeds| speeds.asks.clone());
        let events = messages.filter_map(move |(message, _)| {
            let event = event_of(message.payload);
            if let (Some(LinkEvent::Changed(interface)), Some(asks)) = (&event, &asks) {
                let _ = asks.send(interface.index);
            }
            std::future::ready(event)
        });
        let events: Events = match speed_events {
            Some(speeds) => Box::pin(stream::select(events, speeds)),
            None => Box::pin(events),
        };
        Ok(Self {
            handle,
            speeds,
            events,
            connection,
        })
    }

    /// Every interface of this network namespace.
    pub async fn list(&self) -> Result<Vec<Interface>, Error> {
        // The last one may have gaps, if interfaces come and go without a pause; what happened is
        // told as events then.
        for _ in 1..LISTINGS {
            if let (list, true) = self.dump().await? {
                return Ok(list);
            }
        }
        Ok(self.dump().await?.0)
    }

    /// Every interface, after events were missed. What waits to be told by then is older, or is in the
    /// list: it is dropped.
    pub async fn take_stock(&mut self) -> Result<Vec<Interface>, Error> {
        // The answer comes after all that the kernel had ready before.
        let _ = self.list().await?;
        while let Some(Some(_)) = self.events.next().now_or_never() {}
        // What is told from here on is without a gap.
        let list = self.list().await?;
        if let Some(speeds) = &self.speeds {
            for interface in &list {
                let _ = speeds.asks.send(interface.index);
            }
        }
        Ok(list)
    }

    /// What interfaces there are, and whether they stayed the same meanwhile.
    async fn dump(&self) -> Result<(Vec<Interface>, bool), Error> {
        let failed = |source| Error::Kernel {
            what: "listing the interfaces".to_owned(),
            source,
        };
        let mut request =
            NetlinkMessage::from(RouteNetlinkMessage::GetLink(LinkMessage::default()));
        request.header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        let mut answers = self
            .handle
            .clone()
            .request(request)
            .map_err(|e| failed(io::Error::other(e)))?;
        let (mut list, mut whole) = (Vec::new(), true);
        while let Some(answer) = answers.next().await {
            whole &= answer.header.flags & NLM_F_DUMP_INTR == 0;
            match answer.payload {
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => {
                    list.extend(Interface::from_message(&link));
                }
                NetlinkPayload::Error(error) => return Err(failed(error.to_io())),
                _ => {}
            }
        }
        Ok((list, whole))
    }

    /// The next change; `None` when netlink is closed.
    pub async fn next(&mut self) -> Option<LinkEvent> {
        self.events.next().await
    }
}

/// What a message of routing netlink says of interfaces.
fn event_of(payload: NetlinkPayload<RouteNetlinkMessage>) -> Option<LinkEvent> {
    match payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => {
            Interface::from_message(&link).map(LinkEvent::Changed)
        }
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(link)) => {
            let index = link.header.index;
            is_of_the_device(&link).then_some(LinkEvent::Gone { index })
        }
        NetlinkPayload::InnerMessage(
            RouteNetlinkMessage::NewTrafficFilter(tc)
            | RouteNetlinkMessage::DelTrafficFilter(tc)
            | RouteNetlinkMessage::NewQueueDiscipline(tc)
            | RouteNetlinkMessage::DelQueueDiscipline(tc),
        ) => {
            let index = u32::try_from(tc.header.index).ok()?;
            Some(LinkEvent::Filters { index })
        }
        NetlinkPayload::Overrun(_) => Some(LinkEvent::Missed),
        _ => None,
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// Names of interfaces by index, kept while flows that were seen there are held.
#[derive(Debug, Default, Clone)]
pub struct InterfaceNames {
    names: std::collections::HashMap<u32, Arc<str>>,
}

impl InterfaceNames {
    /// Notes a name.
    pub fn set(&mut self, index: u32, name: &str) {
        self.names.insert(index, Arc::from(name));
    }

    /// Whether the interface is known under another name.
    pub fn differs(&self, index: u32, name: &str) -> bool {
        self.names.get(&index).is_some_and(|known| **known != *name)
    }

    /// Forgets an interface.
    pub fn remove(&mut self, index: u32) {
        self.names.remove(&index);
    }

    /// Name of the interface; its number where no name is known.
    pub fn get(&self, index: u32) -> Arc<str> {
        self.names
            .get(&index)
            .cloned()
            .unwrap_or_else(|| Arc::from(index.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// `sysfs` is the judge.
    #[tokio::test]
    async fn what_has_a_device_is_physical() {
        let links = Links::connect(&Namespace::Own).unwrap();
        let list = links.list().await.unwrap();
        let loopback = list.iter().find(|interface| interface.name == "lo");
        assert_eq!(loopback.unwrap().kind.name(), "loopback");
        for interface in &list {
            let device = Path::new("/sys/class/net")
                .join(&interface.name)
                .join("device");
            assert_eq!(
                interface.kind.is_physical(),
                device.exists(),
                "{interface:?}"
            );
        }
    }

    #[test]
    fn what_a_bridge_says_of_its_ports_is_not_of_the_device() {
        let mut message = LinkMessage::default();
        message.header.index = 7;
        message.attributes = vec![LinkAttribute::IfName("eth0".to_owned())];
        // As of a radio: no more than the name.
        assert_eq!(Interface::from_message(&message), None);
        message.attributes.push(LinkAttribute::Mtu(1500));
        assert_eq!(Interface::from_message(&message).unwrap().name, "eth0");
        message.header.interface_family = AddressFamily::Bridge;
        assert_eq!(Interface::from_message(&message), None);
        let payload = |message: RouteNetlinkMessage| NetlinkPayload::InnerMessage(message);
        let left = payload(RouteNetlinkMessage::DelLink(message.clone()));
        assert_eq!(event_of(left), None);
        message.header.interface_family = AddressFamily::Unspec;
        let gone = payload(RouteNetlinkMessage::DelLink(message));
        assert_eq!(event_of(gone), Some(LinkEvent::Gone { index: 7 }));
    }
}
