use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::sign;
use jsonwebtoken::{EncodingKey, Header};
use pem::Pem;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use super::*;

const MUTATIONS: usize = 10_000;

fn private_pem() -> String {
    let key = Ed25519KeyPair::generate().unwrap().to_pkcs8v1().unwrap();
    pem::encode(&Pem::new("PRIVATE KEY", key.as_ref()))
}

fn tokens() -> (Tokens<Claims>, EncodingKey) {
    let pem = private_pem();
    (Tokens::new(pem.as_bytes(), 100).unwrap(), EncodingKey::from_ed_pem(pem.as_bytes()).unwrap())
}

/// The public half, as RFC 8410 writes it: these bytes and then the key's own 32.
fn public_pem(tokens: &Tokens<Claims>) -> String {
    let mut der = vec![0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];
    der.extend_from_slice(tokens.ring.load().keys[0].verifying.try_get_as_bytes().unwrap());
    pem::encode(&Pem::new("PUBLIC KEY", der))
}

fn claims() -> Claims {
    let now = unix_seconds();
    Claims {
        sub: "user00001".into(),
        room: RoomName::parse("main").unwrap(),
        epoch: Epoch(1),
        number: Some(Number(4_294_967_297)),
        draw: None,
        since: None,
        purpose: Use::Place,
        claimed: None,
        iat: now,
        exp: now + 3_600,
    }
}

fn payload() -> Value {
    serde_json::to_value(Signed { iss: SERVICE, aud: SERVICE, claims: &claims() }).unwrap()
}

fn encoded(json: &str) -> String {
    URL_SAFE_NO_PAD.encode(json)
}

/// A token of any header and payload, signed by the right key.
fn forged(header: &str, payload: &str, key: &EncodingKey) -> String {
    let message = format!("{}.{}", encoded(header), encoded(payload));
    let signature = sign(message.as_bytes(), key, Algorithm::EdDSA).unwrap();
    format!("{message}.{signature}")
}

fn refusal(tokens: &Tokens<Claims>, text: &str) -> Option<TokenRefusal> {
    tokens.open(text, |claims| claims).err()
}

#[test]
fn what_was_signed_opens_and_is_verified_once() {
    let (tokens, _) = tokens();
    let text = tokens.sign(&claims()).unwrap();
    let first = tokens.open(&text, |claims| claims).unwrap();
    assert_eq!(first.value, claims());
    let again = tokens.open(&text, |_| panic!("verified twice")).unwrap();
    assert!(Arc::ptr_eq(&first, &again));
}

#[test]
fn a_token_expires_also_when_it_is_remembered() {
    let (tokens, _) = tokens();
    let Claims { exp, .. } = claims();
    let text = tokens.sign(&Claims { exp, ..claims() }).unwrap();
    assert!(tokens.open_at(exp - 1, &text, |claims| claims).is_ok());
    assert_eq!(tokens.open_at(exp, &text, |claims| claims).err(), Some(TokenRefusal::Expired));
    let old = tokens.sign(&Claims { exp: unix_seconds() - 1, ..claims() }).unwrap();
    assert_eq!(refusal(&tokens, &old), Some(TokenRefusal::Expired));
    assert!(!tokens.opened.contains_key(old.as_str()));
}

#[test]
fn tokens_of_another_key_open_only_when_it_is_accepted() {
    let (ours, _) = tokens();
    let (theirs, _) = tokens();
    let text = theirs.sign(&claims()).unwrap();
    assert_eq!(refusal(&ours, &text), Some(TokenRefusal::Invalid));
    let ours = Tokens::new(format!("{}{}", private_pem(), public_pem(&theirs)).as_bytes(), 100).unwrap();
    assert_eq!(refusal(&ours, &text), None);
    assert_eq!(ours.published().keys.len(), 2);
    let signed = ours.sign(&claims()).unwrap();
    assert_eq!(refusal(&theirs, &signed), Some(TokenRefusal::Invalid), "the first key signs, and no other");
}

