//! A stand-in of Vault's transit engine, as its documentation describes it: encrypt and decrypt over HTTPS.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hmac;
use serde_json::{Value, json};

use crate::support::Issued;

/// The only token that is let in.
pub(crate) const TOKEN: &str = "hvs.of-the-test";

/// A server with the keys `app` (as it is), `derived` (derived by context) and `loose` (which binds nothing).
pub(crate) struct Vault {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// Answers with this status instead, if it is not 0.
    fault: AtomicU16,
    /// Takes connections and says nothing.
    is_slow: AtomicBool,
    has_ended: AtomicBool,
    /// Every path that was asked for.
    asked: Mutex<Vec<String>>,
}

impl Vault {
    pub(crate) fn start(shown: &Issued) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (address, state, config) =
            (listener.local_addr().unwrap(), Arc::new(State::default()), shown.server());
        let kept = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if kept.has_ended.load(Ordering::Relaxed) {
                    return;
                }
                let (state, config) = (kept.clone(), config.clone());
                std::thread::spawn(move || serve(stream, config, &state));
            }
        });
        Self { address, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// Answers everything with a status; 0 ends that.
    pub(crate) fn fail_with(&self, status: u16) {
        self.state.fault.store(status, Ordering::Relaxed);
    }

    pub(crate) fn be_slow(&self, is_slow: bool) {
        self.state.is_slow.store(is_slow, Ordering::Relaxed);
    }

    pub(crate) fn asked(&self) -> usize {
        self.state.asked.lock().unwrap().len()
    }
}

impl Drop for Vault {
    fn drop(&mut self) {
        self.state.has_ended.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

/// One connection, of one request.
fn serve(tcp: TcpStream, config: Arc<rustls::ServerConfig>, state: &State) {
    tcp.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    if state.is_slow.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_secs(20));
        return;
    }
    let mut stream = rustls::StreamOwned::new(rustls::ServerConnection::new(config).unwrap(), tcp);
    let (mut request, mut chunk) = (Vec::new(), [0; 4096]);
    let (head, body) = loop {
        let Ok(len @ 1..) = stream.read(&mut chunk) else { return };
        request.extend_from_slice(&chunk[..len]);
        let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(request[..end].to_vec()).unwrap();
        let length = header(&head, "content-length").map_or(0, |text| text.parse().unwrap());
        if request.len() >= end + 4 + length {
            break (head, request[end + 4..].to_vec());
        }
    };
    let path = head.split(' ').nth(1).unwrap().to_owned();
    state.asked.lock().unwrap().push(path.clone());
    let fault = state.fault.load(Ordering::Relaxed);
    let (status, answer) = if fault != 0 {
        (fault, json!({ "errors": ["Vault is sealed"] }))
    } else if header(&head, "x-vault-token") != Some(TOKEN) {
        (403, json!({ "errors": ["1 error occurred:\n\t* permission denied\n\n"] }))
    } else {
        match answer(&path, &serde_json::from_slice(&body).unwrap()) {
            Ok(data) => (200, json!({ "data": data })),
            Err(error) => (400, json!({ "errors": [error] })),
        }
    };
    let body = answer.to_string();
    let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let _ = stream.write_all((head + &body).as_bytes()).and_then(|()| stream.flush());
    stream.conn.send_close_notify();
    let _ = stream.flush();
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(n, _)| n.eq_ignore_ascii_case(name))
        .map(|(_, v)| v)
}

fn answer(path: &str, body: &Value) -> Result<Value, String> {
    let field = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    let bytes =
        |name: &str| STANDARD.decode(field(name)).map_err(|_| format!("failed to base64-decode {name}"));
    let key_name = path.rsplit('/').next().unwrap();
    let aad = if key_name == "loose" { Vec::new() } else { bytes("associated_data")? };
    let key = key(key_name, &bytes("context")?)?;
    match path.strip_prefix("/v1/transit/").and_then(|path| path.split_once('/')) {
        Some(("encrypt", _)) => {
            let mut sealed = bytes("plaintext")?;
            key.seal_in_place_append_tag(nonce(), Aad::from(aad), &mut sealed).unwrap();
            Ok(json!({ "ciphertext": format!("vault:v1:{}", STANDARD.encode(sealed)), "key_version": 1 }))
        }
        Some(("decrypt", _)) => {
            let text =
                field("ciphertext").strip_prefix("vault:v1:").ok_or("invalid ciphertext: no prefix")?;
            let mut sealed =
                STANDARD.decode(text).map_err(|_| "invalid ciphertext: could not decode base64")?;
            let opened = key.open_in_place(nonce(), Aad::from(aad), &mut sealed);
            let opened = opened.map_err(|_| "cipher: message authentication failed")?;
            Ok(json!({ "plaintext": STANDARD.encode(opened) }))
        }
        _ => Err("no handler for route".into()),
    }
}

/// Always the same: every plaintext here is a test's.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

fn key(name: &str, context: &[u8]) -> Result<LessSafeKey, String> {
    let bytes = match name {
        "app" | "loose" => [7; 32],
        "derived" if context.is_empty() => return Err("missing 'context' for key derivation".into()),
        "derived" => {
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &[8; 32]), context);
            tag.as_ref().try_into().unwrap()
        }
        _ => return Err("encryption key not found".into()),
    };
    Ok(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &bytes).unwrap()))
}
