//! Maps and sets as sorted lists: for the dozens or thousands of entries that there are here, a fraction of the code of
//! trees, which the compiler makes anew for each type. An entry that comes in order costs nothing; one that does not moves
//! those behind it, so lists of many thousands are sorted at once (`Set::from`).

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;

use serde::ser::{Serialize, Serializer};

use crate::gather::{Gather, Grow};

/// A map; its entries are in the order of their keys.
#[derive(Clone, PartialEq, Eq)]
pub struct Map<K, V>(Vec<(K, V)>);

/// A set; its members are in order.
#[derive(Clone, PartialEq, Eq)]
pub struct Set<T>(Vec<T>);

fn place<E, Q: Ord + ?Sized>(list: &[E], key: &Q, of: impl Fn(&E) -> &Q) -> Result<usize, usize> {
    search(list.len(), &mut |at| list.get(at).map_or(Ordering::Greater, |entry| of(entry).cmp(key)))
}

/// The place of the entry that `cmp` calls equal among `len`, or where it belongs; not made anew for each type.
fn search(len: usize, cmp: &mut dyn FnMut(usize) -> Ordering) -> Result<usize, usize> {
    // Most lists are made in order: the last entry is looked at first.
    let (mut low, mut high, mut at) = (0, len, len.saturating_sub(1));
    while low < high {
        match cmp(at) {
            Ordering::Equal => return Ok(at),
            Ordering::Less => low = at + 1,
            Ordering::Greater => high = at,
        }
        at = low + (high - low) / 2;
    }
    Err(low)
}

impl<K: Ord, V> Map<K, V> {
    /// An empty one.
    pub const fn new() -> Self {
        Map(Vec::new())
    }

    fn find<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        place(&self.0, key, |(k, _)| k.borrow())
    }

    /// The value of `key`.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.0.get(self.find(key).ok()?).map(|(_, value)| value)
    }

    /// The value of `key`, to be changed.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let at = self.find(key).ok()?;
        self.0.get_mut(at).map(|(_, value)| value)
    }

    /// Whether there is a value of `key`.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.find(key).is_ok()
    }

    /// Gives `key` this value, and back the one it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.find(&key) {
            Ok(at) => self.0.get_mut(at).map(|(_, old)| std::mem::replace(old, value)),
            Err(at) => {
                self.0.insert(at, (key, value));
                None
            }
        }
    }

    /// The value of `key`, which is `make`'s if it had none.
    #[allow(clippy::indexing_slicing, reason = "the entry was found or made by the lines before")]
    pub fn or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let at = self.find(&key).unwrap_or_else(|at| {
            self.0.insert(at, (key, make()));
            at
        });
        &mut self.0[at].1
    }

    /// Takes out `key` and its value.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let at = self.find(key).ok()?;
        Some(self.0.remove(at).1)
    }

    /// Takes out all entries but those that `keep` is true for.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &V) -> bool) {
        self.0.retain(|(key, value)| keep(key, value));
    }

    /// Lets `work` change each value, in the order of their keys.
    pub fn each_mut(&mut self, mut work: impl FnMut(&K, &mut V)) {
        self.0.iter_mut().for_each(|(key, value)| work(key, value));
    }

    /// Takes out all entries.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All entries.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> + ExactSizeIterator + Clone {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// All keys.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> + ExactSizeIterator + Clone {
        self.0.iter().map(|(key, _)| key)
    }

    /// The values, without their keys.
    pub fn into_values(self) -> impl Iterator<Item = V> {
        self.0.into_iter().map(|(_, value)| value)
    }

    /// All values, in the order of their keys.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> + ExactSizeIterator + Clone {
        self.0.iter().map(|(_, value)| value)
    }
}

impl<T: Ord> Set<T> {
    /// An empty one.
    pub const fn new() -> Self {
        Set(Vec::new())
    }

    fn find<Q: Ord + ?Sized>(&self, member: &Q) -> Result<usize, usize>
    where
        T: Borrow<Q>,
    {
        place(&self.0, member, Borrow::borrow)
    }

    /// Whether this is a member.
    pub fn contains<Q: Ord + ?Sized>(&self, member: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.find(member).is_ok()
    }

