//! A broker's process: started, waited for, killed.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// How long a broker may take to be ready, on a machine that is busy.
const READY_MAX: Duration = Duration::from_secs(120);

/// A running broker. Killed when it is dropped.
pub struct Server {
    child: Child,
}

/// Where a program is, which a Debian package holds. A missing one fails the test rather than skipping it.
pub fn program(name: &str, package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let found = directories.map(|directory| directory.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is missing: install what the Debian package {package} holds"))
}

impl Server {
    /// Starts the program and waits until it prints a line that contains `ready`.
    pub fn start(program: &Path, arguments: &[OsString], environment: &[(&str, OsString)], ready: &str) -> Server {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let child = Command::new(program)
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(writer.try_clone().expect("a pipe"))
            .stderr(writer)
            // Scripts that start others are ended with them.
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", program.display()));
        let server = Server { child };
        let (sender, lines) = mpsc::channel();
        // Reads on until the process is gone, so that it never waits for us.
        thread::spawn(move || {
            for line in BufReader::new(reader).lines().map_while(Result::ok) {
                let _nobody_asks_any_more = sender.send(line);
            }
        });
        let deadline = Instant::now() + READY_MAX;
        let mut printed = Vec::new();
        loop {
            let Ok(line) = lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) else {
                panic!("{} was not ready; it printed:\n{}", program.display(), printed.join("\n"));
            };
            if line.contains(ready) {
                return server;
            }
            printed.push(line);
        }
    }

    /// Ends it at once, as a crash does.
    pub fn kill(self) {
        drop(self);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _already_gone = kill_process_group(group, Signal::KILL);
        }
        let _already_waited_for = self.child.wait();
    }
}

/// Arguments or values of the environment.
pub fn words<const N: usize>(words: [&dyn AsRef<std::ffi::OsStr>; N]) -> Vec<OsString> {
    words.into_iter().map(|word| word.as_ref().to_owned()).collect()
}
