//! Encrypted connections to PostgreSQL, with checks of certificates.

use super::*;

/// The schema's URL, with another host and with these parameters.
fn url(schema: &Schema, host: &str, parameters: &str) -> String {
    let url = schema.url().replace("127.0.0.1", host);
    format!("{url}&application_name={}&{parameters}", schema.name())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_encrypted_if_the_certificate_is_trusted_and_of_that_name() {
    let schema = schema();
    let root = format!("sslrootcert={}", setting("TIER_TEST_POSTGRES_CA"));
    let encrypted = || {
        schema.number(&format!(
            "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
             WHERE ssl AND application_name = '{}'",
            schema.name()
        ))
    };
    let (ledger, _writer) = process(&url(&schema, "localhost", "sslmode=disable"));
    assert_eq!(encrypted(), 0);
    let secured = url(&schema, "localhost", &format!("sslmode=verify-full&{root}"));
    let (secured, _writer) = process(&secured);
    assert_eq!(encrypted(), 1);
    let events = vec![report("org:a", 3, None)];
    let answers = secured.submit(events, fixed(now())).await;
    answers.expect("a server")[0].clone().expect("accepted");
    ledger.sync().await.expect("a server");
    assert_eq!(used(&ledger, "org:a"), 3);
    for (host, parameters) in [
        // The authority is unknown.
        ("localhost", "sslmode=require".to_owned()),
        // The certificate is for another name.
        ("127.0.0.1", format!("sslmode=require&{root}")),
    ] {
        let refused = try_process(&url(&schema, host, &parameters), ACCOUNT);
        let error = refused.expect_err("it is not trusted");
        assert!(matches!(error, StoreError::Unreachable(_)), "{error:?}");
    }
    assert_eq!(encrypted(), 1);
}
