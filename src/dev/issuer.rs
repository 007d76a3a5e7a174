//! The development issuer: signs the tokens of the embedded user pools, and
//! serves the public key as Cognito does. Only compiled with the `dev` feature.
//! Its keys are generated in this process, and the private ones never leave it.

use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// One RSA key for all pools of an endpoint; Cognito has two for each.
#[derive(Default)]
pub struct Issuer {
    /// Generated at first use, since most tests sign no user in.
    key: Mutex<Option<Arc<SigningKey>>>,
}

struct SigningKey {
    id: String,
    key_pair: KeyPair,
}

impl Issuer {
    /// A JWT of these claims, signed with RS256 and the current key. `kid` replaces
    /// the key's own id in the header.
    ///
    /// # Panics
    /// When the generated key cannot sign.
    pub fn sign(&self, claims: &Value, kid: Option<&str>) -> String {
        let key = self.key();
        let header = json!({"kid": kid.unwrap_or(&key.id), "alg": "RS256"});
        let part = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let message = format!("{}.{}", part(&header), part(claims));
        let mut signature = vec![0; key.key_pair.public_modulus_len()];
        let signed = key.key_pair.sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            message.as_bytes(),
            &mut signature,
        );
        assert!(signed.is_ok(), "the key is good for RS256");
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// Replaces the key. The JWKS drops the old key at once, so tokens that it
    /// signed no longer verify.
    pub fn rotate(&self) {
        *self.key.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The key set that `/.well-known/jwks.json` serves.
    pub fn jwks(&self) -> Value {
        json!({"keys": [self.jwk()]})
    }

    /// The current public key as a JWK.
    pub fn jwk(&self) -> Value {
        let key = self.key();
        let public = PublicKeyComponents::<Vec<u8>>::from(key.key_pair.public_key());
        json!({
            "alg": "RS256", "e": URL_SAFE_NO_PAD.encode(public.e), "kid": key.id,
            "kty": "RSA", "n": URL_SAFE_NO_PAD.encode(public.n), "use": "sig",
        })
    }

    /// The current public key as a `SubjectPublicKeyInfo`.
    pub fn public_der(&self) -> Vec<u8> {
        let der: Result<PublicKeyX509Der<'_>, _> = self.key().key_pair.public_key().as_der();
        der.map(|der| der.as_ref().to_vec()).unwrap_or_default()
    }

    /// The current public key in PEM format.
    pub fn public_pem(&self) -> String {
        let text = STANDARD.encode(self.public_der());
        let mut pem = "-----BEGIN PUBLIC KEY-----\n".to_owned();
        for line in text.as_bytes().chunks(64) {
            pem.extend(line.iter().copied().map(char::from));
            pem.push('\n');
        }
        pem.push_str("-----END PUBLIC KEY-----\n");
        pem
    }

    fn key(&self) -> Arc<SigningKey> {
        let mut key = self.key.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(key.get_or_insert_with(|| Arc::new(SigningKey::new())))
    }
}

impl SigningKey {
    #[expect(clippy::expect_used, reason = "fails only without randomness")]
    fn new() -> Self {
        let id: [u8; 32] = std::array::from_fn(|_| fastrand::u8(..));
        Self {
            id: STANDARD.encode(id),
            key_pair: KeyPair::generate(KeySize::Rsa2048).expect("randomness"),
        }
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::jwk::Jwk;
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
    use serde_json::{Value, json};

    use super::Issuer;

    fn verified(issuer: &Issuer, token: &str) -> Option<Value> {
        let jwks = issuer.jwks();
        let kid = decode_header(token).ok()?.kid?;
        let jwk = jwks["keys"].as_array()?.iter().find(|k| k["kid"] == kid)?;
        let jwk: Jwk = serde_json::from_value(jwk.clone()).ok()?;
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        let validation = Validation::new(Algorithm::RS256);
        Some(decode(token, &key, &validation).ok()?.claims)
    }

    #[test]
    fn tokens_verify_until_the_key_is_rotated() {
        let issuer = Issuer::default();
        let claims = json!({"sub": "1", "exp": 4_102_444_800_u64});
        let token = issuer.sign(&claims, None);
        assert_eq!(verified(&issuer, &token), Some(claims.clone()));
        assert_eq!(verified(&issuer, &issuer.sign(&claims, Some("x"))), None);
        issuer.rotate();
        assert_eq!(verified(&issuer, &token), None);
        assert_eq!(verified(&issuer, &issuer.sign(&claims, None)), Some(claims));
    }

    #[test]
    fn jwk_holds_only_the_public_key() {
        let issuer = Issuer::default();
        let jwk = issuer.jwk();
        let members: Vec<&str> = jwk
            .as_object()
            .expect("an object")
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(members, ["alg", "e", "kid", "kty", "n", "use"]);
        assert_eq!(jwk["e"], "AQAB");
        let pem = issuer.public_pem();
        assert!(pem.starts_with("-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqh"));
        assert_eq!(issuer.public_der().len(), 294);
    }
}
