//! The commands as VPP's own command line wants them.

use super::paths;

/// Every path with its help, and before it every beginning of one (but VPP's own `show`): where a beginning is no
/// command, VPP would answer what is unknown behind it in its own words, and not with `error: `.
pub fn registered() -> Vec<(String, String)> {
    with_beginnings(&paths())
}

/// The paths, each after every beginning of it.
fn with_beginnings(paths: &[(Vec<&'static str>, &'static str)]) -> Vec<(String, String)> {
    let mut out: Vec<(String, String)> = Vec::new();
    for (words, usage) in paths {
        for n in 1..words.len() {
            let beginning = words.iter().take(n).copied().collect::<Vec<_>>().join(" ");
            // VPP's own.
            if beginning == "show" || out.iter().any(|(p, _)| *p == beginning) {
                continue;
            }
            let help = match beginning.as_str() {
                "maglev" => "health-checked Maglev load balancing: maglev help".to_owned(),
                _ => format!("{beginning} ..."),
            };
            out.push((beginning, help));
        }
        let path = words.join(" ");
        if !out.iter().any(|(p, _)| *p == path) {
            let help =
                if usage.starts_with("maglev ") { (*usage).to_owned() } else { format!("maglev {usage}") };
            out.push((path, help));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_beginning_of_a_path_is_registered_once_but_for_show() {
        let out = with_beginnings(&[
            (vec!["maglev", "show", "backends"], "show backends"),
            (vec!["show", "maglev", "backends"], "show backends"),
            (vec!["maglev", "sync"], "sync"),
        ]);
        let paths: Vec<&str> = out.iter().map(|(p, _)| p.as_str()).collect();
        assert_eq!(
            paths,
            [
                "maglev",
                "maglev show",
                "maglev show backends",
                "show maglev",
                "show maglev backends",
                "maglev sync"
            ]
        );
        assert_eq!(out.last().map(|(_, h)| h.as_str()), Some("maglev sync"));
    }
}
