//! Where a collector is, which may change where it is given by name.

use crate::config::{self, Host};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// How long a socket waits to be opened anew for an answer, where there is an address already.
const PATIENCE: Duration = Duration::from_secs(1);

/// Looks a collector's host name up, at the start, after failures, and from time to time.
///
/// At most one question is under way, and nobody waits for its answer who has an address: what a
/// resolver that fails or does not answer can do is to leave things as they are.
#[derive(Debug)]
pub struct Resolver {
    name: String,
    host: Host,
    port: u16,
    source: Option<IpAddr>,
    every: Duration,
    question: Option<JoinHandle<io::Result<Vec<SocketAddr>>>>,
    asked: Option<Instant>,
    /// What the last answer said; the one in use first, if it is still among them.
    known: Vec<SocketAddr>,
    /// An answer came that the socket was not opened by.
    fresh: bool,
    /// The last answer was none.
    failing: bool,
}

impl Resolver {
    /// Knows nothing yet.
    pub fn new(config: &config::Collector) -> Self {
        Self {
            name: config.name.clone(),
            host: config.address.host.clone(),
            port: config.address.port.get(),
            source: config.source_address,
            every: config.resolve_interval,
            question: None,
            asked: None,
            known: Vec::new(),
            fresh: false,
            failing: false,
        }
    }

    /// The addresses at which the collector may be, the best first: at least one.
    pub async fn locate(&mut self) -> io::Result<Vec<SocketAddr>> {
        if let Host::Address(address) = self.host {
            return Ok(vec![SocketAddr::new(address, self.port)]);
        }
        if !std::mem::take(&mut self.fresh) {
            let (host, port, source) = (self.host.clone(), self.port, self.source);
            let question = self.question.get_or_insert_with(|| {
                self.asked = Some(Instant::now());
                tokio::spawn(async move { look_up(&host, port, source).await })
            });
            let answer = if self.known.is_empty() {
                Some(question.await)
            } else {
                tokio::time::timeout(PATIENCE, question).await.ok()
            };
            if let Some(answer) = answer {
                self.question = None;
                let answer = answer.unwrap_or_else(|e| Err(io::Error::other(e)));
                match self.learn(answer) {
                    Err(error) if self.known.is_empty() => return Err(error),
                    _ => {}
                }
            }
        }
        Ok(self.known.clone())
    }

    /// The socket is open towards this address.
    pub fn uses(&mut self, address: SocketAddr) {
        if let Some(position) = self.known.iter().position(|&known| known == address) {
            self.known.swap(0, position);
        }
        self.fresh = false;
    }

    /// Whether the collector is no longer where datagrams go. Asks the resolver now and then, and
    /// never waits for it.
    pub async fn has_moved(&mut self, from: SocketAddr) -> bool {
        if self.host.address().is_some() {
            return false;
        }
        if let Some(question) = self.question.take_if(|question| question.is_finished()) {
            // It is there: nobody waits.
            let answer = question.await.unwrap_or_else(|e| Err(io::Error::other(e)));
            if self.learn(answer).is_ok() && !self.known.contains(&from) {
                self.fresh = true;
                return true;
            }
        }
        let due = self.asked.is_none_or(|asked| asked.elapsed() >= self.every);
        if due && self.question.is_none() {
            self.asked = Some(Instant::now());
            let (host, port, source) = (self.host.clone(), self.port, self.source);
            self.question = Some(tokio::spawn(
                async move { look_up(&host, port, source).await },
            ));
        }
        false
    }

    /// Takes the answer as what is known. Of an answer that is none it says so, once.
    fn learn(&mut self, answer: io::Result<Vec<SocketAddr>>) -> io::Result<()> {
        match answer {
            Ok(mut addresses) => {
                let in_use = self.known.first();
                if let Some(position) = addresses.iter().position(|a| Some(a) == in_use) {
                    addresses.swap(0, position);
                }
                self.known = addresses;
                self.failing = false;
                Ok(())
            }
            Err(error) => {
                if let (Some(address), false) = (self.known.first(), self.failing) {
                    tracing::warn!(collector = self.name, %address, %error, "the address in use stays");
                }
                self.failing = true;
                Err(error)
            }
        }
    }
}

