//! What writes a field.

use super::Context;

/// Writes one field at its place in the segment.
///
/// `put_all` takes a batch so that the one indirect call is paid per column and batch, and the loop
/// over the records is compiled together with the column's own function.
pub(super) trait Column<R>: Send + Sync {
    fn put(&self, record: &R, context: &Context, row: &mut [u8]);

    fn put_all(&self, records: &[R], context: &Context, rows: &mut [u8], stride: usize);
}

pub(super) struct Fixed<F> {
    pub(super) at: usize,
    pub(super) value: F,
}

impl<R, F, const N: usize> Column<R> for Fixed<F>
where
    F: Fn(&R, &Context) -> [u8; N] + Send + Sync,
{
    fn put(&self, record: &R, context: &Context, row: &mut [u8]) {
        if let Some(field) = row.get_mut(self.at..self.at + N) {
            field.copy_from_slice(&(self.value)(record, context));
        }
    }

    fn put_all(&self, records: &[R], context: &Context, rows: &mut [u8], stride: usize) {
        for (record, row) in records.iter().zip(rows.chunks_exact_mut(stride)) {
            self.put(record, context, row);
        }
    }
}

pub(super) struct Raw<F> {
    pub(super) at: usize,
    pub(super) length: usize,
    pub(super) write: F,
}

impl<R, F> Column<R> for Raw<F>
where
    F: Fn(&R, &Context, &mut [u8]) + Send + Sync,
{
    fn put(&self, record: &R, context: &Context, row: &mut [u8]) {
        if let Some(field) = row.get_mut(self.at..self.at + self.length) {
            field.fill(0);
            (self.write)(record, context, field);
        }
    }

    fn put_all(&self, records: &[R], context: &Context, rows: &mut [u8], stride: usize) {
        for (record, row) in records.iter().zip(rows.chunks_exact_mut(stride)) {
            self.put(record, context, row);
        }
    }
}
