//! Addresses as they stand in a flow key.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IP address in 16 octets, network byte order; IPv4 is held IPv4-mapped (`::ffff:a.b.c.d`,
/// RFC 4291 section 2.5.5.2).
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct IpAddress(pub [u8; 16]);

/// A 48-bit MAC address in transmission order. All zero where the link has none.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct MacAddress(pub [u8; 6]);

/// The twelve octets that stand before an IPv4 address in its IPv4-mapped form.
pub const IPV4_MAPPED_PREFIX: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

impl IpAddress {
    /// The IPv4 address of four octets in network byte order.
    #[inline(always)]
    pub const fn from_v4_octets(v4: [u8; 4]) -> Self {
        Self([
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, v4[0], v4[1], v4[2], v4[3],
        ])
    }

    /// Whether this is an IPv4 address (IPv4-mapped).
    pub fn is_ipv4(&self) -> bool {
        self.0[..12] == IPV4_MAPPED_PREFIX
    }

    /// The address in std's type, IPv4 where it is IPv4-mapped.
    pub fn ip(&self) -> IpAddr {
        match self.ipv4() {
            Some(v4) => IpAddr::V4(v4),
            None => IpAddr::V6(Ipv6Addr::from(self.0)),
        }
    }

    /// The IPv4 address, if it is one.
    pub fn ipv4(&self) -> Option<Ipv4Addr> {
        self.is_ipv4()
            .then(|| Ipv4Addr::new(self.0[12], self.0[13], self.0[14], self.0[15]))
    }

    /// The last four octets as a number in host order: the integer value of an IPv4 address.
    /// Meaningful only where [`is_ipv4`](Self::is_ipv4).
    pub fn int_encode_v4(&self) -> u32 {
        u32::from_be_bytes([self.0[12], self.0[13], self.0[14], self.0[15]])
    }
}

impl From<IpAddr> for IpAddress {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Self::from_v4_octets(v4.octets()),
            IpAddr::V6(v6) => Self(v6.octets()),
        }
    }
}

/// A text that is not a MAC address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MacAddressError;

impl fmt::Display for MacAddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected six hexadecimal pairs with colons between, such as 02:00:5e:10:00:01")
    }
}

impl core::error::Error for MacAddressError {}

impl core::str::FromStr for MacAddress {
    type Err = MacAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut octets = [0; 6];
        let mut pairs = text.split(':');
        for octet in &mut octets {
            let pair = pairs.next().ok_or(MacAddressError)?;
            if pair.len() != 2 || !pair.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(MacAddressError);
            }
            *octet = u8::from_str_radix(pair, 16).map_err(|_| MacAddressError)?;
        }
        pairs
            .next()
            .is_none()
            .then_some(Self(octets))
            .ok_or(MacAddressError)
    }
}

impl fmt::Display for IpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.ip(), f)
    }
}

impl fmt::Debug for IpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for MacAddress {
    /// Six lower-case hexadecimal pairs, colons between.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, octet) in self.0.iter().enumerate() {
            let colon = if at == 0 { "" } else { ":" };
            write!(f, "{colon}{octet:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// In JSON both kinds of address are strings in their usual notation.
#[cfg(feature = "serde")]
mod json {
    use super::{IpAddress, MacAddress, MacAddressError};
    use core::fmt;
    use core::net::IpAddr;
    use serde::de::{self, Deserialize, Deserializer, Visitor};
    use serde::{Serialize, Serializer};

    impl Serialize for IpAddress {
        fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
            s.collect_str(self)
        }
    }

    impl<'de> Deserialize<'de> for IpAddress {
        fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
            IpAddr::deserialize(d).map(Self::from)
        }
    }

    impl Serialize for MacAddress {
        fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
            s.collect_str(self)
        }
    }

    impl<'de> Deserialize<'de> for MacAddress {
        fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
            struct Text;

            impl Visitor<'_> for Text {
                type Value = MacAddress;

                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("a MAC address")
                }

                fn visit_str<E: de::Error>(self, text: &str) -> Result<MacAddress, E> {
                    text.parse()
                        .map_err(|error: MacAddressError| E::custom(error))
                }
            }

            d.deserialize_str(Text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_address_is_held_mapped_and_shown_dotted() {
        let ip = IpAddress::from(IpAddr::from([192, 0, 2, 1]));
        assert_eq!(ip.0[..12], IPV4_MAPPED_PREFIX);
        assert_eq!(ip.int_encode_v4(), 0xc000_0201);
        assert_eq!(ip.to_string(), "192.0.2.1");
        assert_eq!(ip.ip(), IpAddr::from([192, 0, 2, 1]));
    }

    #[test]
    fn an_ipv6_address_is_shown_compressed() {
        let ip = IpAddress::from("2001:db8::1".parse::<IpAddr>().unwrap());
        assert!(!ip.is_ipv4());
        assert_eq!(ip.to_string(), "2001:db8::1");
        assert_eq!(ip.ipv4(), None);
    }

    #[test]
    fn a_mac_address_is_shown_in_pairs() {
        assert_eq!(
            MacAddress([0, 1, 0xab, 3, 4, 0xff]).to_string(),
            "00:01:ab:03:04:ff"
        );
    }

    #[test]
    fn a_mac_address_is_read_back_and_nothing_else_is() {
        let mac = MacAddress([0, 1, 0xab, 3, 4, 0xff]);
        assert_eq!(mac.to_string().parse(), Ok(mac));
        for wrong in [
            "",
            "00:01:ab:03:04",
            "00:01:ab:03:04:ff:00",
            "0:01:ab:03:04:fff",
            "+0:01:ab:03:04:ff",
        ] {
            assert_eq!(wrong.parse::<MacAddress>(), Err(MacAddressError), "{wrong}");
        }
    }
}
