//! The file of the master key: readable by its owner only, and never seen half written.

use std::{
    fs::{self, File, Permissions},
    io::{self, ErrorKind, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use keyfob_core::{
    crypto::{MasterKey, MasterKeyText},
    random::Random,
};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::vault::OpenError;

/// What the file holds; `None` if there is no file.
pub(crate) fn read(path: &Path) -> Result<Option<MasterKeyText>, OpenError> {
    let refused = |text: String| OpenError::Refused(format!("{}: {text}", path.display()));
    let mode = match fs::metadata(path) {
        Ok(metadata) => metadata.permissions().mode(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refused(error.to_string())),
    };
    if mode & 0o077 != 0 {
        let path = path.display();
        return Err(refused(format!(
            "others can read the master key (mode {:o}): run chmod 600 {path}, and consider whether it has been read",
            mode & 0o777,
        )));
    }
    let text = Zeroizing::new(fs::read_to_string(path).map_err(|e| refused(e.to_string()))?);
    Ok(Some(SecretString::from(text.as_str())))
}

/// Makes the file with a new master key, on stable storage before anything is sealed with it. If
/// another process makes it at the same time, the key of the one that was first is the key of both.
///
/// A process that is killed here leaves at most a `.master.key.*`, which no database is bound to.
pub(crate) fn make(path: &Path, random: &dyn Random) -> Result<MasterKey, OpenError> {
    let refused = |error: io::Error| {
        OpenError::Refused(format!("the master key cannot be kept in {}: {error}", path.display()))
    };
    publish(path, &MasterKey::generate(random)).map_err(refused)?;
    let text = read(path)?.ok_or_else(|| refused(ErrorKind::NotFound.into()))?;
    MasterKey::parse(&text)
        .map_err(|error| OpenError::Refused(format!("{}: {error}", path.display())))
}

/// Writes the file as a whole, unless there is one.
fn publish(path: &Path, text: &MasterKeyText) -> io::Result<()> {
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let mut whole = tempfile::Builder::new()
        .prefix(".master.key.")
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(dir)?;
    whole.write_all(text.expose_secret().as_bytes())?;
    whole.write_all(b"\n")?;
    whole.as_file().sync_all()?;
    match whole.persist_noclobber(path) {
        Err(lost) if lost.error.kind() != ErrorKind::AlreadyExists => return Err(lost.error),
        _ => {}
    }
    // Also by the one that came second: it will seal with a key that the first may not have synced.
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Barrier,
        atomic::{AtomicBool, Ordering},
    };

    use keyfob_core::crypto::MasterKeyId;
    use tempfile::TempDir;

    use super::*;
    use crate::random::SystemRandom;

    fn names(dir: &TempDir) -> Vec<String> {
        let files = fs::read_dir(dir.path()).unwrap().map(Result::unwrap);
        let mut names: Vec<_> = files.map(|file| file.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn id_of(path: &Path) -> MasterKeyId {
        MasterKey::parse(&read(path).unwrap().unwrap()).unwrap().id().clone()
    }

    #[test]
    fn a_new_key_file_is_its_owners_only_and_the_only_file() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("master.key");
        assert!(read(&path).unwrap().is_none());
        let key = make(&path, &SystemRandom).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(id_of(&path), *key.id());
        assert_eq!(names(&dir), ["master.key"]);
    }

    #[test]
    fn who_comes_second_takes_the_key_of_the_first() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("master.key");
        let first = make(&path, &SystemRandom).unwrap();
        let written = fs::read(&path).unwrap();
        let second = make(&path, &SystemRandom).unwrap();
        assert_eq!(first.id(), second.id());
        assert_eq!(fs::read(&path).unwrap(), written);
        assert_eq!(names(&dir), ["master.key"]);
    }

    #[test]
    fn all_that_make_it_at_once_have_one_key() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("master.key");
        let barrier = Barrier::new(8);
        let start = || {
            barrier.wait();
            make(&path, &SystemRandom).unwrap().id().clone()
        };
        let ids = std::thread::scope(|scope| {
            let threads = [0; 8].map(|_| scope.spawn(start));
            threads.map(|thread| thread.join().unwrap())
        });
        assert!(ids.iter().all(|id| *id == id_of(&path)), "{ids:?}");
        assert_eq!(names(&dir), ["master.key"]);
    }

    #[test]
    fn nobody_ever_sees_a_part_of_it() {
        for _ in 0..50 {
            let dir = TempDir::new().unwrap();
            let path = dir.path().join("master.key");
            let (barrier, is_made) = (Barrier::new(2), AtomicBool::new(false));
            let watch = || {
                barrier.wait();
                // As soon as it is there; at the latest when it must be.
                loop {
                    let must_be = is_made.load(Ordering::SeqCst);
                    let seen = fs::read(&path);
                    if must_be || seen.is_ok() {
                        return seen;
                    }
                }
            };
            let (made, seen) = std::thread::scope(|scope| {
                let watcher = scope.spawn(watch);
                barrier.wait();
                let made = make(&path, &SystemRandom);
                is_made.store(true, Ordering::SeqCst);
                (made, watcher.join().unwrap())
            });
            made.unwrap();
            let seen = seen.unwrap();
            assert_eq!(seen, fs::read(&path).unwrap());
        }
    }

    #[test]
    fn what_a_killed_start_left_behind_disturbs_nobody() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("master.key");
        fs::write(dir.path().join(".master.key.AbCdEf"), "c2hvcnQ").unwrap();
        let key = make(&path, &SystemRandom).unwrap();
        assert_eq!(id_of(&path), *key.id());
        assert_eq!(names(&dir), [".master.key.AbCdEf", "master.key"]);
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let made = make(Path::new("/nowhere/at/all/master.key"), &SystemRandom);
        let text = made.unwrap_err().to_string();
        assert!(text.contains("cannot be kept in /nowhere/at/all/master.key"), "{text}");
    }
}
