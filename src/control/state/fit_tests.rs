use std::sync::Arc;

use super::super::snapshot::{SavedAgent, SavedDisabled};
use super::*;
use crate::health::Author;
use crate::health::agent::AgentWords;

/// Backends with ten transitions each: without words, with an agent's, drained by the operator, disabled.
fn snapshot(backends: usize) -> Snapshot {
    let transition = |n: u64| SavedTransition {
        from: Some(State::Up),
        to: State::Down,
        at_ms: n,
        code: "L7STS".into(),
        detail: "HTTP 503, and what else such a server may say".into(),
    };
    let none = SavedWords::default();
    let agent = SavedAgent {
        since_ms: 5,
        words: AgentWords {
            weight: Some(crate::health::agent::AgentWeight::Absolute(7)),
            ..AgentWords::default()
        },
    };
    let disabled = Some(SavedDisabled { since_ms: 5, by: Author::Operator });
    let words = [
        (State::Up, none),
        (State::Up, SavedWords { agent: Some(agent), ..none }),
        (State::Up, SavedWords { agent: Some(agent), drain: Some(5), ..none }),
        (State::Disabled, SavedWords { disabled, ..none }),
    ];
    let backend = |n: usize| {
        let (state, words) = words[n % words.len()];
        Arc::new(SavedBackend {
            name: format!("b{n:05}"),
            address: [10, 0, u8::try_from(n / 250).unwrap(), u8::try_from(n % 250).unwrap()].into(),
            enabled: true,
            state,
            words,
            history: (0..10).map(transition).collect(),
        })
    };
    let weight = |b: &Arc<SavedBackend>| SavedWeight {
        frontend: "web".into(),
        pool: "primary".into(),
        backend: b.name.clone(),
        address: b.address,
        configured: 100,
        weight: 7,
    };
    let backends: Vec<_> = (0..backends).map(backend).collect();
    Snapshot { weights: backends.iter().step_by(5).map(weight).collect(), backends }
}

fn within(s: &Snapshot, max: usize) -> Result<(Cut, Vec<u8>), Bad> {
    let fit = Fit::within(s, max)?;
    let mut bytes = Vec::new();
    fit.write(&mut bytes).unwrap();
    assert!(bytes.len() <= max);
    Ok((fit.cut, bytes))
}

/// What is an operator's of each backend.
fn operators(s: &Snapshot) -> Vec<(String, SavedWords)> {
    let words = |w: SavedWords| SavedWords { agent: None, ..w };
    let said = s.backends.iter().map(|b| (b.name.clone(), words(b.words)));
    said.filter(|(_, w)| *w != SavedWords::default()).collect()
}

#[test]
fn history_goes_before_states_and_states_before_words_and_the_operators_never() {
    let whole = snapshot(400);
    let mut max = whole.encode().unwrap().len();
    let mut cuts = vec![Cut::Nothing];
    assert_eq!(within(&whole, max).unwrap().0, Cut::Nothing);
    let mut last = max;
    while let Ok((cut, bytes)) = within(&whole, max - 1) {
        // It reads, and what is left is as it was.
        let left = Snapshot::decode(&bytes).unwrap();
        assert_eq!((operators(&left), &left.weights), (operators(&whole), &whole.weights), "{cut:?}");
        let longest = left.backends.iter().map(|b| b.history.len()).max().unwrap();
        let agents = left.backends.iter().filter(|b| b.words.agent.is_some()).count();
        let expected = match cut {
            Cut::Nothing => unreachable!(),
            Cut::HistoryBeyond5 => (5, 400, 200),
            Cut::HistoryBeyond2 => (2, 400, 200),
            Cut::HistoryBeyond1 => (1, 400, 200),
            Cut::History => (0, 400, 200),
            Cut::States => (0, 300, 200),
            Cut::Agents => (0, 200, 0),
        };
        assert_eq!((longest, left.backends.len(), agents), expected, "{cut:?}");
        let newest = |s: &Snapshot| s.backends[2].history.first().map(|t| t.at_ms);
        assert!(longest == 0 || newest(&left) == newest(&whole), "the newest stay");
        assert!(cut.as_str().is_some());
        cuts.push(cut);
        assert!(bytes.len() < last);
        (max, last) = (bytes.len(), bytes.len());
    }
    assert_eq!(cuts, Cut::ALL, "each is tried, in this order");
    assert_eq!(within(&whole, max - 1), Err(Bad::Long), "the words alone are too long");
}

/// A disk that counts, and how much it was given at once.
#[derive(Default)]
struct Counted {
    bytes: usize,
    largest: usize,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes += bytes.len();
        self.largest = self.largest.max(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_long_file_is_written_piece_by_piece() {
    let s = snapshot(5_000);
    let (fit, mut disk) = (Fit::new(&s).unwrap(), Counted::default());
    fit.write(&mut disk).unwrap();
    assert_eq!(disk.bytes, s.encode().unwrap().len());
    assert!(disk.bytes > 20 * BUFFER && disk.largest <= BUFFER, "{} {}", disk.bytes, disk.largest);
}
