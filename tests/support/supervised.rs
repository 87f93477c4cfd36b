//! A process that cannot outlive the test that started it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The shell that watches: it starts the command, says its process id, and waits for the end of its own
/// standard input. That end comes when the test drops the handle, panics, or is killed, whatever the
/// signal; then the command is stopped and the folder, if one was named, removed.
const SUPERVISOR: &str = r#"
folder=$1 signal=$2; shift 2
trap '' INT TERM HUP
exec 3<&0
"$@" 3<&- </dev/null >&2 &
echo $!
exec >/dev/null
cat <&3 >/dev/null
kill -s "$signal" $! 2>/dev/null
wait $! 2>/dev/null
[ -z "$folder" ] || rm -rf "$folder"
"#;

/// A user that a process runs as.
#[derive(Clone, Copy, Debug)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
}

/// A running command under a supervisor.
pub struct Supervised {
    supervisor: Child,
    pid: u32,
}

impl Supervised {
    /// Starts `command` with its output appended to `log`. `folder` is removed after the command has been
    /// stopped by `signal`.
    pub fn start<S: AsRef<OsStr>>(
        command: &[S],
        environment: &[(&str, &str)],
        user: Option<User>,
        log: &Path,
        folder: Option<&Path>,
        signal: &str,
    ) -> Self {
        let log = File::options().create(true).append(true).open(log).expect("the log opens");
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(SUPERVISOR).arg("supervisor");
        shell.arg(folder.map(Path::as_os_str).unwrap_or_default()).arg(signal);
        shell.args(command).envs(environment.iter().copied());
        // The command writes to the log by way of the shell's own standard error.
        let (stderr, stdout) = (log, Stdio::piped());
        shell.stdin(Stdio::piped()).stdout(stdout).stderr(stderr).current_dir("/");
        // A group of its own: what Ctrl-C stops is the test, and the supervisor cleans up after it.
        shell.process_group(0);
        if let Some(user) = user {
            shell.uid(user.uid).gid(user.gid);
        }
        let mut supervisor = shell.spawn().expect("a shell starts");
        let mut line = String::new();
        let stdout = supervisor.stdout.take().expect("the shell's output is a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("the supervisor says a process id");
        let pid = line.trim().parse().unwrap_or_else(|_| panic!("no process id in {line:?}"));
        Self { supervisor, pid }
    }

    /// The command's process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// False once the command has ended.
    pub fn is_alive(&self) -> bool {
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)) else { return false };
        // The state follows the name in parentheses; the supervisor leaves a dead child as a zombie.
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
    }

    /// The value in kB of a line of `/proc/PID/status`, such as `VmHWM` (the highest resident size).
    pub fn memory_kb(&self, line: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).expect("it runs");
        let value =
            status.lines().find_map(|l| l.strip_prefix(line)?.strip_prefix(':')).expect("a known line");
        value.trim().trim_end_matches(" kB").parse().expect("a number of kB")
    }

    /// Sends the command a signal by name.
    pub fn signal(&self, name: &str) {
        let kill = Command::new("sh").args(["-c", "kill -s $0 $1", name, &self.pid.to_string()]).status();
        assert!(kill.expect("a shell starts").success(), "SIG{name} could not be sent");
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        let _ = self.supervisor.wait();
    }
}
