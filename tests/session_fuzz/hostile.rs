//! Peers that break the protocol, and peers that die: the proxy stays up, serves others, and keeps nothing of
//! the sessions that ended.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::interleaved::{POLICY, SCHEMA, script};
use crate::support::{Cluster, Proxy, RawClient, message};
use crate::{Random, seeds};

/// What the proxy may have used at most, in kB: a debug build with its thread stacks, and a session's buffers.
const MAX_MEMORY: u64 = 150_000;

/// A protected table behind a proxy, and what the proxy holds while nobody is connected.
struct Setting {
    cluster: Cluster,
    proxy: Proxy,
    descriptors: usize,
}

impl Setting {
    fn start() -> Self {
        let cluster = Cluster::start();
        cluster.connect("postgres").run("CREATE DATABASE fuzz");
        cluster.connect("fuzz").run(&SCHEMA.replace("{}", "bytea"));
        let proxy = Proxy::start(cluster.address(), POLICY);
        // The first session starts what is started late.
        proxy.connect("fuzz").run("INSERT INTO sealed SELECT n, NULL FROM generate_series(1, 100) n");
        proxy.connect("fuzz").run("INSERT INTO sealed VALUES (1000, 'a secret')");
        // What a killed server would lose otherwise.
        cluster.connect("fuzz").run("CHECKPOINT");
        let mut setting = Self { cluster, proxy, descriptors: 0 };
        thread::sleep(Duration::from_millis(300));
        setting.descriptors = setting.open_descriptors();
        setting
    }

    fn open_descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.proxy.process().pid())).expect("it runs").count()
    }

    /// Others are served, memory is bounded, and no session is left on either side.
    fn check(&self) {
        assert!(self.proxy.process().is_alive(), "the proxy has died:\n{}", self.log());
        let secret = self.proxy.connect("fuzz").value("SELECT secret FROM sealed WHERE id = 1000");
        assert_eq!(secret.as_deref(), Some("a secret"));
        let memory = self.proxy.process().memory_kb("VmHWM");
        assert!(memory < MAX_MEMORY, "{memory} kB of memory were used");
        let log = self.log();
        assert!(!log.contains("panicked"), "{log}");

        let deadline = Instant::now() + Duration::from_secs(15);
        loop {
            let open = self.open_descriptors();
            let left = self.cluster.connect("postgres").value(
                "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
            );
            if open <= self.descriptors && left.as_deref() == Some("0") {
                break;
            }
            let before = self.descriptors;
            assert!(
                Instant::now() < deadline,
                "{open} descriptors ({before} before), {left:?} sessions are left"
            );
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(&self.proxy.log()).into_owned()
    }
}

/// Reads what comes until the peer closes, or until nothing comes for a while.
fn drain(mut stream: &TcpStream, patience: Duration) {
    stream.set_read_timeout(Some(patience)).unwrap();
    let mut buffer = [0; 8192];
    while matches!(stream.read(&mut buffer), Ok(1..)) {}
}

fn random_bytes(random: &mut Random, most: usize) -> Vec<u8> {
    (0..random.below(most)).map(|_| random.next().to_le_bytes()[0]).collect()
}

/// One of the ways in which a message can be wrong; `tags` are types that it may be given.
fn mutate(frame: &[u8], tags: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = frame.to_vec();
    let somewhere = random.below(bytes.len());
    let body = 5.min(bytes.len());
    match random.below(12) {
        // A flipped bit anywhere, or in the body.
        0 => bytes[somewhere] ^= 1 << random.below(8),
        1..=3 if bytes.len() > body => {
            let at = body + random.below(bytes.len() - body);
            bytes[at] ^= 1 << random.below(8);
        }
        // A shorter body under the old length, and under its own.
        4 => bytes.truncate(somewhere.max(1)),
        5 if bytes.len() > body => {
            bytes.truncate(body + random.below(bytes.len() - body));
            set_length(&mut bytes);
        }
        // A longer one.
        6 => {
            bytes.extend(random_bytes(random, 20));
            set_length(&mut bytes);
        }
        // A length that lies.
        7 => {
            let lies: [u32; 8] = [0, 1, 3, 4, 5, 0x3fff_ffff, 0x7fff_ffff, 0xffff_ffff];
            bytes.splice(1..5, random.pick(&lies).to_be_bytes());
        }
        // A count or a length inside that is huge.
        8 | 9 if bytes.len() >= body + 2 => {
            let at = body + random.below(bytes.len() - body - 1);
            bytes.splice(at..at + 2, *random.pick(&[[0xff, 0xff], [0x7f, 0xff], [0x80, 0]]));
        }
        10 => bytes[0] = *random.pick(tags),
        _ => bytes = random_bytes(random, 40),
    }
    bytes
}

