//! IPFIX by TLS: who is believed, who is not and what is said then, and that nothing goes in clear.

mod export_common;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use ebpfix::config::{self, Config, TlsFiles, Transport};
use ebpfix::export::{CollectorStatus, ConnectionStatus};
use export_common::pki::{Authority, Folder, Identity, server};
use export_common::streams::{Heard, Peer, Secure};
use export_common::*;
use ipfix::Protocol;
use rustls::ServerConfig;

fn by_tls(address: SocketAddr, ca: &Authority, identity: Option<&Identity>) -> config::Collector {
    config::Collector {
        transport: Transport::Tls,
        tls: TlsFiles {
            ca: Some(ca.file.clone()),
            certificate: identity.map(|identity| identity.certificate.clone()),
            key: identity.map(|identity| identity.key.clone()),
            server_name: None,
        },
        ..collector_at(address, Protocol::Ipfix)
    }
}

fn connection(status: &CollectorStatus) -> &ConnectionStatus {
    status.connection.as_ref().unwrap()
}

/// Everything that both sides need, all of it good.
struct Pki {
    folder: Folder,
    authority: Authority,
    collector: Identity,
    exporter: Identity,
}

impl Pki {
    fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        let authority = Authority::new(&folder, "authority");
        Self {
            collector: authority.sign(&folder, "collector", &["127.0.0.1", "collector.example"]),
            exporter: authority.sign(&folder, "exporter", &["router.example"]),
            authority,
            folder,
        }
    }

    fn mutual(&self) -> Arc<ServerConfig> {
        server(&self.collector, Some(&self.authority))
    }
}

#[test]
fn both_sides_know_each_other_and_all_arrives_sealed() {
    let pki = Pki::new("tls-mutual");
    let peer = Peer::new();
    let config = by_tls(peer.address(), &pki.authority, Some(&pki.exporter));
    let exporter = Exporter::start(&[config]);
    let sent = records(20_000);
    exporter.send(sent.clone());
    let reader = thread::spawn({
        let (socket, config) = (peer.accept(), pki.mutual());
        move || Secure::agree(&config, socket).unwrap().read_all()
    });
    eventually(|| (exporter.status()[0].held_records == 0).then_some(()));
    let status = exporter.status().remove(0);
    let tls = connection(&status).tls.clone().unwrap();
    assert_eq!(
        (tls.version.as_str(), tls.server_name.as_str()),
        ("TLSv1.3", "127.0.0.1")
    );
    assert!(tls.cipher.starts_with("TLS_"), "{tls:?}");
    // 2060-01-01.
    assert_eq!(tls.certificate_expires_ms, Some(2_840_140_800_000));
    let (status, snapshot) = exporter.finish();
    let octets = reader.join().unwrap();
    let heard = Heard::of(&octets);
    heard.assert_new_session();
    assert_eq!(heard.distinct().len(), 20_000);
    assert_eq!(status[0].octets, octets.len() as u64);
    assert!(status[0].unacknowledged.is_zero());
    assert_eq!(status[0].exported, total(&sent));
    assert!(snapshot.is_balanced() && snapshot.held().is_zero());
}

#[test]
fn the_older_version_will_do_and_a_name_of_ones_own() {
    let pki = Pki::new("tls-older");
    let peer = Peer::new();
    let mut config = by_tls(peer.address(), &pki.authority, Some(&pki.exporter));
    config.tls.server_name = Some("collector.example".to_owned());
    let exporter = Exporter::start(&[config]);
    exporter.send(records(100));
    let reader = thread::spawn({
        let socket = peer.accept();
        let mut config = (*pki.mutual()).clone();
        config.send_tls13_tickets = 0;
        move || Secure::agree(&Arc::new(config), socket).unwrap().read_all()
    });
    // One that sends no tickets is believed after a moment.
    eventually(|| (exporter.status()[0].records == 100).then_some(()));
    let status = exporter.status().remove(0);
    let tls = connection(&status).tls.clone().unwrap();
    assert_eq!(tls.server_name, "collector.example");
    drop(exporter.finish());
    assert_eq!(Heard::of(&reader.join().unwrap()).distinct().len(), 100);
}

