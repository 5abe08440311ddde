//! The state file. What is JSON of the right shape is also wrapped with its checksum, which a fuzzer does not find.

use maglev::control::state::{Bad, Snapshot};

pub fn run(data: &[u8]) {
    match Snapshot::decode(data) {
        Ok(snapshot) => believed(&snapshot),
        Err(bad) => short(&bad),
    }
    if let Ok(snapshot) = serde_json::from_slice::<Snapshot>(data) {
        let bytes = snapshot.encode().expect("far below the limit");
        match Snapshot::decode(&bytes) {
            Ok(read) => {
                assert_eq!(read, snapshot);
                believed(&read);
            }
            Err(bad) => {
                assert!(matches!(bad, Bad::Damaged(_)), "{bad}");
                short(&bad);
            }
        }
    }
}

fn believed(snapshot: &Snapshot) {
    assert!(snapshot.weights.iter().all(|w| w.weight <= 100 && w.configured <= 100));
    assert!(snapshot.backends.iter().all(|b| b.state.as_str() != "removed"));
    let bytes = snapshot.encode().expect("it was read");
    assert_eq!(Snapshot::decode(&bytes).as_ref(), Ok(snapshot));
}

/// The reason goes into a line of the log.
fn short(bad: &Bad) {
    let text = bad.to_string();
    assert!(text.len() <= 1024, "{} bytes", text.len());
    super::check_text(&text, 1024);
    assert!(!text.contains('\n'), "{text:?}");
}
