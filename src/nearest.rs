//! "Did you mean": the names nearest to one that is not known. It runs on VPP's main thread, over all names there are,
//! so its work is bounded for each.

/// No name or keyword has more letters; a longer word is near to none.
const LONGEST: usize = 63;
/// Differences beyond which all names are equally far.
const CUT_OFF: usize = 8;

/// The at most `n` candidates nearest to `word`, nearest first; ties in the candidates' order.
///
/// Distance is Damerau-Levenshtein (optimal string alignment). Any name counts as near, since an unknown name
/// lists the nearest three of whatever there is; [`is_near`] is the picky one. To a word longer than a name may be none
/// is near.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>, n: usize) -> Vec<&'a str> {
    Meter::new(word).map_or_else(Vec::new, |mut meter| meter.nearest(candidates, n))
}

/// The one candidate that was probably meant: the nearest, if [`is_near`].
pub fn suggestion<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    nearest(word, candidates, 1).into_iter().next().filter(|best| is_near(word, best))
}

/// Whether `candidate` was probably meant: at most a third of its letters (and at least one) differ, and at most eight.
pub fn is_near(word: &str, candidate: &str) -> bool {
    let limit = (candidate.chars().count() / 3).clamp(1, CUT_OFF);
    Meter::new(word).is_some_and(|mut meter| meter.distance(candidate, limit).is_some())
}

/// Measures distances from one word: each column of the table of distances is a machine word, as of H. Hyyrö, "A
/// bit-vector algorithm for computing Levenshtein and Damerau edit distances" (2003).
struct Meter {
    word: Vec<char>,
    /// For each ASCII letter its places in the word, a bit each.
    places: [u64; 128],
    /// Letters of candidates looked at so far.
    work: u64,
}

impl Meter {
    /// None: the word is longer than any name.
    fn new(word: &str) -> Option<Meter> {
        // The first test spares counting the letters of what an operator pasted by mistake.
        if word.len() > 4 * LONGEST || word.chars().count() > LONGEST {
            return None;
        }
        let mut meter = Meter { word: word.chars().collect(), places: [0; 128], work: 0 };
        for letter in word.chars().filter(char::is_ascii) {
            let places = meter.search(letter);
            if let Some(entry) = meter.places.get_mut(letter as usize) {
                *entry = places;
            }
        }
        Some(meter)
    }

    fn search(&self, letter: char) -> u64 {
        let found = self.word.iter().enumerate().filter(|(_, l)| **l == letter);
        found.fold(0, |all, (i, _)| all | 1 << i)
    }

    fn nearest<'a>(&mut self, candidates: impl IntoIterator<Item = &'a str>, n: usize) -> Vec<&'a str> {
        let mut best: Vec<(usize, &str)> = Vec::with_capacity(n + 1);
        for candidate in candidates {
            // Whoever is no nearer than the last of the best is of no interest, however far it is.
            let limit = match best.last() {
                Some((worst, _)) if best.len() >= n => worst.checked_sub(1),
                Some(_) | None => (n > 0).then_some(CUT_OFF),
            };
            let Some(limit) = limit else { break };
            let distance = self.distance(candidate, limit.min(CUT_OFF));
            if distance.is_some() || best.len() < n {
                let distance = distance.unwrap_or(CUT_OFF + 1);
                let at = best.partition_point(|(d, _)| *d <= distance);
                best.insert(at, (distance, candidate));
                best.truncate(n);
            }
        }
        best.into_iter().map(|(_, c)| c).collect()
    }

    /// The distance to `candidate`, if it is at most `limit`.
    fn distance(&mut self, candidate: &str, limit: usize) -> Option<usize> {
        let length = candidate.chars().take(LONGEST + 1).count();
        if length > LONGEST || self.word.len().abs_diff(length) > limit {
            self.work += 1;
            return None;
        }
        let Some(last) = self.word.len().checked_sub(1) else { return Some(length) };
        let mut distance = self.word.len();
        // Where a cell of the column is above (below) the cell over it by one, and where it is as the one before on the
        // diagonal.
        let (mut plus, mut minus, mut diagonal, mut before) = (u64::MAX, 0u64, 0u64, 0u64);
        for (i, letter) in candidate.chars().enumerate() {
            self.work += 1;
            let same = match self.places.get(letter as usize) {
                Some(places) => *places,
                None => self.search(letter),
            };
            let exchanged = ((!diagonal & same) << 1) & before;
            diagonal = ((same & plus).wrapping_add(plus) ^ plus) | same | minus | exchanged;
            let (up, down) = (minus | !(diagonal | plus), diagonal & plus);
            distance = distance + ((up >> last) & 1) as usize - ((down >> last) & 1) as usize;
            // Each letter that is left takes one off at best.
            if distance > limit + (length - i - 1) {
                return None;
            }
            let (up, down) = (up << 1 | 1, down << 1);
            (plus, minus) = (down | !(diagonal | up), up & diagonal);
            before = same;
        }
        Some(distance)
    }
}

#[cfg(test)]
#[path = "nearest_tests.rs"]
mod tests;