/// What the exporter says of a collector that behaves like this, and what the collector got.
fn said(
    config: impl Fn(SocketAddr) -> config::Collector,
    collector: impl FnOnce(TcpStream) -> Vec<u8> + Send + 'static,
) -> (String, Vec<u8>) {
    let peer = Peer::new();
    let exporter = Exporter::start(&[config(peer.address())]);
    exporter.send(records(100));
    let socket = peer.accept();
    let reader = thread::spawn(move || collector(socket));
    let status = eventually(|| {
        let status = exporter.status().remove(0);
        (status.errors > 0).then_some(status)
    });
    assert_eq!(
        (connection(&status).failures.tls, connection(&status).made),
        (1, 0)
    );
    assert_eq!((status.records, status.well), (0, false), "{status:?}");
    drop(peer);
    drop(exporter.finish());
    let error = status.last_error.unwrap();
    let (_, error) = error.split_once(": ").unwrap();
    (error.to_owned(), reader.join().unwrap())
}

/// Takes part in TLS as far as that goes; the octets that came in records.
fn try_to_agree(config: Arc<ServerConfig>) -> impl FnOnce(TcpStream) -> Vec<u8> {
    move |socket| match Secure::agree(&config, socket) {
        Ok(agreed) => agreed.read_what_comes(),
        Err(_) => Vec::new(),
    }
}

#[test]
fn who_is_not_believed_gets_no_record_and_the_reason_is_told() {
    let pki = Pki::new("tls-refused");
    let other = Authority::new(&pki.folder, "other");
    let expired = pki
        .authority
        .sign_until(&pki.folder, "expired", &["127.0.0.1"], 2024);
    let elsewhere = pki
        .authority
        .sign(&pki.folder, "elsewhere", &["elsewhere.example"]);
    let stranger = other.sign(&pki.folder, "stranger", &["router.example"]);
    let own = Some(&pki.exporter);
    let with = |ca: &Authority, own: Option<&Identity>| {
        let (ca_file, own) = (ca.file.clone(), own.cloned());
        move |address| {
            let mut config = collector_at(address, Protocol::Ipfix);
            config.transport = Transport::Tls;
            config.tls.ca = Some(ca_file.clone());
            config.tls.certificate = own.as_ref().map(|own| own.certificate.clone());
            config.tls.key = own.as_ref().map(|own| own.key.clone());
            config
        }
    };
    let authority = Some(&pki.authority);
    for (name, config, collector, expected) in [
        (
            "wrong ca",
            with(&other, own),
            pki.mutual(),
            "the other side's certificate: unknown issuer, which is not among those of ca",
        ),
        (
            "expired",
            with(&pki.authority, own),
            server(&expired, authority),
            "the other side's certificate: it has expired",
        ),
        (
            "wrong name",
            with(&pki.authority, own),
            server(&elsewhere, authority),
            "the other side's certificate: it is not for 127.0.0.1, but for DnsName(\"elsewhere.example\")",
        ),
        (
            "no certificate",
            with(&pki.authority, None),
            pki.mutual(),
            "the other side refuses: it wants a certificate (certificate, key)",
        ),
        (
            "a certificate of another authority",
            with(&pki.authority, Some(&stranger)),
            pki.mutual(),
            "the other side refuses: it does not know the issuer of our certificate",
        ),
    ] {
        let (error, got) = said(config, try_to_agree(collector));
        assert_eq!(error, expected, "{name}");
        assert!(got.is_empty(), "{name}: {} octets", got.len());
    }
}

#[test]
fn who_speaks_no_tls_gets_no_record() {
    let pki = Pki::new("tls-garbage");
    let config = |address| by_tls(address, &pki.authority, Some(&pki.exporter));
    let answering = |answer: &'static [u8]| {
        move |mut socket: TcpStream| {
            socket.write_all(answer).unwrap();
            let mut got = Vec::new();
            let _ = socket.read_to_end(&mut got);
            got
        }
    };
    for (answer, expected) in [
        (
            &b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"[..],
            "the other side does not speak TLS",
        ),
        (&[0; 9000], "the other side does not speak TLS"),
    ] {
        let (error, got) = said(config, answering(answer));
        assert_eq!(error, expected);
        // Records of a handshake, and an alert (RFC 8446 section 5.1).
        let mut rest = &got[..];
        while let [kind, 3, _, high, low, after @ ..] = rest {
            assert!(matches!(kind, 21 | 22), "{kind}");
            rest = &after[usize::from(u16::from_be_bytes([*high, *low]))..];
        }
        assert!(rest.is_empty() && got[0] == 22 && got.len() < 2000);
    }
}

