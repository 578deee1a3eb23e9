//! Malformed requests of all kinds get the right 400 and never a 500. The server calls Stripe for none of them.

use axum::http::{Method, StatusCode};

use crate::harness::TestApp;

const POSTS: [&str; 4] = ["/v1/report", "/v1/subscribe", "/v1/checkout", "/v1/clock"];

/// Posts `body`, and expects a 400 `invalid_request` with this `message`.
pub(crate) async fn refused(app: &TestApp, path: &str, body: impl Into<Vec<u8>>, message: &str) {
    let body = body.into();
    let shown = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
    let answer = app.post(path, body).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path} {shown}");
    let error = answer.json();
    assert_eq!(error["code"], "invalid_request", "{path} {shown}");
    assert_eq!(error["message"], message, "{path} {shown}");
}

/// Posts a body that is not JSON, and expects an error that names the position.
async fn not_json(app: &TestApp, path: &str, body: impl Into<Vec<u8>>) {
    let answer = app.post(path, body.into()).await;
    let message = answer.fails(400, "invalid_request").json()["message"].clone();
    let message = message.as_str().unwrap_or_default();
    let place = message.strip_prefix("invalid json syntax at line ");
    let place = place.and_then(|place| place.split_once(", column "));
    let is_number = |text: &str| text.parse::<usize>().is_ok();
    assert!(
        place.is_some_and(|(line, column)| is_number(line) && is_number(column)),
        "{message}"
    );
}

