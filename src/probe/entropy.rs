//! Numbers that nobody outside can guess.

use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

/// What the kernel gives in one call, always whole.
const POOL: usize = 256;

/// The kernel's random bytes, fetched many at a time, since a probe needs only a few.
pub(super) struct Entropy {
    pool: [u8; POOL],
    used: usize,
}

impl Entropy {
    pub(super) fn new() -> Entropy {
        Entropy { pool: [0; POOL], used: POOL }
    }

    /// `N` fresh bytes.
    pub(super) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Errno> {
        const { assert!(N <= POOL) };
        if POOL - self.used < N {
            if getrandom(&mut self.pool, GetRandomFlags::empty())? != POOL {
                return Err(Errno::IO);
            }
            self.used = 0;
        }
        let mut out = [0; N];
        for (o, b) in out.iter_mut().zip(self.pool.iter().skip(self.used)) {
            *o = *b;
        }
        self.used += N;
        Ok(out)
    }

    /// A fresh 16-bit number.
    pub(super) fn number(&mut self) -> Result<u16, Errno> {
        self.bytes().map(u16::from_ne_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_fresh_across_refills() {
        let mut e = Entropy::new();
        let mut seen: Vec<[u8; 8]> = (0..1000).map(|_| e.bytes().unwrap()).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 1000);
        assert!((0..64).map(|_| e.number().unwrap()).any(|n| n != 0));
    }
}
