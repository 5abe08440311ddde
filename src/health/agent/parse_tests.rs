use proptest::prelude::*;

use super::*;
use crate::probe::text::DETAIL_MAX;

/// A reply on one line: what is not there is left out.
fn said(line: impl AsRef<[u8]>) -> String {
    let r = parse(line.as_ref());
    let words = [
        r.health.map(|h| h.as_str().to_owned()),
        r.admin.map(|a| a.as_str().to_owned()),
        r.weight.map(|w| w.to_string()),
        (!r.unknown.is_empty()).then(|| format!("?{}", r.unknown.join("?"))),
        (!r.description.is_empty()).then(|| format!("#{}", r.description)),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

#[test]
fn every_word() {
    for word in ["up", "down", "stopped", "fail", "ready", "drain", "maint"] {
        assert_eq!(said(word), word);
        assert_eq!(said(word.to_uppercase()), word);
        // Part of a word, or more than one, is another word.
        for other in [&word[1..], &word[..word.len() - 1], &format!("{word}s"), &format!("{word}:")] {
            assert_eq!(said(other), format!("?{other}"));
        }
    }
}

#[test]
fn weights() {
    let rows = [
        ("0%", "0%"),
        ("50%", "50%"),
        ("100%", "100%"),
        ("250%", "250%"),
        ("007%", "7%"),
        ("4294967295%", "4294967295%"),
        ("4294967296%", "4294967295%"),
        ("99999999999999999999999999%", "4294967295%"),
        ("weight:50%", "50%"),
        ("WEIGHT:0%", "0%"),
        ("weight:1000%", "1000%"),
        ("weight:0", "weight:0"),
        ("Weight:50", "weight:50"),
        ("weight:100", "weight:100"),
        ("weight:0000000000000100", "weight:100"),
        ("weight:101", "?weight:101"),
        ("weight:256", "?weight:256"),
        ("weight:4294967296", "?weight:4294967296"),
        ("weight:", "?weight:"),
        ("weight:%", "?weight:%"),
        ("weight:-1", "?weight:-1"),
        ("weight:+5", "?weight:+5"),
        ("weight:5%%", "?weight:5%%"),
        ("weight:weight:5", "?weight:weight:5"),
        ("weight: 5", "?weight:?5"),
        ("weight 5%", "5% ?weight"),
        ("%", "?%"),
        ("+5%", "?+5%"),
        ("-5%", "?-5%"),
        ("5.5%", "?5.5%"),
        ("0x5%", "?0x5%"),
        ("5 %", "?5?%"),
        ("5%5", "?5%5"),
        ("5", "?5"),
        ("maxconn:5", "?maxconn:5"),
        ("weigh", "?weigh"),
    ];
    for (line, want) in rows {
        assert_eq!(said(line), want, "{line:?}");
    }
}

#[test]
fn separators_and_case() {
    let want = "up ready 50%";
    for line in ["up ready 50%", "up,ready,50%", "up\tready\t50%", ",, UP\t,Ready ,, 50% \t", "50% rEADY uP"]
    {
        assert_eq!(said(line), want, "{line:?}");
    }
    // Nothing else separates.
    assert_eq!(said("up;ready"), "?up;ready");
    assert_eq!(said("up\u{b}ready"), "?up.ready");
    assert_eq!(said("up\0"), "?up.");
    assert_eq!(said(b"up\xa0ready"), "?up.ready");
}

#[test]
fn the_last_of_a_class_wins_and_the_classes_are_apart() {
    assert_eq!(said("up down"), "down");
    assert_eq!(said("fail stopped up"), "up");
    assert_eq!(said("maint drain ready"), "ready");
    assert_eq!(said("ready maint"), "maint");
    assert_eq!(said("50% weight:7"), "weight:7");
    assert_eq!(said("weight:7 weight:20% 30%"), "30%");
    assert_eq!(said("50% weight:101"), "50% ?weight:101");
    assert_eq!(said("down maint 5% up drain"), "up drain 5%");
}

#[test]
fn nothing_said() {
    for line in ["", " ", ",\t ,", "#", "  #  "] {
        assert_eq!(parse(line.as_bytes()), Reply::default(), "{line:?}");
    }
}

#[test]
fn a_description() {
    assert_eq!(said("down # disk full"), "down #disk full");
    assert_eq!(said("#up"), "#up");
    assert_eq!(said("up#down"), "up #down");
    assert_eq!(said("up # a # b"), "up #a # b");
    assert_eq!(said("up #\tDisk\t \x1b[31mfull \t"), "up #Disk. .[31mfull");
    assert_eq!(said(b"up # \xc3\xa4\xff"), "up #...");
    let fits = "x".repeat(DETAIL_MAX);
    assert_eq!(parse(format!("# {fits} ").as_bytes()).description, fits);
    let long = parse(format!("# {fits}yz").as_bytes()).description;
    assert!(long.len() == DETAIL_MAX && long.ends_with("x..."), "{long}");
}

#[test]
fn unknown_words_are_few_and_short() {
    let r = parse(b"a b c d e f g h i up");
    assert_eq!(r.unknown, ["a", "b", "c", "d", "e", "f", "g", "h"]);
    assert_eq!(r.health, Some(AgentHealth::Up));
    let fits = "x".repeat(WORD_MAX);
    assert_eq!(parse(fits.as_bytes()).unknown.join(" "), fits);
    assert_eq!(parse(format!("{fits}y").as_bytes()).unknown, [format!("{}...", &fits[3..])]);
    // A word that is long because of its zeros is none of these.
    assert_eq!(said(format!("{}5%", "0".repeat(1000))), "5%");
}

/// A word, and what it says if it has a meaning.
#[derive(Clone, Debug)]
enum Said {
    Health(AgentHealth),
    Admin(AgentAdmin),
    Weight(AgentWeight, bool),
    Unknown(&'static str),
}

impl Said {
    fn text(&self) -> String {
        match self {
            Said::Health(h) => h.as_str().to_owned(),
            Said::Admin(a) => a.as_str().to_owned(),
            Said::Weight(w @ AgentWeight::Share(_), true) => format!("weight:{w}"),
            Said::Weight(w, _) => w.to_string(),
            Said::Unknown(word) => (*word).to_owned(),
        }
    }
}

fn any_word() -> impl Strategy<Value = Said> {
    let weight = prop_oneof![
        any::<u32>().prop_map(AgentWeight::Share),
        (0u32..=100).prop_map(AgentWeight::Share),
        (0u8..=100).prop_map(AgentWeight::Absolute),
    ];
    prop_oneof![
        proptest::sample::select(&HEALTH[..]).prop_map(Said::Health),
        proptest::sample::select(&ADMIN[..]).prop_map(Said::Admin),
        (weight, any::<bool>()).prop_map(|(w, named)| Said::Weight(w, named)),
        proptest::sample::select(&["+5%", "weight:", "WEIGHT:101", "5", "hello", "UPS"][..])
            .prop_map(Said::Unknown),
    ]
}

/// Letters in either case, as the bits say.
fn in_case(word: &str, bits: u32) -> String {
    let cased = |(i, c): (usize, char)| {
        if bits >> (i % 32) & 1 == 1 { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }
    };
    word.chars().enumerate().map(cased).collect()
}

proptest! {
    #[test]
    fn any_bytes_give_a_bounded_reply(
        line in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..=LINE_MAX),
            "(up|DOWN|50%|weight:|[0-9]{1,12}|[ ,\t#%]|é){0,40}".prop_map(String::into_bytes),
        ],
    ) {
        let r = parse(&line);
        let clean = |s: &str| s.bytes().all(|b| (0x20..0x7f).contains(&b));
        prop_assert!(r.description.len() <= DETAIL_MAX && clean(&r.description));
        prop_assert!(r.unknown.len() <= UNKNOWN_MAX);
        prop_assert!(r.unknown.iter().all(|w| !w.is_empty() && w.len() <= WORD_MAX && clean(w)));
        if let Some(AgentWeight::Absolute(n)) = r.weight {
            prop_assert!(n <= WEIGHT_MAX);
        }
    }

    #[test]
    fn what_is_printed_is_read_back(
        words in proptest::collection::vec((any_word(), any::<u32>(), "[ ,\t]{1,3}"), 0..30),
        before in "[ ,\t]{0,3}", description in proptest::option::of("[!-~]([ -~]{0,80}[!-~])?"),
    ) {
        let mut line = before;
        let mut want = Reply::default();
        for (word, bits, after) in &words {
            let text = match word {
                // Kept as it came.
                Said::Unknown(text) => (*text).to_owned(),
                Said::Health(_) | Said::Admin(_) | Said::Weight(..) => in_case(&word.text(), *bits),
            };
            line.push_str(&text);
            line.push_str(after);
            match word {
                Said::Health(h) => want.health = Some(*h),
                Said::Admin(a) => want.admin = Some(*a),
                Said::Weight(w, _) => want.weight = Some(*w),
                Said::Unknown(_) if want.unknown.len() < UNKNOWN_MAX => want.unknown.push(text),
                Said::Unknown(_) => {}
            }
        }
        if let Some(d) = description {
            line.push('#');
            line.push_str(&d);
            want.description = d;
        }
        prop_assert_eq!(parse(line.as_bytes()), want);
    }
}
