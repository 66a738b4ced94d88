//! Files of certificates and keys.

use super::{Roots, age, words};
use crate::config::TlsFiles;
use crate::record::UnixTime;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

/// No file of certificates is this large: all that the world trusts are 200 KB.
const LIMIT: u64 = 4 << 20;

/// Which of the files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    /// What is trusted.
    Ca,
    /// What is shown.
    Certificate,
    /// Its private key.
    Key,
}

/// What keeps files from being used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Problem {
    /// Which file.
    pub(crate) part: Part,
    /// What, in one line that names the file.
    pub(crate) text: String,
}

impl Problem {
    pub(super) fn of(part: Part, text: String) -> Self {
        Self { part, text }
    }

    fn at(part: Part, path: &Path, text: impl fmt::Display) -> Self {
        Self::of(part, format!("{}: {text}", path.display()))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What files are found to be.
#[derive(Debug, Default)]
pub(crate) struct Examined {
    /// What keeps them from being used.
    pub(crate) problems: Vec<Problem>,
    /// What deserves attention.
    pub(crate) warnings: Vec<Problem>,
}

/// Looks at the files of a configuration, with all that is wrong with them at `now`.
pub(crate) fn examine(files: &TlsFiles, now: UnixTime) -> Examined {
    let mut examined = Examined::default();
    if let Err(problem) = roots(files.ca.as_deref()) {
        examined.problems.push(problem);
    }
    let chain = files.certificate.as_deref().map(|path| (path, chain(path)));
    let private = files.key.as_deref().map(private_key);
    match (chain, private) {
        (Some((path, Ok(certificates))), Some(Ok(_))) => {
            if let Some(text) = validity(&certificates).and_then(|times| age(times, now)) {
                let warning =
                    Problem::at(Part::Certificate, path, format!("the certificate {text}"));
                examined.warnings.push(warning);
            }
            if examined.problems.is_empty()
                && let Err(problem) = super::Client::new(files)
            {
                examined.problems.push(problem);
            }
        }
        (certificates, private) => {
            let wrong = certificates.and_then(|(_, chain)| chain.err());
            examined.problems.extend(wrong);
            examined.problems.extend(private.and_then(Result::err));
        }
    }
    examined
}

/// The certificates that are trusted: those of a file, or of the system.
pub(super) fn roots(ca: Option<&Path>) -> Result<Roots, Problem> {
    let mut roots = Roots::empty();
    let Some(path) = ca else {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        return if roots.is_empty() {
            let text = "the system has no certificates that it trusts (install ca-certificates, or set ca)";
            Err(Problem::of(Part::Ca, text.to_owned()))
        } else {
            Ok(roots)
        };
    };
    for certificate in certificates(Part::Ca, path)? {
        roots
            .add(certificate)
            .map_err(|e| Problem::at(Part::Ca, path, words::of(&e)))?;
    }
    Ok(roots)
}

/// A certificate, and those between it and what others trust.
pub(super) fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let chain = certificates(Part::Certificate, path)?;
    if validity(&chain).is_none() {
        let text = "the first certificate cannot be read";
        return Err(Problem::at(Part::Certificate, path, text));
    }
    Ok(chain)
}

/// A private key that strangers cannot read.
pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Problem> {
    const OTHERS: u32 = 0o007;
    let problem = |text: String| Problem::at(Part::Key, path, text);
    let (octets, mode) = read(Part::Key, path)?;
    if mode & OTHERS != 0 {
        return Err(problem(format!(
            "its mode is {:04o}, so that all on this host can use it; only its owner and group may (chmod o=)",
            mode & 0o7777
        )));
    }
    PrivateKeyDer::from_pem_slice(&octets).map_err(|error| {
        problem(match error {
            pem::Error::NoItemsFound if octets.windows(9).any(|w| w == b"ENCRYPTED") => {
                "the private key has a password; there is nobody to ask for it".to_owned()
            }
            pem::Error::NoItemsFound => "there is no private key in it (PEM)".to_owned(),
            error => format!("it is no PEM: {error}"),
        })
    })
}

/// Why a key and a certificate, each by itself good, cannot be used.
pub(super) fn unusable_key(error: &rustls::Error, certificate: &Path) -> Problem {
    match error {
        rustls::Error::InconsistentKeys(_) => Problem::of(
            Part::Key,
            format!("it is not the key of {}", certificate.display()),
        ),
        error => Problem::of(Part::Key, words::of(error)),
    }
}

/// From when and until when the first certificate is good.
pub(super) fn validity(chain: &[CertificateDer<'_>]) -> Option<(UnixTime, UnixTime)> {
    let certificate = Certificate::from_der(chain.first()?).ok()?;
    let times = certificate.tbs_certificate().validity();
    let time = |time: x509_cert::time::Time| {
        let millis = time.to_unix_duration().as_millis();
        UnixTime::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
    };
    Some((time(times.not_before), time(times.not_after)))
}

/// At least one.
fn certificates(part: Part, path: &Path) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let (octets, _) = read(part, path)?;
    let certificates = CertificateDer::pem_slice_iter(&octets).collect::<Result<Vec<_>, _>>();
    let certificates =
        certificates.map_err(|e| Problem::at(part, path, format!("it is no PEM: {e}")))?;
    if certificates.is_empty() {
        return Err(Problem::at(
            part,
            path,
            "there is no certificate in it (PEM)",
        ));
    }
    Ok(certificates)
}

/// The octets of a file, and its mode.
fn read(part: Part, path: &Path) -> Result<(Vec<u8>, u32), Problem> {
    let mut octets = Vec::new();
    let read = || -> std::io::Result<u32> {
        let file = File::open(path)?;
        let mode = file.metadata()?.mode();
        file.take(LIMIT + 1).read_to_end(&mut octets)?;
        Ok(mode)
    };
    let mut read = read;
    let mode = read().map_err(|error| {
        let text = format!("cannot be read: {}", crate::config::reason(&error));
        Problem::at(part, path, text)
    })?;
    if octets.len() as u64 > LIMIT {
        let text = format!("it has more than {LIMIT} octets");
        return Err(Problem::at(part, path, text));
    }
    Ok((octets, mode))
}
