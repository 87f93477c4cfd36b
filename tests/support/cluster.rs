//! A private PostgreSQL in a temporary folder, on a free port of 127.0.0.1.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::authority::{Authority, Issued};
use super::client::RawClient;
use super::supervised::{Supervised, User};

/// The password of every role that has one.
pub const PASSWORD: &str = "correct horse";

/// Who may come in, and how: one role for each method, everyone else by trust.
const HBA: &str = "
local all all trust
host all by_password 127.0.0.1/32 password
host all by_md5 127.0.0.1/32 md5
host all by_scram 127.0.0.1/32 scram-sha-256
host all nobody_may 127.0.0.1/32 reject
host all all 127.0.0.1/32 trust
host replication all 127.0.0.1/32 trust
";

/// The same of a cluster that speaks TLS, and demands it of those who come in by a name of their own.
const ENCRYPTED_HBA: &str = "
local all all trust
hostssl all by_scram 127.0.0.1/32 scram-sha-256
hostssl all by_md5 127.0.0.1/32 md5
hostssl all by_password 127.0.0.1/32 password
hostssl all by_certificate 127.0.0.1/32 cert
hostssl all only_encrypted 127.0.0.1/32 trust
host all postgres 127.0.0.1/32 trust
";

/// Roles for [`HBA`] and [`ENCRYPTED_HBA`].
const ROLES: &str = "
CREATE ROLE by_certificate LOGIN; CREATE ROLE only_encrypted LOGIN;
SET password_encryption = 'md5'; CREATE ROLE by_md5 LOGIN PASSWORD 'correct horse';
SET password_encryption = 'scram-sha-256'; CREATE ROLE by_scram LOGIN PASSWORD 'correct horse';
CREATE ROLE by_password LOGIN PASSWORD 'correct horse';
CREATE ROLE nobody_may LOGIN;
";

/// Durability is not what these tests are about.
const FAST: &[(&str, &str)] = &[
    ("fsync", "off"),
    ("synchronous_commit", "off"),
    ("full_page_writes", "off"),
    ("autovacuum", "off"),
    ("max_connections", "300"),
    ("shared_buffers", "32MB"),
    ("max_wal_size", "2GB"),
    ("log_line_prefix", "%p %d %e "),
];

/// Everything that PostgreSQL can be told to write about a statement.
const LOGGING: &[(&str, &str)] = &[
    ("log_statement", "all"),
    ("log_min_error_statement", "debug5"),
    ("log_min_messages", "debug2"),
    ("log_min_duration_statement", "0"),
    ("log_parameter_max_length", "-1"),
    ("log_parameter_max_length_on_error", "-1"),
    ("log_error_verbosity", "verbose"),
    ("debug_print_parse", "on"),
    ("debug_print_plan", "on"),
];

/// A running server; stopped and removed when dropped, or when the test process ends in any way.
pub struct Cluster {
    folder: PathBuf,
    port: u16,
    server: Supervised,
}

impl Cluster {
    /// The one cluster that the tests of a binary share, each in databases of its own.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// A cluster of one's own.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// A cluster that logs all that PostgreSQL can log about a statement, its parameters included.
    pub fn logging() -> Self {
        Self::start_with(LOGGING)
    }

    /// A cluster with settings of one's own.
    pub fn start_with(settings: &[(&str, &str)]) -> Self {
        Self::start_under(settings, HBA, &[], None)
    }

    /// A cluster of which no file may become larger than so many megabytes, as if the disk were full then.
    pub fn with_largest_file(megabytes: u32, settings: &[(&str, &str)]) -> Self {
        Self::start_under(settings, HBA, &[], Some(megabytes))
    }

    /// A cluster that shows a certificate, and takes those of clients from an authority.
    pub fn encrypted(shown: &Issued, authority: &Authority) -> Self {
        let settings = [("ssl", "on"), ("ssl_ca_file", "root.crt")];
        let files = [
            ("server.crt", shown.certificate.clone()),
            ("server.key", shown.key.clone()),
            ("root.crt", authority.file()),
        ];
        Self::start_under(&settings, ENCRYPTED_HBA, &files, None)
    }

    fn start_under(
        settings: &[(&str, &str)],
        hba: &str,
        files: &[(&str, PathBuf)],
        largest: Option<u32>,
    ) -> Self {
        // A port was free a moment ago; if somebody took it since, try another.
        let try_start = |_| Self::try_start(settings, hba, files, largest);
        let cluster = (0..3).find_map(try_start).expect("PostgreSQL starts");
        cluster.connect("postgres").run(ROLES);
        cluster
    }