#[tokio::test]
async fn forms_are_told_that_json_is_expected() {
    let app = TestApp::start().await;
    let parts = "--b\r\nContent-Disposition: form-data; name=\"org\"\r\n\r\norg:acme\r\n--b--\r\n";
    let file = parts.replace("name=\"org\"", "name=\"f\"; filename=\"p.json\"");
    for path in POSTS.into_iter().chain(["/v1/push"]) {
        for body in [
            "org=org:acme",
            "org=org%3Aacme&feature=feature%3Ax&n=1",
            "org=org:acme&phases[0][features][0]=plan:free@1",
            "data-urlencode=x+y",
            "name=Jo Doe",
            "name=Zoë",
            "org:acme",
            "org%3Aacme",
            "1=2",
        ] {
            let message = "invalid json syntax: the body must be JSON, and is form-encoded";
            refused(&app, path, body, message).await;
        }
        for body in [parts, &file] {
            let message = "invalid json syntax: the body must be JSON, and is multipart";
            refused(&app, path, body, message).await;
        }
        let form = app
            .request(Method::POST, path)
            .header("content-type", "application/x-www-form-urlencoded");
        let answer = form.body("acme").send().await.fails(400, "invalid_request");
        assert!(answer.body.contains("and is form-encoded"), "{path}");
    }
    // The content type alone does not matter, since curl sends JSON with this type too.
    for (body, begins) in [
        (r#"{"org":"org:a"}"#, "feature name"),
        (
            r#"{"org" "org:a"}"#,
            "invalid json syntax at line 1, column 8",
        ),
    ] {
        let form = app
            .request(Method::POST, "/v1/report")
            .header("content-type", "application/x-www-form-urlencoded");
        let message = form.body(body).send().await.json()["message"].clone();
        assert!(message.as_str().unwrap().starts_with(begins), "{message}");
    }
    assert_eq!(app.stripe_calls(), 0);
}

#[tokio::test]
async fn columns_are_characters() {
    let app = TestApp::start().await;
    for (body, place) in [
        ("{\"é\":1 x}", "line 1, column 8"),
        ("{\"世界\":\"😀\" x}", "line 1, column 11"),
        ("{\"é\":1,\r\n \"é\":1 x}", "line 2, column 8"),
    ] {
        for path in POSTS.into_iter().chain(["/v1/push"]) {
            let answer = app.post(path, body).await.fails(400, "invalid_request");
            let message = answer.json()["message"].clone();
            let expected = format!("invalid json syntax at {place}");
            let message = message.as_str().unwrap();
            assert!(message.starts_with(&expected), "{path} {body}: {message}");
        }
    }
}

#[tokio::test]
async fn bad_syntax() {
    let app = TestApp::start().await;
    for path in POSTS {
        for body in [
            "{",
            "[",
            "\"",
            "{\"org\":",
            "{\"org\":\"org:a\"",
            "{\"org\" \"org:a\"}",
            "nope",
            "{'org':1}",
            "{,}",
            "{\"org\":\"org:a\",}",
            "// no comments here\n{}",
            "NaN",
            "-",
            "1e",
            "\u{feff}{}",
            "{\"org\":\"\n\"}",
            "{\"org\":\"\\x\"}",
            "{\"org\":\"\\ud800\"}",
        ] {
            not_json(&app, path, body).await;
        }
        for body in [
            &b"\xff"[..],
            b"{\"org\":\"org:\xff\"}",
            b"\x00",
            b"{\"\x00\":1}",
            b"\xef\xbb\xbf{}",
        ] {
            not_json(&app, path, body).await;
        }
        not_json(&app, path, "[".repeat(100_000)).await;
        not_json(&app, path, "{\"org\":".repeat(1_000)).await;
    }
    assert_eq!(app.stripe_calls(), 0);
}

#[tokio::test]
async fn bodies_that_are_not_objects() {
    let app = TestApp::start().await;
    for path in POSTS {
        for (body, kind) in [
            ("[]", "a list"),
            ("1", "a number"),
            ("\"\"", "a string"),
            ("true", "a boolean"),
        ] {
            refused(
                &app,
                path,
                body,
                &format!("the body must be an object, not {kind}"),
            )
            .await;
        }
    }
}

#[tokio::test]
async fn unknown_fields_at_every_depth() {
    let app = TestApp::start().await;
    for (path, body) in [
        ("/v1/report", r#"{"x":1}"#),
        (
            "/v1/report",
            r#"{"org":"org:a","feature":"feature:f","x":null}"#,
        ),
        ("/v1/subscribe", r#"{"org":"org:a","x":[]}"#),
        ("/v1/subscribe", r#"{"org":"org:a","tax":{"x":true}}"#),
        ("/v1/subscribe", r#"{"org":"org:a","info":{"x":true}}"#),
        (
            "/v1/subscribe",
            r#"{"org":"org:a","info":{"invoice_settings":{"x":true}}}"#,
        ),
        ("/v1/subscribe", r#"{"org":"org:a","phases":[{},{"x":""}]}"#),
        ("/v1/checkout", r#"{"org":"org:a","tax":{"x":1}}"#),
        ("/v1/clock", r#"{"x":1}"#),
    ] {
        refused(&app, path, body, "unknown field \"x\"").await;
    }
    refused(
        &app,
        "/v1/report",
        r#"{"Orgs":"org:a"}"#,
        "unknown field \"Orgs\"",
    )
    .await;
    assert_eq!(app.stripe_calls(), 0);
}

#[tokio::test]
async fn errors_about_types_name_the_field_and_the_expected_type() {
    let app = TestApp::start().await;
    for (path, body, message) in [
        (
            "/v1/report",
            r#"{"org":1}"#,
            "org must be a string, not a number",
        ),
        (
            "/v1/report",
            r#"{"n":"1"}"#,
            "n must be an integer, not a string",
        ),
        (
            "/v1/report",
            r#"{"n":true}"#,
            "n must be an integer, not a boolean",
        ),
        (
            "/v1/report",
            r#"{"clobber":"yes"}"#,
            "clobber must be true or false, not a string",
        ),
        (
            "/v1/subscribe",
            r#"{"phases":{}}"#,
            "phases must be a list, not an object",
        ),
        (
            "/v1/subscribe",
            r#"{"phases":[null]}"#,
            "phases[0] must be a value, not null",
        ),
        (
            "/v1/subscribe",
            r#"{"phases":[{},[]]}"#,
            "phases[1] must be an object, not a list",
        ),
        (
            "/v1/subscribe",
            r#"{"phases":[{"features":[1]}]}"#,
            "phases[0].features[0] must be a string, not a number",
        ),
        (
            "/v1/subscribe",
            r#"{"phases":[{"features":"plan:a@1"}]}"#,
            "phases[0].features must be a list, not a string",
        ),
        (
            "/v1/subscribe",
            r#"{"info":"x"}"#,
            "info must be an object, not a string",
        ),
        (
            "/v1/subscribe",
            r#"{"info":{"metadata":{"a":1}}}"#,
            "info.metadata.a must be a string, not a number",
        ),
        (
            "/v1/subscribe",
            r#"{"tax":true}"#,
            "tax must be an object, not a boolean",
        ),
        (
            "/v1/checkout",
            r#"{"trial_days":"14"}"#,
            "trial_days must be an integer, not a string",
        ),
        (
            "/v1/checkout",
            r#"{"features":[[]]}"#,
            "features[0] must be a string, not a list",
        ),
        (
            "/v1/clock",
            r#"{"id":7}"#,
            "id must be a string, not a number",
        ),
    ] {
        refused(&app, path, body, message).await;
    }
    assert_eq!(app.stripe_calls(), 0);
}

#[tokio::test]
async fn fractions_and_numbers_out_of_range() {
    let app = TestApp::start().await;
    for number in [
        "1.5",
        "-0.1",
        "1e-1",
        "1e30",
        "9223372036854775808",
        "-9223372036854775809",
    ] {
        for (path, field) in [("/v1/report", "n"), ("/v1/checkout", "trial_days")] {
            let answer = app
                .post(path, format!("{{\"{field}\":{number}}}"))
                .await
                .fails(400, "invalid_request");
            let message = answer.json()["message"].as_str().unwrap().to_owned();
            let expected = format!("{field} must be an integer of at most 64 bits, not ");
            assert!(message.starts_with(&expected), "{message}");
        }
    }
    assert_eq!(app.stripe_calls(), 0);
}

#[tokio::test]
async fn malformed_times() {
    let app = TestApp::start().await;
    for (time, shown) in [
        ("\"today\"", "\"today\""),
        ("\"\"", "\"\""),
        ("\"2030-02-30T00:00:00Z\"", "\"2030-02-30T00:00:00Z\""),
        ("\"2030-01-01T00:00:00\"", "\"2030-01-01T00:00:00\""),
        ("\"2030-01-01\"", "\"2030-01-01\""),
        ("1700000000", "a number"),
        ("{}", "an object"),
    ] {
        for (path, field, body) in [
            ("/v1/report", "at", format!("{{\"at\":{time}}}")),
            ("/v1/clock", "Present", format!("{{\"Present\":{time}}}")),
            (
                "/v1/subscribe",
                "phases[0].effective",
                format!("{{\"phases\":[{{\"effective\":{time}}}]}}"),
            ),
        ] {
            let message =
                format!("{field} must be an RFC 3339 time like 2030-01-31T12:00:00Z, not {shown}");
            refused(&app, path, body, &message).await;
        }
    }
    assert_eq!(app.stripe_calls(), 0);
}

#[tokio::test]
async fn a_clock_needs_the_time_to_show() {
    let app = TestApp::start().await;
    for body in [
        "",
        "{}",
        r#"{"name":"x"}"#,
        r#"{"present":null}"#,
        r#"{"Present":"0001-01-01T00:00:00Z"}"#,
    ] {
        refused(
            &app,
            "/v1/clock",
            body,
            "present must be the time that the clock shall show",
        )
        .await;
    }
    assert_eq!(app.stripe_calls(), 0);
}