    /// Makes it a member; false if it was one.
    pub fn insert(&mut self, member: T) -> bool {
        match self.find(&member) {
            Ok(_) => false,
            Err(at) => {
                self.0.insert(at, member);
                true
            }
        }
    }

    /// Takes it out; false if it was none.
    pub fn remove<Q: Ord + ?Sized>(&mut self, member: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.find(member).map(|at| self.0.remove(at)).is_ok()
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All members.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }
}

impl<T: Ord> From<Vec<T>> for Set<T> {
    /// Sorts them once, whatever their order and number.
    fn from(mut members: Vec<T>) -> Self {
        members.sort_unstable();
        members.dedup();
        Set(members)
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for Map<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        entries.into_iter().gather()
    }
}

impl<T: Ord> FromIterator<T> for Set<T> {
    fn from_iter<I: IntoIterator<Item = T>>(members: I) -> Self {
        members.into_iter().gather()
    }
}

impl<K: Ord, V, const N: usize> From<[(K, V); N]> for Map<K, V> {
    fn from(entries: [(K, V); N]) -> Self {
        entries.into_iter().gather()
    }
}

impl<T: Ord, const N: usize> From<[T; N]> for Set<T> {
    fn from(members: [T; N]) -> Self {
        members.into_iter().gather()
    }
}

impl<K, V> IntoIterator for Map<K, V> {
    type Item = (K, V);
    type IntoIter = std::vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a, K, V> IntoIterator for &'a Map<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = std::iter::Map<std::slice::Iter<'a, (K, V)>, fn(&'a (K, V)) -> (&'a K, &'a V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter().map(|(key, value)| (key, value))
    }
}

impl<T> IntoIterator for Set<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a Set<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<K: Ord, V> Grow<(K, V)> for Map<K, V> {
    fn grow(&mut self, (key, value): (K, V)) {
        self.insert(key, value);
    }
}

impl<T: Ord> Grow<T> for Set<T> {
    fn grow(&mut self, member: T) {
        self.insert(member);
    }
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Map(Vec::new())
    }
}

impl<T> Default for Set<T> {
    fn default() -> Self {
        Set(Vec::new())
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Map<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

impl<T: fmt::Debug> fmt::Debug for Set<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self).finish()
    }
}

impl<K: Serialize, V: Serialize> Serialize for Map<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    /// The same as trees do, whatever the order.
    #[test]
    fn as_trees() {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 24
        };
        let (mut map, mut tree) = (Map::new(), BTreeMap::new());
        let (mut set, mut members) = (Set::new(), BTreeSet::new());
        let mut all = Vec::new();
        for value in 0..3000 {
            let key = next();
            match value % 3 {
                0 => assert_eq!(map.remove(&key), tree.remove(&key)),
                1 => assert_eq!(map.or_insert_with(key, || value), tree.entry(key).or_insert(value)),
                _ => assert_eq!(map.insert(key, value), tree.insert(key, value)),
            }
            assert_eq!((map.get(&value), map.contains_key(&key)), (tree.get(&value), tree.contains_key(&key)));
            assert_eq!(
                if value % 3 == 0 { set.remove(&key) } else { set.insert(key) },
                match value % 3 {
                    0 => members.remove(&key),
                    _ => members.insert(key),
                }
            );
            all.push((key, value));
        }
        map.retain(|key, value| key % 2 == 0 || *value < 1000);
        tree.retain(|key, value| key % 2 == 0 || *value < 1000);
        map.each_mut(|key, value| *value += key);
        tree.iter_mut().for_each(|(key, value)| *value += key);
        assert!(map.iter().eq(tree.iter()) && map.keys().eq(tree.keys()) && map.values().eq(tree.values()));
        assert!(set.iter().eq(members.iter()) && set.len() == members.len());
        let (map, tree): (Map<_, _>, BTreeMap<_, _>) = (all.iter().copied().collect(), all.iter().copied().collect());
        assert!(map.into_iter().eq(tree));
        let (set, members): (Set<_>, BTreeSet<_>) = (all.iter().copied().collect(), all.iter().copied().collect());
        assert_eq!(set, Set::from(all));
        assert!(set.into_iter().eq(members));
    }
}
