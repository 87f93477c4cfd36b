//! A recording relay between two sockets, for tests that compare bytes.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Which way bytes went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the side that connected.
    Forward,
    /// Back to it.
    Back,
}

/// Listens on a free port, relays each connection to `target` and keeps what went through.
pub struct Recorder {
    address: SocketAddr,
    connections: Arc<Mutex<Vec<Recording>>>,
}

#[derive(Clone, Default)]
struct Recording {
    forward: Arc<Mutex<Vec<u8>>>,
    back: Arc<Mutex<Vec<u8>>>,
}

impl Recorder {
    /// Starts the relay; its threads end with their connections and with the test process.
    pub fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("its address");
        let connections = Arc::<Mutex<Vec<Recording>>>::default();
        let seen = Arc::clone(&connections);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(target) else { continue };
                let recording = Recording::default();
                seen.lock().expect("no panic while locked").push(recording.clone());
                let (client_too, server_too) = (client.try_clone(), server.try_clone());
                let (Ok(client_too), Ok(server_too)) = (client_too, server_too) else { continue };
                thread::spawn(move || relay(client, server, &recording.forward));
                thread::spawn(move || relay(server_too, client_too, &recording.back));
            }
        });
        Self { address, connections }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The bytes that the nth connection carried in one direction so far.
    pub fn bytes(&self, connection: usize, direction: Direction) -> Vec<u8> {
        let connections = self.connections.lock().expect("no panic while locked");
        let recording = connections.get(connection).expect("a connection of this number");
        let bytes = match direction {
            Direction::Forward => &recording.forward,
            Direction::Back => &recording.back,
        };
        bytes.lock().expect("no panic while locked").clone()
    }

    /// The bytes that all connections carried in one direction so far.
    pub fn all_bytes(&self, direction: Direction) -> Vec<u8> {
        let count = self.connections.lock().expect("no panic while locked").len();
        (0..count).flat_map(|n| self.bytes(n, direction)).collect()
    }
}

fn relay(mut from: TcpStream, mut to: TcpStream, record: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 16384];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        record.lock().expect("no panic while locked").extend_from_slice(&buffer[..n]);
        if to.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