#[test]
fn a_renewed_certificate_is_used_for_the_next_connection() {
    let pki = Pki::new("tls-renewed");
    let peer = Peer::new();
    let config = by_tls(peer.address(), &pki.authority, Some(&pki.exporter));
    let exporter = Exporter::start(&[config]);
    let first = Secure::agree(&pki.mutual(), peer.accept()).unwrap();
    let expires = || {
        connection(&exporter.status()[0])
            .tls
            .as_ref()?
            .certificate_expires_ms
    };
    assert_eq!(eventually(expires), 2_840_140_800_000);
    // Under the same names: 2050-01-01.
    pki.authority
        .sign_until(&pki.folder, "exporter", &["router.example"], 2050);
    drop(first);
    let socket = peer.accept();
    let reader = thread::spawn({
        let config = pki.mutual();
        move || Secure::agree(&config, socket).unwrap().read_all()
    });
    eventually(|| (expires() == Some(2_524_608_000_000)).then_some(()));
    drop(exporter.finish());
    assert!(Heard::of(&reader.join().unwrap()).records.is_empty());
}

#[test]
fn files_are_looked_at_with_the_configuration() {
    let pki = Pki::new("tls-files");
    let folder = &pki.folder;
    let old = pki.authority.sign_until(folder, "old", &[], 2024);
    let name = |path: &PathBuf| path.display().to_string();
    let (ca, certificate) = (name(&pki.authority.file), name(&pki.exporter.certificate));
    let key = name(&pki.exporter.key);
    let open = folder.write("open.key", &std::fs::read_to_string(&key).unwrap());
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(&open, mode).unwrap();
    let empty = name(&folder.write("empty.pem", "no PEM here\n"));
    let damaged = name(&folder.write(
        "damaged.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ));
    let secret = name(&folder.write(
        "secret.key",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    ));
    let missing = name(&folder.path().join("missing.pem"));
    let load = |ca: &str, certificate: &str, key: &str| {
        let path = folder.write(
            "ebpfix.toml",
            &format!(
                "[[collector]]\naddress = \"192.0.2.1\"\ntransport = \"tls\"\nca = \"{ca}\"\n\
                 certificate = \"{certificate}\"\nkey = \"{key}\"\n"
            ),
        );
        let text = |text: String| text.replace(&format!("{}/", folder.path().display()), "");
        match Config::load(&path) {
            Ok(loaded) => loaded
                .warnings
                .iter()
                .map(|w| text(w.to_string()))
                .collect(),
            Err(errors) => errors
                .0
                .iter()
                .map(|e| text(e.to_string()))
                .collect::<Vec<_>>(),
        }
    };
    assert_eq!(load(&ca, &certificate, &key), [""; 0]);
    for (files, expected) in [
        (
            [&missing, &missing, &missing],
            vec![
                "4:6: collector.ca: missing.pem: cannot be read: No such file or directory",
                "5:15: collector.certificate: missing.pem: cannot be read: No such file or directory",
                "6:7: collector.key: missing.pem: cannot be read: No such file or directory",
            ],
        ),
        (
            [&empty, &empty, &empty],
            vec![
                "4:6: collector.ca: empty.pem: there is no certificate in it (PEM)",
                "5:15: collector.certificate: empty.pem: there is no certificate in it (PEM)",
                "6:7: collector.key: empty.pem: there is no private key in it (PEM)",
            ],
        ),
        (
            [&ca, &damaged, &secret],
            vec![
                "5:15: collector.certificate: damaged.pem: the first certificate cannot be read",
                "6:7: collector.key: secret.key: the private key has a password; there is nobody to ask \
                 for it",
            ],
        ),
        (
            [&ca, &certificate, &name(&open)],
            vec![
                "6:7: collector.key: open.key: its mode is 0644, so that all on this host can use it; only \
                 its owner and group may (chmod o=)",
            ],
        ),
        (
            [&ca, &certificate, &name(&old.key)],
            vec!["6:7: collector.key: it is not the key of exporter.pem"],
        ),
        (
            [&ca, &name(&old.certificate), &name(&old.key)],
            vec![
                "5:15: collector.certificate: old.pem: the certificate has expired at \
                 2024-01-01T00:00:00.000Z",
            ],
        ),
    ] {
        let [ca, certificate, key] = files;
        let expected: Vec<_> = expected
            .iter()
            .map(|text| format!("ebpfix.toml:{text}"))
            .collect();
        assert_eq!(load(ca, certificate, key), expected);
    }
}
