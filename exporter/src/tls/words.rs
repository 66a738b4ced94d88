//! What went wrong, in an operator's words.

use rustls::{AlertDescription, CertificateError, Error, InconsistentKeys};

/// One line.
pub(super) fn of(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(error) => {
            format!("the other side's certificate: {}", certificate(error))
        }
        Error::NoCertificatesPresented => "the other side has shown no certificate".to_owned(),
        Error::AlertReceived(alert) => format!("the other side refuses: {}", refusal(*alert)),
        Error::InvalidMessage(_) => "the other side does not speak TLS".to_owned(),
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            "the private key is not that of the certificate".to_owned()
        }
        error => error.to_string(),
    }
}

fn certificate(error: &CertificateError) -> String {
    use CertificateError as E;
    match error {
        E::UnknownIssuer => "unknown issuer, which is not among those of ca".to_owned(),
        E::Expired | E::ExpiredContext { .. } => "it has expired".to_owned(),
        E::NotValidYet | E::NotValidYetContext { .. } => "it is not valid yet".to_owned(),
        E::NotValidForName => "it is for another name than server-name".to_owned(),
        E::NotValidForNameContext {
            expected,
            presented,
        } => format!(
            "it is not for {}, but for {}",
            expected.to_str(),
            match &presented[..] {
                [] => "no name at all (subjectAltName)".to_owned(),
                names => names.join(", "),
            }
        ),
        E::BadSignature => "its signature is wrong".to_owned(),
        E::BadEncoding => "it cannot be read".to_owned(),
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => {
            "it is for another purpose (extendedKeyUsage)".to_owned()
        }
        E::Revoked => "it is revoked".to_owned(),
        error => format!("{error:?}"),
    }
}

fn refusal(alert: AlertDescription) -> String {
    use AlertDescription as A;
    match alert {
        A::CertificateRequired => "it wants a certificate (certificate, key)".to_owned(),
        A::UnknownCA => "it does not know the issuer of our certificate".to_owned(),
        A::CertificateExpired => "our certificate has expired".to_owned(),
        A::BadCertificate | A::CertificateUnknown | A::UnsupportedCertificate | A::AccessDenied => {
            format!("it does not accept our certificate ({alert:?})")
        }
        alert => format!("{alert:?}"),
    }
}
