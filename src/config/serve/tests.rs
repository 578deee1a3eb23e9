use clap::Parser;
use secrecy::ExposeSecret as _;

use super::*;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    serve: Serve,
}

fn serve(args: &[&str]) -> Result<Serve, clap::Error> {
    let args = std::iter::once("serve").chain(args.iter().copied());
    Cli::try_parse_from(args).map(|cli| cli.serve)
}

#[test]
fn beyond_loopback_a_key_is_needed_or_the_word_that_it_is_not() {
    let refused = |args: &[&str], has_keys| serve(args).unwrap().check_exposure(has_keys).is_err();
    assert!(!refused(&[], false));
    for open in [":8080", "0.0.0.0:8080", "10.1.2.3:80", "app.example:80"] {
        assert!(refused(&["--addr", open], false), "{open}");
        assert!(!refused(&["--addr", open], true), "{open}");
        assert!(!refused(&["--addr", open, "--insecure-no-auth"], false));
        assert!(!refused(&["--addr", open, "--cloud"], false));
        assert!(refused(&["--addr", open, "--cloud"], true));
    }
}

#[test]
fn a_certificate_and_its_key_come_together_and_a_cloud_has_no_keys_of_its_own() {
    assert!(serve(&["--tls-cert", "a"]).is_err());
    assert!(serve(&["--tls-key", "a"]).is_err());
    assert!(serve(&["--tls-cert", "a", "--tls-key", "b"]).is_ok());
    assert!(serve(&["--cloud", "--api-key-file", "a"]).is_err());
    assert!(serve(&["--stripe-rate", "0"]).is_err());
}

#[test]
fn what_no_server_can_have_is_refused() {
    for flag in [
        "--max-connections",
        "--max-connections-per-peer",
        "--max-requests",
        "--max-requests-per-key",
        "--max-accounts",
        "--max-body",
        "--max-bodies",
        "--max-head",
    ] {
        for value in ["0", "-1", "1k", "18446744073709551615"] {
            let refused = serve(&[&format!("{flag}={value}")]).unwrap_err();
            assert!(refused.to_string().contains(flag), "{refused}");
        }
        assert!(serve(&[flag, "8192"]).is_ok(), "{flag}");
    }
    for (flag, value) in [
        ("--max-connections", "9223372036854775807"),
        ("--account-idle", "9999999h"),
        ("--idle-timeout", "0s"),
        ("--head-timeout", "0ms"),
    ] {
        let refused = serve(&[flag, value]).unwrap_err().to_string();
        assert!(refused.contains(flag), "{refused}");
    }
}

#[test]
fn a_file_of_keys_has_one_a_line_and_at_least_one() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let keys = ApiKeys {
        from_environment: vec!["zero".to_owned()],
        file: Some(file.path().to_owned()),
    };
    let read = || {
        let keys = keys.read().unwrap().into_iter();
        keys.map(|key| key.secret.expose_secret().to_owned())
            .collect::<Vec<_>>()
    };
    std::fs::write(file.path(), "# ours\none\n\n  two \n").unwrap();
    assert_eq!(read(), ["zero", "one", "two"]);
    std::fs::write(file.path(), "\u{feff}one\r\nfront:read:two\r\n").unwrap();
    assert_eq!(read(), ["zero", "one", "two"]);
    std::fs::write(file.path(), "one\nfront:write:secret\n").unwrap();
    let refused = keys.read().err().unwrap().to_string();
    assert!(
        refused.contains("line 2") && !refused.contains("secret"),
        "{refused}"
    );
    std::fs::write(file.path(), "\n# none\n").unwrap();
    assert!(matches!(keys.read(), Err(AccessError::NoKey(_))));
    drop(file);
    assert!(matches!(keys.read(), Err(AccessError::File { .. })));
}
