//! Files that hold keys: who may read them, writes that survive a crash, and the lock.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::{Entropy, EntropyError};

/// How long a command waits for another that is changing the same keyring.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The system refused something.
    #[error("{doing} {path}: {reason}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
    /// Others than the owner may read or replace it.
    #[error("{path}: {reason}")]
    Exposed {
        /// The file, or its folder.
        path: PathBuf,
        /// Who may, and what to do about it.
        reason: String,
    },
    /// It is larger than such a file can be.
    #[error("{path} is larger than {limit} bytes, so it is not what it should be")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit that it exceeds.
        limit: u64,
    },
    /// It is there already, and nothing is overwritten.
    #[error("{path} exists already; nothing was changed")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Another process changes the keyring and does not end.
    #[error("another process holds {path}")]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// No name for a temporary file can be drawn.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

/// Reads a file that only its owner may read, or that root owns and the process's group may read (as
/// Kubernetes mounts secrets).
pub(super) fn read_private(path: &Path, limit: u64) -> Result<Zeroizing<Vec<u8>>, DiskError> {
    // Asked of the path first, since opening a pipe would wait for its writer; then of what was opened.
    let doing = "cannot read";
    check_regular(path, &fs::metadata(path).map_err(io_error(doing, path))?)?;
    let file = File::open(path).map_err(io_error(doing, path))?;
    let metadata = file.metadata().map_err(io_error(doing, path))?;
    check_regular(path, &metadata)?;
    check_readers(path, &metadata)?;
    check_folder(&folder_of(path))?;
    // The size is a hint only, but a buffer that grows would leave copies behind.
    let size = metadata.len().min(limit) + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(size).unwrap_or(0)));
    file.take(limit + 1).read_to_end(&mut bytes).map_err(io_error(doing, path))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
        return Err(DiskError::TooLarge { path: path.into(), limit });
    }
    Ok(bytes)
}

/// Writes a file that must not exist yet, readable by its owner only. When this returns, the file is on disk;
/// after a crash it is there whole or not at all.
pub(super) fn write_new(path: &Path, bytes: &[u8], entropy: &mut Entropy) -> Result<(), DiskError> {
    let temporary = Temporary::write(path, bytes, None, entropy)?;
    // A link, because a rename would replace a file that appeared meanwhile.
    fs::hard_link(&temporary.0, path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => DiskError::Exists { path: path.into() },
        _ => io_error("cannot create", path)(error),
    })?;
    drop(temporary);
    sync_folder(path)
}

/// Replaces a file, keeping its owner and permissions. When this returns, the new content is on disk; after a
/// crash it is the old or the new.
pub(super) fn replace(path: &Path, bytes: &[u8], entropy: &mut Entropy) -> Result<(), DiskError> {
    let metadata = fs::metadata(path).map_err(io_error("cannot replace", path))?;
    let temporary = Temporary::write(path, bytes, Some(&metadata), entropy)?;
    fs::rename(&temporary.0, path).map_err(io_error("cannot replace", path))?;
    drop(temporary);
    sync_folder(path)
}

/// Makes the folder of a file if it is missing, for its owner only.
pub(super) fn make_folder(path: &Path) -> Result<(), DiskError> {
    let folder = folder_of(path);
    if folder.is_dir() {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .map_err(io_error("cannot make", &folder))?;
    sync_folder(&folder)
}

/// The folder that a file is in.
pub(super) fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.into(),
        _ => Path::new(".").into(),
    }
}

/// The right to change a keyring, held until it is dropped. The kernel takes it back from a process that dies.
/// The lock file stays: removing it would let two processes lock two files of one name.
pub(super) struct Lock(#[expect(dead_code, reason = "held for its lock")] File);

impl Lock {
    /// Waits for the lock of the keyring at `path`, at most [`LOCK_WAIT`].
    pub(super) fn acquire(path: &Path) -> Result<Self, DiskError> {
        Self::acquire_within(path, LOCK_WAIT)
    }

    fn acquire_within(path: &Path, wait: Duration) -> Result<Self, DiskError> {
        let path = with_suffix(path, ".lock");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(io_error("cannot open", &path))?;
        match lock_within(&file, wait) {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(DiskError::Locked { path }),
            Err(TryLockError::Error(error)) => Err(io_error("cannot lock", &path)(error)),
        }
    }
}

/// Locks a file for this process, and waits so long for another one that has it.
pub(crate) fn lock_within(file: &File, wait: Duration) -> Result<(), TryLockError> {
    let started = Instant::now();
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if started.elapsed() < wait => {
                std::thread::sleep(Duration::from_millis(20));
            }
            locked => return locked,
        }
    }
}