#[test]
fn keys_are_changed_without_refusing_a_valid_token() {
    let (old, new) = (private_pem(), private_pem());
    let public = |private: &str| public_pem(&Tokens::new(private.as_bytes(), 1).unwrap());
    let here = Tokens::<Claims>::new(old.as_bytes(), 100).unwrap();
    let there = Tokens::<Claims>::new(old.as_bytes(), 100).unwrap();
    let mut valid = vec![here.sign(&claims()).unwrap()];
    for file in [format!("{old}{}", public(&new)), format!("{new}{}", public(&old))] {
        // Two processes never read a file in the same moment: what one signs meanwhile, the other must open.
        for (first, then) in [(&here, &there), (&there, &here)] {
            assert!(first.renew(file.as_bytes()).unwrap() && !first.renew(file.as_bytes()).unwrap());
            for (at, signs) in [first, then].iter().enumerate() {
                valid.push(signs.sign(&Claims { sub: format!("user{}{at}", valid.len()), ..claims() }).unwrap());
            }
            for text in &valid {
                assert_eq!((refusal(&here, text), refusal(&there, text)), (None, None));
            }
        }
    }
    assert!(here.renew(new.as_bytes()).unwrap());
    assert_eq!(refusal(&here, &valid[0]), Some(TokenRefusal::Invalid), "remembered, and yet of a withdrawn key");
    assert_eq!(refusal(&here, valid.last().unwrap()), None);
}

#[test]
fn a_file_that_cannot_be_used_changes_nothing() {
    let (ours, _) = tokens();
    let text = ours.sign(&claims()).unwrap();
    let private = private_pem();
    let half = &private[..private.len() / 2];
    let other = pem::encode(&Pem::new("EC PRIVATE KEY", [1, 2, 3]));
    let broken = pem::encode(&Pem::new("PUBLIC KEY", [1, 2, 3]));
    let many = private.repeat(17);
    for file in [
        "",
        "no key",
        half,
        &public_pem(&ours),
        &other,
        &format!("{private}{other}"),
        &format!("{private}{broken}"),
        &many,
    ] {
        assert!(Tokens::<Claims>::new(file.as_bytes(), 1).is_err(), "{file}");
        let refused = ours.renew(file.as_bytes()).unwrap_err().to_string();
        assert!(!refused.contains("MC4CAQ"), "{refused} tells of the key");
    }
    assert_eq!(refusal(&ours, &text), None);
}

#[test]
fn published_keys_are_public_and_named_by_their_thumbprint() {
    let (tokens, _) = tokens();
    let shown = serde_json::to_value(tokens.published()).unwrap();
    let key = &shown["keys"][0];
    assert_eq!(
        (&key["kty"], &key["crv"], &key["alg"], &key["use"]),
        (&json!("OKP"), &json!("Ed25519"), &json!("EdDSA"), &json!("sig"))
    );
    assert_eq!(key["kid"].as_str(), tokens.ring.load().keys[0].header.kid.as_deref());
    assert!(key.get("d").is_none());
}

