//! Agents on loopback: what is asked, what is read, and peers that mean no good.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod probe_support;

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use maglev::config::Agent;
use maglev::health::agent::{AgentAdmin, AgentHealth, AgentWeight, LINE_MAX, Reply};
use maglev::probe::{Order, Task};
use probe_support::*;

/// Says `bytes` to each who comes, and leaves the connection open.
fn says(address: IpAddr, bytes: impl Into<Vec<u8>>) -> u16 {
    let bytes = bytes.into();
    serve(address, move |mut c| {
        let _ = c.write_all(&bytes);
        until_closed(c);
    })
}

/// The outcome of a question that nobody replied to.
fn unanswered(rig: &Rig, address: IpAddr, agent: &Arc<Agent>) -> String {
    let r = rig.ask(address, agent);
    assert_eq!(r.reply, None);
    said(&r.outcome)
}

fn reset(c: TcpStream) {
    socket2::SockRef::from(&c).set_linger(Some(Duration::ZERO)).unwrap();
}

#[test]
fn a_line_is_l7ok_with_its_reply() {
    let rig = Rig::new();
    for address in families() {
        let port = says(address, "DOWN,drain 50% hello # disk full\r\nup ready 100%\r\n");
        let r = rig.ask(address, &agent(port, 5000, ""));
        assert_eq!(said(&r.outcome), "L7OK disk full");
        let want = Reply {
            health: Some(AgentHealth::Down),
            admin: Some(AgentAdmin::Drain),
            weight: Some(AgentWeight::Share(50)),
            description: "disk full".into(),
            unknown: vec!["hello".into()],
        };
        assert_eq!(r.reply.as_deref(), Some(&want));
        // At the line's end, not at the deadline.
        assert!(took(&r) < Duration::from_secs(2));
    }
}

#[test]
fn without_a_description_the_words_are_told() {
    let rig = Rig::new();
    assert_eq!(said(&rig.ask(V4, &agent(says(V4, " up 50%\r"), 5000, "")).outcome), "L7OK up 50%");
    // An empty line is a reply that says nothing.
    let r = rig.ask(V4, &agent(says(V4, "\n"), 5000, ""));
    assert_eq!((said(&r.outcome).as_str(), r.reply.as_deref()), ("L7OK", Some(&Reply::default())));
}

#[test]
fn what_is_to_be_sent_arrives() {
    let rig = Rig::new();
    for address in families() {
        let (tell, told) = std::sync::mpsc::channel();
        let port = serve(address, move |mut c| {
            let mut asked = [0; 14];
            let read = c.read_exact(&mut asked).is_ok();
            let _ = c.write_all(b"maint\n");
            // Nothing comes after it, but for the reset.
            let end = c.read(&mut [0; 1]).map_err(|e| e.kind());
            let _ = tell.send((read, asked, end));
        });
        let r = rig.ask(address, &agent(port, 5000, "state of web0\n"));
        assert_eq!(said(&r.outcome), "L7OK maint");
        let (read, asked, end) = told.recv_timeout(PATIENCE).unwrap();
        assert!(read);
        assert_eq!(asked, *b"state of web0\n");
        assert_eq!(end, Err(ErrorKind::ConnectionReset));
    }
}

#[test]
fn a_peer_that_does_not_listen_to_what_is_sent_is_heard_all_the_same() {
    let rig = Rig::new();
    for _ in 0..20 {
        // It speaks first, and its close resets, since it leaves bytes unread.
        let port = serve(V4, |mut c| {
            let _ = c.write_all(b"drain\n");
        });
        assert_eq!(said(&rig.ask(V4, &agent(port, 5000, "state\n")).outcome), "L7OK drain");
    }
}

