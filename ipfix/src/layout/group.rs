//! Columns that are compiled together.

use core::marker::PhantomData;

use super::Context;
use super::column::Column;
use super::value::{low_bits_only, reduced, reduced_signed, takes_unsigned};
use crate::element::Element;

/// Consecutive columns of fixed length that are compiled into one function; made by
/// [`LayoutBuilder::group`](super::LayoutBuilder::group). Its methods are those of the builder, with
/// lengths that are constants.
#[must_use]
pub struct Group<R, C> {
    columns: C,
    fields: Vec<GroupField>,
    record: PhantomData<fn(&R)>,
}

/// A field of a group, to be checked by the builder.
pub(super) struct GroupField {
    pub(super) element: Element,
    pub(super) octets: usize,
    pub(super) accepted: bool,
    /// The name of the column method.
    pub(super) given: &'static str,
}

impl<R> Group<R, ()> {
    pub(super) fn new() -> Self {
        Self {
            columns: (),
            fields: Vec::new(),
            record: PhantomData,
        }
    }
}

impl<R, C: GroupColumns<R>> Group<R, C> {
    /// As [`LayoutBuilder::octets`](super::LayoutBuilder::octets).
    pub fn octets<const N: usize, F>(
        self,
        element: Element,
        value: F,
    ) -> Group<R, impl GroupColumns<R> + use<R, C, N, F>>
    where
        F: Fn(&R, &Context) -> [u8; N] + Send + Sync + 'static,
    {
        self.and(element, true, "octets", value)
    }

    /// As [`LayoutBuilder::unsigned`](super::LayoutBuilder::unsigned), with `N` octets.
    pub fn unsigned<const N: usize, F>(
        self,
        element: Element,
        value: F,
    ) -> Group<R, impl GroupColumns<R> + use<R, C, N, F>>
    where
        F: Fn(&R, &Context) -> u64 + Send + Sync + 'static,
    {
        let low_bits = low_bits_only(element);
        let encode = move |record: &R, context: &Context| -> [u8; N] {
            reduced(value(record, context), low_bits)
        };
        self.and(element, takes_unsigned(element), "unsigned", encode)
    }

    /// As [`LayoutBuilder::signed`](super::LayoutBuilder::signed), with `N` octets.
    pub fn signed<const N: usize, F>(
        self,
        element: Element,
        value: F,
    ) -> Group<R, impl GroupColumns<R> + use<R, C, N, F>>
    where
        F: Fn(&R, &Context) -> i64 + Send + Sync + 'static,
    {
        let accepted = element.data_type().is_signed();
        let encode = move |record: &R, context: &Context| -> [u8; N] {
            reduced_signed(value(record, context))
        };
        self.and(element, accepted, "signed", encode)
    }

    /// As [`LayoutBuilder::uptime`](super::LayoutBuilder::uptime).
    pub fn uptime<F>(
        self,
        element: Element,
        unix_ms: F,
    ) -> Group<R, impl GroupColumns<R> + use<R, C, F>>
    where
        F: Fn(&R) -> u64 + Send + Sync + 'static,
    {
        let encode =
            move |record: &R, context: &Context| context.uptime_ms(unix_ms(record)).to_be_bytes();
        self.and(element, takes_unsigned(element), "uptime", encode)
    }

    fn and<const N: usize, F>(
        self,
        element: Element,
        accepted: bool,
        given: &'static str,
        value: F,
    ) -> Group<R, And<C, F, N>> {
        let mut fields = self.fields;
        fields.push(GroupField {
            element,
            octets: N,
            accepted,
            given,
        });
        Group {
            columns: And {
                before: self.columns,
                value,
            },
            fields,
            record: PhantomData,
        }
    }

    pub(super) fn into_parts(self) -> (C, Vec<GroupField>) {
        (self.columns, self.fields)
    }
}

/// The columns of a [`Group`]; only groups implement it.
pub trait GroupColumns<R>: Send + Sync + sealed::Sealed + 'static {
    /// Octets of all of them.
    #[doc(hidden)]
    const LENGTH: usize;

    /// Writes them to the start of `row`, which is [`LENGTH`](Self::LENGTH) octets long.
    #[doc(hidden)]
    fn put(&self, record: &R, context: &Context, row: &mut [u8]);
}

impl<R> GroupColumns<R> for () {
    const LENGTH: usize = 0;

    #[inline]
    fn put(&self, _: &R, _: &Context, _: &mut [u8]) {}
}

/// A column after others.
pub struct And<C, F, const N: usize> {
    before: C,
    value: F,
}

impl<R, C, F, const N: usize> GroupColumns<R> for And<C, F, N>
where
    C: GroupColumns<R>,
    F: Fn(&R, &Context) -> [u8; N] + Send + Sync + 'static,
{
    const LENGTH: usize = C::LENGTH + N;

    #[expect(
        clippy::inline_always,
        reason = "a chain of calls is what a group is there to avoid"
    )]
    #[inline(always)]
    fn put(&self, record: &R, context: &Context, row: &mut [u8]) {
        self.before.put(record, context, row);
        // All lengths are constants: no check is left of this.
        if let Some(field) = row.get_mut(C::LENGTH..C::LENGTH + N) {
            field.copy_from_slice(&(self.value)(record, context));
        }
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for () {}
    impl<C, F, const N: usize> Sealed for super::And<C, F, N> {}
}

/// A group as one column of a segment.
pub(super) struct Grouped<C> {
    pub(super) at: usize,
    pub(super) columns: C,
}

impl<R, C: GroupColumns<R>> Column<R> for Grouped<C> {
    fn put(&self, record: &R, context: &Context, row: &mut [u8]) {
        if let Some(row) = row.get_mut(self.at..self.at + C::LENGTH) {
            self.columns.put(record, context, row);
        }
    }

    fn put_all(&self, records: &[R], context: &Context, rows: &mut [u8], stride: usize) {
        for (record, row) in records.iter().zip(rows.chunks_exact_mut(stride)) {
            self.put(record, context, row);
        }
    }
}
