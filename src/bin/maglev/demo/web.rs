//! A web server small enough to be killed and revived.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

/// A loopback address all of whose ports are the demo's to try.
pub fn address(n: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, 10u8.saturating_add(n)))
}

/// One server: a name, an address, and while it lives a thread.
pub struct Web {
    pub name: String,
    pub address: SocketAddr,
    life: Option<(Arc<OwnedFd>, JoinHandle<()>)>,
}

impl Web {
    /// `n` servers on as many addresses, all on one port that was free everywhere.
    pub fn start_all(n: u8) -> io::Result<Vec<Web>> {
        let mut last = io::Error::other("no servers were asked for");
        for _ in 0..50 {
            match start_on_one_port(n) {
                Ok(all) => return Ok(all),
                Err(e) => last = e,
            }
        }
        Err(last)
    }

    fn new(name: String, listener: TcpListener) -> io::Result<Web> {
        let mut web = Web { name, address: listener.local_addr()?, life: None };
        web.live(listener)?;
        Ok(web)
    }

    fn live(&mut self, listener: TcpListener) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let heard = Arc::clone(&stop);
        let name = self.name.clone();
        let thread =
            std::thread::Builder::new().name(name.clone()).spawn(move || serve(&listener, &heard, &name))?;
        self.life = Some((stop, thread));
        Ok(())
    }

    /// Stops listening: from the return on, a connection is refused.
    pub fn kill(&mut self) {
        if let Some((stop, thread)) = self.life.take() {
            let _ = rustix::io::write(&stop, &1u64.to_ne_bytes());
            let _ = thread.join();
        }
    }

    pub fn revive(&mut self) -> io::Result<()> {
        if self.life.is_some() {
            return Ok(());
        }
        self.live(TcpListener::bind(self.address)?)
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.kill();
    }
}

fn start_on_one_port(n: u8) -> io::Result<Vec<Web>> {
    let mut all = Vec::new();
    let mut port = 0;
    for i in 1..=n {
        let listener = TcpListener::bind((address(i), port))?;
        port = listener.local_addr()?.port();
        all.push(Web::new(format!("web{i}"), listener)?);
    }
    Ok(all)
}

fn serve(listener: &TcpListener, stop: &OwnedFd, name: &str) {
    loop {
        let mut fds = [
            PollFd::from_borrowed_fd(listener.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(stop.as_fd(), PollFlags::IN),
        ];
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
        if fds.last().is_some_and(|fd| !fd.revents().is_empty()) {
            return;
        }
        if let Ok((stream, _)) = listener.accept() {
            // A client that is gone is no reason to stop.
            let _ = answer(stream, name);
        }
    }
}

fn answer(mut stream: TcpStream, name: &str) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_millis(250)))?;
    stream.set_write_timeout(Some(Duration::from_millis(250)))?;
    let mut request = [0; 2048];
    if stream.read(&mut request)? == 0 {
        return Ok(());
    }
    let body = format!("{name}\n");
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes())
}
