//! Where the sets of a message lie.

use super::error::{DecodeError, DecodeErrorKind, Subject};
use super::reader::Reader;
use crate::wire::{Protocol, SET_HEADER_LENGTH};

/// A Data Set without a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownSet {
    /// The id of the template that is missing.
    pub template_id: u16,
    /// Where the set begins in the message.
    pub offset: usize,
    /// Its length in octets, with the Set Header.
    pub length: usize,
}

/// Where a set lies in the message.
#[derive(Clone, Copy, Debug)]
pub(super) struct SetPlace {
    pub(super) id: u16,
    pub(super) at: usize,
    pub(super) end: usize,
}

/// The set at the reader's place, which moves after it; `None` at the end.
pub(super) fn read_set(
    reader: &mut Reader<'_>,
    protocol: Protocol,
) -> Result<Option<SetPlace>, DecodeError> {
    let header = Subject::set_header(protocol);
    let at = reader.at;
    let available = reader.rest().len();
    // Version 9 has no length of its own; some exporters pad the packet.
    let padding = protocol == Protocol::NetflowV9 && available < SET_HEADER_LENGTH;
    if available == 0 || padding {
        return Ok(None);
    }
    if available < SET_HEADER_LENGTH {
        return Err(DecodeError::truncated(
            header,
            at,
            SET_HEADER_LENGTH,
            available,
        ));
    }
    let id = reader.u16(header)?;
    let field = reader.u16(header)?;
    let length = usize::from(field);
    if length < SET_HEADER_LENGTH {
        return Err(DecodeError::new(header, at, DecodeErrorKind::Length(field)));
    }
    if length > available {
        return Err(DecodeError::truncated(
            Subject::set(protocol),
            at,
            length,
            available,
        ));
    }
    reader.at = at + length;
    Ok(Some(SetPlace {
        id,
        at,
        end: reader.at,
    }))
}
