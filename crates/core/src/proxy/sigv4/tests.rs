use http::Request;

use super::*;

/// 2015-08-30T12:36:00Z, of AWS's test suite.
const SUITE: Timestamp = Timestamp::from_seconds(1_440_938_160);
/// 2013-05-24T00:00:00Z, of the examples of S3's documentation.
const EXAMPLE: Timestamp = Timestamp::from_seconds(1_369_353_600);

struct Case<'a> {
    request: (&'a str, &'a str),
    headers: &'a [(&'a str, &'a str)],
    body: Payload<'a>,
}

fn parts(case: &Case<'_>) -> Parts {
    let mut request = Request::builder().method(case.request.0).uri(case.request.1);
    for (name, value) in case.headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn sign(
    scope: (&str, &str),
    keys: (&str, &str),
    now: Timestamp,
    case: &Case<'_>,
) -> Result<Parts, SignError> {
    let mut parts = parts(case);
    let (id, secret) = (SecretString::from(keys.0), SecretString::from(keys.1));
    let scope = SigV4::new(scope.0, scope.1).unwrap();
    scope.sign(&mut parts, (&id, &secret), case.body, now)?;
    Ok(parts)
}

fn authorization(parts: &Parts) -> &str {
    parts.headers[AUTHORIZATION].to_str().unwrap()
}

/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>, and AWS's
/// test suite for Signature Version 4 as far as no other headers than ours are signed.
#[test]
fn requests_are_signed_as_in_the_test_suite_of_aws() {
    let form = &[("content-type", "application/x-www-form-urlencoded; charset=utf-8")][..];
    let iam = "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08";
    let signature = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7";
    let example = ("iam", ("GET", iam), form, "content-type;host;x-amz-date", signature);
    let word = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let suite = [
        ("GET", "/", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", "/", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        (
            "GET",
            "/?Param1=value1",
            "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb",
        ),
        (
            "POST",
            "/?Param1=value1",
            "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11",
        ),
        (
            "GET",
            "/?Param2=value2&Param1=value1",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        (
            "GET",
            "/?Param-3=Value3&Param=Value2&%E1%88%B4=Value1",
            "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac",
        ),
        (
            "GET",
            "/?%E1%88%B4=bar",
            "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
        ),
        (
            "GET",
            &format!("/{word}"),
            "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
        ),
        (
            "GET",
            &format!("/?{word}={word}"),
            "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
        ),
        ("GET", "//example//", "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84"),
    ]
    .map(|(method, path, signature)| {
        (method, format!("https://example.amazonaws.com{path}"), signature)
    });
    let suite = suite.iter().map(|(method, url, signature)| {
        ("service", (*method, url.as_str()), &[][..], "host;x-amz-date", *signature)
    });
    for (service, request, headers, names, signature) in suite.chain([example]) {
        let case = Case { request, headers, body: Payload::Whole(b"") };
        let keys = ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        let signed = sign(("us-east-1", service), keys, SUITE, &case).unwrap();
        let expected = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/{service}/aws4_request, SignedHeaders={names}, Signature={signature}"
        );
        assert_eq!(authorization(&signed), expected, "{request:?}");
        assert_eq!(signed.headers["x-amz-date"], "20150830T123600Z");
        assert!(signed.headers[AUTHORIZATION].is_sensitive());
    }
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>
#[test]
fn requests_to_s3_are_signed_as_in_its_documentation() {
    let host = "https://examplebucket.s3.amazonaws.com";
    let put =
        &[("date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")]
            [..];
    for (method, path, headers, body, signature) in [
        (
            "GET",
            "/test.txt",
            &[("range", "bytes=0-9")][..],
            &b""[..],
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            "PUT",
            "/test$file.text",
            put,
            b"Welcome to Amazon S3.",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (
            "PUT",
            "/test%24file.text",
            put,
            b"Welcome to Amazon S3.",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (
            "GET",
            "/?lifecycle",
            &[],
            b"",
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            "GET",
            "/?max-keys=2&prefix=J",
            &[],
            b"",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ] {
        let url = format!("{host}{path}");
        let case = Case { request: (method, &url), headers, body: Payload::Whole(body) };
        let keys = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        let signed = sign(("us-east-1", "s3"), keys, EXAMPLE, &case).unwrap();
        let authorization = authorization(&signed);
        assert!(authorization.ends_with(&format!("Signature={signature}")), "{authorization}");
        assert_eq!(signed.uri, url.as_str(), "it is sent as it was read");
    }
}

#[test]
fn only_s3_takes_a_body_that_is_not_signed() {
    fn case<'a>(headers: &'a [(&'a str, &'a str)]) -> Case<'a> {
        let request = ("PUT", "https://example.amazonaws.com/x");
        Case { request, headers, body: Payload::Streamed }
    }
    let hash = |service: &str, headers: &[(&str, &str)]| {
        let signed = sign(("us-east-1", service), ("id", "key"), SUITE, &case(headers));
        signed.map(|parts| parts.headers["x-amz-content-sha256"].to_str().unwrap().to_owned())
    };
    let chunks = [("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")];
    let signed = [("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")];
    assert_eq!(hash("s3", &[]).unwrap(), "UNSIGNED-PAYLOAD");
    assert_eq!(hash("s3", &chunks).unwrap(), "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
    assert_eq!(hash("s3", &signed), Err(SignError::SignedChunks));
    assert_eq!(hash("s3", &[("content-encoding", "aws-chunked")]), Err(SignError::SignedChunks));
    assert_eq!(hash("dynamodb", &[]), Err(SignError::Streamed));
    assert_eq!(hash("dynamodb", &chunks), Err(SignError::SignedChunks));
    let needs = |service| SigV4::new("us-east-1", service).unwrap().needs_body();
    assert!(!needs("s3") && needs("dynamodb") && needs("bedrock"));
}

#[test]
fn what_the_caller_has_signed_is_replaced() {
    let theirs = [
        ("authorization", "AWS4-HMAC-SHA256 theirs"),
        ("x-amz-date", "19990101T000000Z"),
        ("x-amz-content-sha256", "theirs"),
        ("x-amz-security-token", "theirs"),
        ("x-amz-target", "DynamoDB_20120810.ListTables"),
    ];
    let case = Case {
        request: ("POST", "https://dynamodb.us-east-1.amazonaws.com:8443/"),
        headers: &theirs,
        body: Payload::Whole(b"{}"),
    };
    let signed = sign(("us-east-1", "dynamodb"), ("id", "key"), SUITE, &case).unwrap();
    assert!(!format!("{:?}", signed.headers).contains("theirs"));
    let names = "SignedHeaders=host;x-amz-date;x-amz-target,";
    assert!(authorization(&signed).contains(names));
    assert_eq!(signed.headers.get_all(AUTHORIZATION).iter().count(), 1);
    let early = Timestamp::from_millis(-1);
    let early = sign(("us-east-1", "dynamodb"), ("id", "key"), early, &case);
    assert_eq!(early.err(), Some(SignError::Clock));
}

#[test]
fn a_scope_is_what_aws_calls_regions_and_services() {
    assert!(SigV4::new("eu-central-1", "execute-api").is_some());
    for (region, service) in [("", "s3"), ("us-east-1", ""), ("us/east", "s3"), ("a", "S3")] {
        assert_eq!(SigV4::new(region, service), None);
    }
}
