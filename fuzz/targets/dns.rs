//! The answer to a `dns` check. The first byte chooses the check.

use maglev::config::{DnsCheck, Pattern};
use maglev::probe::Code;
use maglev::probe::dns::{judge, query};

use super::{check_outcome, choice};

const ID: u16 = 0x4d47;

pub fn run(data: &[u8]) {
    let (kind, data) = choice(data);
    let (_, qtype) = DnsCheck::QTYPES[kind % DnsCheck::QTYPES.len()];
    let pattern = |source: &str| Pattern::new(source).unwrap();
    let check = DnsCheck {
        name: if kind & 0x40 == 0 { "www.example.org" } else { "." }.into(),
        qtype,
        rcode: DnsCheck::RCODES[(kind >> 4) % 2 * 3].1,
        expect: (kind & 0x80 != 0).then(|| pattern("^[0-9a-z]")),
    };
    if let Some(outcome) = judge(&check, ID, data) {
        check_outcome(&outcome, &[Code::L7Ok, Code::L7Rsp, Code::L7Sts]);
        // It has our id; with any other it would not be for us.
        assert_eq!(data[..2], ID.to_be_bytes());
        assert_eq!(judge(&check, !ID, data), None);
    }
    // The question alone is no answer to itself.
    let question = query(&check, ID).expect("a valid name");
    assert!(question.len() <= 512);
    assert_eq!(judge(&check, ID, &question), None);
    // It is one as soon as the bit says so, whatever follows the header's flags.
    let mut answer = question;
    answer[2] |= 0x80;
    assert!(judge(&check, ID, &answer).is_some());
    answer.extend_from_slice(data);
    if let Some(outcome) = judge(&check, ID, &answer) {
        check_outcome(&outcome, &[Code::L7Ok, Code::L7Rsp, Code::L7Sts]);
    }
}
