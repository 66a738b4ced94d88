//! A list that is mostly of one.

/// Takes memory of its own from the second item on.
#[derive(Debug)]
pub(super) enum Few<T> {
    One(Option<T>),
    Many(Vec<T>),
}

impl<T> Few<T> {
    pub(super) const fn new() -> Self {
        Self::One(None)
    }

    pub(super) fn push(&mut self, item: T) {
        match self {
            Self::One(one @ None) => *one = Some(item),
            Self::One(one) => {
                let mut many = Vec::with_capacity(4);
                many.extend(one.take());
                many.push(item);
                *self = Self::Many(many);
            }
            Self::Many(many) => many.push(item),
        }
    }

    pub(super) fn as_slice(&self) -> &[T] {
        match self {
            Self::One(one) => one.as_slice(),
            Self::Many(many) => many,
        }
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [T] {
        match self {
            Self::One(one) => one.as_mut_slice(),
            Self::Many(many) => many,
        }
    }
}