/// A file beside another one, synced, and removed when it is dropped. One that a crash left behind is never
/// read and hinders nothing: names are drawn at random.
struct Temporary(PathBuf);

impl Temporary {
    fn write(
        path: &Path,
        bytes: &[u8],
        like: Option<&Metadata>,
        entropy: &mut Entropy,
    ) -> Result<Self, DiskError> {
        let mut random = [0; 8];
        entropy(&mut random)?;
        let temporary = with_suffix(path, &format!(".{:016x}.tmp", u64::from_be_bytes(random)));
        let doing = "cannot write";
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)
            .map_err(io_error(doing, &temporary))?;
        let written = Self(temporary);
        file.write_all(bytes)
            .and_then(|()| like.map_or(Ok(()), |like| take_after(&file, like)))
            .and_then(|()| file.sync_all())
            .map_err(io_error(doing, &written.0))?;
        Ok(written)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Nothing depends on it.
        let _ = fs::remove_file(&self.0);
    }
}

fn take_after(file: &File, like: &Metadata) -> io::Result<()> {
    let own = file.metadata()?;
    if (own.uid(), own.gid()) != (like.uid(), like.gid()) {
        std::os::unix::fs::fchown(file, Some(like.uid()), Some(like.gid()))?;
    }
    // After the owner: a change of owner may take bits off.
    file.set_permissions(fs::Permissions::from_mode(like.mode() & 0o777))
}

