//! `vault-transit:`: a key of the transit engine of HashiCorp's Vault, or of OpenBao.
//!
//! <https://developer.hashicorp.com/vault/api-docs/secret/transit>

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use ureq::http::Request;
use zeroize::Zeroizing;

use super::http::{Answer, Service, check_address, variable};
use super::{KekError, KekProvider, WrapContext};
use crate::keyring::Entropy;
use crate::keyring::disk;
use crate::secret::Secret;

/// Longest token; Vault's have some hundred bytes.
const MAX_TOKEN: u64 = 16 * 1024;

/// A transit key. Name and id of the data key are sent both as the associated data, which binds the wrap, and as the
/// context, from which Vault derives a key of its own if the transit key is a derived one; any other ignores it.
pub(super) struct VaultKek {
    service: Service,
    address: String,
    mount: String,
    key: String,
    token: Zeroizing<String>,
    namespace: Option<String>,
}

impl VaultKek {
    /// `name` is `KEY` or `MOUNT/KEY`.
    pub(super) fn open(name: &str) -> Result<Self, KekError> {
        let address = variable("VAULT_ADDR").ok_or_else(|| KekError::Setting {
            name: "VAULT_ADDR".into(),
            reason: "is not set; it says where Vault is, as in https://host:8200".into(),
        })?;
        check_address("VAULT_ADDR", &address)?;
        let (mount, key) = name.rsplit_once('/').unwrap_or(("transit", name));
        let authorities = variable("VAULT_CACERT").map(PathBuf::from);
        Ok(Self {
            service: Service::new("Vault", authorities.as_deref())?,
            address: address.trim_end_matches('/').to_owned(),
            mount: mount.to_owned(),
            key: key.to_owned(),
            token: token()?,
            namespace: variable("VAULT_NAMESPACE"),
        })
    }

    fn post(&self, action: &str, body: &serde_json::Value) -> Result<Answer, KekError> {
        let Self { address, mount, key, .. } = self;
        let mut request = Request::post(format!("{address}/v1/{mount}/{action}/{key}"))
            .header("Content-Type", "application/json")
            .header("X-Vault-Request", "true")
            .header("X-Vault-Token", self.token.as_str());
        if let Some(namespace) = &self.namespace {
            request = request.header("X-Vault-Namespace", namespace);
        }
        let setting = |_| KekError::Setting {
            name: "VAULT_ADDR, VAULT_TOKEN or VAULT_NAMESPACE".into(),
            reason: "has characters that cannot be sent".into(),
        };
        self.service.call(&request.body(body.to_string().into_bytes()).map_err(setting)?)
    }

    fn refused(&self, answer: &Answer) -> KekError {
        let body = answer.json();
        let errors = body.get("errors").and_then(|errors| errors.as_array()).into_iter().flatten();
        let errors: Vec<_> = errors.filter_map(|error| error.as_str()).collect();
        self.service.refused(answer, &errors.join("; "))
    }

    fn decrypt(&self, bound: &str, wrapped: &[u8]) -> Result<Secret<32>, KekError> {
        let ciphertext = std::str::from_utf8(wrapped).map_err(|_| KekError::NotAuthentic)?;
        let body = json!({ "ciphertext": ciphertext, "associated_data": bound, "context": bound });
        let answer = self.post("decrypt", &body)?;
        let words = String::from_utf8_lossy(&answer.body);
        if answer.status == 400
            && ["authentication failed", "invalid ciphertext"].iter().any(|w| words.contains(w))
        {
            return Err(KekError::NotAuthentic);
        }
        if answer.status != 200 {
            return Err(self.refused(&answer));
        }
        let answered = answer.json();
        let plaintext =
            answered.pointer("/data/plaintext").and_then(|text| text.as_str()).unwrap_or_default();
        let bytes = Zeroizing::new(STANDARD.decode(plaintext).unwrap_or_default());
        Secret::from_slice(&bytes).ok_or(KekError::NotAuthentic)
    }
}

impl KekProvider for VaultKek {
    fn wrap(&self, context: WrapContext<'_>, key: &Secret<32>, _: &mut Entropy) -> Result<Vec<u8>, KekError> {
        let bound = bound(context);
        let plaintext = Zeroizing::new(STANDARD.encode(key.expose()));
        let body = json!({ "plaintext": *plaintext, "associated_data": bound, "context": bound });
        let answer = self.post("encrypt", &body)?;
        let answered = answer.json();
        let ciphertext = answered.pointer("/data/ciphertext").and_then(|text| text.as_str());
        let Some(ciphertext) = ciphertext.filter(|_| answer.status == 200) else {
            return Err(self.refused(&answer));
        };
        // A key of a kind that authenticates no associated data would let a wrap be moved.
        let other = WrapContext { name: "", ..context };
        match self.decrypt(&self::bound(other), ciphertext.as_bytes()) {
            Err(KekError::NotAuthentic) => Ok(ciphertext.as_bytes().to_vec()),
            Ok(_) => Err(KekError::BindsNothing),
            Err(error) => Err(error),
        }
    }

    fn unwrap(&self, context: WrapContext<'_>, wrapped: &[u8]) -> Result<Secret<32>, KekError> {
        self.decrypt(&bound(context), wrapped)
    }
}

/// What a wrap is bound to, as Vault takes it.
fn bound(context: WrapContext<'_>) -> String {
    STANDARD.encode(context.associated_data())
}

/// The token, from where Vault's own programs look for it.
fn token() -> Result<Zeroizing<String>, KekError> {
    if let Some(token) = variable("VAULT_TOKEN") {
        return Ok(token.into());
    }
    let home = || variable("HOME").map(|home| PathBuf::from(home).join(".vault-token"));
    let path = variable("VAULT_TOKEN_FILE").map(PathBuf::from).or_else(home);
    let path = path.filter(|path| path.exists()).ok_or_else(|| KekError::Setting {
        name: "VAULT_TOKEN".into(),
        reason: "is not set, and there is no file of a token in VAULT_TOKEN_FILE or ~/.vault-token".into(),
    })?;
    let bytes = disk::read_private(&path, MAX_TOKEN)?;
    Ok(Zeroizing::new(String::from_utf8_lossy(&bytes).trim().to_owned()))
}
