//! ICMP and ICMPv6 packets as the raw sockets receive them.

use maglev::probe::icmp::packet::{
    self, Heard, Proof, V4_ECHO_REPLY, V4_ECHO_REQUEST, V6_ECHO_REPLY, V6_ECHO_REQUEST, echo, hear_v4,
    hear_v4_message, hear_v6,
};

pub fn run(data: &[u8]) {
    for heard in [hear_v4(data), hear_v4_message(data), hear_v6(data)].into_iter().flatten() {
        grounded(&heard, data);
    }
    // What is believed with its checksum is believed without.
    if let Some(heard) = hear_v4(data) {
        let header = usize::from(data[0] & 15) * 4;
        assert_eq!(hear_v4_message(&data[header..]), Some(heard));
    }
    round_trip(data);
}

/// All that is told was in the packet.
fn grounded(heard: &Heard, data: &[u8]) {
    let has = |part: &[u8]| data.windows(part.len()).any(|w| w == part);
    let (ident, seq) = match heard {
        Heard::Reply { ident, seq, token } => {
            assert!(has(token));
            (ident, seq)
        }
        Heard::Error { why, ident, seq, proof, .. } => {
            assert!(!why.is_empty());
            match proof {
                Proof::Token(token) => assert!(has(token)),
                Proof::Checksum(sum) => assert!(has(&sum.to_be_bytes())),
            }
            (ident, seq)
        }
    };
    assert!(has(&[ident.to_be_bytes(), seq.to_be_bytes()].concat()));
}

/// Our own echo is heard when it is answered, and not before.
fn round_trip(data: &[u8]) {
    let Some((head, _)) = data.split_first_chunk::<12>() else { return };
    let [i0, i1, s0, s1, t @ ..] = *head;
    let (ident, seq, token) = (u16::from_be_bytes([i0, i1]), u16::from_be_bytes([s0, s1]), t);
    for (request, reply) in [(V4_ECHO_REQUEST, V4_ECHO_REPLY), (V6_ECHO_REQUEST, V6_ECHO_REPLY)] {
        let mut sent = echo(request, ident, seq, token);
        assert_eq!((hear_v4_message(&sent), hear_v6(&sent)), (None, None));
        if request == V4_ECHO_REQUEST {
            assert_eq!(packet::checksum(&sent, &[]), 0);
        }
        sent[0] = reply;
        let heard = if request == V4_ECHO_REQUEST { hear_v4_message(&sent) } else { hear_v6(&sent) };
        assert_eq!(heard, Some(Heard::Reply { ident, seq, token }));
    }
}
