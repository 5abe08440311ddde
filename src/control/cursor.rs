//! Walks over ordered maps that go on in a later turn, from the key where they were.

use std::collections::BTreeMap;
use std::ops::Bound;

/// The first entry behind that key; none: the first of all. What was added or taken out meanwhile does no harm.
pub(super) fn after<'a, K: Ord, V>(all: &'a BTreeMap<K, V>, last: Option<&K>) -> Option<(&'a K, &'a V)> {
    let from = last.map_or(Bound::Unbounded, Bound::Excluded);
    all.range::<K, _>((from, Bound::Unbounded)).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_sees_each_entry_once_whatever_comes_and_goes() {
        let mut all: BTreeMap<u8, ()> = [2, 4, 6, 8].map(|n| (n, ())).into();
        let (mut last, mut seen) = (None, Vec::new());
        while let Some((n, ())) = after(&all, last.as_ref()) {
            last = Some(*n);
            seen.push(*n);
            if seen.len() == 2 {
                all.remove(&4);
                all.remove(&6);
                all.extend([(3, ()), (5, ())]);
            }
        }
        assert_eq!(seen, [2, 4, 5, 8]);
        assert_eq!(after(&BTreeMap::<u8, ()>::new(), None), None);
    }
}
