//! Speeds of interfaces, told by the kernel over ethtool's netlink (Linux 5.6): when they are asked
//! for, and when somebody sets another.
#![forbid(unsafe_code)]

use super::links::LinkEvent;
use super::namespace::Namespace;
use futures_util::{Stream, StreamExt, stream};
use rtnetlink::packet_core::{
    DecodeError, DefaultNla, Emitable, NLA_F_NESTED, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST,
    NetlinkDeserializable, NetlinkHeader, NetlinkMessage, NetlinkPayload, NetlinkSerializable,
    NlasIterator, parse_string, parse_u8, parse_u16, parse_u32,
};
use rtnetlink::proto::{Connection, ConnectionHandle};
use rtnetlink::sys::{AsyncSocket as _, SocketAddr};
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::io;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

/// How fast an interface is, as its driver says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LinkSpeed {
    /// In each direction; `None` where the driver does not know, as while there is no carrier.
    pub bits_per_second: Option<u64>,
    /// Whether both ends may send at once; `None` where the driver does not know.
    pub full_duplex: Option<bool>,
}

/// Asks for speeds, and listens.
pub(super) struct Speeds {
    /// Interfaces whose speed is to be told.
    pub asks: UnboundedSender<u32>,
    task: JoinHandle<()>,
}

impl Drop for Speeds {
    fn drop(&mut self) {
        self.task.abort();
    }
}

const NETLINK_GENERIC: isize = 16;
/// How long an answer may take: it may get lost where much else is told.
const PATIENCE: Duration = Duration::from_secs(2);
/// From so many on, all are asked for at once.
const MANY: usize = 8;

impl Speeds {
    /// Begins with the speeds of all interfaces of a namespace. Where the kernel tells of none, nothing
    /// comes.
    pub fn follow(
        namespace: &Namespace,
    ) -> io::Result<(Self, impl Stream<Item = LinkEvent> + Send + use<>)> {
        let (connection, handle, messages) =
            namespace.within(|| rtnetlink::proto::new_connection(NETLINK_GENERIC))?;
        let (asks, asked) = unbounded_channel();
        let (events, mut told) = unbounded_channel();
        let task = tokio::spawn(async move {
            if let Err(error) = tell(connection, handle, messages, asked, &events).await {
                tracing::debug!(%error, "the speeds of interfaces are not known");
            }
            // Until nobody listens any more: there is nothing to say, but the stream does not end.
            events.closed().await;
        });
        let told = stream::poll_fn(move |context| told.poll_recv(context));
        Ok((Self { asks, task }, told))
    }
}

async fn tell(
    mut connection: Connection<Generic>,
    handle: ConnectionHandle<Generic>,
    mut messages: impl Stream<Item = (NetlinkMessage<Generic>, SocketAddr)> + Unpin,
    mut asked: UnboundedReceiver<u32>,
    events: &UnboundedSender<LinkEvent>,
) -> io::Result<()> {
    let ethtool = tokio::select! {
        found = Ethtool::find(handle) => found?,
        () = &mut connection => return Err(io::ErrorKind::ConnectionReset.into()),
    };
    let socket = connection.socket_mut().socket_mut();
    socket.add_membership(ethtool.monitor)?;
    let connection = Ending(tokio::spawn(connection));
    let send = |index: u32, speed: LinkSpeed| {
        let _ = events.send(LinkEvent::Speed { index, speed });
    };
    for (index, speed) in ethtool.speeds(None).await? {
        send(index, speed);
    }
    while !connection.0.is_finished() {
        tokio::select! {
            index = asked.recv() => {
                let Some(index) = index else {
                    break;
                };
                let mut wanted = BTreeSet::from([index]);
                while let Ok(index) = asked.try_recv() {
                    wanted.insert(index);
                }
                if wanted.len() >= MANY {
                    for (index, speed) in ethtool.speeds(None).await.unwrap_or_default() {
                        wanted.remove(&index);
                        send(index, speed);
                    }
                } else {
                    for index in std::mem::take(&mut wanted) {
                        // One that has no speed answers with an error.
                        let speeds = ethtool.speeds(Some(index)).await.unwrap_or_default();
                        let speed = speeds.first().map(|(_, speed)| *speed);
                        send(index, speed.unwrap_or_default());
                    }
                }
                for index in wanted {
                    send(index, LinkSpeed::default());
                }
            }
            message = messages.next() => match message.map(|(message, _)| message.payload) {
                Some(NetlinkPayload::InnerMessage(told)) if told.command == LINKMODES_NTF => {
                    if let Ok((index, speed)) = told.speed() {
                        send(index, speed);
                    }
                }
                Some(NetlinkPayload::Overrun(_)) => {
                    for (index, speed) in ethtool.speeds(None).await.unwrap_or_default() {
                        send(index, speed);
                    }
                }
                Some(_) => {}
                None => break,
            },
        }
    }
    Ok(())
}

