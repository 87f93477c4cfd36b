//! Somebody between two peers who speaks TLS with the one that connects and none with the other.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::authority::Issued;

/// What is answered to SSLRequest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Yes, and a handshake follows.
    Yes,
    /// No.
    No,
    /// An error message.
    Error,
    /// Yes and more in one piece, then a handshake.
    YesAndMore,
    /// Yes, and a moment later more that is no handshake.
    YesThenMore,
    /// Nothing.
    Silence,
    /// A handshake without a request for it.
    Direct,
}

/// A listener that shows a certificate and relays to `target` without TLS what comes through.
pub struct Middle {
    address: SocketAddr,
}

/// An ErrorResponse that a peer should not believe.
pub const INJECTED: &[u8] = b"E\0\0\0\x22SFATAL\0C28000\0Minjected text\0\0";

impl Middle {
    /// Starts it; it ends with the test process.
    pub fn start(target: SocketAddr, shown: &Issued, answer: Answer) -> Self {
        let acceptor = TlsAcceptor::from(shown.server());
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("its address");
        listener.set_nonblocking(true).expect("a mode");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        thread::spawn(move || {
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).expect("a listener");
                while let Ok((socket, _)) = listener.accept().await {
                    tokio::spawn(serve(socket, target, acceptor.clone(), answer));
                }
            });
        });
        Self { address }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn serve(
    mut socket: TcpStream,
    target: SocketAddr,
    acceptor: TlsAcceptor,
    answer: Answer,
) -> std::io::Result<()> {
    if answer != Answer::Direct {
        socket.read_exact(&mut [0; 8]).await?;
    }
    match answer {
        Answer::Direct => {}
        Answer::Yes => socket.write_all(b"S").await?,
        Answer::No => socket.write_all(b"N").await?,
        Answer::Error => socket.write_all(INJECTED).await?,
        Answer::YesAndMore => socket.write_all(&[b"S", INJECTED].concat()).await?,
        Answer::YesThenMore => {
            socket.write_all(b"S").await?;
            tokio::time::sleep(Duration::from_millis(200)).await;
            socket.write_all(INJECTED).await?;
        }
        Answer::Silence => {
            socket.read_to_end(&mut Vec::new()).await?;
        }
    }
    let mut tls = acceptor.accept(socket).await?;
    let mut server = TcpStream::connect(target).await?;
    copy_bidirectional(&mut tls, &mut server).await?;
    Ok(())
}
