//! The host's interfaces, told by the kernel over netlink.

use super::error::Error;
use futures_util::{StreamExt, TryStreamExt};
use rtnetlink::packet_core::NetlinkPayload;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use rtnetlink::{Handle, MulticastGroup};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// A network interface as it is now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Interface {
    /// The kernel's index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// `ifAlias`, the operator's description; empty where there is none.
    pub alias: String,
    /// The kernel's ARPHRD number.
    pub link_type: u16,
    /// Administratively up.
    pub up: bool,
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
    /// A filter or a qdisc came to a device, or went from it.
    Filters {
        /// The device's index.
        index: u32,
    },
    /// Events were lost (the socket's buffer was full): list the interfaces anew.
    Missed,
}

/// A connection to the kernel's routing netlink.
pub struct Links {
    handle: Handle,
    events: Pin<Box<dyn futures_util::Stream<Item = LinkEvent> + Send>>,
    connection: JoinHandle<()>,
}

impl Interface {
    /// The interface named `name`, or numbered, in this network namespace.
    pub async fn find(name_or_index: &str) -> Result<Self, Error> {
        let links = Links::connect()?;
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

    fn from_message(message: &LinkMessage) -> Self {
        let mut interface = Self {
            index: message.header.index,
            name: String::new(),
            alias: String::new(),
            link_type: message.header.link_layer_type.into(),
            up: message.header.flags.contains(LinkFlags::Up),
        };
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => interface.name.clone_from(name),
                LinkAttribute::IfAlias(alias) => interface.alias.clone_from(alias),
                _ => {}
            }
        }
        interface
    }
}

impl Links {
    /// Connects, subscribed to changes from here on. Needs a tokio runtime.
    pub fn connect() -> Result<Self, Error> {
        let (connection, handle, messages) =
            rtnetlink::new_multicast_connection(&[MulticastGroup::Link, MulticastGroup::Tc])
                .map_err(|e| Error::os("connecting to netlink", e))?;
        let connection = tokio::spawn(connection);
        let events = messages.filter_map(|(message, _)| async move {
            match message.payload {
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => {
                    Some(LinkEvent::Changed(Interface::from_message(&link)))
                }
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(link)) => {
                    Some(LinkEvent::Gone {
                        index: link.header.index,
                    })
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
        });
        Ok(Self {
            handle,
            events: Box::pin(events),
            connection,
        })
    }

    /// Every interface of this network namespace.
    pub async fn list(&self) -> Result<Vec<Interface>, Error> {
        self.handle
            .link()
            .get()
            .execute()
            .map_ok(|message| Interface::from_message(&message))
            .try_collect()
            .await
            .map_err(|e| Error::Kernel {
                what: "listing the interfaces".to_owned(),
                source: io::Error::other(e),
            })
    }

    /// The next change; `None` when netlink is closed.
    pub async fn next(&mut self) -> Option<LinkEvent> {
        self.events.next().await
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
