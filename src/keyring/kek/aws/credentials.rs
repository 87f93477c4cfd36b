//! Where AWS's credentials come from: the environment, the container, or the machine, in this order.

use std::path::Path;

use serde_json::Value;
use ureq::http::Request;
use zeroize::Zeroizing;

use super::super::http::{Answer, Service, variable};
use crate::keyring::KekError;

/// Where a container's credentials are if only a path is given (ECS).
const CONTAINER: &str = "http://169.254.170.2";
/// Where a machine's are (EC2).
const MACHINE: &str = "http://169.254.169.254";
/// For so many seconds the machine's token is asked; it is used at once.
const TOKEN_LIFE: &str = "60";

/// What requests are signed with.
pub(super) struct Credentials {
    pub(super) access_key: String,
    pub(super) secret_key: Zeroizing<String>,
    pub(super) session_token: Option<Zeroizing<String>>,
}

impl Credentials {
    /// The first that are there.
    pub(super) fn find() -> Result<Self, KekError> {
        if let (Some(access_key), Some(secret)) =
            (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY"))
        {
            let session_token = variable("AWS_SESSION_TOKEN").map(Zeroizing::new);
            return Ok(Self { access_key, secret_key: secret.into(), session_token });
        }
        let relative =
            variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").map(|path| format!("{CONTAINER}{path}"));
        if let Some(address) = relative.or_else(|| variable("AWS_CONTAINER_CREDENTIALS_FULL_URI")) {
            return Self::of_container(&address);
        }
        if variable("AWS_EC2_METADATA_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Err(KekError::Setting {
                name: "AWS_ACCESS_KEY_ID".into(),
                reason: "and AWS_SECRET_ACCESS_KEY are not set, and neither container nor machine gives any"
                    .into(),
            });
        }
        Self::of_machine()
    }

    /// ECS, and pods with an identity in EKS.
    fn of_container(address: &str) -> Result<Self, KekError> {
        let service = Service::nearby("the container's credentials");
        let mut request = Request::get(address);
        let from_file = |path: String| std::fs::read_to_string(Path::new(&path)).ok();
        let token = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE").and_then(from_file);
        if let Some(token) = token.or_else(|| variable("AWS_CONTAINER_AUTHORIZATION_TOKEN")) {
            request = request.header("Authorization", token.trim());
        }
        Self::from_answer(&service, &service.call(&request.body(Vec::new()).map_err(unfit)?)?)
    }

    /// EC2's metadata service, version 2.
    fn of_machine() -> Result<Self, KekError> {
        let service = Service::nearby("EC2's metadata service (and AWS_ACCESS_KEY_ID is not set)");
        let base = variable("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or_else(|| MACHINE.into());
        let base = base.trim_end_matches('/');
        let token = Request::put(format!("{base}/latest/api/token"))
            .header("X-aws-ec2-metadata-token-ttl-seconds", TOKEN_LIFE)
            .body(Vec::new())
            .map_err(unfit)?;
        let token = text(&service, &service.call(&token)?)?;
        let read = |path: &str| {
            let request = Request::get(format!("{base}/latest/meta-data/iam/security-credentials/{path}"))
                .header("X-aws-ec2-metadata-token", token.as_str())
                .body(Vec::new())
                .map_err(unfit)?;
            service.call(&request)
        };
        let role = text(&service, &read("")?)?;
        Self::from_answer(&service, &read(role.lines().next().unwrap_or_default())?)
    }

    fn from_answer(service: &Service, answer: &Answer) -> Result<Self, KekError> {
        let body = answer.json();
        let field = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
        match (field("AccessKeyId"), field("SecretAccessKey")) {
            (Some(access_key), Some(secret)) if answer.status == 200 => Ok(Self {
                access_key,
                secret_key: secret.into(),
                session_token: field("Token").map(Zeroizing::new),
            }),
            (_, _) => Err(service.refused(answer, "no credentials in the answer")),
        }
    }
}

fn text(service: &Service, answer: &Answer) -> Result<Zeroizing<String>, KekError> {
    match std::str::from_utf8(&answer.body) {
        Ok(text) if answer.status == 200 => Ok(Zeroizing::new(text.trim().to_owned())),
        Ok(_) | Err(_) => Err(service.refused(answer, "")),
    }
}

fn unfit(_: ureq::http::Error) -> KekError {
    KekError::Setting {
        name: "An address or a token for AWS's credentials".into(),
        reason: "has characters that cannot be sent".into(),
    }
}
