//! Runs the real binaries as processes.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use rustix::fs::{Mode, OFlags, open};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tokio::process::{Child, Command};

use crate::world::{World, eventually};

/// A running process that logs to a file. A drop kills it.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
    _folder: tempfile::TempDir,
}

/// A command with a clean environment, so that it cannot reach a real account.
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().envs([
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "local"),
        ("AWS_SECRET_ACCESS_KEY", "local"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("HOME", "/nonexistent"),
    ]);
    command
}

pub(crate) fn usher() -> Command {
    command(env!("CARGO_BIN_EXE_usher"))
}

impl World {
    /// `usher` with arguments; its environment selects this world.
    pub(crate) fn usher(&self, arguments: &[&str]) -> Command {
        let mut command = usher();
        command.args(arguments).env("AWS_ENDPOINT_URL", &self.url);
        for (key, value) in self.settings() {
            let name = format!("USHER_{}", key.replace('.', "__").to_uppercase());
            command.env(name, value);
        }
        command
    }
}

/// Runs a command to its end: exit status, standard output, standard error.
pub(crate) async fn finished(command: Command) -> (Option<i32>, String, String) {
    finished_within(crate::world::PATIENCE, command).await
}

/// Like [`finished`], with a terminal as standard error. Its lines end with CR and LF.
pub(crate) async fn finished_on_terminal(mut command: Command) -> (Option<i32>, String, String) {
    let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&screen).expect("granted");
    unlockpt(&screen).expect("unlocked");
    let name = ptsname(&screen, Vec::new()).expect("a name");
    let terminal = open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).expect("open");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(terminal)
        .kill_on_drop(true);
    let child = command.spawn().expect("starts");
    // The screen ends when no process has the terminal.
    drop(command);
    let shown = tokio::task::spawn_blocking(move || {
        let (mut screen, mut shown) = (File::from(screen), Vec::new());
        // At the end Linux reports an error, after everything was read.
        let _ = screen.read_to_end(&mut shown);
        String::from_utf8(shown).expect("text")
    });
    let output = tokio::time::timeout(crate::world::PATIENCE, child.wait_with_output());
    let output = output.await.expect("ends in time").expect("runs");
    let text = String::from_utf8(output.stdout).expect("text");
    (output.status.code(), text, shown.await.expect("read"))
}

/// Like [`finished`], with another time limit.
pub(crate) async fn finished_within(
    limit: std::time::Duration,
    mut command: Command,
) -> (Option<i32>, String, String) {
    let output = tokio::time::timeout(limit, command.output())
        .await
        .expect("ends in time")
        .expect("runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

impl Process {
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdout(Stdio::null());
        Self::with_output(command)
    }

    /// Starts a command without changing its standard output.
    pub(crate) fn with_output(mut command: Command) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("log");
        let file = File::create(&log).expect("a log file");
        let child = command
            .stdin(Stdio::null())
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .expect("starts");
        Self {
            child,
            log,
            _folder: folder,
        }
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = self
            .child
            .id()
            .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?))
            .expect("it runs");
        kill_process(id, signal).expect("signalled");
    }

    pub(crate) async fn exit(&mut self) -> ExitStatus {
        let limit = crate::world::PATIENCE;
        tokio::time::timeout(limit, self.child.wait())
            .await
            .expect("exits in time")
            .expect("waited")
    }

    /// The address of health and metrics.
    pub(crate) async fn http(&self) -> String {
        self.logged("http.address").await
    }

    /// The address of the API and `/accept`.
    pub(crate) async fn public_http(&self) -> String {
        self.logged("http.public_address").await
    }

    async fn logged(&self, field: &str) -> String {
        let value = || {
            self.log().lines().find_map(|line| {
                let line: serde_json::Value = serde_json::from_str(line).ok()?;
                Some(line[field].as_str()?.to_owned())
            })
        };
        eventually(field, || async { value().is_some() }).await;
        value().expect("just seen")
    }
}

/// `GET` on loopback: the status and the text.
pub(crate) async fn get(address: &str, path: &str) -> (u16, String) {
    ask(address, path).await.expect("an answer in HTTP")
}

/// The text of the answer, or `None` if the server is gone.
pub(crate) async fn try_get(address: &str, path: &str) -> Option<String> {
    ask(address, path).await.map(|(_, text)| text)
}

async fn ask(address: &str, path: &str) -> Option<(u16, String)> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.ok()?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let (head, text) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, text.to_owned()))
}
