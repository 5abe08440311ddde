use proptest::prelude::*;

use super::*;
use crate::control::state::fit::{Cut, Fit};

fn sample() -> Snapshot {
    Snapshot {
        backends: vec![Arc::new(SavedBackend {
            name: "a".into(),
            address: "10.0.0.1".parse().unwrap(),
            enabled: true,
            state: State::Down,
            words: SavedWords::default(),
            history: vec![SavedTransition {
                from: Some(State::Up),
                to: State::Down,
                at_ms: 5,
                code: "L7STS".into(),
                detail: "HTTP 503 \"\\\u{7f}é".into(),
            }],
        })],
        weights: vec![SavedWeight {
            frontend: "web".into(),
            pool: "first".into(),
            backend: "a".into(),
            address: "10.0.0.1".parse().unwrap(),
            configured: 100,
            weight: 7,
        }],
    }
}

fn decode(text: &str) -> Result<Snapshot, Bad> {
    Snapshot::decode(text.as_bytes())
}

#[test]
fn what_is_written_is_read() {
    for s in [sample(), Snapshot::default()] {
        assert_eq!(Snapshot::decode(&s.encode().unwrap()), Ok(s));
    }
}

#[test]
fn cut_short_anywhere_it_is_bad() {
    let whole = sample().encode().unwrap();
    // The last byte is the line's end.
    for n in 0..whole.len() - 1 {
        assert!(matches!(Snapshot::decode(&whole[..n]), Err(Bad::Damaged(_))), "{n} bytes");
    }
}

#[test]
fn a_changed_byte_anywhere_is_bad() {
    let whole = sample().encode().unwrap();
    for i in 0..whole.len() - 1 {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[i] ^= 1 << bit;
            assert!(Snapshot::decode(&bytes).is_err(), "byte {i} bit {bit}");
        }
    }
}

