//! Key-encryption keys of every kind: keys under them, what happens when they are out of reach, and what does not.
//!
//! Vault is a stand-in of our own, AWS is moto's server, and the PKCS #11 module is SoftHSM 2.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "test code: a failed expectation is a failed test"
)]

mod vault;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use vault::{TOKEN, Vault};

#[path = "../support/mod.rs"]
mod support;

use support::{Authority, Cluster, Proxy, Supervised};

const POLICY: &str = "version = 1\n[table.\"public.users\"]\nnote = { type = \"text\" }\n";

/// A folder with a policy, and what the program needs to reach a key-encryption key.
struct Place {
    folder: tempfile::TempDir,
    environment: Vec<(String, String)>,
}

impl Place {
    fn new(environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("policy.toml"), POLICY).unwrap();
        let environment = environment.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Self { folder, environment }
    }

    /// Runs the program: its exit code, and what it prints.
    fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> (i32, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pgseal"));
        command.args(arguments).current_dir(self.folder.path());
        for (name, _) in
            std::env::vars().filter(|(name, _)| name.starts_with("AWS_") || name.starts_with("VAULT_"))
        {
            command.env_remove(name);
        }
        command.env("PGSEAL_KEYRING", "keys/keyring.toml").env("PGSEAL_POLICY", "policy.toml");
        // Never the machine's own credentials.
        command.env("AWS_EC2_METADATA_DISABLED", "true").env("HOME", self.folder.path());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let output = command.envs(environment.iter().copied()).output().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.code().unwrap(), text)
    }

    #[track_caller]
    fn succeeds(&self, arguments: &[&str]) -> String {
        let (code, text) = self.run(arguments, &[]);
        assert_eq!(code, 0, "{arguments:?}: {text}");
        text
    }

    /// The command fails within the time that a provider is given, and says this and that.
    #[track_caller]
    fn fails(&self, arguments: &[&str], environment: &[(&str, &str)], says: &[&str]) {
        let start = Instant::now();
        let (code, text) = self.run(arguments, environment);
        assert!(matches!(code, 1 | 4), "{arguments:?} ended with {code}: {text}");
        assert!(start.elapsed() < Duration::from_secs(15), "it took {:?}: {text}", start.elapsed());
        for what in says {
            assert!(text.contains(what), "{text:?} should say {what:?}");
        }
        assert!(!text.contains(TOKEN), "{text}");
    }

    fn keyring(&self) -> PathBuf {
        self.folder.path().join("keys/keyring.toml")
    }

    /// A keyring under `kek` is made, grows, is loaded, and changes its key-encryption key in both directions; a wrap
    /// that is moved to another name does not unwrap.
    fn live_with(&self, kek: &str) {
        self.succeeds(&["init", "--kek", kek]);
        self.succeeds(&["keys", "add", "default"]);
        self.succeeds(&["check"]);
        let whole = fs::read_to_string(self.keyring()).unwrap();
        assert_eq!(whole.matches("[[key.wrap]]").count(), 2, "{whole}");
        fs::write(self.keyring(), whole.replace("name = \"default\"", "name = \"others\"")).unwrap();
        self.fails(&["check"], &[], &["others@1", "it does not unwrap"]);
        self.fails(&["keys", "add", "others"], &[], &["others@1", "it does not unwrap"]);
        fs::write(self.keyring(), &whole).unwrap();

        self.succeeds(&["keys", "rewrap", "--kek", "file:keys/kek"]);
        self.succeeds(&["keys", "rewrap", "--finish"]);
        assert!(!self.succeeds(&["keys", "list"]).contains(kek.split(':').next().unwrap()));
        self.succeeds(&["keys", "rewrap", "--kek", kek]);
        assert!(self.succeeds(&["keys", "list"]).contains("kek file:kek,"));
        self.succeeds(&["keys", "rewrap", "--finish"]);
        self.succeeds(&["check"]);
    }
}

fn private(path: &Path, content: impl AsRef<[u8]>) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(40), "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn keys_live_under_a_passphrase() {
    let place = Place::new(&[("WORDS", "correct horse battery staple")]);
    place.live_with("passphrase:env:WORDS");
    place.fails(&["check"], &[("WORDS", "correct horse battery")], &["default@1", "it does not unwrap"]);
    // Another passphrase adds no key, under which it could not be unwrapped together with the others.
    place.fails(&["keys", "add", "default"], &[("WORDS", "incorrect horse")], &["it does not unwrap"]);
    // The same words in a file beside the keyring.
    private(&place.folder.path().join("keys/words"), "correct horse battery staple\n");
    place.succeeds(&["check", "--kek", "passphrase:file:words"]);
    let other = Place::new(&[("WORDS", "too short")]);
    other.fails(&["init", "--kek", "passphrase:env:WORDS"], &[], &["at least 12 characters"]);
    assert!(!other.keyring().exists());
}