    fn try_start(
        settings: &[(&str, &str)],
        hba: &str,
        files: &[(&str, PathBuf)],
        largest: Option<u32>,
    ) -> Option<Self> {
        let user = unprivileged();
        let (folder, port) = (temporary_folder(user), free_port());
        let (data, log) = (folder.join("data"), folder.join("log"));
        initdb(&data, &log, user);
        let setting = |(name, value): &(&str, &str)| format!("{name} = '{value}'\n");
        let conf: String = FAST.iter().chain(settings).map(setting).collect();
        fs::write(data.join("postgresql.auto.conf"), conf).expect("settings are written");
        fs::write(data.join("pg_hba.conf"), hba).expect("pg_hba.conf is written");
        for (name, from) in files {
            let to = data.join(name);
            fs::copy(from, &to).expect("a file is copied");
            fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).expect("permissions");
            if let Some(user) = user {
                chown(&to, Some(user.uid), Some(user.gid)).expect("root may give a file away");
            }
        }

        Self::launch(folder, port, user, largest)
    }

    /// A standby that streams from this one, once it takes sessions.
    pub fn standby(&self) -> Self {
        let user = unprivileged();
        let start = || {
            let (folder, port) = (temporary_folder(user), free_port());
            self.copy_to(&folder.join("data"));
            let (data, conninfo) = (folder.join("data"), format!("port={} user=postgres", self.port));
            let conf = fs::read_to_string(data.join("postgresql.auto.conf")).expect("settings");
            let conf = format!("{conf}primary_conninfo = 'host=127.0.0.1 {conninfo}'\n");
            fs::write(data.join("postgresql.auto.conf"), conf).expect("settings are written");
            fs::write(data.join("standby.signal"), "").expect("it is told what it is");
            fs::write(folder.join("log"), "").expect("a log");
            for path in [data.join("backup_label"), data.join("standby.signal"), folder.join("log")] {
                if let Some(user) = user {
                    chown(path, Some(user.uid), Some(user.gid)).expect("root may give a file away");
                }
            }
            Self::launch(folder, port, user, None)
        };
        (0..3).find_map(|_| start()).expect("PostgreSQL starts")
    }

    /// A copy of the data that a standby can begin with. Not by pg_basebackup, which takes no server newer than itself.
    fn copy_to(&self, data: &Path) {
        let mut session = self.connect("postgres");
        let version: u32 =
            session.value("SHOW server_version_num").expect("a number").parse().expect("a number");
        let (begin, end) = if version >= 150_000 {
            ("SELECT pg_backup_start('standby', true)", "SELECT labelfile FROM pg_backup_stop(false)")
        } else {
            (
                "SELECT pg_start_backup('standby', true, false)",
                "SELECT labelfile FROM pg_stop_backup(false, false)",
            )
        };
        session.run(begin);
        // Files that go meanwhile make cp complain.
        let _ =
            Command::new("cp").arg("-a").arg(self.folder.join("data")).arg(data).output().expect("cp runs");
        fs::write(data.join("backup_label"), session.value(end).expect("a label")).expect("it is written");
        fs::remove_file(data.join("postmaster.pid")).expect("the copy is of a running server");
    }

    fn launch(folder: PathBuf, port: u16, user: Option<User>, largest: Option<u32>) -> Option<Self> {
        let (data, log) = (folder.join("data"), folder.join("log"));
        let postgres = binary("postgres");
        // The shell's unit of a file's size is 512 bytes.
        let limit = largest.map_or_else(String::new, |megabytes| format!("ulimit -f {}; ", megabytes * 2048));
        let command = [
            "sh".to_owned(),
            "-c".to_owned(),
            format!("{limit}exec \"$0\" \"$@\""),
            postgres.to_str().expect("a plain path").to_owned(),
            format!("-D{}", data.display()),
            format!("-p{port}"),
            "-clisten_addresses=127.0.0.1".to_owned(),
            format!("-cunix_socket_directories={}", folder.display()),
        ];
        let server = Supervised::start(&command, &[], user, &log, Some(&folder), "QUIT");
        let deadline = Instant::now() + Duration::from_secs(60);
        while !fs::read_to_string(data.join("postmaster.pid")).is_ok_and(|p| p.contains("ready")) {
            let text = tail(&log);
            assert!(Instant::now() < deadline, "PostgreSQL is not ready after a minute:\n{text}");
            if !server.is_alive() {
                assert!(text.contains("Address already in use"), "PostgreSQL does not start:\n{text}");
                return None;
            }
            sleep(Duration::from_millis(20));
        }
        Some(Self { folder, port, server })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The folder of its Unix socket, its log and its data.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The server's process.
    pub fn server(&self) -> &Supervised {
        &self.server
    }

    /// Creates a database whose name begins with `prefix` and gives its name.
    pub fn database(&self, prefix: &str) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{prefix}_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.connect("postgres").run(&format!("CREATE DATABASE {name}"));
        name
    }

    /// A raw client of the server itself, as superuser.
    pub fn connect(&self, database: &str) -> RawClient {
        RawClient::connect(self.address(), "postgres", database)
    }

    /// A connection string for drivers and tools.
    pub fn url(&self, database: &str) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    /// All that the server has logged.
    pub fn log(&self) -> Vec<u8> {
        fs::read(self.folder.join("log")).expect("the log is readable")
    }

    /// Every file of the data folder, its log included, with its content.
    pub fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let (mut files, mut folders) = (Vec::new(), vec![self.folder.clone()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a readable folder").flatten() {
                let (path, kind) = (entry.path(), entry.file_type().expect("a type"));
                if kind.is_dir() {
                    folders.push(path);
                } else if kind.is_file() {
                    // A file may go while we look.
                    files.extend(fs::read(&path).map(|content| (path, content)));
                }
            }
        }
        files
    }
}