#[test]
fn other_versions_and_other_files_are_told_apart() {
    let text = String::from_utf8(sample().encode().unwrap()).unwrap();
    for (version, n) in [("0", 0), ("2", 2), ("4294967295", u32::MAX)] {
        let other = text.replacen("\"version\":1", &format!("\"version\":{version}"), 1);
        assert_eq!(decode(&other), Err(Bad::Version(n)));
    }
    // A later version need not have this one's shape.
    assert_eq!(decode(r#"{"format":"maglev-state","version":2,"words":[]}"#), Err(Bad::Version(2)));
    for foreign in ["{}", "[]", "null", "7", "\"x\"", r#"{"version":1}"#, r#"{"format":"x","version":1}"#] {
        assert_eq!(decode(foreign), Err(Bad::Foreign), "{foreign}");
    }
    for damaged in ["", "{", "maglev:\n", r#"{"format":"maglev-state","version":1}"#] {
        assert!(matches!(decode(damaged), Err(Bad::Damaged(_))), "{damaged}");
    }
    assert!(matches!(decode(&"[".repeat(100_000)), Err(Bad::Damaged(_))), "too deep");
}

#[test]
fn what_cannot_have_been_written_is_bad() {
    let mut s = sample();
    Arc::make_mut(&mut s.backends[0]).state = State::Removed;
    assert!(matches!(Snapshot::decode(&s.encode().unwrap()), Err(Bad::Damaged(_))));
    let mut s = sample();
    s.weights[0].weight = 101;
    assert!(matches!(Snapshot::decode(&s.encode().unwrap()), Err(Bad::Damaged(_))));
}

#[test]
fn what_is_wrong_is_said_in_one_short_line() {
    let hostile = format!("\u{1b}[2J\n\u{202e}{}", "x".repeat(100_000));
    let whole = String::from_utf8(sample().encode().unwrap()).unwrap();
    let json = serde_json::to_string(&hostile).unwrap();
    let other_word = whole.replacen("\"state\":\"down\"", &format!("\"state\":{json}"), 1);
    assert_ne!(other_word, whole);
    let mut removed = sample();
    Arc::make_mut(&mut removed.backends[0]).state = State::Removed;
    Arc::make_mut(&mut removed.backends[0]).name.clone_from(&hostile);
    let mut heavy = sample();
    heavy.weights[0].weight = 101;
    heavy.weights[0].backend = hostile;
    let files = [other_word.into_bytes(), removed.encode().unwrap(), heavy.encode().unwrap()];
    for file in files {
        let Err(bad) = Snapshot::decode(&file) else { panic!("believed") };
        let text = bad.to_string();
        assert!(text.starts_with("damaged: ") && text.len() < 400, "{} bytes", text.len());
        assert!(text.bytes().all(|b| (0x20..0x7f).contains(&b)), "{text:?}");
    }
}

#[test]
fn its_size_is_bounded() {
    let (mut bare, max) = (sample(), |s: &Snapshot| s.encode().unwrap().len());
    Arc::make_mut(&mut bare.backends[0]).history.clear();
    assert_eq!(Fit::within(&sample(), max(&sample())).unwrap().cut, Cut::Nothing);
    assert_eq!(Fit::within(&sample(), max(&sample()) - 1).unwrap().cut, Cut::History);
    let words = Snapshot { backends: Vec::new(), weights: sample().weights };
    assert!(
        matches!(Fit::within(&words, max(&words) - 1), Err(Bad::Long)),
        "an operator's word is not left out"
    );
    assert_eq!(Snapshot::decode(&vec![b' '; SIZE_MAX + 1]), Err(Bad::Long));
}

/// It decides whether a file that cannot be read is moved out of the way.
#[test]
fn a_state_file_is_known_however_damaged_and_nothing_else_is_taken_for_one() {
    let whole = sample().encode().unwrap();
    for n in 0..whole.len() {
        assert!(Snapshot::is_ours(&whole[..n]) && begins_ours(&whole[..n]), "cut to {n} bytes");
        let mut flipped = whole.clone();
        flipped[n] ^= 0x11;
        assert!(Snapshot::is_ours(&flipped) && begins_ours(&flipped), "byte {n}");
    }
    // As other tools write it.
    let value: serde_json::Value = serde_json::from_slice(&whole).unwrap();
    assert!(Snapshot::is_ours(&serde_json::to_vec_pretty(&value).unwrap()));
    // As `jq -S` does; the state comes behind.
    let sorted = b"{\n  \"crc32c\": 4294967295,\n  \"format\": \"maglev-state\",\n  \"state\": {\n";
    assert!(begins_ours(sorted));
    assert!(begins_ours(b"{\n  \"format\": \"maglev-state\",\n  \"version\": 9\n}\n"));
    let foreign: [&[u8]; 12] = [
        b"maglev:\n  backends: {}\n",
        b"{\"nginx\":1}",
        b"{}",
        b"[]",
        b"{\"format\":\"x\",\"version\":1}",
        b"{\"version\":1,\"format\":\"other-state\"}",
        b"-----BEGIN CERTIFICATE-----\n",
        b"from a later version",
        b"0",
        b"\x7fELF",
        &[0; 4096],
        &[0xff; 4096],
    ];
    for text in foreign {
        assert!(!Snapshot::is_ours(text) && !begins_ours(text), "{:?}", String::from_utf8_lossy(text));
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Snapshot::decode(&bytes).is_err());
    }

    #[test]
    fn random_damage_is_never_believed(at in 0usize..300, with in proptest::collection::vec(any::<u8>(), 1..9)) {
        let whole = sample().encode().unwrap();
        let mut bytes = whole.clone();
        let at = at % whole.len();
        bytes.splice(at..at, with.iter().copied());
        if let Ok(s) = Snapshot::decode(&bytes) {
            prop_assert_eq!(s, sample(), "white space alone may differ");
        }
    }
}

#[test]
fn words_are_read_and_their_nonsense_is_bad() {
    let since = 7;
    let agent = |words| Some(SavedAgent { since_ms: since, words });
    let heavy = |n| AgentWords { weight: Some(AgentWeight::Absolute(n)), ..AgentWords::default() };
    let disabled = Some(SavedDisabled { since_ms: since, by: Author::Operator });
    let none = SavedWords::default();
    let rows = [
        (State::Down, none, true),
        (State::Drain, none, false),
        (State::Disabled, none, true),
        (State::Disabled, SavedWords { disabled, ..none }, true),
        (State::Up, SavedWords { disabled, ..none }, false),
        (State::Paused, SavedWords { disabled, ..none }, false),
        (State::Paused, SavedWords { paused: Some(since), ..none }, true),
        (State::Disabled, SavedWords { paused: Some(since), ..none }, false),
        (State::Unknown, SavedWords { drain: Some(since), muted: Some(since), ..none }, true),
        (State::Disabled, SavedWords { beneath: Some(State::Stopping), ..none }, true),
        (State::Disabled, SavedWords { beneath: Some(State::Unknown), ..none }, false),
        (State::Disabled, SavedWords { beneath: Some(State::Paused), ..none }, false),
        (State::Up, SavedWords { beneath: Some(State::Down), ..none }, false),
        (State::Up, SavedWords { agent: agent(heavy(100)), ..none }, true),
        (State::Up, SavedWords { agent: agent(heavy(101)), ..none }, false),
        (State::Up, SavedWords { agent: agent(AgentWords::default()), ..none }, false),
        (State::Up, SavedWords { agent: agent(heavy(1)), muted: Some(since), ..none }, false),
    ];
    for (state, words, good) in rows {
        let mut s = sample();
        let b = Arc::make_mut(&mut s.backends[0]);
        (b.state, b.words) = (state, words);
        let read = Snapshot::decode(&s.encode().unwrap());
        match good {
            true => assert_eq!(read, Ok(s)),
            false => assert!(matches!(read, Err(Bad::Damaged(_))), "{state:?} {words:?}"),
        }
    }
}

/// Byte for byte as the version before there were words wrote it.
#[test]
fn a_file_of_before_there_were_words_still_reads() {
    let state = r#"{"backends":[{"name":"a","address":"10.0.0.1","enabled":true,"state":"down","history":[]}],"weights":[]}"#;
    let crc = crc32c::crc32c(state.as_bytes());
    let text = format!("{{\"format\":\"maglev-state\",\"version\":1,\"crc32c\":{crc},\"state\":{state}}}\n");
    let read = decode(&text).unwrap();
    assert_eq!((read.backends[0].state, read.backends[0].words), (State::Down, SavedWords::default()));
    assert_eq!(read.encode().unwrap(), text.as_bytes(), "and is written so while there is no word");
}