/// A task that ends with this.
struct Ending(JoinHandle<()>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

// linux/genetlink.h
const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const CTRL_ATTR_MCAST_GROUPS: u16 = 7;
const CTRL_ATTR_MCAST_GRP_NAME: u16 = 1;
const CTRL_ATTR_MCAST_GRP_ID: u16 = 2;
// linux/ethtool_netlink.h
const LINKMODES_GET: u8 = 4;
const LINKMODES_NTF: u8 = 5;
const LINKMODES_HEADER: u16 = 1;
const LINKMODES_SPEED: u16 = 5;
const LINKMODES_DUPLEX: u16 = 6;
const HEADER_DEV_INDEX: u16 = 1;
const HEADER_FLAGS: u16 = 3;
const COMPACT_BITSETS: u32 = 1;
const SPEED_UNKNOWN: u32 = u32::MAX;

/// The kernel's ethtool family.
struct Ethtool {
    handle: ConnectionHandle<Generic>,
    family: u16,
    /// The group that is told of changes.
    monitor: u32,
}

impl Ethtool {
    async fn find(handle: ConnectionHandle<Generic>) -> io::Result<Self> {
        let name = DefaultNla::new(CTRL_ATTR_FAMILY_NAME, b"ethtool\0".to_vec());
        let question = Generic::new(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, &[name]);
        let answers = ask(&handle, question, 0).await?;
        let found = answers.first().and_then(|answer| answer.family().ok());
        let Some((family, Some(monitor))) = found else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        Ok(Self {
            handle,
            family,
            monitor,
        })
    }

    /// The speed of one interface, or of all that have one.
    async fn speeds(&self, index: Option<u32>) -> io::Result<Vec<(u32, LinkSpeed)>> {
        let word = |kind, value: u32| DefaultNla::new(kind, value.to_ne_bytes().to_vec());
        let mut header = vec![word(HEADER_FLAGS, COMPACT_BITSETS)];
        header.extend(index.map(|index| word(HEADER_DEV_INDEX, index)));
        let header = DefaultNla::new(LINKMODES_HEADER | NLA_F_NESTED, octets(&header));
        let question = Generic::new(self.family, LINKMODES_GET, &[header]);
        let all = if index.is_none() { NLM_F_DUMP } else { 0 };
        let answers = ask(&self.handle, question, all).await?;
        Ok(answers
            .iter()
            .filter_map(|told| told.speed().ok())
            .collect())
    }
}

async fn ask(
    handle: &ConnectionHandle<Generic>,
    question: Generic,
    flags: u16,
) -> io::Result<Vec<Generic>> {
    let mut message = NetlinkMessage::from(question);
    // With an acknowledgement, as the kernel does not mark these dumps as such.
    message.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    let mut answers = handle
        .request(message, SocketAddr::new(0, 0))
        .map_err(io::Error::other)?;
    let gather = async {
        let mut gathered = Vec::new();
        while let Some(answer) = answers.next().await {
            match answer.payload {
                NetlinkPayload::InnerMessage(answer) => gathered.push(answer),
                NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                _ => {}
            }
        }
        Ok(gathered)
    };
    tokio::time::timeout(PATIENCE, gather).await?
}

/// A message of generic netlink.
#[derive(Debug)]
struct Generic {
    family: u16,
    command: u8,
    attributes: Vec<u8>,
}

impl Generic {
    /// `genlmsghdr`: command, version, two octets that are reserved.
    const HEADER: usize = 4;
    const VERSION: u8 = 1;

    fn new(family: u16, command: u8, attributes: &[DefaultNla]) -> Self {
        Self {
            family,
            command,
            attributes: octets(attributes),
        }
    }

    /// Number of the family that is described, and of its group of listeners.
    fn family(&self) -> Result<(u16, Option<u32>), DecodeError> {
        let (mut family, mut monitor) = (0, None);
        for attribute in NlasIterator::new(self.attributes.as_slice()) {
            let attribute = attribute?;
            match attribute.kind() {
                CTRL_ATTR_FAMILY_ID => family = parse_u16(attribute.value())?,
                CTRL_ATTR_MCAST_GROUPS => {
                    for group in NlasIterator::new(attribute.value()) {
                        let (mut name, mut id) = (String::new(), None);
                        for part in NlasIterator::new(group?.value()) {
                            let part = part?;
                            match part.kind() {
                                CTRL_ATTR_MCAST_GRP_NAME => name = parse_string(part.value())?,
                                CTRL_ATTR_MCAST_GRP_ID => id = Some(parse_u32(part.value())?),
                                _ => {}
                            }
                        }
                        if name == "monitor" {
                            monitor = id;
                        }
                    }
                }
                _ => {}
            }
        }
        Ok((family, monitor))
    }

    /// Index and speed of the interface that is told of.
    fn speed(&self) -> Result<(u32, LinkSpeed), DecodeError> {
        let (mut index, mut speed) = (None, LinkSpeed::default());
        for attribute in NlasIterator::new(self.attributes.as_slice()) {
            let attribute = attribute?;
            match attribute.kind() {
                LINKMODES_HEADER => {
                    for part in NlasIterator::new(attribute.value()) {
                        let part = part?;
                        if part.kind() == HEADER_DEV_INDEX {
                            index = Some(parse_u32(part.value())?);
                        }
                    }
                }
                LINKMODES_SPEED => {
                    let megabits = parse_u32(attribute.value())?;
                    speed.bits_per_second = (megabits != 0 && megabits != SPEED_UNKNOWN)
                        .then(|| u64::from(megabits) * 1_000_000);
                }
                LINKMODES_DUPLEX => {
                    speed.full_duplex = match parse_u8(attribute.value())? {
                        0 => Some(false),
                        1 => Some(true),
                        _ => None,
                    };
                }
                _ => {}
            }
        }
        let index = index.ok_or_else(|| DecodeError::from("no interface is told of"))?;
        Ok((index, speed))
    }
}

fn octets(attributes: &[DefaultNla]) -> Vec<u8> {
    let mut octets = vec![0; attributes.buffer_len()];
    attributes.emit(&mut octets);
    octets
}

impl NetlinkSerializable for Generic {
    fn message_type(&self) -> u16 {
        self.family
    }

    fn buffer_len(&self) -> usize {
        Self::HEADER + self.attributes.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        let (header, attributes) = buffer.split_at_mut(Self::HEADER);
        header.copy_from_slice(&[self.command, Self::VERSION, 0, 0]);
        attributes.copy_from_slice(&self.attributes);
    }
}

impl NetlinkDeserializable for Generic {
    type Error = Infallible;

    /// What is too short is a message without a meaning.
    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, Infallible> {
        Ok(Self {
            family: header.message_type,
            command: payload.first().copied().unwrap_or(0),
            attributes: payload.get(Self::HEADER..).unwrap_or(&[]).to_vec(),
        })
    }
}

impl From<Generic> for NetlinkPayload<Generic> {
    fn from(message: Generic) -> Self {
        Self::InnerMessage(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(megabits: u32, duplex: u8) -> Generic {
        let word = |kind, value: u32| DefaultNla::new(kind, value.to_ne_bytes().to_vec());
        let header = octets(&[
            word(HEADER_DEV_INDEX, 7),
            DefaultNla::new(2, b"eth0\0".to_vec()),
        ]);
        Generic::new(
            20,
            LINKMODES_NTF,
            &[
                DefaultNla::new(LINKMODES_HEADER | NLA_F_NESTED, header),
                DefaultNla::new(2, vec![1]),
                word(LINKMODES_SPEED, megabits),
                DefaultNla::new(LINKMODES_DUPLEX, vec![duplex]),
            ],
        )
    }

    #[test]
    fn a_speed_is_what_the_driver_knows() {
        for (megabits, duplex, bits_per_second, full_duplex) in [
            (10, 0, Some(10_000_000), Some(false)),
            (400_000, 1, Some(400_000_000_000), Some(true)),
            (SPEED_UNKNOWN, 0xff, None, None),
            (0, 1, None, Some(true)),
        ] {
            let speed = LinkSpeed {
                bits_per_second,
                full_duplex,
            };
            assert_eq!(told(megabits, duplex).speed().unwrap(), (7, speed));
        }
    }

    #[test]
    fn what_is_cut_off_is_an_error_or_tells_less() {
        let whole = told(1000, 1).attributes;
        for length in 0..whole.len() {
            let cut = Generic {
                attributes: whole[..length].to_vec(),
                ..told(1000, 1)
            };
            if let Ok((index, speed)) = cut.speed() {
                assert_eq!(index, 7);
                assert!(speed == LinkSpeed::default() || speed.bits_per_second.is_some());
            }
        }
    }
}
