//! "Did you mean": the names nearest to one that is not known.

/// The at most `n` candidates nearest to `word`, nearest first; ties in the candidates' order.
///
/// Distance is Damerau-Levenshtein (optimal string alignment). Any name counts as near, since an unknown name
/// lists the nearest three of whatever there is; [`suggestion`] is the picky one.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>, n: usize) -> Vec<&'a str> {
    let mut all: Vec<(usize, &str)> =
        candidates.into_iter().map(|c| (strsim::osa_distance(word, c), c)).collect();
    all.sort_by_key(|(d, _)| *d);
    all.into_iter().take(n).map(|(_, c)| c).collect()
}

/// The one candidate that was probably meant: at most a third of its letters (and at least one) differ.
pub fn suggestion<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let best = nearest(word, candidates, 1).into_iter().next()?;
    let limit = (best.chars().count() / 3).max(1);
    (strsim::osa_distance(word, best) <= limit).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_first_and_at_most_n() {
        assert_eq!(nearest("nginx9", ["db", "nginx0", "nginx1", "web"], 2), ["nginx0", "nginx1"]);
        assert_eq!(nearest("x", [], 3), Vec::<&str>::new());
    }

    #[test]
    fn suggestion_only_when_near() {
        assert_eq!(suggestion("intervall", ["interval", "timeout"]), Some("interval"));
        assert_eq!(suggestion("fast", ["interval", "timeout"]), None);
    }
}
