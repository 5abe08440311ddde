use proptest::prelude::*;

use super::*;

const TOKEN: Token = *b"12345678";

fn ip4(protocol: u8, to: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut p = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0, 127, 0, 0, 1];
    p.extend_from_slice(&to);
    p.extend_from_slice(payload);
    p
}

fn ip6(next: u8, to: Ipv6Addr, payload: &[u8]) -> Vec<u8> {
    let mut p = vec![0x60, 0, 0, 0, 0, 0, next, 64];
    p.extend_from_slice(&[0; 16]);
    p.extend_from_slice(&to.octets());
    p.extend_from_slice(payload);
    p
}

/// A message of another type with a right checksum.
fn icmp4(kind: u8, code: u8, rest: &[u8]) -> Vec<u8> {
    let mut m = vec![kind, code, 0, 0, 0, 0, 0, 0];
    m.extend_from_slice(rest);
    fix(&mut m);
    m
}

fn fix(m: &mut [u8]) {
    m[2..4].fill(0);
    let c = checksum(m, &[]).to_be_bytes();
    m[2..4].copy_from_slice(&c);
}

fn reply4(ident: u16, seq: u16) -> Vec<u8> {
    let mut m = echo(V4_ECHO_REQUEST, ident, seq, TOKEN).to_vec();
    m[0] = V4_ECHO_REPLY;
    fix(&mut m);
    m
}

#[test]
fn checksum_as_in_rfc_1071() {
    assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03], &[0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
    assert_eq!(checksum(&[0x01], &[]), !0x0100);
    assert_eq!(checksum(&echo(V4_ECHO_REQUEST, 0x1234, 0xffff, TOKEN), &[]), 0);
    // IPv6 needs a pseudo header: left to the kernel.
    assert_eq!(echo(V6_ECHO_REQUEST, 1, 2, TOKEN)[2..4], [0, 0]);
}

#[test]
fn replies() {
    let m = reply4(7, 9);
    let heard = Some(Heard::Reply { ident: 7, seq: 9, token: TOKEN });
    assert_eq!(hear_v4(&ip4(1, [127, 0, 0, 1], &m)), heard);
    let mut options = ip4(1, [127, 0, 0, 1], &[]);
    options[0] = 0x46;
    options.extend_from_slice(&[1, 1, 1, 1]);
    options.extend_from_slice(&m);
    assert_eq!(hear_v4(&options), heard, "IP options are stepped over");
    let mut m6 = m.clone();
    m6[0] = V6_ECHO_REPLY;
    assert_eq!(hear_v6(&m6), heard);
}

#[test]
fn what_is_not_ours_is_not_heard() {
    let m = reply4(7, 9);
    assert_eq!(hear_v4(&ip4(17, [127, 0, 0, 1], &m)), None, "UDP");
    assert_eq!(hear_v4(&m), None, "no IP header");
    assert_eq!(hear_v4(&ip4(1, [0; 4], &echo(V4_ECHO_REQUEST, 7, 9, TOKEN))), None, "our own request");
    for cut in 0..m.len() {
        assert_eq!(hear_v4_message(&m[..cut]), None, "cut at {cut}");
    }
    let mut long = m.clone();
    long.push(0);
    assert_eq!(hear_v4_message(&long), None, "longer than sent");
    let mut bad = m.clone();
    bad[9] ^= 1;
    assert_eq!(hear_v4(&ip4(1, [0; 4], &bad)), None, "checksum");
    let mut mark = m;
    mark[16] ^= 1;
    fix(&mut mark);
    assert_eq!(hear_v4(&ip4(1, [0; 4], &mark)), None, "mark");
}

#[test]
fn errors_in_words() {
    let to = [192, 0, 2, 1];
    let request = echo(V4_ECHO_REQUEST, 7, 9, TOKEN);
    let quoted = ip4(1, to, &request);
    for (kind, code, words) in [
        (3, 0, "network unreachable"),
        (3, 1, "no route to host"),
        (3, 3, "port unreachable"),
        (3, 13, "administratively prohibited"),
        (3, 99, "destination unreachable"),
        (11, 0, "time to live exceeded"),
    ] {
        let heard = hear_v4(&ip4(1, [127, 0, 0, 1], &icmp4(kind, code, &quoted)));
        let proof = Proof::Token(TOKEN);
        assert_eq!(heard, Some(Heard::Error { why: words, to: IpAddr::from(to), ident: 7, seq: 9, proof }));
    }
    assert_eq!(hear_v4_message(&icmp4(3, 4, &quoted)), None, "fragmentation needed");
    assert_eq!(hear_v4_message(&icmp4(3, 1, &ip4(17, to, &request))), None, "about UDP");
    assert_eq!(hear_v4_message(&icmp4(3, 1, &ip4(1, to, &reply4(7, 9)))), None, "about a reply");
    // Only the header is quoted: the checksum stands for the token.
    let check = u16::from_be_bytes([request[2], request[3]]);
    match hear_v4_message(&icmp4(3, 1, &quoted[..28])) {
        Some(Heard::Error { proof: Proof::Checksum(c), .. }) => assert_eq!(c, check),
        other => panic!("{other:?}"),
    }

    let to: Ipv6Addr = "2001:db8::1".parse().unwrap();
    let request = echo(V6_ECHO_REQUEST, 7, 9, TOKEN);
    for (kind, code, words) in
        [(1, 0, "network unreachable"), (1, 3, "no route to host"), (3, 0, "hop limit exceeded")]
    {
        let heard = hear_v6(&icmp4(kind, code, &ip6(58, to, &request)));
        let proof = Proof::Token(TOKEN);
        assert_eq!(heard, Some(Heard::Error { why: words, to: IpAddr::V6(to), ident: 7, seq: 9, proof }));
    }
    assert_eq!(hear_v6(&icmp4(1, 0, &ip6(58, to, &request[..8]))), None, "no token");
    assert_eq!(hear_v6(&icmp4(1, 0, &ip6(6, to, &request))), None, "about TCP");
    assert_eq!(hear_v6(&icmp4(2, 0, &ip6(58, to, &request))), None, "packet too big");
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_harm(mut bytes in proptest::collection::vec(any::<u8>(), 0..120), near in any::<bool>()) {
        if near && bytes.len() > 30 {
            bytes[0] = 0x45;
            bytes[9] = 1;
            bytes[20] = 3;
            bytes[28] = 0x45;
        }
        let _ = (hear_v4(&bytes), hear_v4_message(&bytes), hear_v6(&bytes));
    }

    #[test]
    fn a_reply_carries_what_the_request_had(ident: u16, seq: u16, token: Token) {
        let mut m = echo(V4_ECHO_REQUEST, ident, seq, token).to_vec();
        m[0] = V4_ECHO_REPLY;
        fix(&mut m);
        prop_assert_eq!(hear_v4(&ip4(1, [10, 0, 0, 1], &m)), Some(Heard::Reply { ident, seq, token }));
    }
}
