//! A line of the command language.

use maglev::cli::{Answer, MAX_LINE, complete, execute_at, help, is_command};

use super::check_text;
use super::operator::Stand;

/// No answer here is longer: the longest has every command's help.
const MOST: usize = 64 * 1024;

pub fn run(data: &[u8]) {
    // The socket hands lines over so.
    let line = String::from_utf8_lossy(data);
    let mut op = Stand::default();
    let reply = match execute_at(&line, &mut op, 1_700_000_000_000) {
        Answer::Done(reply) => reply,
        Answer::Later(mut pending) => {
            assert!(pending.given_up(&op).text.ends_with('\n'));
            pending.poll(&mut op).unwrap_or_else(|| pending.meanwhile(&op))
        }
    };
    check_text(&reply.text, MOST);
    assert!(reply.text.ends_with('\n'));
    assert_eq!(reply.ok, !reply.text.starts_with("error: "), "{}", reply.text);
    if line.trim_end_matches(['\0', '\r', '\n']).len() > MAX_LINE {
        assert!(!reply.ok && !is_command(&line));
    }
    let text = help(&line);
    check_text(&text, MOST);
    assert!(text.ends_with('\n'));
    completions(&line, &op);
}

/// What is offered continues the word, is in order, and leads to a line that is taken as far as it goes.
fn completions(line: &str, op: &Stand) {
    let offered = complete(line, op);
    assert!(offered.len() <= 100);
    assert!(offered.is_sorted());
    let last = line.rsplit([' ', '\t']).next().unwrap_or_default();
    for word in offered {
        assert!(word.starts_with(last), "{word:?} for {line:?}");
        assert!(!word.is_empty() && word.bytes().all(|b| b.is_ascii_graphic()), "{word:?}");
    }
}
