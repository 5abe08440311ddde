//! What an agent may say: every word of the grammar, in any order and any case, and what is none.

/// Words of every class, and what only looks like one.
const WORDS: [&str; 36] = [
    "up",
    "UP",
    "Up",
    "down",
    "stopped",
    "fail",
    "DOWN",
    "ready",
    "READY",
    "drain",
    "maint",
    "Maint",
    "0%",
    "1%",
    "33%",
    "50%",
    "100%",
    "150%",
    "4294967296%",
    "weight:0%",
    "weight:0",
    "weight:1",
    "weight:40",
    "weight:100",
    "WEIGHT:70%",
    "weight:101",
    "weight:-1",
    "+5%",
    "5",
    "%",
    "weight:",
    "maxconn:5",
    "upp",
    "\u{e4}",
    "ready%",
    "json",
];
/// What stands between words, or not.
const GAPS: [&str; 6] = [" ", ",", "\t", ", ", "  ", ";"];

/// A line that an agent may say: mostly words, now and then garbage.
pub fn babble(chance: &mut fastrand::Rng) -> Vec<u8> {
    if chance.u32(..12) == 0 {
        let length = chance.usize(..40);
        return (0..length).map(|_| chance.u8(..)).filter(|b| !b"\r\n".contains(b)).collect();
    }
    let mut line = String::new();
    for _ in 0..chance.usize(..5) {
        line += chance.choice(WORDS).unwrap_or("up");
        line += chance.choice(GAPS).unwrap_or(" ");
    }
    if chance.u32(..6) == 0 {
        line += "# down for maint, 0%";
    }
    line.into_bytes()
}