fn sync_folder(path: &Path) -> Result<(), DiskError> {
    let folder = folder_of(path);
    File::open(&folder).and_then(|folder| folder.sync_all()).map_err(io_error("cannot sync", &folder))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DiskError {
    move |reason| DiskError::Io { doing, path: path.into(), reason }
}

fn check_regular(path: &Path, metadata: &Metadata) -> Result<(), DiskError> {
    if metadata.is_file() {
        return Ok(());
    }
    Err(DiskError::Exposed { path: path.into(), reason: "it is not a regular file".into() })
}

fn check_readers(path: &Path, metadata: &Metadata) -> Result<(), DiskError> {
    let groups = || {
        let mut groups = rustix::process::getgroups().unwrap_or_default();
        groups.push(rustix::process::getegid());
        groups.into_iter().map(rustix::process::Gid::as_raw).collect::<Vec<_>>()
    };
    if may_be_read(metadata.mode(), metadata.uid(), metadata.gid(), &groups()) {
        return Ok(());
    }
    let reason = format!(
        "its permissions are {:04o}, but only its owner may have access (chmod 600), or root must own it and only \
         the group of the process may read it (0440 in a Kubernetes secret)",
        metadata.mode() & 0o7777
    );
    Err(DiskError::Exposed { path: path.into(), reason })
}

fn may_be_read(mode: u32, owner: u32, group: u32, groups: &[u32]) -> bool {
    let for_owner_only = mode & 0o077 == 0;
    let for_group = owner == 0 && mode & 0o037 == 0 && groups.contains(&group);
    for_owner_only || for_group
}

/// Who may write to a folder can put another file in the place of ours, unless its sticky bit is set.
fn check_folder(folder: &Path) -> Result<(), DiskError> {
    let mode = fs::metadata(folder).map_err(io_error("cannot read", folder))?.mode();
    if mode & 0o002 == 0 || mode & 0o1000 != 0 {
        return Ok(());
    }
    let reason = format!("its permissions are {:04o}, so anybody may replace the keys in it", mode & 0o7777);
    Err(DiskError::Exposed { path: folder.into(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::os_entropy;

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn only_the_owner_or_roots_chosen_group_may_read() {
        for (mode, owner, group, fits) in [
            (0o600, 1000, 1000, true),
            (0o400, 1000, 1000, true),
            (0o600, 0, 0, true),
            (0o440, 0, 1000, true),
            (0o640, 0, 1000, true),
            (0o440, 0, 2000, true),
            (0o440, 0, 3000, false),
            (0o440, 1000, 1000, false),
            (0o660, 0, 1000, false),
            (0o444, 0, 1000, false),
            (0o604, 1000, 1000, false),
            (0o644, 1000, 1000, false),
            (0o610, 0, 1000, false),
            (0o602, 1000, 1000, false),
        ] {
            assert_eq!(may_be_read(mode, owner, group, &[1000, 2000]), fits, "{mode:04o} {owner}:{group}");
        }
    }

    #[test]
    fn a_new_file_is_for_its_owner_and_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kek");
        write_new(&path, b"first", &mut os_entropy()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let again = write_new(&path, b"second", &mut os_entropy());
        assert!(matches!(again, Err(DiskError::Exists { .. })), "{again:?}");
        assert_eq!(**read_private(&path, 10).unwrap(), *b"first");
        assert_eq!(names(folder.path()), ["kek"], "no temporary file stays");
    }

    #[test]
    fn a_replaced_file_keeps_its_permissions() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keyring");
        write_new(&path, b"old", &mut os_entropy()).unwrap();
        chmod(&path, 0o400);
        replace(&path, b"new", &mut os_entropy()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o400);
        assert_eq!(**read_private(&path, 10).unwrap(), *b"new");
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_content_and_no_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keyring");
        write_new(&path, b"old", &mut os_entropy()).unwrap();
        let mut dry: Entropy = Box::new(|_| Err(EntropyError));
        assert!(replace(&path, b"new", &mut dry).is_err());
        // The place of the temporary file is taken: as a full disk, a failure between open and rename.
        let mut fixed: Entropy = Box::new(|bytes| {
            bytes.fill(7);
            Ok(())
        });
        fs::write(with_suffix(&path, ".0707070707070707.tmp"), b"left by a crash").unwrap();
        assert!(replace(&path, b"new", &mut fixed).is_err());
        assert_eq!(**read_private(&path, 10).unwrap(), *b"old");
        replace(&path, b"new", &mut os_entropy()).unwrap();
        assert_eq!(**read_private(&path, 10).unwrap(), *b"new");
        assert_eq!(names(folder.path()), ["keyring", "keyring.0707070707070707.tmp"]);
    }

    #[test]
    fn files_that_others_may_read_or_replace_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keyring");
        write_new(&path, b"x", &mut os_entropy()).unwrap();
        for mode in [0o644, 0o604, 0o666] {
            chmod(&path, mode);
            let text = read_private(&path, 10).unwrap_err().to_string();
            assert!(text.contains("keyring") && text.contains(&format!("{mode:04o}")), "{text}");
        }
        chmod(&path, 0o600);
        chmod(folder.path(), 0o777);
        assert!(matches!(read_private(&path, 10), Err(DiskError::Exposed { .. })));
        chmod(folder.path(), 0o1777);
        assert!(read_private(&path, 10).is_ok(), "a sticky folder, as Kubernetes mounts one");
        assert!(matches!(read_private(folder.path(), 10), Err(DiskError::Exposed { .. })), "a folder");
        assert!(matches!(read_private(&path, 0), Err(DiskError::TooLarge { .. })));
        assert!(matches!(read_private(&folder.path().join("none"), 9), Err(DiskError::Io { .. })));
    }

    #[test]
    fn the_lock_is_exclusive_and_ends_with_its_holder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keyring");
        let first = Lock::acquire(&path).unwrap();
        let second = Lock::acquire_within(&path, Duration::ZERO);
        assert!(matches!(second, Err(DiskError::Locked { .. })));
        drop(first);
        assert!(Lock::acquire_within(&path, Duration::ZERO).is_ok());
    }

    #[test]
    fn a_missing_folder_is_made_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/keyring");
        make_folder(&path).unwrap();
        assert_eq!(fs::metadata(folder.path().join("a/b")).unwrap().mode() & 0o777, 0o700);
        make_folder(&path).unwrap();
    }
}
