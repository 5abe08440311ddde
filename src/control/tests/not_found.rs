//! What a server says of itself by 404, from the check to lb.

use super::lab::BASIC;
use super::{Lab, Net};

#[test]
fn a_404_takes_new_flows_away_keeps_the_others_and_ends_with_the_next_pass() {
    let http = "tcp: {type: http, params: {path: /, disable-on-404: true}, port: 80,";
    let mut lab = Lab::new(&BASIC.replace("tcp: {type: tcp, port: 80,", http));
    lab.run(5000);
    lab.take_writes();
    lab.net("10.1.0.1", Net::NotFound);
    lab.run(1500);
    assert_eq!(lab.state("a"), "stopping");
    assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.1=0 10.1.0.2=50 10.1.0.3=0");
    let writes = lab.take_writes();
    assert!(writes.iter().all(|w| !w.contains("flush")), "{writes:?}");
    lab.net("10.1.0.1", Net::Good);
    lab.run(1100);
    assert_eq!(lab.state("a"), "up");
    assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.1=100 10.1.0.2=50 10.1.0.3=0");
    // Failures count while it is stopping, and a 404 does not bring it up again.
    lab.net("10.1.0.1", Net::NotFound);
    lab.run(1500);
    lab.net("10.1.0.1", Net::Refused);
    lab.run(3000);
    assert_eq!(lab.state("a"), "down");
    lab.net("10.1.0.1", Net::NotFound);
    lab.run(20_000);
    assert_eq!(lab.state("a"), "down");
}
