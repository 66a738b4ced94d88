//! Mistakes in writing messages.

use core::fmt;

/// Why a record cannot be written into any message of this session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteError {
    /// The layout with this template id is not registered in the session, or another is.
    NotRegistered(u16),
    /// The record, with its template where that is not yet sent, is longer than a message may be.
    TooLong {
        /// The layout's template id.
        template_id: u16,
        /// Octets of the record.
        length: usize,
        /// Octets of the message it would need.
        needed: usize,
        /// Octets allowed.
        max_message: u16,
    },
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRegistered(id) => {
                write!(
                    f,
                    "the layout of template {id} is not registered in this session"
                )
            }
            Self::TooLong {
                template_id,
                length,
                needed,
                max_message,
            } => write!(
                f,
                "a record of {length} octets of template {template_id} needs a message of {needed} octets, {max_message} are allowed"
            ),
        }
    }
}

impl core::error::Error for WriteError {}
