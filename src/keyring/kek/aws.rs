//! `aws-kms:`: a key of AWS's Key Management Service.
//!
//! Two calls of its JSON protocol, signed here: <https://docs.aws.amazon.com/kms/latest/APIReference/>.

mod credentials;
mod sign;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};
use ureq::http::Request;
use zeroize::Zeroizing;

use self::credentials::Credentials;
use self::sign::Signer;
use super::http::{Answer, Service, check_address, variable};
use super::{KekError, KekProvider, WrapContext};
use crate::keyring::Entropy;
use crate::secret::Secret;

/// A KMS key. Name and id of the data key are the encryption context, so they stand in CloudTrail too.
pub(super) struct AwsKek {
    service: Service,
    key: String,
    region: String,
    address: String,
    credentials: Credentials,
}

impl AwsKek {
    /// `key` is an id, an ARN or `alias/NAME`.
    pub(super) fn open(key: &str) -> Result<Self, KekError> {
        let in_arn = key.starts_with("arn:").then(|| key.split(':').nth(3)).flatten().map(str::to_owned);
        let region = in_arn
            .or_else(|| variable("AWS_REGION"))
            .or_else(|| variable("AWS_DEFAULT_REGION"))
            .ok_or_else(|| KekError::Setting {
                name: "AWS_REGION".into(),
                reason: "is not set, and the key is not named by an ARN".into(),
            })?;
        let endpoint = ["AWS_ENDPOINT_URL_KMS", "AWS_ENDPOINT_URL"]
            .into_iter()
            .find_map(|name| Some((name, variable(name)?)));
        let address = match endpoint {
            Some((name, address)) => {
                check_address(name, &address)?;
                address
            }
            None => {
                let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
                format!("https://kms.{region}.amazonaws.com{suffix}")
            }
        };
        let authorities = variable("AWS_CA_BUNDLE").map(std::path::PathBuf::from);
        Ok(Self {
            service: Service::new("AWS KMS", authorities.as_deref())?,
            key: key.to_owned(),
            region,
            address: address.trim_end_matches('/').to_owned(),
            credentials: Credentials::find()?,
        })
    }

    fn call(&self, action: &str, body: &Value) -> Result<Answer, KekError> {
        let body = body.to_string().into_bytes();
        let host = self.address.split_once("://").map_or("", |(_, host)| host);
        let signer = Signer { credentials: &self.credentials, region: &self.region, service: "kms" };
        let target = format!("TrentService.{action}");
        let headers =
            [("content-type", "application/x-amz-json-1.1"), ("host", host), ("x-amz-target", &target)];
        let mut request = Request::post(format!("{}/", self.address));
        for (name, value) in headers.iter().filter(|(name, _)| *name != "host") {
            request = request.header(*name, *value);
        }
        for (name, value) in signer.sign("/", &headers, &body, Timestamp::now())? {
            request = request.header(name, value.as_str());
        }
        let setting = |_| KekError::Setting {
            name: "AWS_REGION, or an AWS credential,".into(),
            reason: "has characters that cannot be sent".into(),
        };
        self.service.call(&request.body(body).map_err(setting)?)
    }

    fn refused(&self, answer: &Answer) -> KekError {
        let body = answer.json();
        let text = |name: &str| body.get(name).and_then(Value::as_str);
        let kind = text("__type").map(|kind| kind.rsplit('#').next().unwrap_or(kind)).unwrap_or_default();
        if matches!(kind, "InvalidCiphertextException" | "IncorrectKeyException") {
            return KekError::NotAuthentic;
        }
        let message = text("message").or_else(|| text("Message")).unwrap_or_default();
        self.service.refused(answer, format!("{kind} {message}").trim())
    }

    fn bytes(&self, answer: &Answer, field: &str) -> Result<Zeroizing<Vec<u8>>, KekError> {
        let body = answer.json();
        let text = body.get(field).and_then(Value::as_str).filter(|_| answer.status == 200);
        text.and_then(|text| STANDARD.decode(text).ok())
            .map(Zeroizing::new)
            .ok_or_else(|| self.refused(answer))
    }
}

impl KekProvider for AwsKek {
    fn wrap(&self, context: WrapContext<'_>, key: &Secret<32>, _: &mut Entropy) -> Result<Vec<u8>, KekError> {
        let plaintext = Zeroizing::new(STANDARD.encode(key.expose()));
        let answer = self.call(
            "Encrypt",
            &json!({ "KeyId": self.key, "Plaintext": *plaintext, "EncryptionContext": bound(context) }),
        )?;
        Ok(self.bytes(&answer, "CiphertextBlob")?.to_vec())
    }

    fn unwrap(&self, context: WrapContext<'_>, wrapped: &[u8]) -> Result<Secret<32>, KekError> {
        // The key is named, so that one of somebody else's, to which the proxy happens to have access, opens nothing.
        let answer = self.call(
            "Decrypt",
            &json!({
                "KeyId": self.key, "CiphertextBlob": STANDARD.encode(wrapped), "EncryptionContext": bound(context),
            }),
        )?;
        Secret::from_slice(&self.bytes(&answer, "Plaintext")?).ok_or(KekError::NotAuthentic)
    }
}

fn bound(context: WrapContext<'_>) -> Value {
    json!({ "pgseal:name": context.name, "pgseal:id": context.id.to_string() })
}
