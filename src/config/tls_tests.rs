use rustix::fs::{CWD, FileType, Mode};

use super::*;

fn ca(name: &str) -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.self_signed(&key).unwrap().pem()
}

fn file(dir: &tempfile::TempDir, name: &str, content: &[u8]) -> String {
    let path = dir.path().join(name);
    std::fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

fn load(path: &str) -> Result<Trust, String> {
    Trust::load(TrustFrom::File(path.to_owned()))
}

#[test]
fn a_file_that_cannot_be_used_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let begin = "-----BEGIN CERTIFICATE-----\n";
    let end = "-----END CERTIFICATE-----\n";
    for (name, content, why) in [
        ("empty", Vec::new(), "no certificate in PEM form"),
        ("text", b"hello".to_vec(), "no certificate in PEM form"),
        ("binary", vec![0xff; 500], "no certificate in PEM form"),
        ("cut", begin.as_bytes().to_vec(), "not well-formed PEM"),
        ("base64", format!("{begin}!!!!\n{end}").into_bytes(), "not well-formed PEM"),
        (
            "der",
            format!("{begin}AAAA\n{end}").into_bytes(),
            "none of its certificates can be used as a trust anchor",
        ),
        ("long", vec![b'\n'; MAX_CA_FILE + 1], "longer than 1 MiB"),
    ] {
        assert_eq!(load(&file(&dir, name, &content)).unwrap_err(), why, "{name}");
    }
    assert_eq!(load("/nowhere/at/all").unwrap_err(), "no such file");
    assert_eq!(load(dir.path().to_str().unwrap()).unwrap_err(), "not a regular file");
    assert_eq!(load("/dev/null").unwrap_err(), "not a regular file");
}

#[test]
fn a_pipe_is_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipe");
    rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    assert_eq!(load(path.to_str().unwrap()).unwrap_err(), "not a regular file");
}

#[test]
fn equal_is_what_trusts_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (ca("one"), ca("two"));
    let path = file(&dir, "ca", one.as_bytes());
    let before = load(&path).unwrap();
    assert_eq!(before, load(&path).unwrap());
    assert_eq!(before.certificates(), 1);
    file(&dir, "ca", format!("{one}{two}").as_bytes());
    let after = load(&path).unwrap();
    assert_ne!(before, after);
    assert_eq!(after.certificates(), 2);
    let anyone = Trust::load(TrustFrom::Anyone).unwrap();
    assert_eq!(anyone, Trust::load(TrustFrom::Anyone).unwrap());
    assert_ne!(anyone, before);
}

#[test]
fn a_file_is_read_once_and_their_number_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "ca", ca("one").as_bytes());
    let mut trusts = Trusts::new(&Budgets::default());
    let first = trusts.get(TrustFrom::File(path.clone())).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(trusts.get(TrustFrom::File(path)).unwrap(), first);
    for i in 0..MAX_CA_FILES + 10 {
        trusts.get(TrustFrom::File(format!("/nowhere/{i}"))).unwrap_err();
    }
    let why = trusts.get(TrustFrom::File("/nowhere/new".into())).unwrap_err();
    assert_eq!(why, "more than 100 different files");
}

#[test]
fn names() {
    assert!(matches!(server_name("www.example.net."), Some(ServerName::DnsName(_))));
    assert!(matches!(server_name("192.0.2.1"), Some(ServerName::IpAddress(_))));
    assert!(matches!(server_name("2001:db8::1"), Some(ServerName::IpAddress(_))));
    for bad in ["", ".", "a b", "a..b", "-"] {
        assert_eq!(server_name(bad), None, "{bad}");
    }
}

#[test]
fn all_certificates_of_a_configuration_together_have_a_limit() {
    let dir = tempfile::tempdir().unwrap();
    let one = ca("example.org");
    let budgets = Budgets { certificates: Budget::new("certificates", 20_000), ..Budgets::default() };
    let mut trusts = Trusts::new(&budgets);
    let all: Vec<_> =
        (0..50).map(|n| trusts.get(TrustFrom::File(file(&dir, &n.to_string(), one.as_bytes())))).collect();
    let good = all.iter().filter(|t| t.is_ok()).count();
    assert!((1..50).contains(&good), "{good}");
    let why = all.last().unwrap().as_ref().unwrap_err();
    assert_eq!(why, "all certificates together take more than 20 KiB");
    assert!((1..=20_000).contains(&budgets.certificates.used()));
    drop((all, trusts));
    assert_eq!(budgets.certificates.used(), 0);
}
