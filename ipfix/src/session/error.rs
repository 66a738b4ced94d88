//! Mistakes in the use of sessions.

use core::fmt;

use crate::wire::Protocol;

/// Why a layout cannot be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegisterError {
    /// The layout was built for another protocol.
    Protocol {
        /// The layout's protocol.
        layout: Protocol,
        /// The session's protocol.
        session: Protocol,
    },
    /// The session has another template with this id.
    Redefined(u16),
    /// The session had another template with this id, [retired](crate::Session::retire) so recently
    /// that collectors may still know it.
    Retired(u16),
    /// The template with one record is longer than a message may be.
    TooLong {
        /// The template's id.
        template_id: u16,
        /// Octets needed.
        needed: usize,
        /// Octets allowed.
        max_message: u16,
    },
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol { layout, session } => {
                write!(f, "a layout for {layout} in a session of {session}")
            }
            Self::Retired(id) => write!(
                f,
                "template {id} is retired and its id not yet free for another one"
            ),
            Self::Redefined(id) => {
                write!(f, "template {id} has another meaning in this session")
            }
            Self::TooLong {
                template_id,
                needed,
                max_message,
            } => write!(
                f,
                "template {template_id} and one record need a message of {needed} octets, {max_message} are allowed"
            ),
        }
    }
}

impl core::error::Error for RegisterError {}

/// Why a template cannot be withdrawn or retired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WithdrawError {
    /// `NetFlow` has no withdrawals.
    Protocol(Protocol),
    /// Over datagrams a withdrawal must not be sent (RFC 7011 section 8.4): it could overtake data of
    /// its template. [`Session::retire`](crate::Session::retire) is the way.
    Unreliable,
    /// The session has no template with this id.
    Unknown(u16),
}

impl fmt::Display for WithdrawError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(protocol) => write!(f, "{protocol} has no template withdrawals"),
            Self::Unreliable => f.write_str("templates cannot be withdrawn over datagrams"),
            Self::Unknown(id) => write!(f, "the session has no template {id}"),
        }
    }
}

impl core::error::Error for WithdrawError {}

/// The message was not the last one begun in the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaleMessage;

impl fmt::Display for StaleMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not the last message begun in this session")
    }
}

impl core::error::Error for StaleMessage {}