#[test]
fn a_line_in_pieces_is_put_together() {
    let rig = Rig::new();
    let port = serve(V4, |mut c| {
        let _ = c.set_nodelay(true);
        for b in b"weight:25 stopped\r\n" {
            if c.write_all(&[*b]).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        until_closed(c);
    });
    let r = rig.ask(V4, &agent(port, 10_000, ""));
    assert_eq!(said(&r.outcome), "L7OK weight:25 stopped");
    let reply = r.reply.unwrap();
    assert_eq!((reply.health, reply.admin), (Some(AgentHealth::Stopped), None));
    assert_eq!(reply.weight, Some(AgentWeight::Absolute(25)));
}

#[test]
fn without_a_line_end_nothing_is_said() {
    let rig = Rig::new();
    for address in families() {
        for half in ["", "down", "down # no end"] {
            let port = serve(address, move |mut c| {
                let _ = c.write_all(half.as_bytes());
                let _ = c.shutdown(Shutdown::Write);
                until_closed(c);
            });
            let o = unanswered(&rig, address, &agent(port, 5000, ""));
            assert_eq!(o, "L7RSP closed without a line end", "{half:?}");
        }
    }
    let port = serve(V4, drop);
    assert_eq!(unanswered(&rig, V4, &agent(port, 5000, "")), "L7RSP closed without a line end");
}

#[test]
fn a_reset_is_l7rsp() {
    let rig = Rig::new();
    let port = serve(V4, |mut c| {
        let _ = c.read(&mut [0; 100]);
        reset(c);
    });
    assert_eq!(unanswered(&rig, V4, &agent(port, 5000, "state\n")), "L7RSP connection reset");
    // At once: before the prober has looked at the connection, or after.
    let port = serve(V4, reset);
    for _ in 0..20 {
        assert_eq!(unanswered(&rig, V4, &agent(port, 5000, "")), "L7RSP connection reset");
    }
}

#[test]
fn a_line_that_just_fits_and_one_that_does_not() {
    let rig = Rig::new();
    let line = |n: usize| format!("up{}\n", " ".repeat(n - 2));
    let r = rig.ask(V4, &agent(says(V4, line(LINE_MAX)), 5000, ""));
    assert_eq!((said(&r.outcome).as_str(), r.reply.unwrap().health), ("L7OK up", Some(AgentHealth::Up)));
    let o = unanswered(&rig, V4, &agent(says(V4, line(LINE_MAX + 1)), 5000, ""));
    assert_eq!(o, "L7RSP line longer than 1 KiB");
}

#[test]
fn a_flood_is_cut_off() {
    let rig = Rig::new();
    for (start, outcome) in [("", "L7RSP line longer than 1 KiB"), ("fail\n", "L7OK fail")] {
        let (tell, told) = std::sync::mpsc::channel();
        let port = serve(V4, move |mut c| {
            let mut flood = start.as_bytes().to_vec();
            flood.resize(10 << 20, b'x');
            let _ = tell.send(c.write_all(&flood).map_err(|e| e.kind()));
        });
        let r = rig.ask(V4, &agent(port, 15_000, ""));
        assert_eq!(said(&r.outcome), outcome);
        assert_eq!(r.reply.is_some(), outcome.starts_with("L7OK"));
        assert!(took(&r) < Duration::from_secs(10), "{:?}", took(&r));
        // It is far more than the buffers between the two hold: nobody read it to the end.
        let end = told.recv_timeout(PATIENCE).unwrap();
        assert!(matches!(end, Err(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)), "{end:?}");
    }
}

#[test]
fn any_bytes_do_no_harm() {
    let rig = Rig::new();
    let mut bytes: Vec<u8> = (0..=255).filter(|b| !matches!(b, b'\r' | b'\n' | b'#')).collect();
    bytes.extend_from_slice(b" up\n");
    let r = rig.ask(V4, &agent(says(V4, bytes), 5000, ""));
    assert!(r.outcome.detail.len() <= 120 && r.outcome.detail.bytes().all(|b| (0x20..0x7f).contains(&b)));
    let reply = r.reply.unwrap();
    assert_eq!(reply.health, Some(AgentHealth::Up));
    assert!(!reply.unknown.is_empty() && reply.unknown.iter().all(|w| w.len() <= 32));
}

#[test]
fn connected_but_mute_is_l7tout() {
    let rig = Rig::new();
    for address in families() {
        let r = rig.ask(address, &agent(serve(address, until_closed), 200, "state\n"));
        assert_eq!((said(&r.outcome).as_str(), &r.reply), ("L7TOUT no line in time", &None));
        assert_at_deadline(&r, 200);
    }
}

#[test]
fn a_peer_that_drips_does_not_outlive_the_deadline() {
    let rig = Rig::new();
    let port = serve(V4, |mut c| {
        let _ = c.set_nodelay(true);
        for _ in 0..400 {
            if c.write_all(b"d").is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let r = rig.ask(V4, &agent(port, 500, ""));
    assert_eq!((said(&r.outcome).as_str(), &r.reply), ("L7TOUT no line in time", &None));
    assert_at_deadline(&r, 500);
}

#[test]
fn no_connection() {
    let rig = Rig::new();
    for address in families() {
        let (_held, port) = closed_port(address);
        assert_eq!(unanswered(&rig, address, &agent(port, 5000, "x")), "L4CON connection refused");
        let silent = silent(address);
        let r = rig.ask(address, &agent(silent.port, 200, "x"));
        assert_eq!((said(&r.outcome).as_str(), &r.reply), ("L4TOUT connection timed out", &None));
        assert_at_deadline(&r, 200);
    }
}

#[test]
fn what_connect_itself_refuses_is_our_fault() {
    let rig = Rig::new();
    let o = unanswered(&rig, "255.255.255.255".parse().unwrap(), &agent(80, 2000, ""));
    assert!(o.starts_with("SOCKERR connect: "), "{o}");
    rig.configure(Some("maglev-no-such-netns"), 10);
    let o = unanswered(&rig, V4, &agent(80, 2000, ""));
    assert!(o.starts_with("SOCKERR ") && o.contains("maglev-no-such-netns"), "{o}");
}

#[test]
fn many_at_once_each_hears_its_own_and_checks_and_agents_have_a_limit_each() {
    let rig = Rig::new();
    rig.configure(None, 20);
    let port = serve(V4, |mut c| {
        let mut asked = [0; 4];
        let _ = c.read_exact(&mut asked);
        let _ = c.write_all(&asked);
        let _ = c.write_all(b"%\n");
        until_closed(c);
    });
    let check = tcp(port, 15_000);
    let mut wanted = HashMap::new();
    for n in 0..300 {
        wanted.insert(
            rig.send(V4, Task::Agent(agent(port, 15_000, &format!("{n:04}")))),
            Some(AgentWeight::Share(n)),
        );
        if n % 3 == 0 {
            wanted.insert(rig.order(V4, &check), None);
        }
    }
    let silent = silent(V4);
    let cancelled = rig.send(V4, Task::Agent(agent(silent.port, 60_000, "9999")));
    rig.0.send(Order::Cancel(cancelled));
    let mut times = [Vec::new(), Vec::new()];
    while !wanted.is_empty() {
        let r = rig.report();
        let weight = wanted.remove(&r.id).unwrap();
        assert_eq!(r.reply.as_ref().and_then(|reply| reply.weight), weight, "{r:?}");
        times[usize::from(weight.is_some())].extend([(r.started, 1), (r.finished, -1)]);
    }
    for times in &mut times {
        // An end and a start of the same moment: the end was first.
        times.sort();
        let most = times.iter().scan(0, |n, (_, by)| {
            *n += by;
            Some(*n)
        });
        assert!(most.max().unwrap() <= 20);
    }
}
