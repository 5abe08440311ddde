//! A VPP pool: a vector with holes. Iteration goes by index, and the hole made last is filled first, so that dumps
//! come in the order that VPP's come in.

#[derive(Debug)]
pub(super) struct Pool<T> {
    slots: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Pool { slots: Vec::new(), free: Vec::new() }
    }
}

impl<T> Pool<T> {
    pub(super) fn put(&mut self, value: T) -> usize {
        let index = self.free.pop().unwrap_or(self.slots.len());
        match self.slots.get_mut(index) {
            Some(slot) => *slot = Some(value),
            None => self.slots.push(Some(value)),
        }
        index
    }

    pub(super) fn remove(&mut self, index: usize) {
        if self.slots.get_mut(index).and_then(Option::take).is_some() {
            self.free.push(index);
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<&T> {
        self.slots.get(index)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.slots.get_mut(index)?.as_mut()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        self.slots.iter().enumerate().filter_map(|(i, slot)| Some((i, slot.as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hole_made_last_is_filled_first_and_a_hole_is_not_freed_twice() {
        let mut pool = Pool::default();
        for value in 'a'..='d' {
            pool.put(value);
        }
        pool.remove(0);
        pool.remove(2);
        pool.remove(2);
        pool.remove(9);
        assert_eq!((pool.get(2), pool.get(9)), (None, None));
        assert_eq!((pool.put('e'), pool.put('f'), pool.put('g')), (2, 0, 4));
        assert_eq!(pool.iter().map(|(_, v)| *v).collect::<String>(), "fbedg");
    }
}