#[test]
fn a_passphrase_is_asked_for_at_the_terminal_twice_when_it_is_new() {
    let place = Place::new(&[]);
    let program = env!("CARGO_BIN_EXE_pgseal");
    let typed = |arguments: &str, lines: &[&str]| {
        // A terminal of its own: `script` gives what it is fed to the terminal that the program reads.
        let folder = place.folder.path().display();
        let answers: String = lines.iter().map(|line| format!("sleep 0.7; echo '{line}'; ")).collect();
        let shell = format!(
            "cd {folder} && ({answers} sleep 2) | PGSEAL_KEYRING=keys/keyring.toml PGSEAL_POLICY=policy.toml \
             script -qec '{program} {arguments}' /dev/null"
        );
        let output = Command::new("sh").args(["-c", &shell]).output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    let text = typed("init --kek passphrase:", &["six words better than one", "six words better than two"]);
    assert!(text.contains("typed differently"), "{text}");
    assert!(!place.keyring().exists());
    let text = typed("init --kek passphrase:", &["six words better than one", "six words better than one"]);
    assert!(text.contains("made the keyring"), "{text}");
    let text = typed("keys add default", &["six words better than one"]);
    assert!(text.contains("added default@2"), "{text}");
    assert!(!text.contains("six words"), "{text}");
    let text = typed("keys add default", &["six words better than two"]);
    assert!(text.contains("it does not unwrap"), "{text}");
}

#[test]
fn keys_live_under_vaults_transit_engine() {
    let authority = Authority::new();
    let shown = authority.server("vault");
    let vault = Vault::start(&shown);
    let (url, ca) = (vault.url(), authority.file().display().to_string());
    let place = |token| Place::new(&[("VAULT_ADDR", &url), ("VAULT_TOKEN", token), ("VAULT_CACERT", &ca)]);
    place(TOKEN).live_with("vault-transit:app");
    place(TOKEN).live_with("vault-transit:transit/derived");
    let init = |name: &'static str| ["init", "--kek", name];
    place(TOKEN).fails(&init("vault-transit:loose"), &[], &["binds no associated data"]);
    place(TOKEN).fails(
        &init("vault-transit:none"),
        &[],
        &["Vault refused: status 400: encryption key not found"],
    );
    place("hvs.other").fails(&init("vault-transit:app"), &[], &["status 403", "permission denied"]);
    let app = place(TOKEN);
    app.fails(
        &init("vault-transit:app"),
        &[("VAULT_ADDR", "http://vault.internal")],
        &["VAULT_ADDR", "https"],
    );
    app.fails(&init("vault-transit:app"), &[("VAULT_ADDR", "")], &["VAULT_ADDR is not set"]);
    app.fails(&init("vault-transit:app"), &[("VAULT_TOKEN", "")], &["VAULT_TOKEN is not set"]);
    // A certificate that nobody here vouches for gets no token.
    let asked = vault.asked();
    app.fails(&init("vault-transit:app"), &[("VAULT_CACERT", "")], &["Vault cannot be reached"]);
    assert_eq!(vault.asked(), asked);
    private(&app.folder.path().join(".vault-token"), TOKEN);
    let (code, text) = app.run(&init("vault-transit:app"), &[("VAULT_TOKEN", "")]);
    assert_eq!(code, 0, "{text}");

    vault.fail_with(503);
    app.fails(&["check"], &[], &["vault-transit:app", "status 503: Vault is sealed"]);
    vault.fail_with(0);
    vault.be_slow(true);
    app.fails(&["check"], &[], &["Vault cannot be reached: no answer within 5 seconds"]);
    vault.be_slow(false);
    app.succeeds(&["check"]);
    drop(vault);
    app.fails(&["check"], &[], &["Vault cannot be reached"]);
    app.fails(&["keys", "add", "default"], &[], &["Vault cannot be reached"]);
}

#[test]
fn a_proxy_goes_on_while_its_provider_is_down_and_takes_the_keyring_when_it_is_back() {
    let cluster = Cluster::start();
    let database = cluster.database("app");
    cluster.connect(&database).run("CREATE TABLE users (id int PRIMARY KEY, note bytea)");
    let authority = Authority::new();
    let vault = Vault::start(&authority.server("vault"));
    let (url, ca) = (vault.url(), authority.file().display().to_string());
    let environment = [("VAULT_ADDR", url.as_str()), ("VAULT_TOKEN", TOKEN), ("VAULT_CACERT", ca.as_str())];
    let admin = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let with_admin = [&environment[..], &[("PGSEAL_ADMIN", admin.as_str())]].concat();
    let proxy = Proxy::start_with(cluster.address(), POLICY, &with_admin);
    let keys = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pgseal"));
        command.arg("keys").args(arguments).current_dir(proxy.folder()).envs(environment);
        let output = command.env("PGSEAL_KEYRING", "keyring/keyring.toml").output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let logged = |what: &str| String::from_utf8_lossy(&proxy.log()).matches(what).count();
    let mut client = proxy.connect(&database);
    client.run("INSERT INTO users VALUES (1, 'one')");
    keys(&["rewrap", "--kek", "vault-transit:app"]);
    keys(&["rewrap", "--finish"]);
    fs::remove_file(proxy.folder().join("keyring/kek")).unwrap();
    wait_until("the keyring is read again", || {
        logged("keyring and certificates were read again") > 0 && vault.asked() > 2
    });
    // Vault is never asked for a statement.
    std::thread::sleep(Duration::from_secs(3));
    let asked = vault.asked();
    for id in 10..60 {
        client.run(&format!("INSERT INTO users VALUES ({id}, 'many')"));
    }
    assert_eq!(vault.asked(), asked);

    vault.be_slow(true);
    let read = logged("keyring and certificates were read again");
    proxy.process().signal("HUP");
    // Sessions, old and new, do not wait while Vault keeps its asker waiting.
    for id in 100..110 {
        let start = Instant::now();
        client.run(&format!("INSERT INTO users VALUES ({id}, 'meanwhile')"));
        proxy.connect(&database).run("SELECT note FROM users");
        assert!(start.elapsed() < Duration::from_secs(2));
        std::thread::sleep(Duration::from_millis(100));
    }
    wait_until("the failure is logged", || logged("keyring and certificates were not read again") > 0);
    assert!(logged("no answer within 5 seconds") > 0);
    assert_eq!(client.value("SELECT note FROM users WHERE id = 105").as_deref(), Some("meanwhile"));
    // Nobody has to tell it that Vault is back.
    vault.be_slow(false);
    wait_until("the keyring is taken", || logged("keyring and certificates were read again") > read);
    assert_eq!(client.value("SELECT note FROM users WHERE id = 1").as_deref(), Some("one"));
    // What was asked, and how that went.
    let told = metrics(&admin);
    let value = |name: &str| -> f64 {
        let found = told.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        found.unwrap_or_else(|| panic!("no {name} in {told}"))
    };
    assert!(value("pgseal_kek_calls_total{provider=\"file\",outcome=\"done\"}") >= 1.0);
    assert!(value("pgseal_kek_calls_total{provider=\"vault-transit\",outcome=\"done\"}") >= 2.0);
    let failed = value("pgseal_kek_calls_total{provider=\"vault-transit\",outcome=\"failed\"}");
    assert!(failed >= 1.0);
    assert!(value("pgseal_kek_call_seconds_sum{provider=\"vault-transit\"}") >= 5.0 * failed);
}

#[test]
fn keys_live_under_aws_kms() {
    let folder = tempfile::tempdir().unwrap();
    let (found, log) = (folder.path().join("found"), folder.path().join("log"));
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/".into()));
    let python = std::env::var_os("PGSEAL_TEST_MOTO")
        .map_or_else(|| home.join(".cache/pgseal-tests/moto"), Into::into);
    let python = python.join("bin/python");
    assert!(python.exists(), "{} is missing: scripts/setup.sh moto", python.display());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kek/aws.py");
    let command = [python.as_os_str(), script.as_ref(), found.as_os_str()];
    let _moto = Supervised::start(&command, &[], None, &log, None, "KILL");
    wait_until("moto starts", || found.exists());
    let found: Value = serde_json::from_slice(&fs::read(&found).unwrap()).unwrap();
    let text = |name: &str| found[name].as_str().unwrap();
    let place = || {
        Place::new(&[
            ("AWS_ENDPOINT_URL_KMS", text("endpoint")),
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", text("id")),
            ("AWS_SECRET_ACCESS_KEY", text("secret")),
        ])
    };
    let app = place();
    app.live_with("aws-kms:alias/app");
    app.fails(
        &["check"],
        &[("AWS_SECRET_ACCESS_KEY", "wrong")],
        &["aws-kms:alias/app", "AWS KMS refused: status 403"],
    );
    let other = format!("aws-kms:{}", text("other"));
    // AWS itself calls it an IncorrectKeyException, which is told as "it does not unwrap".
    app.fails(&["check", "--kek", &other], &[], &["default@1", "AWS KMS refused: status 400"]);
    app.fails(
        &["check", "--kek", "aws-kms:alias/none"],
        &[],
        &["AWS KMS refused: status 400", "NotFoundException"],
    );
    app.fails(&["check"], &[("AWS_ENDPOINT_URL_KMS", "http://127.0.0.1:1")], &["AWS KMS cannot be reached"]);
    app.fails(
        &["check"],
        &[("AWS_ENDPOINT_URL_KMS", "http://kms.internal")],
        &["AWS_ENDPOINT_URL_KMS", "https"],
    );
    app.fails(&["check"], &[("AWS_REGION", "")], &["AWS_REGION is not set"]);
    app.fails(
        &["check"],
        &[("AWS_ACCESS_KEY_ID", "")],
        &["AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set"],
    );
}

#[test]
fn keys_live_in_a_pkcs11_module() {
    let module = [
        "/usr/lib/softhsm/libsofthsm2.so",
        "/usr/lib64/pkcs11/libsofthsm2.so",
        "/usr/local/lib/softhsm/libsofthsm2.so",
    ]
    .into_iter()
    .find(|path| Path::new(path).exists())
    .expect("SoftHSM 2 is missing: scripts/setup.sh softhsm");
    let tokens = tempfile::tempdir().unwrap();
    let path = |name: &str| tokens.path().join(name).display().to_string();
    fs::create_dir(path("tokens")).unwrap();
    fs::write(
        path("conf"),
        format!("directories.tokendir = {}\nobjectstore.backend = file\n", path("tokens")),
    )
    .unwrap();
    let softhsm = |arguments: &[&str]| {
        let output = Command::new("softhsm2-util")
            .args(arguments)
            .env("SOFTHSM2_CONF", path("conf"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    softhsm(&["--init-token", "--free", "--label", "app", "--so-pin", "12345678", "--pin", "87654321"]);
    for (file, label, id) in [("one", "kek", "01"), ("two", "other", "02")] {
        fs::write(path(file), [id.as_bytes()[1]; 32]).unwrap();
        softhsm(&[
            "--import",
            &path(file),
            "--aes",
            "--token",
            "app",
            "--label",
            label,
            "--id",
            id,
            "--pin",
            "87654321",
        ]);
    }
    private(&tokens.path().join("pin"), "87654321\n");
    let place = Place::new(&[("SOFTHSM2_CONF", &path("conf"))]);
    let kek = format!("pkcs11:token=app;object=kek?module-path={module}&pin-source=file:{}", path("pin"));
    place.live_with(&kek);
    let check = |kek: &str, says: &[&str]| place.fails(&["check", "--kek", kek], &[], says);
    check(&kek.replace("object=kek", "object=other"), &["it does not unwrap"]);
    check(&kek.replace("object=kek", "object=none"), &["Key \"none\" has to be one AES key", "there are 0"]);
    check(&kek.replace("token=app", "token=none"), &["Token \"none\" is not in the PKCS #11 module"]);
    check(&kek.replace(module, "/no/such.so"), &["the PKCS #11 module refused: loading it"]);
    private(&tokens.path().join("pin"), "wrong");
    check(&kek, &["the PKCS #11 module refused: logging in"]);
    let by_variables = [("PGSEAL_PKCS11_PIN", "87654321"), ("PGSEAL_PKCS11_MODULE", module)];
    let (code, text) = place.run(&["check", "--kek", "pkcs11:token=app;object=kek"], &by_variables);
    assert_eq!(code, 0, "{text}");
    place.fails(
        &["check", "--kek", "pkcs11:token=app;object=kek"],
        &by_variables[..1],
        &["PGSEAL_PKCS11_MODULE is not set"],
    );
}

/// What a proxy's admin address answers.
fn metrics(address: &str) -> String {
    use std::io::{Read as _, Write as _};
    let mut socket = std::net::TcpStream::connect(address).unwrap();
    socket.write_all(format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    text
}