/// The addresses of the host that datagrams from `source` can reach; at least one.
pub async fn look_up(
    host: &Host,
    port: u16,
    source: Option<IpAddr>,
) -> io::Result<Vec<SocketAddr>> {
    let name = match host {
        Host::Address(address) => return Ok(vec![SocketAddr::new(*address, port)]),
        Host::Name(name) => name,
    };
    let found = tokio::net::lookup_host((name.as_str(), port))
        .await
        .map_err(|e| super::in_words(&e, &format!("cannot resolve {name}")))?;
    let addresses: Vec<_> = found
        .filter(|address| source.is_none_or(|source| source.is_ipv4() == address.is_ipv4()))
        .collect();
    if addresses.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            match source {
                Some(source) => {
                    format!("{name} has no address that source-address {source} can reach")
                }
                None => format!("{name} has no address"),
            },
        ));
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Endpoint, Protocol};
    use std::num::NonZeroU16;

    fn resolver() -> Resolver {
        let endpoint = Endpoint {
            host: Host::Name("collector.example".to_owned()),
            port: NonZeroU16::new(4739).unwrap(),
        };
        let config = config::Collector::new("noc".to_owned(), endpoint, Protocol::Ipfix);
        Resolver::new(&config)
    }

    fn addresses(last: &[u8]) -> Vec<SocketAddr> {
        let address = |&last| SocketAddr::from(([192, 0, 2, last], 4739));
        last.iter().map(address).collect()
    }

    #[test]
    fn the_address_in_use_stays_as_long_as_it_is_among_the_answers() {
        let mut resolver = resolver();
        resolver.learn(Ok(addresses(&[1, 2]))).unwrap();
        resolver.uses(addresses(&[2])[0]);
        assert_eq!(resolver.known, addresses(&[2, 1]));
        // They come in any order: some servers change it each time.
        resolver.learn(Ok(addresses(&[1, 3, 2]))).unwrap();
        assert_eq!(resolver.known, addresses(&[2, 3, 1]));
        resolver.learn(Ok(addresses(&[1, 3]))).unwrap();
        assert_eq!(resolver.known, addresses(&[1, 3]));
    }

    #[test]
    fn an_answer_that_is_none_changes_nothing() {
        let mut resolver = resolver();
        let none = || Err(io::Error::other("no server answers"));
        assert!(resolver.learn(none()).is_err());
        resolver.learn(Ok(addresses(&[1]))).unwrap();
        assert!(resolver.learn(none()).is_err());
        assert_eq!(resolver.known, addresses(&[1]));
    }

    #[tokio::test]
    async fn a_resolver_that_does_not_answer_is_not_waited_for_and_not_asked_twice() {
        let mut resolver = resolver();
        resolver.learn(Ok(addresses(&[1]))).unwrap();
        let (_never, answer) = tokio::sync::oneshot::channel::<()>();
        resolver.question = Some(tokio::spawn(async move {
            let _ = answer.await;
            Ok(addresses(&[9]))
        }));
        let peer = addresses(&[1])[0];
        for _ in 0..3 {
            assert!(!resolver.has_moved(peer).await);
        }
        let began = Instant::now();
        assert_eq!(resolver.locate().await.unwrap(), addresses(&[1]));
        assert!(began.elapsed() < 5 * PATIENCE);
        assert!(resolver.question.is_some());
    }

    #[tokio::test]
    async fn a_new_address_is_moved_to_once() {
        let mut resolver = resolver();
        resolver.learn(Ok(addresses(&[1]))).unwrap();
        resolver.asked = Some(Instant::now());
        resolver.question = Some(tokio::spawn(async { Ok(addresses(&[2])) }));
        tokio::task::yield_now().await;
        assert!(resolver.has_moved(addresses(&[1])[0]).await);
        // No other question for that.
        assert_eq!(resolver.locate().await.unwrap(), addresses(&[2]));
        resolver.uses(addresses(&[2])[0]);
        assert!(!resolver.has_moved(addresses(&[2])[0]).await);
        assert!(resolver.question.is_none());
    }
}
