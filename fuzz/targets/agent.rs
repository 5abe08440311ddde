//! An agent's line.

use maglev::health::agent::AgentWeight;
use maglev::health::agent::{UNKNOWN_MAX, WORD_MAX, parse};
use maglev::probe::text::DETAIL_MAX;

use super::check_text;

pub fn run(data: &[u8]) {
    let reply = parse(data);
    check_text(&reply.description, DETAIL_MAX);
    assert!(reply.unknown.len() <= UNKNOWN_MAX);
    for word in &reply.unknown {
        check_text(word, WORD_MAX);
        assert!(!word.is_empty());
    }
    if let Some(AgentWeight::Absolute(n)) = reply.weight {
        assert!(n <= 100);
    }
    // What it had no word of it says nothing of: with the same words again nothing is another.
    let twice = [data.split(|b| *b == b'#').next().unwrap_or_default(), b" ", data].concat();
    let again = parse(&twice);
    assert_eq!((again.health, again.admin, again.weight), (reply.health, reply.admin, reply.weight));
    assert_eq!(again.description, reply.description);
}