fn set_length(bytes: &mut [u8]) {
    let length = u32::try_from(bytes.len() - 1).unwrap();
    bytes[1..5].copy_from_slice(&length.to_be_bytes());
}

#[test]
fn bytes_that_are_no_messages_end_their_own_session_only() {
    let setting = Setting::start();
    for seed in seeds(60) {
        let mut random = Random::new(seed);
        let mut client = RawClient::open(setting.proxy.address());
        let mut bytes = match random.below(4) {
            // From nothing, or behind a plausible length and version.
            0 => Vec::new(),
            1 => vec![0, 0, 0, 40, 0, 3, 0, 0],
            2 => {
                message::startup(3 << 16 | 9, &[("user", "postgres"), ("_pq_.x", "y"), ("database", "fuzz")])
            }
            _ => message::startup(3 << 16, &[("user", "postgres"), ("database", "fuzz")]),
        };
        bytes.extend(random_bytes(&mut random, 3000));
        client.try_send(&bytes);
        if random.once_in(2) {
            client.shut_down();
        }
        drain(client.stream(), Duration::from_millis(100));
    }
    setting.check();
}

#[test]
fn broken_messages_of_a_client_end_its_own_session_only() {
    let setting = Setting::start();
    for seed in seeds(80) {
        let mut random = Random::new(seed);
        let script = script(&mut random, true);
        let mut client = RawClient::connect(setting.proxy.address(), "postgres", "fuzz");
        let often = *random.pick(&[2, 8, 30]);
        for message in script {
            let bytes = if random.once_in(often) {
                mutate(&message.through, b"QPBDECSFHXdcfp\0T1Z", &mut random)
            } else {
                message.through
            };
            if !client.try_send(&bytes) {
                break;
            }
        }
        drain(client.stream(), Duration::from_millis(60));
    }
    setting.check();
}

/// Listens, and breaks one message in so many of those that the server sends after startup. What it has begun
/// ends with the connections that are given.
fn breaking_relay(target: SocketAddr, seed: u64) -> (SocketAddr, Arc<Mutex<Vec<TcpStream>>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().unwrap();
    let connections = Arc::<Mutex<Vec<TcpStream>>>::default();
    let begun = Arc::clone(&connections);
    thread::spawn(move || {
        for (n, client) in listener.incoming().flatten().enumerate() {
            let Ok(server) = TcpStream::connect(target) else { continue };
            begun.lock().unwrap().push(client.try_clone().unwrap());
            let mut random = Random::new(seed.wrapping_add(n as u64));
            let (mut back, forward) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || {
                let _ = std::io::copy(&mut &client, &mut &forward);
                let _ = forward.shutdown(Shutdown::Both);
            });
            thread::spawn(move || {
                let _ = relay_broken(server, &mut back, &mut random);
                let _ = back.shutdown(Shutdown::Both);
            });
        }
    });
    (address, connections)
}

fn relay_broken(mut server: TcpStream, back: &mut TcpStream, random: &mut Random) -> std::io::Result<()> {
    // The first session of a database reads the catalog; leave that whole for some of them.
    let mut whole = *random.pick(&[0, 0, 20, 200, 1000]);
    let often = *random.pick(&[3, 20, 100]);
    let mut started = false;
    loop {
        let mut head = [0; 5];
        server.read_exact(&mut head)?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let mut frame = head.to_vec();
        frame.resize(length + 1, 0);
        server.read_exact(&mut frame[5..])?;
        if started && whole > 0 {
            whole -= 1;
        } else if (started || random.once_in(20)) && random.once_in(often) {
            match random.below(8) {
                0 => continue,
                1 => back.write_all(&frame)?,
                2 => return back.write_all(&frame[..random.below(frame.len())]),
                _ => {}
            }
            frame = mutate(&frame, b"12ACDEGHIKNRSTVWZcdnstv\0Q", random);
        }
        started |= head[0] == b'Z';
        back.write_all(&frame)?;
    }
}

