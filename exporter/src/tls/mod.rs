//! TLS: what is in the files of certificates and keys, and the octets of a connection before and after
//! they are sealed. No sockets.
//!
//! Files are read for each connection, so that a certificate that was renewed is used from the
//! next one on. [`Layer`] is one end of a connection, for the exporter and for the built-in collector.

#![forbid(unsafe_code)]

mod files;
mod layer;
mod words;

pub(crate) use files::{Part, Problem, examine};
pub(crate) use layer::{Heard, Layer};

use crate::config::TlsFiles;
use crate::record::UnixTime;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::ServerName;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::path::Path;
use std::sync::Arc;

/// What a connection to a collector begins with.
pub(crate) struct Client {
    config: Arc<ClientConfig>,
    /// Until when the own certificate is good, in milliseconds since 1970; `None`: there is none.
    pub(crate) expires_ms: Option<u64>,
}

impl Client {
    /// From the files as they are now. It reads files, and is not for a task that others wait for.
    pub(crate) fn new(files: &TlsFiles) -> Result<Self, Problem> {
        let roots = files::roots(files.ca.as_deref())?;
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|e| Problem::of(Part::Ca, words::of(&e)))?
            .with_root_certificates(roots);
        let (config, expires_ms) = match (&files.certificate, &files.key) {
            (Some(certificate), Some(key)) => {
                let chain = files::chain(certificate)?;
                let expires = files::validity(&chain).map(|(_, until)| until.millis());
                let config = builder
                    .with_client_auth_cert(chain, files::private_key(key)?)
                    .map_err(|e| files::unusable_key(&e, certificate))?;
                (config, expires)
            }
            _ => (builder.with_no_client_auth(), None),
        };
        Ok(Self {
            config: Arc::new(config),
            expires_ms,
        })
    }

    /// One end of a connection to the collector of this name, or address.
    pub(crate) fn connect(&self, name: &str) -> Result<Layer, Problem> {
        let invalid = || Problem::of(Part::Ca, format!("no certificate can be for {name}"));
        let name = ServerName::try_from(name.to_owned()).map_err(|_| invalid())?;
        Layer::client(self.config.clone(), name)
            .map_err(|e| Problem::of(Part::Certificate, words::of(&e)))
    }
}

/// What connections from exporters begin with: a collector's certificate and key, and the certificates
/// that those of exporters must come from; `None`: exporters need none.
pub(crate) fn server(
    certificate: &Path,
    key: &Path,
    ca: Option<&Path>,
) -> Result<Arc<ServerConfig>, Problem> {
    let provider = provider();
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| Problem::of(Part::Certificate, words::of(&e)))?;
    let builder = match ca {
        Some(ca) => {
            let roots = Arc::new(files::roots(Some(ca))?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider)
                .build()
                .map_err(|e| Problem::of(Part::Ca, e.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let chain = files::chain(certificate)?;
    let config = builder
        .with_single_cert(chain, files::private_key(key)?)
        .map_err(|e| files::unusable_key(&e, certificate))?;
    Ok(Arc::new(config))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// What a certificate's times say at `now`, where they say something an operator should know.
fn age((from, until): (UnixTime, UnixTime), now: UnixTime) -> Option<String> {
    const SOON_SECS: u64 = 7 * 24 * 60 * 60;
    if until < now {
        Some(format!("has expired at {until}"))
    } else if now < from {
        Some(format!("is not valid before {from}"))
    } else if until.secs() - now.secs() < SOON_SECS {
        Some(format!("expires at {until}"))
    } else {
        None
    }
}

/// Roots of trust, for who looks at them.
type Roots = RootCertStore;
