//! Signature Version 4 of a POST request without a query.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::credentials::Credentials;
use crate::crypto::CipherFault;

/// Whose signature, for what.
pub(super) struct Signer<'a> {
    pub(super) credentials: &'a Credentials,
    pub(super) region: &'a str,
    pub(super) service: &'a str,
}

impl Signer<'_> {
    /// The headers that sign a request. `headers` are those that it has, sorted, in lower case, `host` among them.
    pub(super) fn sign(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        now: Timestamp,
    ) -> Result<Vec<(&'static str, String)>, CipherFault> {
        let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
        let date = now.strftime("%Y%m%d").to_string();
        let mut added = vec![("x-amz-date", time.clone())];
        if let Some(token) = &self.credentials.session_token {
            added.push(("x-amz-security-token", token.as_str().to_owned()));
        }
        let mut signed: Vec<(&str, &str)> = headers.to_vec();
        signed.extend(added.iter().map(|(name, value)| (*name, value.as_str())));
        signed.sort_unstable();
        let names = signed.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let listed: String =
            signed.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
        let canonical = format!("POST\n{path}\n\n{listed}\n{names}\n{}", hex(&Sha256::digest(body)));

        let Self { credentials, region, service } = self;
        let scope = format!("{date}/{region}/{service}/aws4_request");
        let text =
            format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex(&Sha256::digest(canonical.as_bytes())));
        let secret = Zeroizing::new(format!("AWS4{}", credentials.secret_key.as_str()));
        let mut key = Zeroizing::new(secret.as_bytes().to_vec());
        for part in [&date, *region, *service, "aws4_request"] {
            key = Zeroizing::new(mac(&key, part)?);
        }
        let signature = hex(&mac(&key, &text)?);
        let who = &credentials.access_key;
        added.push((
            "authorization",
            format!(
                "AWS4-HMAC-SHA256 Credential={who}/{scope}, SignedHeaders={names}, Signature={signature}"
            ),
        ));
        Ok(added)
    }
}

fn mac(key: &[u8], text: &str) -> Result<Vec<u8>, CipherFault> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| CipherFault)?;
    mac.update(text.as_bytes());
    Ok(mac.finalize().into_bytes().to_vec())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `post-vanilla` of AWS's published test suite.
    #[test]
    fn a_request_has_the_signature_of_the_published_suite() {
        let credentials = Credentials {
            access_key: "AKIDEXAMPLE".into(),
            secret_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned().into(),
            session_token: None,
        };
        let signer = Signer { credentials: &credentials, region: "us-east-1", service: "service" };
        let now = "2015-08-30T12:36:00Z".parse().unwrap();
        let headers = signer.sign("/", &[("host", "example.amazonaws.com")], b"", now).unwrap();
        assert_eq!(headers[0], ("x-amz-date", "20150830T123600Z".to_owned()));
        assert_eq!(
            headers[1].1,
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, \
             Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"
        );
    }
}