#[test]
fn broken_messages_of_a_server_end_their_own_session_only() {
    let setting = Setting::start();
    let (relay, connections) = breaking_relay(setting.cluster.address(), 7);
    let proxy = Proxy::start(relay, POLICY);
    thread::sleep(Duration::from_millis(100));
    let count = || std::fs::read_dir(format!("/proc/{}/fd", proxy.process().pid())).expect("it runs").count();
    let before = count();
    for seed in seeds(100) {
        let mut random = Random::new(seed);
        let script = script(&mut random, true);
        let mut client = RawClient::open(proxy.address());
        let mut bytes = message::startup(3 << 16, &[("user", "postgres"), ("database", "fuzz")]);
        // Sent ahead: it waits in the proxy for the end of the startup.
        bytes.extend(script.into_iter().flat_map(|m| m.through));
        client.try_send(&bytes);
        drain(client.stream(), Duration::from_millis(60));
    }
    assert!(proxy.process().is_alive(), "{}", String::from_utf8_lossy(&proxy.log()));
    let log = String::from_utf8_lossy(&proxy.log()).into_owned();
    assert!(!log.contains("panicked"), "{log}");
    let memory = proxy.process().memory_kb("VmHWM");
    assert!(memory < MAX_MEMORY, "{memory} kB of memory were used");
    // A client's last statement may still wait for a server that has lost its way: until that goes too.
    connections.lock().unwrap().iter().for_each(|c| drop(c.shutdown(Shutdown::Both)));
    let deadline = Instant::now() + Duration::from_secs(15);
    while count() > before {
        assert!(Instant::now() < deadline, "{} descriptors, {before} before", count());
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn sessions_that_die_leave_nothing_behind() {
    let setting = Setting::start();
    for seed in seeds(60) {
        let mut random = Random::new(seed);
        let mut client = RawClient::connect(setting.proxy.address(), "postgres", "fuzz");
        let pid = client.value("SELECT pg_backend_pid()").unwrap();
        let rows = "SELECT n, repeat('x', 500) FROM generate_series(1, 200000) n";
        let query = match random.below(4) {
            0 => message::query(rows),
            1 => message::flight(rows, &[], &[], 0),
            2 => message::query("SELECT s.id, s.secret FROM sealed s, generate_series(1, 2000)"),
            _ => message::query("COPY plain FROM STDIN"),
        };
        let copies = query.windows(4).any(|w| w == b"COPY");
        client.try_send(&query);
        let key = client.key.clone();
        thread::sleep(Duration::from_micros(random.next() % 20_000));
        match random.below(5) {
            // The client goes away: at once, or after some of the answer.
            0 => {}
            1 => {
                for _ in 0..random.below(if copies { 1 } else { 50 }) {
                    let _ = client.try_read();
                }
            }
            // The server's session ends.
            2 => {
                setting.cluster.connect("postgres").run(&format!("SELECT pg_terminate_backend({pid})"));
                drain(client.stream(), Duration::from_secs(5));
            }
            // It is cancelled; the answer comes to its end.
            3 => {
                RawClient::open(setting.proxy.address()).try_send(&message::cancel(&key));
                if !copies {
                    let last = client.read_until_ready().pop();
                    assert_eq!(last.expect("an answer").tag, b'Z', "seed {seed}");
                    assert_eq!(client.value("SELECT 1").as_deref(), Some("1"), "seed {seed}");
                }
            }
            // A slow reader goes away.
            _ => {
                thread::sleep(Duration::from_millis(30));
                let _ = client.try_read();
            }
        }
    }
    setting.check();
}

#[test]
fn a_server_that_is_killed_takes_its_sessions_with_it_and_no_others() {
    let setting = Setting::start();
    for seed in seeds(2) {
        let mut random = Random::new(seed);
        let mut clients: Vec<RawClient> = (0..8).map(|_| setting.proxy.connect("fuzz")).collect();
        let pid = clients[0].value("SELECT pg_backend_pid()").unwrap();
        for client in &mut clients {
            let rows = "SELECT n, repeat('x', 500) FROM generate_series(1, 200000) n";
            client.try_send(&message::query(rows));
        }
        thread::sleep(Duration::from_micros(random.next() % 50_000));
        // PostgreSQL ends all its sessions when one of them is killed, and recovers.
        let kill = std::process::Command::new("kill").args(["-9", &pid]).status().unwrap();
        assert!(kill.success());
        for client in &clients {
            drain(client.stream(), Duration::from_secs(10));
        }
        drop(clients);
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let mut probe = RawClient::open(setting.proxy.address());
            probe.try_send(&message::startup(3 << 16, &[("user", "postgres"), ("database", "fuzz")]));
            if probe.read_until_ready().last().is_some_and(|f| f.tag == b'Z') {
                break;
            }
            assert!(Instant::now() < deadline, "PostgreSQL does not come back");
            thread::sleep(Duration::from_millis(100));
        }
    }
    setting.check();
}
