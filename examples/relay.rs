//! The floor for any proxy: copies bytes between two sockets on one thread, and looks at nothing.
//!
//! `relay LISTEN UPSTREAM`; `benches/e2e.py` measures pgseal against it.

use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpListener, TcpStream};

const BUFFER: usize = 16 * 1024;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(listen), Some(upstream)) = (arguments.next(), arguments.next()) else {
        return Err(std::io::Error::other("usage: relay LISTEN UPSTREAM"));
    };
    let listener = TcpListener::bind(listen).await?;
    loop {
        let (mut client, _) = listener.accept().await?;
        let upstream = upstream.clone();
        tokio::spawn(async move {
            let mut server = TcpStream::connect(upstream).await?;
            client.set_nodelay(true)?;
            server.set_nodelay(true)?;
            copy_bidirectional_with_sizes(&mut client, &mut server, BUFFER, BUFFER).await
        });
    }
}