/// The path of one of PostgreSQL's programs: from `PGSEAL_TEST_PG_BIN`, the newest version under
/// `/usr/lib/postgresql`, or the search path. The server and what belongs to it are of one folder; clients may be from
/// another.
pub fn binary(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let first = FOLDER.get_or_init(find_binaries).join(name);
    let others = || candidates().map(|folder| folder.join(name)).find(|path| path.is_file());
    if first.is_file() { first } else { others().unwrap_or(first) }
}

/// A port that nobody listens on just now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// Waits until somebody accepts at `address`, while `is_alive`. False if it died first.
pub fn wait_for(address: SocketAddr, is_alive: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(30);
    while is_alive() && Instant::now() < deadline {
        if TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok() {
            return true;
        }
        sleep(Duration::from_millis(10));
    }
    false
}

/// The end of a text file, for a failure's message.
pub fn tail(path: &Path) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().rev().take(30).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

/// A fresh folder that `user` owns and can reach.
pub fn temporary_folder(user: Option<User>) -> PathBuf {
    let parent = Some(std::env::temp_dir()).filter(|p| is_open_to_all(p)).unwrap_or_else(|| "/tmp".into());
    let folder = tempfile::Builder::new().prefix("pgseal-").tempdir_in(parent).expect("a folder").keep();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("permissions");
    if let Some(user) = user {
        chown(&folder, Some(user.uid), Some(user.gid)).expect("root may give a folder away");
    }
    folder
}

fn is_open_to_all(path: &Path) -> bool {
    path.ancestors().all(|p| fs::metadata(p).is_ok_and(|m| m.mode() & 0o001 != 0))
}

fn find_binaries() -> PathBuf {
    candidates()
        .find(|bin| bin.join("postgres").is_file() && bin.join("initdb").is_file())
        .expect("PostgreSQL's server programs: install the package postgresql, or set PGSEAL_TEST_PG_BIN")
}

fn candidates() -> impl Iterator<Item = PathBuf> {
    let stated = std::env::var_os("PGSEAL_TEST_PG_BIN").map(PathBuf::from);
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut installed: Vec<(u32, PathBuf)> = installed
        .filter_map(|e| Some((e.file_name().to_str()?.parse().ok()?, e.path().join("bin"))))
        .collect();
    installed.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path: Vec<_> = std::env::split_paths(&path).collect();
    stated.into_iter().chain(installed.into_iter().rev().map(|(_, bin)| bin)).chain(path)
}

/// PostgreSQL refuses to run as root; somebody else it is then.
pub fn unprivileged() -> Option<User> {
    let id = |arguments: &[&str]| -> Option<u32> {
        let output = Command::new("id").args(arguments).output().expect("the id program");
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    };
    if id(&["-u"]) != Some(0) {
        return None;
    }
    let user = ["postgres", "nobody"]
        .into_iter()
        .find_map(|name| Some(User { uid: id(&["-u", name])?, gid: id(&["-g", name])? }));
    Some(user.expect("a user postgres or nobody"))
}

fn initdb(data: &Path, log: &Path, user: Option<User>) {
    let mut initdb = Command::new(binary("initdb"));
    initdb.args(["--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-locale", "--no-sync"]);
    initdb.arg("-D").arg(data).current_dir("/");
    if let Some(user) = user {
        initdb.uid(user.uid).gid(user.gid);
    }
    let output = initdb.output().expect("initdb runs");
    assert!(output.status.success(), "initdb failed: {}", String::from_utf8_lossy(&output.stderr));
    fs::write(log, "").expect("a log");
    if let Some(user) = user {
        chown(log, Some(user.uid), Some(user.gid)).expect("root may give a file away");
    }
}
