use proptest::prelude::*;

use super::*;

#[test]
fn nearest_first_and_at_most_n() {
    assert_eq!(nearest("nginx9", ["db", "nginx0", "nginx1", "web"], 2), ["nginx0", "nginx1"]);
    assert_eq!(nearest("x", [], 3), Vec::<&str>::new());
    assert_eq!(nearest("x", ["a", "b"], 0), Vec::<&str>::new());
    assert_eq!(nearest("", ["abc", "a"], 3), ["a", "abc"]);
    assert_eq!(nearest("web", ["web", "web", "wed"], 1), ["web"]);
    assert_eq!(nearest("wbe", ["ebw", "web"], 1), ["web"], "two letters exchanged are one difference");
}

#[test]
fn whoever_is_beyond_the_cut_off_comes_in_order_behind_the_others() {
    let names = ["completely-different", "quite-another-name", "nginx", "yet-something-else"];
    assert_eq!(nearest("nginx9", names, 3), ["nginx", "completely-different", "quite-another-name"]);
}

#[test]
fn suggestion_only_when_near() {
    assert_eq!(suggestion("intervall", ["interval", "timeout"]), Some("interval"));
    assert_eq!(suggestion("fast", ["interval", "timeout"]), None);
    assert!(is_near("a", "b") && !is_near("ab", "cd"));
}

#[test]
fn a_word_longer_than_any_name_is_near_to_none() {
    let name = "n".repeat(63);
    assert_eq!(nearest(&name, [name.as_str()], 3), [name.as_str()]);
    for n in [64, 4096] {
        let word = "n".repeat(n);
        assert_eq!(nearest(&word, [name.as_str()], 3), Vec::<&str>::new());
        assert_eq!(suggestion(&word, [name.as_str()]), None);
    }
    // In letters, not in bytes.
    let word = "é".repeat(63);
    assert_eq!(nearest(&word, ["x"], 3), ["x"]);
    assert_eq!(nearest(&"é".repeat(64), ["x"], 3), Vec::<&str>::new());
}

/// What 20,000 backends may cost VPP's main thread, in letters looked at.
#[test]
fn the_work_for_20000_names_is_bounded_whatever_they_are() {
    let numbered = |i: usize| format!("{:0<58}{i:05}", "rack-of-the-third-hall-in-frankfurt-server-");
    // Near to the word for long, and never nearer than the last of the best.
    let mixed = |i: usize| {
        let mut letters = vec![b'a'; 63];
        for k in 0..9 {
            letters[(i + 7 * k) % 63] = b'b';
        }
        String::from_utf8(letters).unwrap()
    };
    let all_mixed: Vec<String> = (0..20_000).map(mixed).collect();
    let all_numbered: Vec<String> = (0..20_000).map(numbered).collect();
    let all_short: Vec<String> = (0..20_000).map(|i| format!("b{i}")).collect();
    let (a, typo) = ("a".repeat(63), numbered(12_345).replace("frankfurt", "farnkfrut"));
    for (word, names) in [(&a, &all_mixed), (&typo, &all_numbered), (&a, &all_short), (&typo, &all_mixed)] {
        let mut meter = Meter::new(word).unwrap();
        let best = meter.nearest(names.iter().map(String::as_str), 3);
        assert_eq!(best.len(), 3);
        assert!((20_000..=20_000 * 63).contains(&meter.work), "each letter of each once: {}", meter.work);
    }
    let mut meter = Meter::new(&a).unwrap();
    meter.nearest(all_short.iter().map(String::as_str), 3);
    assert_eq!(meter.work, 20_000, "those of quite another length are not read");
    let mut meter = Meter::new(&typo).unwrap();
    assert_eq!(meter.nearest(all_numbered.iter().map(String::as_str), 3)[0], numbered(12_345));
    // And a pasted page costs nothing at all.
    assert!(Meter::new(&"x".repeat(4096)).is_none());
}

proptest! {
    #[test]
    fn a_distance_is_told_if_it_is_within_the_limit(
        word in "[ab-é]{0,12}",
        other in "[ab-é]{0,12}",
        limit in 0..9usize,
    ) {
        let want = Some(strsim::osa_distance(&word, &other)).filter(|d| *d <= limit);
        prop_assert_eq!(Meter::new(&word).unwrap().distance(&other, limit), want);
    }

    #[test]
    fn long_words_are_measured_as_well(
        word in "[ab]{50,63}",
        other in "[ab]{50,63}",
        limit in 0..64usize,
    ) {
        let want = Some(strsim::osa_distance(&word, &other)).filter(|d| *d <= limit);
        prop_assert_eq!(Meter::new(&word).unwrap().distance(&other, limit), want);
    }

    #[test]
    fn a_meter_that_has_measured_measures_on(words in prop::collection::vec("[abc]{0,9}", 1..9)) {
        let mut meter = Meter::new(&words[0]).unwrap();
        for other in &words {
            let want = strsim::osa_distance(&words[0], other);
            prop_assert_eq!(meter.distance(other, 9), Some(want));
        }
    }

    #[test]
    fn the_nearest_are_those_of_all_distances_sorted(
        word in "[ab]{0,8}",
        names in prop::collection::vec("[ab]{0,8}", 0..12),
        n in 0..4usize,
    ) {
        let mut all: Vec<(usize, &str)> =
            names.iter().map(|c| (strsim::osa_distance(&word, c), c.as_str())).collect();
        all.sort_by_key(|(d, _)| *d);
        let want: Vec<&str> = all.into_iter().take(n).map(|(_, c)| c).collect();
        prop_assert_eq!(nearest(&word, names.iter().map(String::as_str), n), want);
    }
}