#[test]
fn headers_other_than_ours_are_refused_though_rightly_signed() {
    let (tokens, key) = tokens();
    let kid = tokens.ring.load().keys[0].kid.clone();
    let payload = payload().to_string();
    let right = format!(r#"{{"typ":"JWT","alg":"EdDSA","kid":"{kid}"}}"#);
    assert_eq!(refusal(&tokens, &forged(&right, &payload, &key)), None);
    for header in [
        format!(r#"{{"alg":"EdDSA","kid":"{kid}"}}"#),
        format!(r#"{{"typ":"at+jwt","alg":"EdDSA","kid":"{kid}"}}"#),
        r#"{"typ":"JWT","alg":"EdDSA"}"#.into(),
        r#"{"typ":"JWT","alg":"EdDSA","kid":"other"}"#.into(),
        format!(r#"{{"typ":"JWT","alg":"none","kid":"{kid}"}}"#),
        format!(r#"{{"typ":"JWT","alg":"HS256","kid":"{kid}"}}"#),
        format!(r#"{{"typ":"JWT","alg":"EdDSA","kid":"{kid}","crit":[]}}"#),
        format!(r#"{{"typ":"JWT","alg":"EdDSA","kid":"{kid}","crit":["exp"]}}"#),
        format!(r#"{{"typ":"JWT","alg":"EdDSA","kid":"{kid}","b64":false}}"#),
        format!(r#"{{"typ":"JWT","alg":"EdDSA","alg":"EdDSA","kid":"{kid}"}}"#),
        format!(r#"{{"typ":"JWT","alg":"EdDSA","kid":"{kid}","jku":"https://example.org/keys"}}"#),
    ] {
        assert_eq!(refusal(&tokens, &forged(&header, &payload, &key)), Some(TokenRefusal::Invalid), "{header}");
    }
}

#[test]
fn claims_other_than_ours_are_refused_though_rightly_signed() {
    let (tokens, key) = tokens();
    let header = serde_json::to_string(&tokens.ring.load().keys[0].header).unwrap();
    let now = unix_seconds();
    let wrong = [
        ("iss", json!("other")),
        ("aud", json!("other")),
        ("aud", json!([])),
        ("nbf", json!(now + 60)),
        ("nbf", json!("now")),
        ("iat", json!(now + 60)),
        ("iat", json!(-0.5)),
        ("exp", json!("9999999999")),
        ("exp", json!(9_999_999_999.5)),
        ("exp", json!(-1)),
        ("sub", json!(7)),
        ("room", json!("no room")),
        ("epoch", json!("1")),
        ("number", json!([1])),
        ("use", json!("all")),
        ("use", json!(["place"])),
    ];
    for (name, value) in wrong {
        let mut changed = payload();
        changed[name] = value;
        let text = forged(&header, &changed.to_string(), &key);
        assert_eq!(refusal(&tokens, &text), Some(TokenRefusal::Invalid), "{changed}");
    }
    for name in ["iss", "aud", "sub", "room", "epoch", "use", "iat", "exp"] {
        let mut without = payload();
        without.as_object_mut().unwrap().remove(name);
        let text = forged(&header, &without.to_string(), &key);
        assert_eq!(refusal(&tokens, &text), Some(TokenRefusal::Invalid), "without {name}");
        let whole = payload();
        let twice = format!("{{\"{name}\":{},{}", whole[name], &whole.to_string()[1..]);
        let text = forged(&header, &twice, &key);
        assert_eq!(refusal(&tokens, &text), Some(TokenRefusal::Invalid), "{name} twice");
    }
}

#[test]
fn no_mutated_token_opens() {
    let (tokens, _) = tokens();
    let text = tokens.sign(&claims()).unwrap();
    let ring = tokens.ring.load();
    let key = &ring.keys[0];
    let public = key.verifying.try_get_as_bytes().unwrap();
    let mut random = StdRng::seed_from_u64(7);
    for turn in 0..MUTATIONS {
        let mutated = mutation(&text, (&key.kid, public), &mut random);
        if mutated != text {
            assert_eq!(refusal(&tokens, &mutated), Some(TokenRefusal::Invalid), "turn {turn}: {mutated}");
        }
    }
    assert_eq!(tokens.opened.iter().count(), 0, "a refused token was remembered");
    assert_eq!(refusal(&tokens, &text), None);
}

/// Remembered tokens are found by the end of their signature.
#[test]
fn a_remembered_signature_opens_nothing_but_its_own_token() {
    let (tokens, _) = tokens();
    let text = tokens.sign(&claims()).unwrap();
    assert_eq!(refusal(&tokens, &text), None);
    let other = tokens.sign(&Claims { sub: "user00002".into(), ..claims() }).unwrap();
    let (signature, said) = (text.rsplit_once('.').unwrap().1, other.rsplit_once('.').unwrap().0);
    assert_eq!(refusal(&tokens, &format!("{said}.{signature}")), Some(TokenRefusal::Invalid));
    assert_eq!(refusal(&tokens, &text), None);
}

/// The token with a bit, a character, its algorithm, its key, a claim or its signature changed.
fn mutation(text: &str, (kid, public): (&str, &[u8]), random: &mut StdRng) -> String {
    let parts: Vec<&str> = text.split('.').collect();
    let at = random.random_range(0..text.len());
    match random.random_range(0..8) {
        0 => {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] ^= 1 << random.random_range(0..7);
            String::from_utf8(bytes).unwrap()
        }
        1 => format!("{}{}", &text[..at], &text[at + 1..]),
        2 => format!("{}{}{}", &text[..at], random.random_range('!'..='~'), &text[at..]),
        3 => text[..at].into(),
        4 => {
            let alg = ["none", "None", "HS256", "ES256", "RS256", "EdDSA"][random.random_range(0..6)];
            let header = encoded(&format!(r#"{{"typ":"JWT","alg":"{alg}","kid":"{kid}"}}"#));
            format!("{header}.{}.{}", parts[1], ["", parts[2]][random.random_range(0..2)])
        }
        5 => {
            let header = Header { kid: Some([kid, ""][at % 2].into()), ..Header::new(Algorithm::HS256) };
            jsonwebtoken::encode(&header, &payload(), &EncodingKey::from_secret(public)).unwrap()
        }
        6 => {
            let mut changed = payload();
            changed["sub"] = json!(format!("user{at:05}"));
            format!("{}.{}.{}", parts[0], encoded(&changed.to_string()), parts[2])
        }
        _ => {
            let signature: Vec<u8> = (0..64).map(|_| random.random()).collect();
            let signature = URL_SAFE_NO_PAD.encode(signature);
            format!("{}.{}.{signature}", parts[0], parts[1])
        }
    }
}
