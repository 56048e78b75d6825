//! A server of one folder on the loopback address, for looking at a page.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use crate::{Failure, Result};

/// A folder that is being served.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    folder: PathBuf,
    address: SocketAddr,
}

impl Server {
    /// Listens at a port of the loopback address; 0 takes a free one.
    pub fn open(folder: &Path, port: u16) -> Result<Self> {
        let failed = |error| Failure::new(format!("--port: cannot listen at 127.0.0.1:{port}: {error}"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, folder: folder.to_owned(), address })
    }

    /// The page's address.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Answers until the process ends.
    pub fn run(self) {
        for stream in self.listener.incoming().flatten() {
            let folder = self.folder.clone();
            // A browser that goes away in the middle is no failure of ours.
            std::thread::spawn(move || drop(answer(&stream, &folder)));
        }
    }
}

/// Answers one request and closes the connection.
fn answer(mut stream: &TcpStream, folder: &Path) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut header = String::new();
    while reader.read_line(&mut header)? > 2 {
        header.clear();
    }
    let content = file(folder, &request).and_then(|path| Some((kind(&path), std::fs::read(path).ok()?)));
    let (status, kind, content) = match content {
        Some((kind, content)) => ("200 OK", kind, content),
        None => ("404 Not Found", "text/plain", b"not found\n".to_vec()),
    };
    let length = content.len();
    // The page is rebuilt while it is looked at: nothing is kept.
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\ncache-control: no-store\r\n\
         connection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(&content)
}

/// The file that a request line asks for, if it lies in the folder.
fn file(folder: &Path, request: &str) -> Option<PathBuf> {
    let target = request.strip_prefix("GET /")?.split([' ', '?', '#']).next()?;
    let path = Path::new(if target.is_empty() { "index.html" } else { target });
    let inside = path.components().all(|part| matches!(part, Component::Normal(_)));
    inside.then(|| folder.join(path)).filter(|path| path.is_file())
}

/// The media type of a file. Browsers compile WebAssembly as it comes only if it says that it is some.
fn kind(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("png") => "image/png",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_the_folder_are_served() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert_eq!(file(folder, "GET /Cargo.toml?x=1 HTTP/1.1"), Some(folder.join("Cargo.toml")));
        for request in ["GET /../Cargo.toml HTTP/1.1", "GET //etc/passwd HTTP/1.1", "GET / HTTP/1.1", "PUT /Cargo.toml"]
        {
            assert_eq!(file(folder, request), None, "{request}");
        }
    }

    #[test]
    fn a_page_is_fetched_over_the_loopback_address() {
        let server = Server::open(Path::new(env!("CARGO_MANIFEST_DIR")), 0).expect("a free port");
        let address = server.address;
        assert!(address.ip().is_loopback());
        std::thread::spawn(move || server.run());
        let mut stream = TcpStream::connect(address).expect("the server listens");
        stream.write_all(b"GET /Cargo.toml HTTP/1.1\r\nhost: x\r\n\r\n").expect("it reads");
        let answer = std::io::read_to_string(stream).expect("it answers");
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("name = \"xtask\""), "{answer}");
    }

    #[test]
    fn webassembly_says_that_it_is_some() {
        assert_eq!(kind(Path::new("page_bg.wasm")), "application/wasm");
    }
}
