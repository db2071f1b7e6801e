//! Client authentication with signed assertions (RFC 7523).

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair,
    },
};
use data_encoding::BASE64;
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use keyfob_testkit::{AuthMethod, Client, Endpoint};
use serde_json::{Value, json};

use crate::app::{App, Told};

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64.encode(der))
}

/// A key that signs with ES256, and its public part in PEM.
fn key() -> (EncodingKey, String) {
    let random = SystemRandom::new();
    let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.as_ref()).unwrap();
    let public = pair.public_key().as_der().unwrap();
    (EncodingKey::from_ec_der(der.as_ref()), pem("PUBLIC KEY", public.as_ref()))
}

async fn app(public: &str) -> App {
    let client = Client::signing("signer", Algorithm::ES256, public);
    App::with(|options| options.clients.push(client)).await
}

fn claims(app: &App, id: &str) -> Value {
    let now = app.provider.now().as_seconds();
    let audience = app.provider.url("/token");
    json!({ "iss": "signer", "sub": "signer", "aud": audience, "exp": now + 60, "jti": id })
}

async fn ask(app: &App, algorithm: Algorithm, key: &EncodingKey, claims: &Value) -> Told {
    let assertion = jsonwebtoken::encode(&Header::new(algorithm), claims, key).unwrap();
    let form = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", &assertion),
    ];
    Told::of(app.post("/token", &form).await.unwrap()).await
}

#[tokio::test]
async fn an_assertion_of_the_registered_key_is_taken() {
    let (key, public) = key();
    let app = app(&public).await;
    ask(&app, Algorithm::ES256, &key, &claims(&app, "1")).await.assert_ok();
    let ledger = app.provider.ledger();
    let request = ledger.at(Endpoint::Token).next().unwrap();
    assert_eq!(request.auth_method, Some(AuthMethod::PrivateKeyJwt));
    assert_eq!(request.client.as_deref(), Some("signer"));
}

#[tokio::test]
async fn the_issuer_is_an_audience_too() {
    let (key, public) = key();
    let app = app(&public).await;
    let mut claims = claims(&app, "1");
    claims["aud"] = json!([app.provider.issuer()]);
    ask(&app, Algorithm::ES256, &key, &claims).await.assert_ok();
}

#[tokio::test]
async fn an_ed25519_key_works_as_well() {
    let der = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8(der.as_ref()).unwrap();
    let public = pem("PUBLIC KEY", pair.public_key().as_der().unwrap().as_ref());
    let client = Client::signing("signer", Algorithm::EdDSA, &public);
    let app = App::with(|options| options.clients.push(client)).await;
    let key = EncodingKey::from_ed_der(der.as_ref());
    ask(&app, Algorithm::EdDSA, &key, &claims(&app, "1")).await.assert_ok();
}

#[tokio::test]
async fn an_rsa_key_works_as_well() {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let private: Pkcs8V1Der = pair.as_der().unwrap();
    let key = EncodingKey::from_rsa_pem(pem("PRIVATE KEY", private.as_ref()).as_bytes()).unwrap();
    let public: PublicKeyX509Der = pair.public_key().as_der().unwrap();
    let client = Client::signing("signer", Algorithm::RS256, &pem("PUBLIC KEY", public.as_ref()));
    let app = App::with(|options| options.clients.push(client)).await;
    ask(&app, Algorithm::RS256, &key, &claims(&app, "1")).await.assert_ok();
}

#[tokio::test]
async fn an_assertion_is_good_once() {
    let (key, public) = key();
    let app = app(&public).await;
    ask(&app, Algorithm::ES256, &key, &claims(&app, "1")).await.assert_ok();
    ask(&app, Algorithm::ES256, &key, &claims(&app, "1")).await.assert_refused("invalid_client");
    ask(&app, Algorithm::ES256, &key, &claims(&app, "2")).await.assert_ok();
}

#[tokio::test]
async fn another_key_and_wrong_claims_are_refused() {
    let ((key, public), (other, _)) = (key(), key());
    let app = app(&public).await;
    ask(&app, Algorithm::ES256, &other, &claims(&app, "1")).await.assert_refused("invalid_client");
    for (name, wrong) in [
        ("iss", json!("another")),
        ("aud", json!("https://other.example/token")),
        ("exp", json!(app.provider.now().as_seconds())),
        ("jti", Value::Null),
    ] {
        let mut claims = claims(&app, name);
        claims[name] = wrong;
        ask(&app, Algorithm::ES256, &key, &claims).await.assert_refused("invalid_client");
    }
}

#[tokio::test]
async fn a_client_registers_its_key() {
    let (key, _) = key();
    let app = App::start().await;
    let jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
    let metadata = json!({
        "redirect_uris": ["https://app.example/callback"],
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": { "keys": [jwk] },
    });
    let request = app.http.post(app.provider.url("/register")).json(&metadata);
    let id = Told::of(request.send().await.unwrap()).await.text("client_id");
    let mut claims = claims(&app, "1");
    claims["iss"] = json!(id);
    claims["sub"] = json!(id);
    ask(&app, Algorithm::ES256, &key, &claims).await.assert_ok();
}
