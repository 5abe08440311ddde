//! Classic BPF programs that let a raw socket see only what answers its own echo requests. Without them the kernel
//! would queue every ICMP packet of the machine on every such socket.

use libc::{BPF_ABS, BPF_B, BPF_H, BPF_IND, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_LDX, BPF_MSH, BPF_RET};
use socket2::SockFilter;

use super::packet;

const ACCEPT: u32 = u32::MAX;

fn op(code: u32, k: u32) -> SockFilter {
    jump(code, k, 0, 0)
}

fn jump(code: u32, k: u32, yes: u8, no: u8) -> SockFilter {
    SockFilter::new(u16::try_from(code).unwrap_or(0), yes, no, k)
}

/// Sees IP packets: an echo reply with `ident`, or an error that quotes an echo request with it.
pub(super) fn v4(ident: u16) -> Vec<SockFilter> {
    let id = u32::from(ident);
    let quoted = 8; // offset of the quoted IP header in an error
    vec![
        op(BPF_LDX | BPF_B | BPF_MSH, 0), // X = length of the IP header
        op(BPF_LD | BPF_B | BPF_IND, 0),
        jump(BPF_JMP | BPF_JEQ | BPF_K, packet::V4_ECHO_REPLY.into(), 0, 2),
        op(BPF_LD | BPF_H | BPF_IND, 4),
        jump(BPF_JMP | BPF_JEQ | BPF_K, id, 8, 9),
        jump(BPF_JMP | BPF_JEQ | BPF_K, packet::V4_UNREACHABLE.into(), 1, 0),
        jump(BPF_JMP | BPF_JEQ | BPF_K, packet::V4_TIME_EXCEEDED.into(), 0, 7),
        op(BPF_LD | BPF_B | BPF_IND, quoted),
        jump(BPF_JMP | BPF_JEQ | BPF_K, 0x45, 0, 5), // we send without IP options
        op(BPF_LD | BPF_B | BPF_IND, quoted + 9),
        jump(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 3), // ICMP
        op(BPF_LD | BPF_H | BPF_IND, quoted + 20 + 4),
        jump(BPF_JMP | BPF_JEQ | BPF_K, id, 0, 1),
        op(BPF_RET | BPF_K, ACCEPT),
        op(BPF_RET | BPF_K, 0),
    ]
}

/// Sees ICMPv6 messages, else as [`v4`].
pub(super) fn v6(ident: u16) -> Vec<SockFilter> {
    let id = u32::from(ident);
    let quoted = 8;
    vec![
        op(BPF_LD | BPF_B | BPF_ABS, 0),
        jump(BPF_JMP | BPF_JEQ | BPF_K, packet::V6_ECHO_REPLY.into(), 0, 2),
        op(BPF_LD | BPF_H | BPF_ABS, 4),
        jump(BPF_JMP | BPF_JEQ | BPF_K, id, 6, 7),
        jump(BPF_JMP | BPF_JEQ | BPF_K, packet::V6_UNREACHABLE.into(), 1, 0),
        jump(BPF_JMP | BPF_JEQ | BPF_K, packet::V6_TIME_EXCEEDED.into(), 0, 5),
        op(BPF_LD | BPF_B | BPF_ABS, quoted + 6),
        jump(BPF_JMP | BPF_JEQ | BPF_K, 58, 0, 3), // ICMPv6
        op(BPF_LD | BPF_H | BPF_ABS, quoted + 40 + 4),
        jump(BPF_JMP | BPF_JEQ | BPF_K, id, 0, 1),
        op(BPF_RET | BPF_K, ACCEPT),
        op(BPF_RET | BPF_K, 0),
    ]
}
